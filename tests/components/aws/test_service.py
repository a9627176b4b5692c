"""The service of a region on AWS: at every phase and serving level, and next to regions that are gone."""

import itertools
import json
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any, cast

import pulumi
import pytest

from components.aws.replacement import STATEFUL, consequences
from components.aws.roles import pulls
from components.aws.scaling import bounds
from components.aws.service import Service
from components.contracts import ServiceArgs
from engine.recorder import Graph, Registered
from tests.components.aws.stacks import recorded, topology
from topology import Serving, Topology

HOME, SECOND, AMERICA = "eu-west-1", "eu-central-1", "us-east-1"
ACCOUNT = "123456789012"
BY_PHASE = {1: (HOME,), 2: (HOME,), 3: (HOME, SECOND), 4: (HOME, SECOND, AMERICA), 5: (HOME, SECOND, AMERICA)}
EVERYWHERE = [(phase, region) for phase, regions in BY_PHASE.items() for region in regions]


def outputs(**values: str) -> dict[str, pulumi.Output[str]]:
    return {key: pulumi.Output.from_input(value) for key, value in values.items()}


def subnets(tier: str) -> list[pulumi.Output[str]]:
    return [pulumi.Output.from_input(f"{tier}-{zone}") for zone in "abc"]


def access(member: str, region: str) -> str:
    return f"arn:aws:rds-db:{region}:{ACCOUNT}:dbuser:cluster-{member}/service"


def arguments(cut: Topology, region: str, gone: str | None) -> ServiceArgs:
    network = SimpleNamespace(
        network_id=pulumi.Output.from_input(f"vpc-{region}"),
        subnet_ids={tier: subnets(tier) for tier in ("public", "private", "isolated")},
        group_ids=outputs(entry="sg-entry", service="sg-service"),
        route_table_ids={},
    )
    databases = {
        member.name: SimpleNamespace(
            member_id=pulumi.Output.from_input(member.name),
            endpoint=pulumi.Output.from_input(f"{member.name}.reader:5432"),
            access_id=pulumi.Output.from_input(access(member.name, member.region)),
        )
        for member in cut.members
        if member.region != gone
    }
    return ServiceArgs(
        topology=cut,
        region=cut.region(region),
        ground=ACCOUNT,
        network=cast("Any", network),
        key_ids=outputs(logs="key-logs", secrets="key-secrets", storage="key-storage"),
        databases=cast("Any", databases),
        write_endpoints={partition.name: f"{partition.name}.writer:5432" for partition in cut.partitions},
        cache=cast("Any", SimpleNamespace(**outputs(cache_id="cache", endpoint="cache:6379"))),
        secrets=cast(
            "Any",
            SimpleNamespace(
                secret_ids=outputs(**{"cache": "secret-cache", "database-main": "admin", "directory": "secret-key"})
            ),
        ),
        certificate_id=f"certificate-{region}",
    )


def graph(phase: int, region: str = HOME, *, gone: str | None = None, **overrides: Any) -> Graph:
    cut = topology(phase=phase, **overrides)

    def program() -> None:
        Service(f"{cut.app}-{region}-service", arguments(cut, region, gone))

    return recorded(program)


def one(built: Graph, kind: str) -> Registered:
    (found,) = [resource for resource in built if resource.custom and resource.type.endswith(f":{kind}")]
    return found


def container(built: Graph) -> dict[str, Any]:
    (found,) = json.loads(one(built, "TaskDefinition").inputs["containerDefinitions"])
    return found


def told(built: Graph) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in container(built)["environment"]}


def policies(built: Graph) -> dict[str, list[dict[str, Any]]]:
    return {
        str(policy.inputs["name"]): json.loads(policy.inputs["policy"])["Statement"]
        for policy in built.of_type("aws:iam/rolePolicy:RolePolicy")
    }


def rule(built: Graph) -> Registered:
    return one(built, "ListenerRule")


@pytest.mark.parametrize(("phase", "region"), EVERYWHERE)
def test_every_resource_is_of_its_region(phase: int, region: str) -> None:
    for resource in graph(phase, region):
        if not resource.custom:
            continue
        assert resource.parent.endswith(f"::meridian-{region}-service"), resource.name
        if resource.type.startswith("aws:iam/"):
            assert "region" not in resource.inputs
            if resource.type.endswith(":Role"):
                assert region in resource.inputs["name"], "roles of all regions lie side by side"
        else:
            assert resource.inputs["region"] == region, resource.name


@pytest.mark.parametrize(("phase", "region"), EVERYWHERE)
def test_what_holds_data_is_guarded(phase: int, region: str) -> None:
    built = graph(phase, region)
    held = [resource for resource in built if resource.type in STATEFUL]
    assert len(held) == 3
    for resource in held:
        assert resource.protect, resource.name
    assert one(built, "LoadBalancer").inputs["enableDeletionProtection"] is True
    for group in built.of_type("aws:cloudwatch/logGroup:LogGroup"):
        assert group.inputs["kmsKeyId"] == "key-logs"
        assert group.inputs["retentionInDays"] == 90


@pytest.mark.parametrize(("low", "high"), [*itertools.combinations(range(1, 6), 2)])
@pytest.mark.parametrize("region", [HOME, SECOND])
def test_climbing_keeps_what_is_there(low: int, high: int, region: str) -> None:
    if region not in BY_PHASE[low]:
        return
    before, after = graph(low, region), graph(high, region)
    for resource in before:
        if not resource.custom:
            continue
        now = after.resources[resource.urn]
        # A task definition is a revision: another one is how a service learns of another partition.
        changes = consequences(resource.type, dict(resource.inputs), dict(now.inputs), now.ignore_changes)
        assert not changes or resource.type.endswith(":TaskDefinition"), changes
        assert {change.argument for change in changes} <= {"containerDefinitions"}


def test_promotion_by_phase_raises_the_minimum_and_writes_nothing_that_operations_own() -> None:
    before, after = graph(3, SECOND), graph(4, SECOND)
    changed: dict[str, set[str]] = {}
    for resource in before:
        now = after.resources[resource.urn]
        for key in {*resource.inputs, *now.inputs} - set(now.ignore_changes):
            if resource.inputs.get(key) != now.inputs.get(key):
                changed.setdefault(resource.type, set()).add(key)
    assert changed == {"aws:appautoscaling/target:Target": {"minCapacity"}}
    assert rule(before).inputs["actions"] != rule(after).inputs["actions"], "ignored, or it would be written"
    assert "actions" in rule(after).ignore_changes
    assert "desiredCount" in one(after, "Service").ignore_changes


@pytest.mark.parametrize(("phase", "region"), EVERYWHERE)
def test_a_standby_is_born_as_one_and_every_other_admitted(phase: int, region: str) -> None:
    built = graph(phase, region)
    standby = topology(phase=phase).region(region).serving is Serving.STANDBY
    (action,) = rule(built).inputs["actions"]
    assert action["fixedResponse"]["statusCode"] == ("202" if standby else "200")
    assert rule(built).inputs["conditions"] == [{"pathPattern": {"values": ["/healthz/admitted"]}}]


@pytest.mark.parametrize(
    ("phase", "region", "least"), [(1, HOME, 3), (3, HOME, 3), (3, SECOND, 2), (4, SECOND, 3), (5, AMERICA, 3)]
)
def test_capacity_follows_the_plan(phase: int, region: str, least: int) -> None:
    built = graph(phase, region)
    target = one(built, "Target")
    assert (target.inputs["minCapacity"], target.inputs["maxCapacity"]) == (least, 30)
    assert one(built, "Service").inputs["desiredCount"] == least
    name = one(built, "Cluster").inputs["name"]
    assert target.inputs["resourceId"] == f"service/{name}/{name}"
    metrics = {
        policy.inputs["targetTrackingScalingPolicyConfiguration"]["predefinedMetricSpecification"][
            "predefinedMetricType"
        ]
        for policy in built.of_type("aws:appautoscaling/policy:Policy")
    }
    assert metrics == {"ECSServiceAverageCPUUtilization", "ALBRequestCountPerTarget"}


def test_a_standby_rounds_up_and_is_never_one_task() -> None:
    cut = topology(phase=3, service={"image": "a/b:1", "minimum": 10, "maximum": 12, "standby_capacity": 0.25})
    assert cut.service is not None
    assert bounds(cut.service, cut.region(SECOND)).minimum == 3
    assert bounds(cut.service, cut.region(HOME)).minimum == 10
    assert bounds(cut.service, cut.region(SECOND)).maximum == 12


@pytest.mark.parametrize("phase", range(1, 6))
def test_the_entry_speaks_tls_and_looks_deep(phase: int) -> None:
    built = graph(phase)
    balancer = one(built, "LoadBalancer")
    assert balancer.inputs["internal"] is False
    assert balancer.inputs["subnets"] == ["public-a", "public-b", "public-c"]
    assert balancer.inputs["dropInvalidHeaderFields"] is True
    assert balancer.inputs["desyncMitigationMode"] in ("defensive", "strictest")
    listeners = {listener.inputs["port"]: listener.inputs for listener in built.of_type("aws:lb/listener:Listener")}
    assert listeners[80]["defaultActions"][0]["redirect"] == {
        "protocol": "HTTPS",
        "port": "443",
        "statusCode": "HTTP_301",
    }
    assert listeners[443]["certificateArn"] == f"certificate-{HOME}"
    assert "TLS13-1-2" in listeners[443]["sslPolicy"]
    targets = one(built, "TargetGroup").inputs
    assert targets["targetType"] == "ip"
    check = targets["healthCheck"]
    assert check["path"] == "/healthz/ready"
    assert check["timeout"] < check["interval"]
    assert check["interval"] * check["unhealthyThreshold"] >= 30


def test_another_port_replaces_no_target_group() -> None:
    image = {"image": "a/b:1"}
    before, after = graph(1, service={**image, "port": 8000}), graph(1, service={**image, "port": 9000})
    assert one(before, "TargetGroup").inputs == one(after, "TargetGroup").inputs
    assert one(after, "Service").inputs["loadBalancers"][0]["containerPort"] == 9000


def test_the_bucket_takes_logs_of_this_account_and_nothing_else() -> None:
    built = graph(1)
    bucket = one(built, "Bucket")
    name = bucket.inputs["bucket"]
    allowed, denied = json.loads(one(built, "BucketPolicy").inputs["policy"])["Statement"]
    assert allowed["Principal"] == {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"}
    assert (allowed["Action"], allowed["Resource"]) == ("s3:PutObject", f"arn:aws:s3:::{name}/AWSLogs/{ACCOUNT}/*")
    assert denied["Effect"] == "Deny"
    assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    block = one(built, "BucketPublicAccessBlock").inputs
    flags = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    assert all(block[flag] for flag in flags)
    rules = one(built, "BucketServerSideEncryptionConfiguration").inputs["rules"]
    assert rules[0]["applyServerSideEncryptionByDefault"] == {"sseAlgorithm": "AES256"}
    assert one(built, "BucketVersioning").inputs["versioningConfiguration"]["status"] == "Enabled"
    assert one(built, "BucketLifecycleConfiguration").inputs["rules"][0]["expiration"]["days"] == 90
    balancer = one(built, "LoadBalancer")
    assert balancer.inputs["accessLogs"] == {"bucket": name, "enabled": True}
    assert one(built, "BucketPolicy").urn in balancer.dependencies


def test_a_task_is_no_root_and_writes_to_nothing_but_memory() -> None:
    found = container(graph(1))
    assert int(found["user"].split(":")[0]) > 0
    assert found["readonlyRootFilesystem"] is True
    assert found["linuxParameters"]["initProcessEnabled"] is True
    assert found["linuxParameters"]["capabilities"] == {"drop": ["ALL"]}
    assert [mount["containerPath"] for mount in found["linuxParameters"]["tmpfs"]] == ["/tmp"]
    assert found["stopTimeout"] <= 120
    assert found["logConfiguration"]["options"]["mode"] == "non-blocking"
    definition = one(graph(1), "TaskDefinition").inputs
    assert (definition["cpu"], definition["memory"]) == ("1024", "2048")
    assert definition["skipDestroy"] is True


def test_a_deployment_that_fails_is_undone() -> None:
    service = one(graph(1), "Service")
    assert service.inputs["deploymentCircuitBreaker"] == {"enable": True, "rollback": True}
    assert service.inputs["deploymentMinimumHealthyPercent"] == 100
    assert service.inputs["availabilityZoneRebalancing"] == "ENABLED"
    assert service.inputs["networkConfiguration"] == {
        "assignPublicIp": False,
        "securityGroups": ["sg-service"],
        "subnets": ["private-a", "private-b", "private-c"],
    }
    waits = {urn.rsplit("::", 1)[1] for urn in service.dependencies}
    assert {f"meridian-{HOME}-service-https", f"meridian-{HOME}-service-task-policy"} <= waits


@pytest.mark.parametrize(("phase", "region"), EVERYWHERE)
def test_a_task_reads_at_home_and_writes_by_the_name_that_follows_the_writer(phase: int, region: str) -> None:
    built = graph(phase, region)
    values = told(built)
    assert values["MERIDIAN_REGION"] == region
    assert values["MERIDIAN_REGION_HOSTNAME"] == f"{region}.api.example.com"
    assert values["MERIDIAN_CACHE"] == "cache:6379"
    found = json.loads(values["MERIDIAN_PARTITIONS"])
    assert set(found) == {"main", "americas"} if phase == 5 else {"main"}
    for name, partition in found.items():
        assert partition["read"] == f"{name}-{region}.reader:5432"
        assert partition["write"] == f"{name}.writer:5432"
    (secret,) = container(built)["secrets"]
    assert secret == {"name": "MERIDIAN_CACHE_PASSWORD", "valueFrom": "secret-cache:password::"}


def test_a_partition_that_may_not_be_held_here_has_nowhere_to_read() -> None:
    partition = {
        "name": "americas",
        "slot": 1,
        "origin": AMERICA,
        "serves": ["US"],
        "residency": {"copies": ["US", "IE"]},
    }
    found = json.loads(told(graph(5, SECOND, partitions=[partition]))["MERIDIAN_PARTITIONS"])
    assert found["americas"]["read"] is None
    assert found["americas"]["write"] == "americas.writer:5432"


def test_a_region_is_told_whose_homes_are_whose_and_where_new_customers_go() -> None:
    """What the partition map says before anybody moved a customer, in the words of topology/homes.py."""
    built = graph(5)
    found = {name: each["slot"] for name, each in json.loads(told(built)["MERIDIAN_PARTITIONS"]).items()}
    assert found == {"main": 0, "americas": 1}
    assert json.loads(told(built)["MERIDIAN_NEWCOMERS"]) == {
        HOME: f"00/{HOME}/",
        SECOND: f"00/{SECOND}/",
        AMERICA: f"01/{AMERICA}/",
    }
    below = json.loads(told(graph(4))["MERIDIAN_NEWCOMERS"])
    assert below[AMERICA] == f"00/{AMERICA}/"


def test_a_task_reads_the_key_of_the_customers_digests_by_itself() -> None:
    """It is named and not written out, and whoever starts the task has no business with it."""
    built = graph(5)
    assert told(built)["MERIDIAN_DIRECTORY_SECRET"] == "secret-key"
    readable = {
        role: [each for entry in statements if "Secret" in entry["Sid"] for each in entry["Resource"]]
        for role, statements in policies(built).items()
    }
    assert readable["task"] == ["secret-cache", "secret-key", "key-secrets"]
    assert readable["execution"] == ["secret-cache", "key-secrets"]


def test_the_service_signs_in_where_a_writer_may_be() -> None:
    for phase in (1, 2):
        assert set(policies(graph(phase))) == {"execution", "task"}, "no failover is foreseen"
    assert set(policies(graph(3))) == {"execution", "task", f"task-main-{SECOND}"}
    assert set(policies(graph(3, SECOND))) == {"execution", "task", f"task-main-{HOME}"}
    # Copies of `main` are held in America, but it may not be written there.
    assert set(policies(graph(4, HOME))) == {"execution", "task", f"task-main-{SECOND}"}
    assert set(policies(graph(5, HOME))) == {
        "execution",
        "task",
        f"task-main-{SECOND}",
        f"task-americas-{SECOND}",
        f"task-americas-{AMERICA}",
    }
    (remote,) = policies(graph(3))[f"task-main-{SECOND}"]
    assert (remote["Action"], remote["Resource"]) == (["rds-db:connect"], [access(f"main-{SECOND}", SECOND)])
    (own,) = [entry["Resource"] for entry in policies(graph(5))["task"] if entry["Action"] == ["rds-db:connect"]]
    assert own == [access(f"main-{HOME}", HOME), access(f"americas-{HOME}", HOME)]


@pytest.mark.parametrize("phase", [3, 4, 5])
def test_a_lost_region_takes_only_its_own_policies_along(phase: int) -> None:
    before, after = graph(phase), graph(phase, gone=SECOND)
    lost = set(before.resources) - set(after.resources)
    partitions = ("main", "americas") if phase == 5 else ("main",)
    assert {urn.rsplit("::", 1)[1] for urn in lost} == {
        f"meridian-{HOME}-service-task-{partition}-{SECOND}-policy" for partition in partitions
    }
    assert all(after.resources[urn] == before.resources[urn] for urn in after.resources)


def test_no_policy_names_another_region_but_those_for_its_members() -> None:
    for phase, region in EVERYWHERE:
        for name, statements in policies(graph(phase, region)).items():
            others = [other for other in (HOME, SECOND, AMERICA) if other != region and other in json.dumps(statements)]
            assert not others or name == f"task-{name.split('-')[1]}-{others[0]}", (phase, region, name)


def every_resource(statements: Mapping[str, list[dict[str, Any]]]) -> Iterator[tuple[str, str]]:
    for found in statements.values():
        for entry in found:
            yield from itertools.product(entry["Action"], entry["Resource"])


# What AWS leaves no other way to write: streams are named by ECS when a task starts, and the token of a registry is
# given for the account as a whole.
WILDCARDS = {
    ("logs:CreateLogStream", ":*"),
    ("logs:PutLogEvents", ":*"),
    ("ecr:GetAuthorizationToken", "*"),
}


@pytest.mark.parametrize(("phase", "region"), EVERYWHERE)
def test_no_right_is_wider_than_it_must_be(phase: int, region: str) -> None:
    image = {"image": f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/orders/api@sha256:{'0' * 64}"}
    found = list(every_resource(policies(graph(phase, region, service=image))))
    assert ("ecr:GetAuthorizationToken", "*") in found
    for action, resource in found:
        assert "*" not in action
        if "*" in resource:
            assert any(action == known and resource.endswith(end) for known, end in WILDCARDS), (action, resource)
    assert not any(resource == "admin" for _, resource in found), "the administrator's password is none of its business"


def test_a_role_is_for_the_tasks_of_its_region_alone() -> None:
    for role in graph(3, SECOND).of_type("aws:iam/role:Role"):
        (trusts,) = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
        assert trusts["Principal"] == {"Service": "ecs-tasks.amazonaws.com"}
        assert trusts["Condition"]["ArnLike"] == {"aws:SourceArn": f"arn:aws:ecs:{SECOND}:{ACCOUNT}:*"}


def test_only_ecr_asks_for_rights() -> None:
    assert pulls("ghcr.io/example/orders:1.4.2") == []
    token, pull = pulls(f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/orders/api:1.4.2")
    assert token["Resource"] == ["*"]
    assert pull["Resource"] == [f"arn:aws:ecr:eu-west-1:{ACCOUNT}:repository/orders/api"]


@pytest.mark.parametrize("region", [HOME, "ap-southeast-2"])
def test_the_longest_names_fit(region: str) -> None:
    regions = [{"name": region, "slot": 0}, {"name": SECOND, "slot": 1}]
    built = graph(1, region, app="abcdefghijklmnopqrst", regions=regions, partitions=[], residency={})
    limits = {"LoadBalancer": 32, "TargetGroup": 32, "Role": 64, "Cluster": 255, "Policy": 255, "RolePolicy": 128}
    for kind, limit in limits.items():
        for resource in built:
            if resource.type.endswith(f":{kind}"):
                assert len(resource.inputs["name"]) <= limit, resource.name
    name = one(built, "Bucket").inputs["bucket"]
    assert len(name) <= 63
    assert name == name.lower()


def test_the_accelerator_changes_nothing_here() -> None:
    aws = {
        "account_id": ACCOUNT,
        "zone": {"id": "Z0123456789ABCDEFGHIJ", "name": "example.com"},
        "entry": "global-accelerator",
    }
    plain = {**aws, "entry": "route53"}
    assert graph(4, aws=aws).resources == graph(4, aws=plain).resources


@pytest.mark.parametrize("phase", [1, 3, 5])
def test_outputs_are_those_of_the_contract(phase: int) -> None:
    seen: dict[str, Any] = {}
    cut = topology(phase=phase)

    def program() -> None:
        service = Service(f"{cut.app}-{HOME}-service", arguments(cut, HOME, None))
        seen["attachments"] = set(service.attachments)
        service.endpoint.apply(lambda url: seen.update(endpoint=url))
        service.service_id.apply(lambda id_: seen.update(id=id_))

    recorded(program)
    assert seen["endpoint"] == f"https://{HOME}.api.example.com"
    assert seen["id"] == f"meridian-{HOME}-service-service"
    assert seen["attachments"] == {
        "load_balancer_arn",
        "load_balancer_suffix",
        "load_balancer_dns",
        "load_balancer_zone",
        "target_group_suffix",
        "cluster_name",
        "service_name",
        "admitted_rule_arn",
    }
