"""What an alarm is: a question to Cloud Monitoring whose answers are what is wrong, and for how long.

The questions are in PromQL: only there can those who follow be taken from those who are up, which is what makes an
alarm say the same of a member whoever is writer, and the silence of a metric be told from a number. The older language
is on its way out (cloud.google.com/stackdriver/docs/deprecations/mql), and a threshold on a filter knows one metric.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import pulumi
import pulumi_gcp as gcp

from components.component import Component
from components.gcp import names
from components.gcp.labels import labels
from topology import Topology

# SDK: monitoring.AlertPolicy, display_name.
NAME_LIMIT = 512

# CRITICAL: users have it now, or data may be lost. ERROR: they will, if nobody acts today. WARNING: it can wait until
# the morning.
Severity = Literal["CRITICAL", "ERROR", "WARNING"]

# What is sampled every minute is not asked for more often.
MINUTE, HOUR, DAY = 60, 3600, 86400

# An incident whose data has ended is closed after that time, otherwise a week later (SDK: auto_close;
# cloud.google.com/monitoring/alerts/concepts-indepth). What must outlast silence asks for it in its query.
CLOSE = HOUR // 2


@dataclass(frozen=True, kw_only=True)
class Metric:
    """`labels` of the metric or of its resource are one value each, `patterns` are RE2 and match the whole of it."""

    type: str
    resource: str
    labels: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    patterns: Mapping[str, str] = field(default_factory=dict)

    def select(self, part: str = "", **more: str) -> pulumi.Output[str]:
        """As PromQL has it (cloud.google.com/monitoring/promql/promql-mapping): the first slash is a colon, everything
        else an underscore, and the resource's type a label, which a metric of several types needs. `part` is one of
        those of a distribution: _bucket, _count, _sum.
        """
        name = re.sub(r"[^A-Za-z0-9_:]", "_", self.type.replace("/", ":", 1)) + part
        patterns = [f'{label}=~"{pattern}"' for label, pattern in self.patterns.items()]

        def written(known: Mapping[str, str]) -> str:
            matchers = [f'{label}="{value}"' for label, value in known.items()]
            return f"{name}{{{','.join(matchers + patterns)}}}"

        return pulumi.Output.all(monitored_resource=self.resource, **self.labels, **more).apply(written)


@dataclass(frozen=True, kw_only=True)
class Query:
    """Bad as long as it has an answer. It must have had one for `minutes`, so that a blip wakes nobody."""

    text: pulumi.Input[str]
    minutes: int
    every: int = MINUTE  # a multiple of 30 seconds (SDK: evaluation_interval)


@dataclass(frozen=True, kw_only=True)
class Lines:
    """Each line in the logs is a fact, and the next of its kind within `quiet` seconds belongs to it."""

    filter: pulumi.Input[str]
    quiet: int


@dataclass(frozen=True, kw_only=True)
class Alarm:
    part: str  # of its name; the same in every region
    says: str  # what is wrong, for whoever is woken
    act: str  # what to do then
    severity: Severity
    watches: Query | Lines

    def register(
        self,
        owner: Component,
        topology: Topology,
        region: str,
        project: pulumi.Input[str],
        channels: Sequence[pulumi.Input[str]],
    ) -> gcp.monitoring.AlertPolicy:
        return gcp.monitoring.AlertPolicy(
            f"{owner.name}-{self.part}",
            display_name=names.name(topology, region, self.part, limit=NAME_LIMIT),
            project=project,
            combiner="OR",
            conditions=[self.condition()],
            severity=self.severity,
            documentation=gcp.monitoring.AlertPolicyDocumentationArgs(
                content=f"{self.says}\n\n{self.act}", mime_type="text/markdown"
            ),
            alert_strategy=self.strategy(),
            notification_channels=[*channels],
            user_labels=labels(topology, region=region),
            opts=owner.child(),
        )

    def condition(self) -> gcp.monitoring.AlertPolicyConditionArgs:
        if isinstance(self.watches, Lines):
            return gcp.monitoring.AlertPolicyConditionArgs(
                display_name=self.part,
                condition_matched_log=gcp.monitoring.AlertPolicyConditionConditionMatchedLogArgs(
                    filter=self.watches.filter
                ),
            )
        return gcp.monitoring.AlertPolicyConditionArgs(
            display_name=self.part,
            condition_prometheus_query_language=gcp.monitoring.AlertPolicyConditionConditionPrometheusQueryLanguageArgs(
                query=self.watches.text,
                duration=f"{self.watches.minutes * MINUTE}s",
                evaluation_interval=f"{self.watches.every}s",
                # In a new project there is no metric yet of what has never happened, and the alarm would be refused
                # (SDK: disable_metric_validation).
                disable_metric_validation=True,
            ),
        )

    def strategy(self) -> gcp.monitoring.AlertPolicyAlertStrategyArgs:
        """Whoever was woken is told, too, that it is over; of a line in the logs nobody can know (Monitoring API:
        AlertStrategy, notificationPrompts), and without a limit each would be a mail (SDK: notification_rate_limit).
        """
        strategy = gcp.monitoring.AlertPolicyAlertStrategyArgs
        if isinstance(self.watches, Lines):
            quiet = f"{self.watches.quiet}s"
            limit = gcp.monitoring.AlertPolicyAlertStrategyNotificationRateLimitArgs(period=quiet)
            return strategy(auto_close=quiet, notification_rate_limit=limit)
        return strategy(auto_close=f"{CLOSE}s", notification_prompts=["OPENED", "CLOSED"])
