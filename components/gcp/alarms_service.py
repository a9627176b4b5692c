"""A service's alarms: what users get of it in this region, and whether enough of it runs. The same on a standby, which
is of no use if its faults show when it is needed.

Metrics: cloud.google.com/load-balancing/docs/metrics (https), …/run/docs/monitoring and …/monitoring/api
/metrics_gcp_p_z (run), …/metrics_gcp_c (compute); labels of resources: …/monitoring/api/resources. The load balancer is
one for all regions, and tells of each group behind it by its name, which carries the region.
"""

from collections.abc import Iterator

import pulumi

from components.contracts import ServiceOutputs
from components.gcp import names, paths
from components.gcp.alarms import HOUR, Alarm, Lines, Metric, Query
from components.gcp.scaling import LEAST, bounds
from topology import Objectives, RegionPlan, Topology

# The rate at which an hour's errors use up two hundredths of what a month may have (Google, The Site Reliability
# Workbook, "Alerting on SLOs"). Where no availability is asked for, one in a hundred; never more than one in twenty.
BURN, ERROR_PERCENT, ERROR_PERCENT_MOST = 14.4, 1.0, 5.0

# In five minutes. With fewer, one error is a rate, and the slowest of a hundred is one user.
REQUESTS = 20

# What the load balancer says when it got no answer, a broken one, or one too late; all others of five hundred are the
# service's, or Cloud Run's for it (cloud.google.com/load-balancing/docs/https/https-logging-monitoring).
UNANSWERED, ANSWERED = "502|504", "50[013]|50[5-9]|5[1-9][0-9]"


def alarms(topology: Topology, region: RegionPlan, service: ServiceOutputs) -> Iterator[Alarm]:
    assert topology.gcp is not None, "checked with the settings"
    assert topology.service is not None, "checked with the settings"
    name = service.attachments["service_name"]
    # Of what is behind the load balancer: run.py, machines.py.
    group = names.name(topology, region.name, "service", limit=paths.LIMIT)
    on_machines = topology.gcp.service == "instance-group"
    yield machines_unhealthy(name) if on_machines else containers_unhealthy(name, region.name)
    yield from running(machines(name) if on_machines else containers(name, region.name), topology, region)
    yield from answers(topology.objectives, group)


def containers(name: pulumi.Input[str], region: str) -> pulumi.Output[str]:
    """How many there are, idle ones too. How many of them are ready is a metric of its own whose labels Google's pages
    do not name, so it is left out.
    """
    return Metric(
        type="run.googleapis.com/container/instance_count",
        resource="cloud_run_revision",
        labels={"location": region, "service_name": name},
    ).select()


def machines(name: pulumi.Input[str]) -> pulumi.Output[str]:
    return Metric(
        type="compute.googleapis.com/instance_group/size",
        resource="instance_group",
        labels={"instance_group_name": name},
    ).select()


def containers_unhealthy(name: pulumi.Input[str], region: str) -> Alarm:
    probes = Metric(
        type="run.googleapis.com/container/completed_probe_count",
        resource="cloud_run_revision",
        labels={"location": region, "service_name": name, "is_healthy": "false"},
    ).select()
    return Alarm(
        part="service-unhealthy",
        says="Instances fail their probes, and it does not get better.",
        act="The service's log in this region says what is not ready: the region's database, most often.",
        severity="ERROR",
        # Longer than an instance takes to start.
        watches=Query(text=pulumi.Output.format("sum(increase({0}[5m])) > 0", probes), minutes=10),
    )


def machines_unhealthy(name: pulumi.Input[str]) -> Alarm:
    """There is no metric of it; the health checks say so in the log, once for each change
    (cloud.google.com/load-balancing/docs/health-check-logging).
    """
    return Alarm(
        part="service-unhealthy",
        says="A machine that was healthy fails its health checks.",
        act="The group replaces a machine that is stuck. If it happens again, the service's log says what is not "
        "ready: the region's database, most often.",
        severity="WARNING",
        watches=Lines(
            filter=pulumi.Output.format(
                'log_id("compute.googleapis.com/healthchecks") AND resource.type="gce_instance_group" '
                'AND resource.labels.instance_group_name="{0}" '
                'AND jsonPayload.healthCheckProbeResult.previousHealthState="HEALTHY" '
                'AND jsonPayload.healthCheckProbeResult.healthState="UNHEALTHY"',
                name,
            ),
            quiet=HOUR,
        ),
    )


def running(instances: pulumi.Output[str], topology: Topology, region: RegionPlan) -> Iterator[Alarm]:
    """With none at all there is no data, which counts as zero."""
    assert topology.service is not None, "checked with the settings"
    count = pulumi.Output.format("(sum({0}) or vector(0))", instances)
    yield Alarm(
        part="service-healthy",
        says=f"Fewer than {LEAST} instances run: one zone's loss, or nothing at all, is an outage here.",
        act="Look at the service's last revision and its log. If users suffer and it is not mended soon, hold the "
        "region out.",
        severity="CRITICAL",
        watches=Query(text=pulumi.Output.format("{0} < {1}", count, LEAST), minutes=5),
    )
    yield Alarm(
        part="service-tasks",
        says="Fewer instances run than are wanted, and it does not get better.",
        act="Look for quotas that are used up, and at Google's status page.",
        severity="WARNING",
        watches=Query(
            text=pulumi.Output.format("{0} < {1}", count, bounds(topology.service, region).minimum), minutes=20
        ),
    )


def answers(objectives: Objectives, group: str) -> Iterator[Alarm]:
    requests = of("backend_request_count", group).select()
    for part, codes, says, act in (
        (
            "service-errors",
            ANSWERED,
            "The service answers too many requests with an error of its own.",
            "Look at the service's log. If it is this region alone, hold it out.",
        ),
        (
            "balancer-errors",
            UNANSWERED,
            "The load balancer gets no answers, or broken ones, from the service.",
            "Look whether instances run out of memory or take too long. If it is this region alone, hold it out.",
        ),
    ):
        errors = of("backend_request_count", group, response_code=codes).select()
        yield Alarm(
            part=part,
            says=says,
            act=act,
            severity="CRITICAL",
            watches=rate(errors, requests, error_percent(objectives)),
        )
    slowest = [limit for limit in (objectives.read_p99_ms, objectives.write_p99_ms) if limit is not None]
    if slowest:
        latencies = of("backend_latencies", group)
        yield Alarm(
            part="service-latency",
            says="One answer in a hundred takes longer than `objectives` allow.",
            act="Look at query insights of the region's database, and whether the service has enough instances.",
            severity="ERROR",
            watches=Query(
                text=pulumi.Output.format(
                    "histogram_quantile(0.99, sum by (le) (rate({0}[5m]))) > {1} and on () sum(increase({2}[5m])) >= "
                    "{3}",
                    latencies.select("_bucket"),
                    # A load balancer knows no reads and writes apart, so the looser of the two.
                    max(slowest),
                    latencies.select("_count"),
                    REQUESTS,
                ),
                minutes=5,
            ),
        )


def entry(topology: Topology) -> Alarm:
    """Of all users' requests, whichever region they were for, and those for which there was none to ask."""
    # The map that traffic.py makes.
    requests = Metric(
        type="loadbalancing.googleapis.com/https/request_count",
        resource="https_lb_rule",
        labels={"url_map_name": names.name(topology, "entry", limit=paths.LIMIT)},
    ).select
    return Alarm(
        part="entry-errors",
        says="Too many of all requests end with an error, in whichever region.",
        act="If a region's own alarms ring too, hold that region out. If none does, there may be no region to send "
        "users to: look at where the entry leads.",
        severity="CRITICAL",
        watches=rate(requests(response_code_class="500"), requests(), error_percent(topology.objectives)),
    )


def error_percent(objectives: Objectives) -> float:
    if objectives.availability_percent is None:
        return ERROR_PERCENT
    return min(round((100 - objectives.availability_percent) * BURN, 3), ERROR_PERCENT_MOST)


def rate(errors: pulumi.Output[str], requests: pulumi.Output[str], percent: float) -> Query:
    """In percent, and no answer where there are hardly any requests."""
    return Query(
        text=pulumi.Output.format(
            "100 * sum(increase({0}[5m])) / sum(increase({1}[5m])) > {2} and on () sum(increase({1}[5m])) >= {3}",
            errors,
            requests,
            percent,
            REQUESTS,
        ),
        minutes=5,
    )


def of(metric: str, group: str, **patterns: str) -> Metric:
    return Metric(
        type=f"loadbalancing.googleapis.com/https/{metric}",
        resource="https_lb_rule",
        labels={"backend_name": group},
        patterns=patterns,
    )
