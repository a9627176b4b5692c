"""A cache's alarms. It may lose everything at any time; what must not happen unseen is that it slows all others down.

Metrics: docs.aws.amazon.com/AmazonElastiCache/latest/dg (CacheMetrics.Redis, serverless-metrics-events-redis).
"""

from collections.abc import Iterator, Mapping

import pulumi

from components.aws.alarms import Alarm, Metric
from components.aws.cache import MAXIMUM_ECPU_PER_SECOND, MAXIMUM_GB, NODES
from components.contracts import CacheOutputs
from topology import AwsPlan

SHARE = 0.8  # of a serverless cache's own bounds
CPU_PERCENT = 80  # of the one thread that runs commands
MEMORY_PERCENT = 90

# A cache that is full throws out what is least used, and that is how it works. Throwing out this many in a minute for a
# quarter of an hour it is too small.
EVICTIONS = 1000


def alarms(cache: CacheOutputs, plan: AwsPlan) -> Iterator[Alarm]:
    if plan.cache_mode == "serverless":
        yield from serverless({"clusterId": cache.cache_id})
    else:
        for number in range(1, NODES + 1):
            # ElastiCache numbers a replication group's nodes; who of them is the writer moves.
            node = f"{number:03}"
            yield from nodes(f"cache-{node}", {"CacheClusterId": pulumi.Output.concat(cache.cache_id, "-", node)})


def serverless(dimensions: Mapping[str, pulumi.Input[str]]) -> Iterator[Alarm]:
    yield Alarm(
        part="cache-memory",
        says="The cache is near its bound; what is least used is thrown out at it.",
        watches=of("BytesUsedForCache", "Maximum", dimensions),
        above=SHARE * MAXIMUM_GB * 10**9,
        points=10,
        within=15,
        missing="notBreaching",
    )
    yield Alarm(
        part="cache-ecpu",
        says="The cache's requests are near their bound, past which they are refused.",
        watches=of("ElastiCacheProcessingUnits", "Sum", dimensions),
        above=SHARE * MAXIMUM_ECPU_PER_SECOND * 60,
        points=5,
        within=10,
        missing="notBreaching",
    )
    yield Alarm(
        part="cache-throttles",
        says="The cache refuses requests.",
        watches=of("ThrottledCmds", "Sum", dimensions),
        above=0,
        points=3,
        within=5,
        missing="notBreaching",
    )
    yield evictions("cache", dimensions)


def nodes(node: str, dimensions: Mapping[str, pulumi.Input[str]]) -> Iterator[Alarm]:
    yield Alarm(
        part=f"{node}-cpu",
        says="The one thread that runs a cache node's commands is busy nearly all the time.",
        watches=of("EngineCPUUtilization", "Average", dimensions),
        above=CPU_PERCENT,
        points=10,
        within=15,
        missing="notBreaching",
    )
    yield Alarm(
        part=f"{node}-memory",
        says="A cache node is nearly full.",
        watches=of("DatabaseMemoryUsagePercentage", "Maximum", dimensions),
        above=MEMORY_PERCENT,
        points=10,
        within=15,
        missing="notBreaching",
    )
    yield evictions(node, dimensions)


def evictions(part: str, dimensions: Mapping[str, pulumi.Input[str]]) -> Alarm:
    return Alarm(
        part=f"{part}-evictions",
        says="The cache is too small: it throws out what it will be asked for.",
        watches=of("Evictions", "Sum", dimensions),
        above=EVICTIONS,
        points=10,
        within=15,
        missing="notBreaching",
    )


def of(metric: str, statistic: str, dimensions: Mapping[str, pulumi.Input[str]]) -> Metric:
    return Metric(namespace="AWS/ElastiCache", name=metric, statistic=statistic, dimensions=dimensions)
