"""What an alarm is: a number that CloudWatch knows, what is too much or too little of it, and for how long."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import pulumi
import pulumi_aws as aws

from components.aws import names
from components.aws.tags import tags
from components.component import Component
from topology import Topology

# CloudWatch API: PutMetricAlarm.
NAME_LIMIT = 255

# What no data means. `notBreaching`: nothing happened, so nothing is wrong. `breaching`: silence is the fault itself.
# `ignore`: the state stays what it was. The fourth, `missing`, would end in a state that nobody is told of.
Missing = Literal["breaching", "ignore", "notBreaching"]

HOUR, DAY = 3600, 86400


@dataclass(frozen=True, kw_only=True)
class Metric:
    namespace: str
    name: str
    statistic: str  # Average, Maximum, Minimum, Sum, or a percentile such as p99
    dimensions: Mapping[str, pulumi.Input[str]]


@dataclass(frozen=True, kw_only=True)
class Expression:
    """Metric math over the metrics by their ids; without any, a query of Metrics Insights."""

    text: pulumi.Input[str]
    metrics: Mapping[str, Metric] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """`points` of the last `within` data points must be bad, so that one of them is a blip and nobody is woken."""

    part: str  # of its name; the same in every region
    says: str  # what is wrong, for whoever is woken
    watches: Metric | Expression
    above: float | None = None
    below: float | None = None  # one of the two
    period: int = 60
    points: int
    within: int
    missing: Missing
    # How long silence is allowed to a resource that is new, in minutes; 2880 at most.
    warm_up: int | None = None

    def register(
        self, owner: Component, topology: Topology, region: str, channel: pulumi.Input[str]
    ) -> aws.cloudwatch.MetricAlarm:
        name = names.name(topology, region, self.part, limit=NAME_LIMIT)
        metric = self.watches if isinstance(self.watches, Metric) else None
        percentile = metric is not None and metric.statistic.startswith("p")
        return aws.cloudwatch.MetricAlarm(
            f"{owner.name}-{self.part}",
            name=name,
            alarm_description=self.says,
            comparison_operator="GreaterThanThreshold" if self.above is not None else "LessThanThreshold",
            threshold=self.above if self.above is not None else self.below,
            namespace=metric.namespace if metric else None,
            metric_name=metric.name if metric else None,
            dimensions=metric.dimensions if metric else None,
            statistic=metric.statistic if metric and not percentile else None,
            extended_statistic=metric.statistic if metric and percentile else None,
            # At night a percentile of three requests says nothing.
            evaluate_low_sample_count_percentiles="ignore" if percentile else None,
            period=self.period if metric else None,
            metric_queries=None if metric else self.queries(),
            evaluation_periods=self.within,
            datapoints_to_alarm=self.points,
            treat_missing_data=self.missing,
            warm_up_configuration=None
            if self.warm_up is None
            else aws.cloudwatch.MetricAlarmWarmUpConfigurationArgs(warm_up_period_duration_in_minutes=self.warm_up),
            alarm_actions=[channel],
            ok_actions=[channel],
            tags=tags(topology, name, region=region),
            region=region,
            opts=owner.child(),
        )

    def queries(self) -> list[aws.cloudwatch.MetricAlarmMetricQueryArgs]:
        assert isinstance(self.watches, Expression)
        return [
            aws.cloudwatch.MetricAlarmMetricQueryArgs(
                id="value",
                label=self.part,
                expression=self.watches.text,
                # Math takes its metrics' period; a query has one of its own (SDK: MetricAlarmMetricQuery).
                period=None if self.watches.metrics else self.period,
                return_data=True,
            ),
            *(
                aws.cloudwatch.MetricAlarmMetricQueryArgs(
                    id=id_,
                    metric=aws.cloudwatch.MetricAlarmMetricQueryMetricArgs(
                        namespace=metric.namespace,
                        metric_name=metric.name,
                        stat=metric.statistic,
                        period=self.period,
                        dimensions=metric.dimensions,
                    ),
                    return_data=False,
                )
                for id_, metric in self.watches.metrics.items()
            ),
        ]
