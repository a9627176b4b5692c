"""A region's alarms: the same everywhere, quiet about a blip, and none that a healthy region would ring."""

import itertools
import json
from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from typing import Any, cast

import pulumi
import pytest

from components.aws.alarms_database import connections, memory_gib
from components.aws.alarms_service import error_percent
from components.aws.cache import Cache
from components.aws.replacement import consequences
from components.aws.signals import Signals
from components.contracts import CacheArgs, SignalsArgs
from engine.recorder import Graph, Registered
from tests.components.aws import members
from tests.components.aws.arguments import check_graph
from tests.components.aws.stacks import recorded, topology
from topology import Topology

HOME, SECOND, AMERICA = "eu-west-1", "eu-central-1", "us-east-1"
ACCOUNT = {"account_id": "123456789012", "zone": {"id": "Z0123456789ABCDEFGHIJ", "name": "example.com"}}
BY_PHASE = {1: (HOME,), 2: (HOME, SECOND), 3: (HOME, SECOND), 4: (HOME, SECOND, AMERICA), 5: (HOME, SECOND, AMERICA)}
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"

# What counts facts and not measurements: one of them is enough.
FACTS = {"backup-failed", "backup-copy-failed", "backup-age", "certificate"}


def outputs(**values: str) -> dict[str, pulumi.Output[str]]:
    return {key: pulumi.Output.from_input(value) for key, value in values.items()}


def cut(phase: int, *, mode: str = "serverless", instance_class: str = "db.serverless", **overrides: Any) -> Topology:
    chosen = {"cache": {"mode": mode}, "database": {"instance_class": instance_class}}
    return topology(phase=phase, aws={**ACCOUNT, **chosen}, **overrides)


def arguments(planned: Topology, name: str) -> SignalsArgs:
    region = planned.region(name)
    arn = "arn:aws:rds:{}:123456789012:cluster:meridian-production-aws-{}"
    service = SimpleNamespace(
        attachments=outputs(
            load_balancer_suffix=f"app/meridian-{name}/50dc6c495c0c9188",
            target_group_suffix=f"targetgroup/meridian-{name}/73e2d6bc24d8a067",
            cluster_name=f"meridian-{name}",
            service_name=f"meridian-{name}",
        )
    )
    return SignalsArgs(
        topology=planned,
        region=region,
        ground="123456789012",
        key_ids=outputs(logs=f"arn:aws:kms:{name}:123456789012:key/logs"),
        members={
            member: cast("Any", SimpleNamespace(member_id=pulumi.Output.from_input(arn.format(name, member))))
            for member in region.members
        },
        cache=cast("Any", SimpleNamespace(cache_id=pulumi.Output.from_input(f"cache-{name}")))
        if region.has_cache
        else None,
        service=cast("Any", service) if region.has_service else None,
        certificate_id=f"arn:aws:acm:{name}:123456789012:certificate/12345678-1234-1234-1234-123456789012"
        if region.has_service
        else None,
        vault_id=f"vault-{name}",
    )


def graph(planned: Topology, region: str) -> Graph:
    def program() -> None:
        options = pulumi.ResourceOptions(provider=members.Foundation("foundation", foundation(planned)).provider)
        signals = Signals(f"{planned.app}-{region}-signals", arguments(planned, region), options)
        pulumi.export("channel", signals.channel_id)

    return recorded(program)


def foundation(planned: Topology) -> members.FoundationArgs:
    return members.FoundationArgs(topology=planned)


@cache
def built(phase: int, region: str, mode: str = "serverless") -> Graph:
    return graph(cut(phase, mode=mode), region)


def alarms(found: Graph, region: str) -> dict[str, Registered]:
    prefix = f"meridian-{region}-signals-"
    return {one.name.removeprefix(prefix): one for one in found.of_type(ALARM)}


EVERYWHERE = [(phase, region) for phase, regions in BY_PHASE.items() for region in regions]


def watched(alarm: Registered) -> list[tuple[str, str, tuple[str, ...]]]:
    """Namespace, metric and the names of its dimensions, of each metric that an alarm looks at."""
    inputs = alarm.inputs
    if "metricName" in inputs:
        return [(inputs["namespace"], inputs["metricName"], tuple(sorted(inputs["dimensions"])))]
    return [
        (query["metric"]["namespace"], query["metric"]["metricName"], tuple(sorted(query["metric"]["dimensions"])))
        for query in inputs["metricQueries"]
        if "metric" in query
    ]


@pytest.mark.parametrize("mode", ["serverless", "nodes"])
@pytest.mark.parametrize("phase", [3, 4, 5])
def test_every_region_that_serves_has_the_same_alarms(phase: int, mode: str) -> None:
    shapes = []
    for region in BY_PHASE[phase]:
        shape = {}
        for part, alarm in alarms(built(phase, region, mode), region).items():
            inputs = dict(alarm.inputs)
            assert inputs["name"] == f"meridian-production-aws-{region}-{part}"
            same = {key: inputs.get(key) for key in ("threshold", "period", "evaluationPeriods", "datapointsToAlarm")}
            shape[part] = (watched(alarm), same, inputs["treatMissingData"], inputs["alarmDescription"])
        # Only a region whose backups go elsewhere can fail to copy them.
        shape.pop("backup-copy-failed", None)
        shapes.append(shape)
    assert all(shape == shapes[0] for shape in shapes)


@pytest.mark.parametrize(("phase", "region"), EVERYWHERE)
def test_an_alarm_looks_at_its_own_region_and_tells_its_own_topic(phase: int, region: str) -> None:
    found = built(phase, region)
    (topic,) = found.of_type("aws:sns/topic:Topic")
    assert found.outputs["channel"] == topic.name
    others = {other for other in BY_PHASE[5] if other != region}
    for alarm in alarms(found, region).values():
        assert alarm.inputs["region"] == region
        assert alarm.inputs["alarmActions"] == alarm.inputs["okActions"] == [topic.name]
        assert not any(other in str(alarm.inputs) for other in others), alarm.name
        assert "threshold" in alarm.inputs
        assert alarm.inputs["alarmDescription"]


@pytest.mark.parametrize("mode", ["serverless", "nodes"])
@pytest.mark.parametrize(("phase", "region"), EVERYWHERE)
def test_a_blip_wakes_nobody(phase: int, region: str, mode: str) -> None:
    for part, alarm in alarms(built(phase, region, mode), region).items():
        bad, of = alarm.inputs["datapointsToAlarm"], alarm.inputs["evaluationPeriods"]
        if part not in FACTS:
            assert 1 < bad < of, part
        span = of * alarm.inputs.get("period", 60)
        assert span <= (604800 if alarm.inputs.get("period", 0) >= 3600 else 86400), "CloudWatch API: PutMetricAlarm"


@pytest.mark.parametrize(("phase", "region"), EVERYWHERE)
def test_silence_is_a_fault_only_of_what_always_speaks(phase: int, region: str) -> None:
    for part, alarm in alarms(built(phase, region), region).items():
        missing = alarm.inputs["treatMissingData"]
        speaks = part.endswith("-uptime") or part in {"service-healthy", "service-tasks", "backup-age"}
        assert missing == ("breaching" if speaks else "ignore" if part == "certificate" else "notBreaching"), part
        # A new one is given time to begin.
        assert ("warmUpConfiguration" in alarm.inputs) == speaks, part


@pytest.mark.parametrize(("phase", "region"), EVERYWHERE)
def test_a_writer_is_not_paged_for_a_lag_that_it_cannot_have(phase: int, region: str) -> None:
    """Only copies report a lag, and whose copy they are changes with each failover: no dimension may name it."""
    found = alarms(built(phase, region), region)
    for part, metric in (("main-lag", "AuroraGlobalDBRPOLag"), ("main-replication", "AuroraGlobalDBReplicationLag")):
        (query,) = found[part].inputs["metricQueries"]
        assert query["expression"] == (
            f"SELECT MAX({metric}) FROM \"AWS/RDS\" WHERE DBClusterIdentifier = 'meridian-production-aws-main-{region}'"
        )
        assert found[part].inputs["treatMissingData"] == "notBreaching"
    assert found["main-lag"].inputs["threshold"] == 30_000, "half of the example's 60 s"


def test_a_member_without_instances_has_alarms_on_its_storage_only() -> None:
    found = set(alarms(built(2, SECOND), SECOND))
    assert {part for part in found if part.startswith("main-")} == {"main-lag", "main-replication", "main-volume"}
    assert not any(part.startswith(("service", "balancer", "cache", "certificate")) for part in found)
    assert "backup-age" not in found, "nothing there is backed up"
    assert {"main-uptime", "main-cpu", "main-capacity"} <= set(alarms(built(3, SECOND), SECOND))


@pytest.mark.parametrize("mode", ["serverless", "nodes"])
@pytest.mark.parametrize("region", [HOME, SECOND, AMERICA])
def test_climbing_renames_and_replaces_no_alarm(region: str, mode: str) -> None:
    phases = [phase for phase, regions in BY_PHASE.items() if region in regions]
    for low, high in itertools.pairwise(phases):
        before, after = built(low, region, mode), built(high, region, mode)
        for was in before:
            if was.custom and was.type in (ALARM, "aws:sns/topic:Topic", "aws:sns/topicPolicy:TopicPolicy"):
                now = after.resources[was.urn]
                assert not consequences(was.type, dict(was.inputs), dict(now.inputs), now.ignore_changes)


def test_what_is_watched_is_what_the_components_make() -> None:
    """The dimensions come from `member_id` and `cache_id`; for AWS, the ids in them are the names given here."""
    planned = members.cut(phase=3)
    names = {member.name: f"meridian-production-aws-{member.name}" for member in planned.members}
    arns: dict[str, str] = {}

    def program() -> None:
        for name, database in members.register(planned).items():
            database.member_id.apply(lambda arn, name=name: arns.update({name: arn}))

    found = recorded(program, ids={f"{name}-cluster": identifier for name, identifier in names.items()})
    for name, identifier in names.items():
        assert found.named(f"{name}-cluster").inputs["clusterIdentifier"] == identifier
        assert arns[name].rsplit(":", 1)[-1] == identifier
    for mode, type_, argument in (
        ("serverless", "aws:elasticache/serverlessCache:ServerlessCache", "name"),
        ("nodes", "aws:elasticache/replicationGroup:ReplicationGroup", "replicationGroupId"),
    ):
        (cache_,) = caches(mode).of_type(type_)
        assert cache_.inputs[argument] == f"meridian-production-aws-{HOME}"


def caches(mode: str) -> Graph:
    planned = cut(1, mode=mode)

    def program() -> None:
        network = SimpleNamespace(subnet_ids={"isolated": ["a", "b", "c"]}, group_ids=outputs(cache="sg"))
        Cache(
            "cache",
            CacheArgs(
                topology=planned,
                region=planned.region(HOME),
                ground="123456789012",
                network=cast("Any", network),
                key_ids=outputs(cache="key"),
                secrets=cast("Any", SimpleNamespace(cache_password=pulumi.Output.secret("password"))),
            ),
        )

    return recorded(program)


def test_each_node_of_a_cache_is_watched() -> None:
    found = alarms(built(1, HOME, "nodes"), HOME)
    for node in ("001", "002"):
        for part in ("cpu", "memory", "evictions"):
            assert found[f"cache-{node}-{part}"].inputs["dimensions"] == {"CacheClusterId": f"cache-{HOME}-{node}"}
    serverless = alarms(built(1, HOME), HOME)
    assert serverless["cache-throttles"].inputs["dimensions"] == {"clusterId": f"cache-{HOME}"}
    assert serverless["cache-ecpu"].inputs["threshold"] == 0.8 * 100_000 * 60


def test_latency_is_watched_where_it_was_asked_for() -> None:
    assert "service-latency" not in alarms(built(1, HOME), HOME)
    asked = alarms(graph(cut(1, objectives={"read_p99_ms": 200, "write_p99_ms": 800}), HOME), HOME)
    assert asked["service-latency"].inputs["threshold"] == 0.8
    assert asked["service-latency"].inputs["extendedStatistic"] == "p99"
    assert "statistic" not in asked["service-latency"].inputs
    reads = alarms(graph(cut(1, objectives={"read_p99_ms": 200}), HOME), HOME)
    assert reads["service-latency"].inputs["threshold"] == 0.2
    assert reads["main-lag"].inputs["threshold"] == 30_000


@pytest.mark.parametrize(
    ("availability", "percent"), [(None, 1.0), (99.95, 0.72), (99.0, 5.0), (99.999, 0.014), (99.9, 1.44)]
)
def test_errors_are_measured_against_what_was_asked(availability: float | None, percent: float) -> None:
    objectives = {} if availability is None else {"availability_percent": availability}
    assert error_percent(cut(1, objectives=objectives).objectives) == percent


def test_a_region_that_is_held_out_does_not_ring() -> None:
    """Its own answer to each checker is a 503, which CloudWatch counts among the load balancer's 5xx."""
    alarm = alarms(built(3, HOME), HOME)["balancer-errors"]
    metrics = {metric for _, metric, _ in watched(alarm)}
    assert metrics == {"HTTPCode_ELB_500_Count", "HTTPCode_ELB_502_Count", "HTTPCode_ELB_504_Count", "RequestCount"}


@pytest.mark.parametrize(
    ("instance_class", "gib", "most"),
    [
        ("db.r6g.large", 16, 1802),
        ("db.r7g.xlarge", 32, 3604),
        ("db.r6i.16xlarge", 512, 5000),
        ("db.x2g.large", 32, 3604),
    ],
)
def test_thresholds_follow_the_instance(instance_class: str, gib: int, most: int) -> None:
    plan = cut(1).aws
    assert plan is not None
    provisioned = replace(plan, instance_class=instance_class)
    assert (memory_gib(provisioned), connections(provisioned)) == (gib, most)


def test_thresholds_follow_the_capacity() -> None:
    plan = cut(1).aws
    assert plan is not None
    assert memory_gib(replace(plan, maximum_acu=16)) == 32
    assert connections(replace(plan, maximum_acu=16)) == 3604
    assert connections(replace(plan, maximum_acu=256)) == 5000
    assert connections(replace(plan, minimum_acu=0.5, maximum_acu=16)) == 2000


@pytest.mark.parametrize(("phase", "region"), EVERYWHERE)
def test_the_topic_is_encrypted_and_takes_alarms_of_this_account_and_region(phase: int, region: str) -> None:
    found = built(phase, region)
    (topic,) = found.of_type("aws:sns/topic:Topic")
    assert topic.inputs["kmsMasterKeyId"] == f"arn:aws:kms:{region}:123456789012:key/logs"
    (policy,) = found.of_type("aws:sns/topicPolicy:TopicPolicy")
    statements = json.loads(policy.inputs["policy"])["Statement"]
    (allowed,) = [one for one in statements if one["Effect"] == "Allow"]
    assert allowed["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert allowed["Condition"]["StringEquals"] == {"aws:SourceAccount": "123456789012"}
    assert region in allowed["Condition"]["ArnLike"]["aws:SourceArn"]
    (mail,) = found.of_type("aws:sns/topicSubscription:TopicSubscription")
    assert (mail.inputs["protocol"], mail.inputs["endpoint"]) == ("email", "oncall@example.com")


@pytest.mark.parametrize("mode", ["serverless", "nodes"])
@pytest.mark.parametrize(("phase", "region"), EVERYWHERE)
def test_every_argument_is_one_that_aws_takes(phase: int, region: str, mode: str) -> None:
    assert check_graph(built(phase, region, mode)) == []
