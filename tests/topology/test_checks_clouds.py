"""Faults that only a cloud knows, each with one message that says how to mend it."""

from typing import Any

import pytest

from tests.topology.plans import AMERICAS, AWS, CLOUD, GCP, config, problems, settings
from topology import SettingsError, load, plan
from topology.catalogue import catalogue

EUROPE = ("eu-west-1", "eu-central-1")
SERVICE = CLOUD["service"]


def aws(**changes: Any) -> dict[str, Any]:
    return {"aws": {**AWS, **changes}}


def gcp(**changes: Any) -> dict[str, Any]:
    return {"gcp": {key: value for key, value in {**GCP, **changes}.items() if value is not None}}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"aws": {"zone": AWS["zone"]}}, ["aws.account_id: is missing", "123456789012"]),
        ({"aws": {"account_id": AWS["account_id"]}}, ["aws.zone: is missing", "id:", "name:"]),
        (aws(account_id="1234"), ["aws.account_id:", '"1234"', "12 digits"]),
        (aws(account_id=123456789012), ["aws.account_id: 123456789012", "12 digits, in quotes"]),
        (aws(zone={"id": "example.com", "name": "example.com"}), ["aws.zone.id:", '"example.com"', "Z0123"]),
        (aws(zone={"id": "Z0123456789"}), ["aws.zone.name: is missing"]),
        (aws(nat="none"), ["aws.nat:", '"none"', "per-zone, single, regional"]),
        (aws(entry="route-53"), ["aws.entry:", "Did you mean route53?"]),
        ({"service": {}}, ["service.image: is missing", "ghcr.io"]),
        ({"service": {"image": "orders"}}, ["service.image:", '"orders"', "tag or digest"]),
        ({"ownership": {"cost_center": "x"}}, ["ownership.owner: is missing", "payments-platform"]),
        ({"ownership": {"owner": "x"}}, ["ownership.cost_center: is missing"]),
        ({"ownership": {"owner": "a b", "cost_center": "x"}}, ["ownership.owner:", '"a b"', "letters, digits"]),
        ({"ownership": {**CLOUD["ownership"], "data_class": "secret"}}, ["ownership.data_class:", "restricted"]),
        ({"hostname": "api.example.org"}, ['hostname: "api.example.org"', '"example.com"', ".example.com"]),
        ({"hostname": "api.badexample.com"}, ['hostname: "api.badexample.com" is not in the hosted zone']),
        ({"hostname": f"{'a' * 60}.example.com"}, ["hostname:", "72 characters", "64"]),
        ({"service": {**SERVICE, "cpu": 3}}, ["service.cpu: 3", "Fargate", "0.25, 0.5, 1, 2, 4, 8, 16, 32"]),
        ({"service": {**SERVICE, "cpu": 0}}, ["service.cpu: 0", "0.25"]),
        ({"service": {**SERVICE, "cpu": 2}}, ["service.memory_mib: 2048", "`service.cpu` 2", "4096, 5120"]),
        ({"service": {**SERVICE, "memory_mib": 2050}}, ["service.memory_mib: 2050", "2048, 3072"]),
        ({"service": {**SERVICE, "minimum": 9, "maximum": 8}}, ["service.maximum: 8", "9 or more"]),
        ({"service": {**SERVICE, "minimum": 1}}, ["service.minimum: 1", "from 2"]),
        ({"service": {**SERVICE, "port": 80}}, ["service.port: 80", "1024"]),
        ({"retention": {"log_days": 100}}, ["retention.log_days: 100", "CloudWatch", "90, 120"]),
        ({"retention": {"point_in_time_days": 36}}, ["retention.point_in_time_days: 36", "1 to 35"]),
        ({"retention": {"point_in_time_days": 0}}, ["retention.point_in_time_days: 0", "1 to 35"]),
        ({"retention": {"backup_days": 0}}, ["retention.backup_days: 0", "1 to 36500"]),
        ({"alarms": {"emails": ["oncall"]}}, ["alarms.emails[0]:", '"oncall"', "e-mail"]),
        (aws(database={"engine_version": "17.8"}), ['engine_version: "17.8"', "17.7", "18.6"]),
        (aws(database={"engine_version": "13.23"}), ['engine_version: "13.23"', "forward writes", "14.17"]),
        (aws(database={"engine_version": 17.7}), ["aws.database.engine_version: 17.7", "in quotes"]),
        (aws(database={"engine_version": "17"}), ["aws.database.engine_version:", '"17"']),
        (aws(database={"instance_class": "db.t4g.medium"}), ['"db.t4g.medium" is not optimised for memory', "db.r"]),
        (aws(database={"instance_class": "db.x2g.large"}), ['"db.x2g.large" is not offered in eu-central-1', "db.r6g"]),
        (aws(database={"instance_class": "db.r6g.lage"}), ["not offered in eu-central-1, eu-west-1", "db.r6g.large?"]),
        (aws(database={"minimum_acu": 8, "maximum_acu": 4}), ["aws.database.maximum_acu: 4", "8 to 256"]),
        (aws(database={"minimum_acu": 0.7}), ["aws.database.minimum_acu: 0.7", "steps of 0.5"]),
        (aws(database={"minimum_acu": 0}), ["aws.database.minimum_acu: 0", "0.5 to 256"]),
        (aws(database={"maximum_acu": 512}), ["aws.database.maximum_acu: 512", "256"]),
        (aws(database={"rpo_seconds": 10}), ["aws.database.rpo_seconds: 10", "from 20"]),
        (
            aws(cache={"node_type": "cache.c7gn.large"}),
            ['"cache.c7gn.large" is not offered in eu-central-1', "cache.r7g"],
        ),
        (aws(cache={"node_type": "cache.r6gd.xlarge"}), ['"cache.r6gd.xlarge" is not offered']),
        (aws(cache={"mode": "cluster"}), ["aws.cache.mode:", '"cluster"', "serverless, nodes"]),
        ({"database": {"durability": "quorum"}}, ["database.durability:", "target aws", "aws.database.rpo_seconds"]),
        (
            {"partitions": [{**AMERICAS, "origin": "eu-west-1", "durability": "quorum"}]},
            ["partitions[0].durability:", '"quorum"', "asynchronously"],
        ),
        (
            {"regions": [{"name": "eu-west-1", "zones": ["eu-west-1a", "eu-west-1b"]}, {"name": "eu-central-1"}]},
            ['regions[0].zones: "eu-west-1a" is not a zone of eu-west-1', "euw1-az1, euw1-az2, euw1-az3"],
        ),
    ],
)
def test_one_clear_message_on_aws(change: dict[str, Any], words: list[str]) -> None:
    said = problems({**config(*EUROPE, target="aws"), **change})
    about = [line for line in said if words[0] in line]
    assert about, said
    assert len({line.split(":")[0] for line in said}) == 1, said
    for word in words:
        assert any(word in line for line in about), (word, about)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (gcp(project=None), ["gcp.project: is missing", "example-production"]),
        (gcp(project_number=None), ["gcp.project_number: is missing", '"123456789012" in quotes']),
        (gcp(zone=None), ["gcp.zone: is missing", "dns_name: example.com"]),
        (gcp(project="Example"), ["gcp.project:", '"Example"', "6 to 30 lower-case"]),
        (gcp(project_number=123456789012), ["gcp.project_number: 123456789012", "digits, in quotes"]),
        (gcp(project_number="example"), ["gcp.project_number:", '"example"', "digits"]),
        (gcp(zone={"name": "example-com"}), ["gcp.zone.dns_name: is missing"]),
        (gcp(zone={"name": "example.com", "dns_name": "example.com"}), ["gcp.zone.name:", "such as example-com"]),
        (gcp(zone={"name": "example-com", "dns_name": "example.com."}), ["gcp.zone.dns_name:", "without the dot"]),
        ({"hostname": "api.example.org"}, ['hostname: "api.example.org"', "managed zone", "`gcp.zone`"]),
        ({"hostname": "api.badexample.com"}, ["hostname:", "ends with .example.com"]),
        ({"hostname": ""}, ["hostname: is missing", "gcp", "api.example.com"]),
        ({"service": {}}, ["service.image: is missing", "gcp"]),
        ({"service": {**SERVICE, "cpu": 0.5}}, ["service.cpu: 0.5", "Cloud Run", "1, 2, 4, 6, 8"]),
        ({"service": {**SERVICE, "cpu": 16}}, ["service.cpu: 16", "1, 2, 4, 6, 8"]),
        ({"service": {**SERVICE, "cpu": 3}}, ["service.cpu: 3", "1, 2, 4, 6, 8"]),
        ({"service": {**SERVICE, "cpu": 8}}, ["service.memory_mib: 2048", "`service.cpu` 8", "4096 to 32768"]),
        ({"service": {**SERVICE, "memory_mib": 4097}}, ["service.memory_mib: 4097", "512 to 4096"]),
        ({"service": {**SERVICE, "memory_mib": 256}}, ["service.memory_mib: 256", "512 to 4096"]),
        ({"service": {**SERVICE, "minimum": 9, "maximum": 8}}, ["service.maximum: 8", "9 or more"]),
        ({"ownership": {"cost_center": "x"}}, ["ownership.owner: is missing", "gcp"]),
        ({"retention": {"point_in_time_days": 36}}, ["retention.point_in_time_days: 36", "1 to 35"]),
        ({"retention": {"backup_days": 366}}, ["retention.backup_days: 366", "35 to 365"]),
        ({"retention": {"backup_days": 34}}, ["retention.backup_days: 34", "`retention.point_in_time_days`", "35 to"]),
        ({"retention": {"log_days": 3651}}, ["retention.log_days: 3651", "Cloud Logging", "1 to 3650"]),
        (gcp(service="cloudrun"), ["gcp.service:", "Did you mean cloud-run?"]),
        (gcp(database={"version": "POSTGRES_13"}), ["gcp.database.version:", '"POSTGRES_13"', "POSTGRES_14"]),
        (gcp(database={"tier": "db-perf-optimized-N-12"}), ["gcp.database.tier:", "Did you mean", "-128"]),
        (gcp(database={"tier": "db-c4a-highmem-4"}), ["gcp.database.tier:", '"db-c4a-highmem-4"', "N-2, -4, -8"]),
        (gcp(database={"tier": "db-custom-2-7680"}), ["gcp.database.tier:", "Enterprise Plus"]),
        (gcp(database={"disk_gib": 9}), ["gcp.database.disk_gib: 9", "10 to 65536"]),
        (gcp(database={"disk_gib": 65537}), ["gcp.database.disk_gib: 65537", "10 to 65536"]),
        (gcp(cache={"node_type": "STANDARD_SMAL"}), ["gcp.cache.node_type:", "Did you mean STANDARD_SMALL?"]),
        (gcp(cache={"shards": 0}), ["gcp.cache.shards: 0", "1 to 125"]),
        (gcp(cache={"shards": 126}), ["gcp.cache.shards: 126", "1 to 125"]),
        ({"database": {"durability": "quorum"}}, ["database.durability:", "Cloud SQL", "async"]),
        ({"aws": {"nat": "single"}}, ["aws.nat: means nothing on the target gcp"]),
        ({"local": {"latency": True}}, ["local.latency: means nothing on the target gcp"]),
    ],
)
def test_one_clear_message_on_google_cloud(change: dict[str, Any], words: list[str]) -> None:
    (said,) = problems({**config("europe-west3", target="gcp"), **change})
    for word in words:
        assert word in said


@pytest.mark.parametrize("cpu_and_memory", [(1, 512), (1, 4096), (2, 8192), (4, 2048), (6, 24576), (8, 32768)])
def test_sound_sizes_pass_on_cloud_run(cpu_and_memory: tuple[int, int]) -> None:
    cpu, memory = cpu_and_memory
    settings("us-east4", target="gcp", service={**SERVICE, "cpu": cpu, "memory_mib": memory})


def test_cloud_run_rules_no_machine() -> None:
    size = {**SERVICE, "cpu": 16, "memory_mib": 65536}
    settings("us-east4", target="gcp", service=size, **gcp(service="instance-group"))


def test_retention_that_google_cloud_takes() -> None:
    for kept in ({"point_in_time_days": 7, "backup_days": 7}, {"backup_days": 365, "log_days": 3650}):
        settings("us-east4", target="gcp", retention=kept)


@pytest.mark.parametrize(("target", "region"), [("local", "eu-central"), ("aws", "eu-west-1"), ("gcp", "us-east4")])
def test_what_only_another_target_has_is_refused(target: str, region: str) -> None:
    others = {
        key: value for key, value in {"aws": AWS, "gcp": GCP, "local": {"latency": True}}.items() if key != target
    }
    assert problems(config(region, target=target, **others)) == tuple(
        f"{section}.{key}: means nothing on the target {target}. Leave it out."
        for section in ("local", "aws", "gcp")
        for key in sorted(others.get(section, {}))
    )


def test_what_only_the_clouds_have_is_refused_on_the_local_target() -> None:
    given = config(
        "eu-central",
        service={**SERVICE, "standby_capacity": 0.5, "minimum": 9, "maximum": 8},
        ownership=CLOUD["ownership"],
        retention={"log_days": 1},
        alarms={"emails": ["a@example.com"]},
    )
    assert [line.partition(": means nothing on the target local. Leave it out.")[0] for line in problems(given)] == [
        "service.image",
        "service.maximum",
        "service.minimum",
        "ownership.cost_center",
        "ownership.owner",
        "retention.log_days",
        "alarms.emails",
    ]
    settings("eu-central", service={"standby_capacity": 0.5}, ownership={}, retention={}, alarms={})


@pytest.mark.parametrize(
    ("target", "region", "needed"),
    [
        ("aws", "eu-west-1", ["aws.account_id", "aws.zone"]),
        ("gcp", "us-east4", ["gcp.project", "gcp.project_number", "gcp.zone"]),
    ],
)
def test_everything_that_a_cloud_needs_is_told_at_once(target: str, region: str, needed: list[str]) -> None:
    said = problems({"target": target, "regions": [{"name": region}]})
    assert [line.split(": is missing")[0] for line in said] == [
        "hostname",
        "service.image",
        "ownership.owner",
        "ownership.cost_center",
        *needed,
    ]


def faults(given: dict[str, Any], stack: str) -> tuple[str, ...]:
    try:
        load(given, stack)
    except SettingsError as error:
        return error.problems
    return ()


@pytest.mark.parametrize(("target", "region"), [("aws", "eu-west-1"), ("gcp", "us-east4")])
@pytest.mark.parametrize(
    ("stack", "better"),
    [
        ("Prod", "prod"),
        ("prod_EU", "prod-eu"),
        ("prod.eu", "prod-eu"),
        ("prod--eu", "prod-eu"),
        ("prod-", "prod"),
        ("-prod", "prod"),
        ("_", "production"),
    ],
)
def test_a_stack_name_that_a_cloud_would_refuse(target: str, region: str, stack: str, better: str) -> None:
    (said,) = faults(config(region, target=target), stack)
    assert said.startswith(f'stack: "{stack}" is part of every name on the target {target}')
    assert "Allowed: lower-case letters, digits and single hyphens" in said
    assert said.endswith(f"Rename Pulumi.{stack}.yaml, such as to Pulumi.{better}.yaml.")


@pytest.mark.parametrize("stack", ["prod", "2", "prod-2", "2-prod", "a" * 100])
def test_stack_names_that_every_cloud_takes(stack: str) -> None:
    for target, region in (("aws", "eu-west-1"), ("gcp", "us-east4")):
        assert faults(config(region, target=target), stack) == ()


def test_the_local_target_takes_any_stack_name_and_app() -> None:
    assert faults(config("eu-central", app="internal--shop"), "Prod_EU") == ()


@pytest.mark.parametrize(("target", "region"), [("aws", "eu-west-1"), ("gcp", "us-east4")])
def test_an_app_with_two_hyphens_in_a_row_is_refused_on_a_cloud(target: str, region: str) -> None:
    (said,) = problems(config(region, target=target, app="shop---eu"))
    assert said.startswith(f'app: "shop---eu" is part of every name on the target {target}')
    assert "Write shop-eu, or another name." in said


@pytest.mark.parametrize("app", ["internal", "internal-shop", "sthree", "amzn-s3-demo"])
def test_an_app_whose_names_aws_keeps_for_itself(app: str) -> None:
    (said,) = problems(config("eu-west-1", target="aws", app=app))
    assert said.startswith(f'app: "{app}" would make names that begin with ')
    assert "Choose another name." in said
    settings("us-east4", target="gcp", app=app)


def test_a_reserved_start_that_app_and_stack_make_together() -> None:
    (said,) = faults(config("eu-west-1", target="aws", app="amzn"), "s3-demo-eu")
    assert "amzn-s3-demo-" in said


@pytest.mark.parametrize("app", ["internals", "my-internal", "shop"])
def test_apps_that_only_look_reserved(app: str) -> None:
    settings("eu-west-1", target="aws", app=app)


def test_what_is_named_instead_is_offered_everywhere() -> None:
    (said,) = problems(config(*EUROPE, target="aws", **aws(database={"instance_class": "db.x2g.large"})))
    allowed = said.split("Allowed")[1]
    assert "db.r6g (large, xlarge, 2xlarge" in allowed
    assert "db.serverless" in allowed
    assert "x2g" not in allowed


@pytest.mark.parametrize("hostname", ["example.com", "api.example.com", "a.b.example.com"])
def test_hostnames_in_the_zone(hostname: str) -> None:
    assert settings("eu-west-1", target="aws", hostname=hostname).hostname == hostname


def test_sound_sizes_pass() -> None:
    chosen = settings(
        *EUROPE,
        target="aws",
        service={**SERVICE, "cpu": 0.25, "memory_mib": 512, "minimum": 2, "maximum": 2},
        **aws(
            database={"instance_class": "db.r7g.large", "engine_version": "16.8", "minimum_acu": 0.5, "maximum_acu": 1},
            cache={"mode": "nodes", "node_type": "cache.r6g.large"},
        ),
    )
    planned = plan(chosen)
    assert planned.aws is not None
    assert (planned.aws.engine_version, planned.aws.cache_node_type) == ("16.8", "cache.r6g.large")


def test_an_aurora_global_database_spans_eleven_regions() -> None:
    names = list(catalogue("aws"))[:12]
    given = {**config(*names, target="aws"), "phase": 4}
    (said,) = problems(given)
    assert said.startswith("regions: multi-region-reads gives main 12 members")
    assert "11 at most" in said
    plan(load({**given, "residency": {"copies": ["EU", "US"]}}, "test"))
    plan(load({**given, "regions": given["regions"][:11]}, "test"))
