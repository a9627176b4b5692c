"""A service's alarms: what users get of it in this region, and whether enough of it runs. The same on a standby, which
is of no use if its faults show when it is needed.

Metrics: docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html,
docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Container-Insights-metrics-ECS.html.
"""

from collections.abc import Iterator, Mapping

import pulumi

from components.aws.alarms import Alarm, Expression, Metric
from components.aws.scaling import LEAST
from components.contracts import ServiceOutputs
from topology import Objectives

# The rate at which an hour's errors use up two hundredths of what a month may have (Google, The Site Reliability
# Workbook, "Alerting on SLOs"). Where no availability is asked for, one in a hundred; never more than one in twenty.
BURN, ERROR_PERCENT, ERROR_PERCENT_MOST = 14.4, 1.0, 5.0

# In five minutes. With fewer, one error is a rate.
REQUESTS = 20


def alarms(service: ServiceOutputs, objectives: Objectives) -> Iterator[Alarm]:
    balancer = {"LoadBalancer": service.attachments["load_balancer_suffix"]}
    targets = {**balancer, "TargetGroup": service.attachments["target_group_suffix"]}
    ecs = {
        "ClusterName": service.attachments["cluster_name"],
        "ServiceName": service.attachments["service_name"],
    }
    requests = of("RequestCount", "Sum", balancer)
    yield Alarm(
        part="service-unhealthy",
        says="A task fails its health checks and is not replaced by one that passes.",
        watches=of("UnHealthyHostCount", "Maximum", targets),
        above=0,
        points=10,  # longer than a task takes to start
        within=15,
        missing="notBreaching",
    )
    yield Alarm(
        part="service-healthy",
        says=f"Fewer than {LEAST} tasks are ready: one zone's loss, or nothing at all, is an outage here.",
        watches=of("HealthyHostCount", "Minimum", targets),
        below=LEAST,
        points=3,
        within=5,
        missing="breaching",  # with no task at all there is no data
        warm_up=60,
    )
    yield Alarm(
        part="service-errors",
        says="The service answers too many requests with an error of its own.",
        watches=rate(
            "FILL(errors, 0)", {"errors": of("HTTPCode_Target_5XX_Count", "Sum", targets), "requests": requests}
        ),
        above=error_percent(objectives),
        period=300,
        points=2,
        within=3,
        missing="notBreaching",
    )
    yield Alarm(
        part="balancer-errors",
        says="The load balancer gets no answers, or broken ones, from the service.",
        # Not of all 5xx: as long as the region is held out, its own answer to each checker is a 503. When nobody is
        # there to answer, the alarm on healthy tasks says so.
        watches=rate(
            "FILL(internal, 0) + FILL(broken, 0) + FILL(late, 0)",
            {
                "internal": of("HTTPCode_ELB_500_Count", "Sum", balancer),
                "broken": of("HTTPCode_ELB_502_Count", "Sum", balancer),
                "late": of("HTTPCode_ELB_504_Count", "Sum", balancer),
                "requests": requests,
            },
        ),
        above=error_percent(objectives),
        period=300,
        points=2,
        within=3,
        missing="notBreaching",
    )
    yield Alarm(
        part="service-tasks",
        says="Fewer tasks run than are wanted, and it does not get better.",
        watches=Expression(
            text="wanted - FILL(running, 0)",
            metrics={
                "wanted": of("DesiredTaskCount", "Average", ecs, "ECS/ContainerInsights"),
                "running": of("RunningTaskCount", "Average", ecs, "ECS/ContainerInsights"),
            },
        ),
        above=0.5,
        points=15,
        within=20,
        missing="breaching",
        warm_up=60,
    )
    slowest = [limit for limit in (objectives.read_p99_ms, objectives.write_p99_ms) if limit is not None]
    if slowest:
        yield Alarm(
            part="service-latency",
            says="One answer in a hundred takes longer than `objectives` allow.",
            # A load balancer knows no reads and writes apart, so the looser of the two.
            watches=of("TargetResponseTime", "p99", targets),
            above=max(slowest) / 1000,
            period=300,
            points=2,
            within=3,
            missing="notBreaching",
        )


def error_percent(objectives: Objectives) -> float:
    if objectives.availability_percent is None:
        return ERROR_PERCENT
    return min(round((100 - objectives.availability_percent) * BURN, 3), ERROR_PERCENT_MOST)


def rate(errors: str, metrics: dict[str, Metric]) -> Expression:
    """In percent, and none where there are hardly any requests."""
    return Expression(text=f"IF(requests >= {REQUESTS}, 100 * ({errors}) / requests, 0)", metrics=metrics)


def of(
    metric: str, statistic: str, dimensions: Mapping[str, pulumi.Input[str]], namespace: str = "AWS/ApplicationELB"
) -> Metric:
    return Metric(namespace=namespace, name=metric, statistic=statistic, dimensions=dimensions)
