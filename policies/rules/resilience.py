"""A zone, a server or a probe that fails is no outage, and what is meant to take over can."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .members import (
    ACTIVE_PASSIVE,
    ALARMS,
    CACHES,
    CLUSTER,
    INSTANCE,
    KEYS,
    SERVICES,
    SQL,
    databases,
    partition_of,
    region_of,
    regions_with,
    text,
    waits,
)
from .resource import UNKNOWN, Resource, is_empty, is_list
from .rule import ResourceRule, stack_rule
from .settings import Settings
from .table import FALSE, GIVEN, NOT_TRUE, TRUE, Expect, at_least, fixed, number, one_of, row, table_rule

THEME = "resilience"

SERVERS = 2

TARGETS = "aws:lb/targetGroup:TargetGroup"
PROBE = "aws:route53/healthCheck:HealthCheck"
RUN = "gcp:cloudrunv2/service:Service"
CHECK = "gcp:compute/healthCheck:HealthCheck"
VALKEY = "gcp:memorystore/instance:Instance"
NODES = "aws:elasticache/replicationGroup:ReplicationGroup"
TASKS = "aws:ecs/service:Service"
SCALING = "aws:appautoscaling/target:Target"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
POLICY = "gcp:monitoring/alertPolicy:AlertPolicy"
BACKEND = "gcp:compute/backendService:BackendService"

# Where each type says in which subnets, and so in which zones, it is.
SPREAD: Mapping[str, str] = {
    "aws:ecs/service:Service": "networkConfiguration.subnets",
    "aws:elasticache/serverlessCache:ServerlessCache": "subnetIds",
    "aws:elasticache/subnetGroup:SubnetGroup": "subnetIds",
    "aws:lb/loadBalancer:LoadBalancer": "subnets",
    "aws:rds/subnetGroup:SubnetGroup": "subnetIds",
}

# How many probes in a row have to fail, and the interval in seconds, with the provider's default.
PROBES: Mapping[str, tuple[tuple[str, str, float], ...]] = {
    TARGETS: (("healthCheck.unhealthyThreshold", "healthCheck.interval", 30),),
    PROBE: (("failureThreshold", "requestInterval", 30),),
    CHECK: (("unhealthyThreshold", "checkIntervalSec", 5),),
    RUN: tuple(
        (f"template.containers.{probe}.failureThreshold", f"template.containers.{probe}.periodSeconds", 10)
        for probe in ("livenessProbe", "readinessProbe")
    ),
}
BLIP = 2  # probes: one may be lost
OUTAGE = 120  # seconds after which an outage has to be noticed

# What each cloud calls the distance between writer and copy. On Google Cloud it also tells a copy from the writer, by
# being there at all, so that it has to be held against something.
LAG = re.compile(r"AuroraGlobalDB(?:RPO|Progress)Lag|replica_lag\b[^}]*\}[^<>]*>\s*(?P<seconds>\d[\d.]*(?:e\+?\d+)?)")
# A name that stands for the writer is asked for again after so many seconds.
TTL = 60


def two_or_more() -> Expect:
    return fixed("two or more", lambda value: is_list(value) and len(distinct(value)) >= SERVERS)


def distinct(items: Sequence[Any]) -> set[str]:
    """What is not known yet counts as another each time."""
    return {f"unknown {place}" if each is UNKNOWN else repr(each) for place, each in enumerate(items)}


def probes_tell_blip_from_outage(resource: Resource, _: Settings) -> Iterator[str]:
    if text(resource.at("type")) == "CALCULATED":
        yield from children_all_count(resource)
        return
    for threshold, interval, default in PROBES[resource.type]:
        for count, pause in zip(resource.values(threshold), resource.values(interval), strict=False):
            if count is UNKNOWN or pause is UNKNOWN:
                continue
            tries, seconds = number(count), number(pause) or default
            if tries is None or tries < BLIP:
                yield f"{threshold} is {count if count is not None else 'not given'}, and must be at least {BLIP}"
            elif tries * seconds > OUTAGE:
                yield f"{threshold} is {count} at every {seconds:g} s, and must notice an outage in {OUTAGE} s"


def children_all_count(resource: Resource) -> Iterator[str]:
    """A region serves when every one of its checks says so; Route 53 counts the healthy ones."""
    needed, children = resource.at("childHealthThreshold"), resource.at("childHealthchecks")
    if needed is UNKNOWN or not is_list(children):
        return
    if (number(needed) or 0) < len(children):
        yield f"childHealthThreshold is {needed}, and there are {len(children)} checks"


def calculated(resource: Resource) -> bool:
    return text(resource.at("type")) == "CALCULATED"


def is_routed(record: Resource) -> bool:
    """Whether a record is one of several answers, between which Route 53 chooses."""
    policies = ("latencyRoutingPolicies", "failoverRoutingPolicies", "weightedRoutingPolicies", "setIdentifier")
    return any(not is_empty(record.at(policy)) for policy in policies)


def answers_are_checked(resources: Sequence[Resource], _: Settings) -> Iterator[tuple[Resource | None, str]]:
    """Where an accelerator stands behind the records, all of them lead to it, and it looks after the regions."""
    if any(each.type == "aws:globalaccelerator/accelerator:Accelerator" for each in resources):
        return
    for each in resources:
        check = each.at("healthCheckId")
        if each.type == "aws:route53/record:Record" and is_routed(each) and check is not UNKNOWN and is_empty(check):
            yield each, "healthCheckId is not given, and users would be sent to it whatever happens there"


def must_be_regional(resource: Resource, settings: Settings) -> Iterator[str]:
    """A copy that only waits may be in one zone; the origin never."""
    if waits(resource, settings):
        return
    value = resource.at("settings.availabilityType")
    if value is not UNKNOWN and value != "REGIONAL":
        yield f"settings.availabilityType is {value!r}, and must be REGIONAL"


def members_have_servers(resources: Sequence[Resource], settings: Settings) -> Iterator[tuple[Resource | None, str]]:
    """A cluster on AWS is its storage, which is in three zones; what answers are its instances."""
    counted: dict[tuple[str, str], int] = {}
    for each in resources:
        if each.type == INSTANCE:
            place = partition_of(each), region_of(each)
            counted[place] = counted.get(place, 0) + 1
    for partition, held in databases(resources).items():
        for region, each in held.items():
            count = counted.get((partition, region), 0)
            if each.type == CLUSTER and count < SERVERS and not waits(each, settings):
                yield each, f"the cluster has {count} instances, and must have {SERVERS}, one of them to take over"


def lag_is_watched(resources: Sequence[Resource], settings: Settings) -> Iterator[tuple[Resource | None, str]]:
    """One alarm is enough that rings before the objective is missed; any is, where nobody has set one."""
    objective = settings.objectives.get("rpo_seconds")
    allowed = objective.asked if objective is not None else None
    watching: dict[str, list[Resource]] = {}
    for each in resources:
        if each.type in ALARMS:
            watching.setdefault(region_of(each), []).append(each)
    for held in databases(resources).values():
        for region, each in held.items() if len(held) > 1 else ():
            if each.type not in (CLUSTER, SQL):
                continue
            names = [found for key in ("clusterIdentifier", "name") if (found := text(each.at(key)))]
            found = [alarm for alarm in watching.get(region, ()) if watches(alarm, (each.name, *names))]
            if not found:
                yield each, f"no alarm in {region} watches how far this member is behind"
            bounds = [bound(alarm) for alarm in found]
            if found and allowed and all(seconds is not None and seconds >= allowed for seconds in bounds):
                yield found[0], f"it rings at {bounds[0]:g} s behind, and objectives.rpo_seconds is {allowed:g}"


def watches(alarm: Resource, names: Sequence[str]) -> bool:
    """Whether it looks at a lag of one of these. A query that is not known yet is taken for one."""
    found = queries(alarm)
    if found is None:
        return True
    dimensions = alarm.at("dimensions")
    of = found + (" ".join(map(text, dimensions.values())) if isinstance(dimensions, Mapping) else "")
    lag = LAG.search(found)
    return lag is not None and number(lag["seconds"] or 1) != 0 and any(name in of for name in names)


def queries(alarm: Resource) -> str | None:
    """What it asks for; None where that is not known yet."""
    found = [
        *alarm.values("metricQueries.expression"),
        *alarm.values("metricName"),
        *alarm.values("conditions.conditionPrometheusQueryLanguage.query"),
        *alarm.values("conditions.conditionThreshold.filter"),
    ]
    return None if any(query is UNKNOWN for query in found) else " ".join(map(text, found))


def bound(alarm: Resource) -> float | None:
    """The seconds of lag that it rings above. Aurora counts milliseconds; Google's stand in the query."""
    if alarm.type == ALARM:
        threshold = alarm.at("threshold")
        return None if threshold is UNKNOWN or (found := number(threshold)) is None else found / 1000
    lag = LAG.search(queries(alarm) or "")
    return number(lag["seconds"]) if lag is not None else None


def name_is_short_lived(resource: Resource, settings: Settings) -> Iterator[str]:
    if text(resource.at("name")).split(".")[0] not in settings.partitions:
        return
    seconds = resource.at("ttl")
    if seconds is not UNKNOWN and (number(seconds) or 0) > TTL:
        yield f"ttl is {seconds}, and must be at most {TTL}"


def limits_rates(rules: Any) -> bool:
    """Whether one of a firewall's rules cuts off who asks too often: counting or previewing alone does not."""
    for each in rules if is_list(rules) else ():
        if each is UNKNOWN:
            return True
        if not isinstance(each, Mapping):
            continue
        blocks = isinstance(action := each.get("action"), Mapping) and "block" in action
        if blocks and "rateBasedStatement" in (each.get("statement") or {}):
            return True
        if action in ("throttle", "rate_based_ban") and not each.get("preview"):
            return True
    return False


def regions_stand_alone(resources: Sequence[Resource], settings: Settings) -> Iterator[tuple[Resource | None, str]]:
    """What the settings plan for a region is in that region."""
    if not settings.given:
        return
    caches, keys, services = (regions_with(resources, kind) for kind in (CACHES, KEYS, SERVICES))
    signals = regions_with(resources, ALARMS)
    held = databases(resources)
    for name, region in settings.regions.items():
        if not region.in_use:
            continue
        wanted = (
            ("keys of its own", True, name in keys),
            ("cache of its own", region.has_cache, name in caches),
            ("service of its own", region.serving != "none", name in services),
            ("signals of its own", settings.target != "local", name in signals),
        )
        for what, planned, found in wanted:
            if planned and not found:
                yield None, f"{name} is in use and has no {what}"
        for member in region.members:
            if name not in held.get(member.removesuffix(f"-{name}"), {}):
                yield None, f"{name} is planned to hold the member {member} and has no database for it"


def standby_can_take_over(resources: Sequence[Resource], settings: Settings) -> Iterator[tuple[Resource | None, str]]:
    """Users of every region may come to any: each may grow as far as the largest, and none sleeps."""
    if settings.phase < ACTIVE_PASSIVE:
        return
    for type_, least, most in (
        (SCALING, "minCapacity", "maxCapacity"),
        (RUN, "scaling.minInstanceCount", "template.scaling.maxInstanceCount"),
        ("gcp:compute/regionAutoscaler:RegionAutoscaler", "autoscalingPolicy.minReplicas", MOST_REPLICAS),
    ):
        found = [each for each in resources if each.type == type_]
        limits = {each.urn: number(value) or 0 for each in found if (value := each.at(most)) is not UNKNOWN}
        for each in found:
            if limits.get(each.urn, 0) < max(limits.values(), default=0) and each.urn in limits:
                yield each, f"{most} is {limits[each.urn]:g}, and another region has {max(limits.values()):g}"
            floor = each.at(least)
            if floor is not UNKNOWN and (number(floor) or 0) < 1:
                yield each, f"{least} is {floor}, and nobody would answer the first users after a failover"


MOST_REPLICAS = "autoscalingPolicy.maxReplicas"
LIMITS = fixed("a list with a limit of requests per address", limits_rates)


RULES = (
    table_rule(
        name="resilience-zones",
        theme=THEME,
        level="mandatory",
        reason="The loss of one zone is the most frequent loss there is, and no phase is without two.",
        mend="Spread it over the region's zones.",
        rows=(
            *(row(type_, path, two_or_more()) for type_, path in SPREAD.items()),
            row(NODES, "multiAzEnabled", TRUE),
            row(NODES, "automaticFailoverEnabled", TRUE),
            row(TASKS, "availabilityZoneRebalancing", one_of("ENABLED")),
            row(VALKEY, "zoneDistributionConfig.mode", one_of("MULTI_ZONE")),
            row(VALKEY, "replicaCount", at_least(lambda _: 1)),
        ),
    ),
    ResourceRule(
        name="resilience-database-zones",
        theme=THEME,
        level="mandatory",
        reason="A database in one zone is down when that zone is, whatever else is up.",
        mend='Set availabilityType to "REGIONAL".',
        types=frozenset((SQL,)),
        check=must_be_regional,
    ),
    stack_rule(
        "resilience-database-servers",
        members_have_servers,
        "With one instance, Aurora has nothing to fail over to and builds a new one while users wait.",
        "Give the member a second instance.",
    ),
    ResourceRule(
        name="resilience-probes",
        theme=THEME,
        level="mandatory",
        reason="One lost probe is a blip and moves nobody; an outage that is noticed late is a longer one.",
        mend=f"Let {BLIP} or more probes in a row decide, within {OUTAGE} seconds.",
        types=frozenset(PROBES),
        check=probes_tell_blip_from_outage,
    ),
    table_rule(
        name="resilience-probe-target",
        theme=THEME,
        level="mandatory",
        reason="A check has to ask what users need, from more than one place, and its answer has to count.",
        mend="Ask the region's readiness, and let the answer stand as it is.",
        rows=(
            row(
                TARGETS, "healthCheck.path", fixed("a path of the service", lambda value: value not in (None, "", "/"))
            ),
            row(TARGETS, "healthCheck.enabled", fixed("true or left out", lambda value: value is not False)),
            row(PROBE, "invertHealthcheck", NOT_TRUE),
            row(PROBE, "disabled", NOT_TRUE),
            row(
                PROBE,
                "regions",
                fixed(
                    "three or more, or left out", lambda value: value is None or (is_list(value) and len(value) >= 3)
                ),
                lambda check: not calculated(check),
            ),
            row(RUN, "template.containers.readinessProbe", GIVEN),
            row(RUN, "template.containers.livenessProbe", GIVEN),
            row(
                BACKEND,
                "outlierDetection.consecutiveGatewayFailure",
                at_least(lambda _: BLIP),
                # Serverless backends can have no health checks, and then errors are all there is to go by.
                lambda backend: (
                    is_list(backend.at("backends"))
                    and len(backend.at("backends")) > 1
                    and backend.at("healthChecks") is None
                ),
            ),
        ),
    ),
    stack_rule(
        "resilience-entry-check",
        answers_are_checked,
        "An answer without a health check is given also while nobody is there.",
        "Name the region's health check.",
    ),
    table_rule(
        name="resilience-flood",
        theme=THEME,
        level="mandatory",
        reason="One client that asks without end must not take the service from all others.",
        mend="Keep the rule that limits requests per address, and let it block.",
        rows=(
            row("aws:wafv2/webAcl:WebAcl", "rules", LIMITS),
            row("gcp:compute/securityPolicy:SecurityPolicy", "rules", LIMITS),
        ),
    ),
    ResourceRule(
        name="resilience-writer-name",
        theme=THEME,
        level="mandatory",
        reason="After a failover, whoever remembers the old writer's address asks there for as long as it may.",
        mend=f"Let the name be remembered for {TTL} seconds at most.",
        types=frozenset(("gcp:dns/recordSet:RecordSet",)),
        check=name_is_short_lived,
    ),
    table_rule(
        name="resilience-bad-deploy",
        theme=THEME,
        level="mandatory",
        reason="A version that does not start must not take the place of one that does.",
        mend="Keep the old version until the new one answers, and go back by itself.",
        rows=(
            row(TASKS, "deploymentCircuitBreaker.enable", TRUE),
            row(TASKS, "deploymentCircuitBreaker.rollback", TRUE),
            row(TASKS, "deploymentMinimumHealthyPercent", at_least(lambda _: 100)),
            row(RUN, "template.containers.startupProbe", GIVEN),
            row(INSTANCE, "autoMinorVersionUpgrade", FALSE),
        ),
    ),
    stack_rule(
        "resilience-lag-alarm",
        lag_is_watched,
        "A copy that has fallen behind unnoticed is what a failover loses.",
        "Register an alarm on the lag beside the member that rings before `objectives.rpo_seconds` is missed.",
    ),
    table_rule(
        name="resilience-alarm-heard",
        theme=THEME,
        level="mandatory",
        reason="An alarm that tells nobody is a note in a drawer.",
        mend="Switch it on and name whom it tells (`alarms.emails`).",
        rows=(
            row(ALARM, "alarmActions", GIVEN),
            row(ALARM, "actionsEnabled", fixed("true or left out", lambda value: value is not False)),
            row(POLICY, "enabled", fixed("true or left out", lambda value: value is not False)),
        ),
    ),
    stack_rule(
        "resilience-region-alone",
        regions_stand_alone,
        "What a region needs to serve must not be in another one, which may be gone.",
        "Register it in that region.",
    ),
    stack_rule(
        "resilience-standby",
        standby_can_take_over,
        "A standby that cannot grow as large as what it stands by for falls with it.",
        "Give every region the same upper limit, and one instance at least.",
    ),
)
