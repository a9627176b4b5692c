"""A cache's alarms. It may lose everything at any time; what must not happen unseen is that it slows all others down.

Metrics: cloud.google.com/memorystore/docs/valkey/supported-monitoring-metrics, of the instance, which say of its nodes
what the worst of them does; so a node that is added or replaced needs no alarm of its own.
"""

from collections.abc import Iterator

import pulumi

from components.contracts import CacheOutputs
from components.gcp.alarms import Alarm, Metric, Query, Severity

CPU_SHARE, MEMORY_SHARE = 0.8, 0.9

# A cache that is full throws out what is least used, and that is how it works. Throwing out this many in a minute for a
# quarter of an hour it is too small.
EVICTIONS = 1000


def alarms(cache: CacheOutputs, region: str) -> Iterator[Alarm]:
    # "projects/…/locations/…/instances/<id>". Labels of the resource: cloud.google.com/monitoring/api/resources.
    id_ = pulumi.Output.from_input(cache.cache_id).apply(lambda name: name.rpartition("/")[2])

    def of(metric: str) -> pulumi.Output[str]:
        return Metric(
            type=f"memorystore.googleapis.com/instance/{metric}",
            resource="memorystore.googleapis.com/Instance",
            labels={"location": region, "instance_id": id_},
        ).select()

    yield alarm(
        "uptime",
        "The cache says nothing.",
        "Look at the instance in the console, and at Google's status page. The service answers from the database.",
        pulumi.Output.format("absent_over_time({0}[15m])", of("memory/maximum_utilization")),
        severity="ERROR",
        minutes=5,
    )
    yield alarm(
        "memory",
        "A cache node is nearly full; what is least used is thrown out.",
        "More memory is a larger `gcp.cache.node_type` or more `gcp.cache.shards`.",
        pulumi.Output.format("{0} > {1}", of("memory/maximum_utilization"), MEMORY_SHARE),
        minutes=15,
    )
    yield alarm(
        "cpu",
        "A cache node is busy nearly all the time.",
        "Look for commands that go through many keys. More processors are more `gcp.cache.shards`.",
        pulumi.Output.format("{0} > {1}", of("cpu/maximum_utilization"), CPU_SHARE),
        minutes=15,
    )
    yield alarm(
        "evictions",
        "The cache is too small: it throws out what it will be asked for.",
        "More memory is a larger `gcp.cache.node_type` or more `gcp.cache.shards`.",
        pulumi.Output.format("sum(increase({0}[5m])) > {1}", of("stats/total_evicted_keys_count"), 5 * EVICTIONS),
        minutes=15,
    )
    yield alarm(
        "rejections",
        "The cache refuses connections.",
        "Look for who opens connections and does not close them.",
        pulumi.Output.format("sum(increase({0}[5m])) > 0", of("stats/total_rejected_connections_count")),
        minutes=5,
    )


def alarm(
    part: str, says: str, act: str, text: pulumi.Output[str], *, minutes: int, severity: Severity = "WARNING"
) -> Alarm:
    return Alarm(part=f"cache-{part}", says=says, act=act, severity=severity, watches=Query(text=text, minutes=minutes))
