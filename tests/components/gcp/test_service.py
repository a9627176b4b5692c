"""The service of a region on Google Cloud: at every phase and serving level, on Cloud Run and on machines, and next to
regions that are gone.
"""

import itertools
import json
import shlex
from types import SimpleNamespace
from typing import Any, cast

import pulumi
import pytest

from components.contracts import ServiceArgs
from components.gcp import accounts
from components.gcp.machines import PORT_NAME, machine_type
from components.gcp.replacement import STATEFUL, consequences
from components.gcp.roles import ARTIFACTS
from components.gcp.run import STARTUP
from components.gcp.scaling import bounds
from components.gcp.service import Service
from components.gcp.startup import SCRIPT
from engine.recorder import Graph, Registered
from tests.components.gcp.stacks import recorded, topology
from topology import ServicePlan, Serving, Topology

HOME, SECOND, AMERICA = "europe-west3", "europe-west1", "us-east4"
PROJECT = "example-production"
RUN, MACHINES = "cloud-run", "instance-group"
BY_PHASE = {1: (HOME,), 2: (HOME,), 3: (HOME, SECOND), 4: (HOME, SECOND, AMERICA), 5: (HOME, SECOND, AMERICA)}
EVERYWHERE = [(phase, region) for phase, regions in BY_PHASE.items() for region in regions]
ON_BOTH = [(adapter, phase, region) for adapter in (RUN, MACHINES) for phase, region in EVERYWHERE]

# What a change of the service's own settings or of its partitions makes anew, and nobody misses.
REVISIONS = {"RegionInstanceTemplate"}


def outputs(**values: str) -> dict[str, pulumi.Output[str]]:
    return {key: pulumi.Output.from_input(value) for key, value in values.items()}


def access(member: str) -> str:
    region = member.partition("-")[2]
    return f"{PROJECT}:{region}:meridian-production-gcp-{member}"


def arguments(cut: Topology, region: str, gone: str | None) -> ServiceArgs:
    network = SimpleNamespace(
        network_id=pulumi.Output.from_input(f"private-{region}"),
        subnet_ids={tier: [pulumi.Output.from_input(f"{tier}-{region}")] for tier in ("private", "isolated")},
        group_ids={},
        route_table_ids={},
    )
    databases = {
        member.name: SimpleNamespace(
            member_id=pulumi.Output.from_input(access(member.name)),
            endpoint=pulumi.Output.from_input(f"{member.name}.members:5432"),
            access_id=pulumi.Output.from_input(access(member.name)),
        )
        for member in cut.members
        if member.region != gone
    }
    cache = f"projects/{PROJECT}/locations/{region}/instances/meridian-{region}"
    return ServiceArgs(
        topology=cut,
        region=cut.region(region),
        ground=PROJECT,
        network=cast("Any", network),
        key_ids=outputs(logs="key-logs", secrets="key-secrets", storage="key-storage"),
        databases=cast("Any", databases),
        write_endpoints={partition.name: f"{partition.name}.writer:5432" for partition in cut.partitions},
        cache=cast(
            "Any", SimpleNamespace(**outputs(cache_id=cache, endpoint="cache:6379", authorities="-----A\n'b'\n"))
        ),
        secrets=cast(
            "Any", SimpleNamespace(secret_ids=outputs(**{"database-main": "administrator", "directory": "secret-key"}))
        ),
        certificate_id="certificates",
    )


def settings(adapter: str) -> dict[str, Any]:
    return {
        "project": PROJECT,
        "project_number": "123456789012",
        "zone": {"name": "example-com", "dns_name": "example.com"},
        "service": adapter,
    }


def graph(adapter: str, phase: int, region: str = HOME, *, gone: str | None = None, **overrides: Any) -> Graph:
    cut = topology(phase=phase, gcp=settings(adapter), **overrides)

    def program() -> None:
        Service(f"{cut.app}-{region}-service", arguments(cut, region, gone))

    return recorded(program)


def one(built: Graph, kind: str) -> Registered:
    (found,) = [resource for resource in built if resource.custom and resource.type.endswith(f":{kind}")]
    return found


def run(built: Graph) -> dict[str, Any]:
    return dict(one(built, "Service").inputs)


def container(built: Graph) -> dict[str, Any]:
    (found,) = run(built)["template"]["containers"]
    return found


def files(built: Graph) -> dict[str, str]:
    config = one(built, "RegionInstanceTemplate").inputs["metadata"]["user-data"]
    first, _, rest = config.partition("\n")
    assert first == "#cloud-config"
    return {file["path"]: file["content"] for file in json.loads(rest)["write_files"]}


def command(built: Graph) -> list[str]:
    """What the machine runs, as its shell would read it."""
    words = shlex.split(files(built)[SCRIPT])
    return words[words.index("exec") + 1 :]


def told(built: Graph, adapter: str) -> dict[str, str]:
    if adapter == RUN:
        return {entry["name"]: entry["value"] for entry in container(built)["envs"]}
    words = command(built)
    pairs = [words[position + 1] for position, word in enumerate(words) if word == "--env"]
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs)}


def grants(built: Graph) -> dict[str, Registered]:
    return {
        grant.name.removeprefix("meridian-").partition("-service-")[2]: grant
        for grant in built.of_type("gcp:projects/iAMMember:IAMMember")
    }


def members(built: Graph) -> set[str]:
    """Whose databases the service may sign in to."""
    return {name.removesuffix("-user") for name in grants(built) if name.endswith("-user")}


@pytest.mark.parametrize(("adapter", "phase", "region"), ON_BOTH)
def test_every_resource_is_of_its_region_project_and_component(adapter: str, phase: int, region: str) -> None:
    for resource in graph(adapter, phase, region):
        if not resource.custom:
            continue
        assert resource.parent.endswith(f"::meridian-{region}-service"), resource.name
        assert resource.inputs["project"] == PROJECT, resource.name
        where = resource.inputs.get("region", resource.inputs.get("location"))
        if where is None:  # global: these lie beside all regions'
            assert resource.type.rpartition(":")[2] in {"IAMMember", "ProjectSink", "HealthCheck", "SecretIamMember"}
            assert region in resource.inputs.get("name", resource.name)
        else:
            assert where == region, resource.name
        if "labels" in resource.inputs:
            assert resource.inputs["labels"]["region"] == region


@pytest.mark.parametrize(("adapter", "phase", "region"), ON_BOTH)
def test_what_holds_data_is_guarded(adapter: str, phase: int, region: str) -> None:
    held = [resource for resource in graph(adapter, phase, region) if resource.type in STATEFUL]
    assert [resource.name for resource in held] == [f"meridian-{region}-service-logs"]
    for resource in held:
        assert resource.protect, resource.name
        assert resource.inputs["deletionPolicy"] == "PREVENT"
        assert resource.inputs["retentionDays"] == 90


@pytest.mark.parametrize(("low", "high"), [*itertools.combinations(range(1, 6), 2)])
@pytest.mark.parametrize("region", [HOME, SECOND])
@pytest.mark.parametrize("adapter", [RUN, MACHINES])
def test_climbing_keeps_what_is_there(adapter: str, low: int, high: int, region: str) -> None:
    if region not in BY_PHASE[low]:
        return
    before, after = graph(adapter, low, region), graph(adapter, high, region)
    for resource in before:
        if not resource.custom:
            continue
        now = after.resources[resource.urn]
        changes = consequences(resource.type, dict(resource.inputs), dict(now.inputs), now.ignore_changes)
        # A template is a revision: another one is how a machine learns of another partition.
        assert not changes or resource.type.rpartition(":")[2] in REVISIONS, changes
        assert {change.argument for change in changes} <= {"metadata"}
        assert not changes or high == 5


@pytest.mark.parametrize(
    ("adapter", "expected"),
    [
        (RUN, {"gcp:cloudrunv2/service:Service": {"scaling"}}),
        (MACHINES, {"gcp:compute/regionAutoscaler:RegionAutoscaler": {"autoscalingPolicy"}}),
    ],
)
def test_promotion_by_phase_raises_the_minimum_and_nothing_else(adapter: str, expected: dict[str, set[str]]) -> None:
    before, after = graph(adapter, 3, SECOND), graph(adapter, 4, SECOND)
    changed: dict[str, set[str]] = {}
    for resource in before:
        now = after.resources[resource.urn]
        for key in {*resource.inputs, *now.inputs}:
            if resource.inputs.get(key) != now.inputs.get(key):
                changed.setdefault(resource.type, set()).add(key)
    assert changed == expected


@pytest.mark.parametrize(
    ("phase", "region", "least"), [(1, HOME, 3), (3, HOME, 3), (3, SECOND, 2), (4, SECOND, 3), (5, AMERICA, 3)]
)
def test_capacity_follows_the_plan(phase: int, region: str, least: int) -> None:
    service = run(graph(RUN, phase, region))
    assert service["scaling"] == {"minInstanceCount": least}
    assert service["template"]["scaling"] == {"maxInstanceCount": 30}
    built = graph(MACHINES, phase, region)
    policy = one(built, "RegionAutoscaler").inputs["autoscalingPolicy"]
    assert (policy["minReplicas"], policy["maxReplicas"]) == (least, 30)
    assert "targetSize" not in one(built, "RegionInstanceGroupManager").inputs


def test_a_standby_rounds_up_and_is_never_one_instance() -> None:
    cut = topology(phase=3, service={"image": "a/b:1", "minimum": 10, "maximum": 12, "standby_capacity": 0.25})
    assert cut.service is not None
    assert cut.region(SECOND).serving is Serving.STANDBY
    assert bounds(cut.service, cut.region(SECOND)).minimum == 3
    assert bounds(cut.service, cut.region(HOME)).minimum == 10
    assert bounds(cut.service, cut.region(SECOND)).maximum == 12


@pytest.mark.parametrize("phase", range(1, 6))
def test_only_the_entry_reaches_cloud_run(phase: int) -> None:
    built = graph(RUN, phase)
    service = run(built)
    assert service["ingress"] == "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"
    assert service["invokerIamDisabled"] is True
    assert service["defaultUriDisabled"] is True
    assert service["deletionProtection"] is True
    assert service["traffics"] == [{"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent": 100}]
    endpoints = one(built, "RegionNetworkEndpointGroup").inputs
    assert endpoints["networkEndpointType"] == "SERVERLESS"
    assert endpoints["cloudRun"] == {"service": service["name"]}


def test_a_revision_goes_out_through_the_regions_own_subnet_as_its_own_account() -> None:
    built = graph(RUN, 3, SECOND)
    template = run(built)["template"]
    assert template["serviceAccount"] == accounts.email(topology(phase=3), SECOND)
    assert template["encryptionKey"] == "key-storage"
    assert template["vpcAccess"]["egress"] == "ALL_TRAFFIC"
    (interface,) = template["vpcAccess"]["networkInterfaces"]
    assert interface["subnetwork"] == f"private-{SECOND}"
    waits = {urn.rsplit("::", 1)[1] for urn in one(built, "Service").dependencies}
    assert {grant.name for grant in grants(built).values()} <= waits


def test_probes_ask_for_what_each_is_for() -> None:
    found = container(graph(RUN, 1))
    assert found["startupProbe"]["httpGet"] == found["readinessProbe"]["httpGet"] == {"path": "/healthz/ready"}
    assert found["livenessProbe"]["httpGet"] == {"path": "/healthz/live"}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert found[probe]["timeoutSeconds"] < found[probe]["periodSeconds"]
    readiness = found["readinessProbe"]
    assert readiness["periodSeconds"] * readiness["failureThreshold"] >= 30
    assert cast("int", STARTUP.period_seconds) * cast("int", STARTUP.failure_threshold) <= 240


def test_an_instance_has_what_the_settings_say() -> None:
    found = container(graph(RUN, 1, service={"image": "a/b:1", "cpu": 2, "memory_mib": 4096, "port": 9000}))
    assert found["image"] == "a/b:1"
    assert found["ports"] == {"name": "http1", "containerPort": 9000}
    assert found["resources"]["limits"] == {"cpu": "2", "memory": "4096Mi"}
    assert found["resources"]["cpuIdle"] is False


@pytest.mark.parametrize(("adapter", "phase", "region"), ON_BOTH)
def test_it_reads_at_home_and_writes_by_the_name_that_follows_the_writer(adapter: str, phase: int, region: str) -> None:
    values = told(graph(adapter, phase, region), adapter)
    assert values["MERIDIAN_REGION"] == region
    assert values["MERIDIAN_REGION_HOSTNAME"] == f"{region}.api.example.com"
    assert values["MERIDIAN_DATABASE_USER"] == accounts.database_user(topology(phase=phase), region)
    assert values["MERIDIAN_CACHE"] == "cache:6379"
    assert values["MERIDIAN_CACHE_USER"] == "default"
    assert values["MERIDIAN_CACHE_AUTHORITIES"] == "-----A\n'b'\n"
    found = json.loads(values["MERIDIAN_PARTITIONS"])
    assert set(found) == ({"main", "americas"} if phase == 5 else {"main"})
    for name, partition in found.items():
        assert partition["read"] == f"{name}-{region}.members:5432"
        assert partition["write"] == f"{name}.writer:5432"
    assert "administrator" not in json.dumps(values)


def test_both_adapters_tell_the_same() -> None:
    assert told(graph(RUN, 5), RUN) == told(graph(MACHINES, 5), MACHINES)


def test_a_partition_that_may_not_be_held_here_has_nowhere_to_read() -> None:
    partition = {
        "name": "americas",
        "slot": 1,
        "origin": AMERICA,
        "serves": ["US"],
        "residency": {"copies": ["US", "DE"]},
    }
    found = json.loads(told(graph(RUN, 5, SECOND, partitions=[partition]), RUN)["MERIDIAN_PARTITIONS"])
    assert found["americas"]["read"] is None
    assert found["americas"]["write"] == "americas.writer:5432"


def test_a_region_is_told_whose_homes_are_whose_and_where_new_customers_go() -> None:
    """What the partition map says before anybody moved a customer, in the words of topology/homes.py."""
    built = graph(RUN, 5)
    found = {name: each["slot"] for name, each in json.loads(told(built, RUN)["MERIDIAN_PARTITIONS"]).items()}
    assert found == {"main": 0, "americas": 1}
    assert json.loads(told(built, RUN)["MERIDIAN_NEWCOMERS"]) == {
        HOME: f"00/{HOME}/",
        SECOND: f"00/{SECOND}/",
        AMERICA: f"01/{AMERICA}/",
    }
    below = json.loads(told(graph(RUN, 4), RUN)["MERIDIAN_NEWCOMERS"])
    assert below[AMERICA] == f"00/{AMERICA}/"


@pytest.mark.parametrize("adapter", [RUN, MACHINES])
def test_the_service_reads_the_key_of_the_customers_digests_and_no_other_secret(adapter: str) -> None:
    built = graph(adapter, 5)
    assert told(built, adapter)["MERIDIAN_DIRECTORY_SECRET"] == "secret-key"
    (granted,) = built.of_type("gcp:secretmanager/secretIamMember:SecretIamMember")
    assert granted.inputs["secretId"] == "secret-key"
    assert granted.inputs["role"] == "roles/secretmanager.secretAccessor"
    assert granted.inputs["member"] == f"serviceAccount:{accounts.email(topology(phase=5), HOME)}"


@pytest.mark.parametrize("adapter", [RUN, MACHINES])
def test_the_service_signs_in_where_a_writer_may_be(adapter: str) -> None:
    for phase in (1, 2):
        assert members(graph(adapter, phase)) == {f"main-{HOME}"}, "no failover is foreseen"
    both = {f"main-{HOME}", f"main-{SECOND}"}
    assert members(graph(adapter, 3)) == members(graph(adapter, 3, SECOND)) == both
    # Copies of `main` are held in America, but it may not be written there.
    assert members(graph(adapter, 4)) == both
    americas = {f"americas-{region}" for region in (HOME, SECOND, AMERICA)}
    assert members(graph(adapter, 5)) == both | americas


@pytest.mark.parametrize("adapter", [RUN, MACHINES])
@pytest.mark.parametrize("phase", [3, 4, 5])
def test_a_lost_region_takes_only_its_own_grants_along(adapter: str, phase: int) -> None:
    before, after = graph(adapter, phase), graph(adapter, phase, gone=SECOND)
    lost = set(before.resources) - set(after.resources)
    partitions = ("main", "americas") if phase == 5 else ("main",)
    assert {urn.rsplit("::", 1)[1] for urn in lost} == {
        f"meridian-{HOME}-service-{partition}-{SECOND}-{part}"
        for partition in partitions
        for part in ("client", "user")
    }
    for urn, now in after.resources.items():
        assert now.inputs == before.resources[urn].inputs


@pytest.mark.parametrize(("adapter", "phase", "region"), ON_BOTH)
def test_no_right_is_wider_than_it_must_be(adapter: str, phase: int, region: str) -> None:
    built = graph(adapter, phase, region)
    email = accounts.email(topology(phase=phase), region)
    wide: set[str] = set()
    for name, grant in grants(built).items():
        assert grant.inputs["member"] == f"serviceAccount:{email}"
        condition = grant.inputs.get("condition")
        if condition is None:
            wide.add(grant.inputs["role"])
        elif name == "cache":
            assert grant.inputs["role"] == "roles/memorystore.dbConnectionUser"
            cache = f"projects/{PROJECT}/locations/{region}/instances/meridian-{region}"
            assert condition["expression"] == (
                f'resource.name == "{cache}" && resource.service == "memorystore.googleapis.com"'
            )
        else:
            member = name.rpartition("-")[0]
            assert grant.inputs["role"] in {"roles/cloudsql.client", "roles/cloudsql.instanceUser"}
            instance = f"projects/{PROJECT}/instances/meridian-production-gcp-{member}"
            assert condition["expression"] == (
                f'resource.name == "{instance}" && resource.service == "sqladmin.googleapis.com"'
            )
            assert len(condition["title"]) <= 100
    assert wide == (set() if adapter == RUN else {"roles/logging.logWriter", "roles/monitoring.metricWriter"})


def test_machines_pull_from_a_repository_of_the_project_with_a_right_of_their_own() -> None:
    own = f"europe-west3-docker.pkg.dev/{PROJECT}/images/team/orders:1.4.2"
    kind = "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember"
    (grant,) = graph(MACHINES, 1, service={"image": own}).of_type(kind)
    assert grant.inputs["role"] == "roles/artifactregistry.reader"
    assert (grant.inputs["location"], grant.inputs["repository"]) == ("europe-west3", "images")
    for image in ("ghcr.io/example/orders:1.4.2", own.replace(PROJECT, "another-project")):
        assert graph(MACHINES, 1, service={"image": image}).of_type(kind) == []
    assert graph(RUN, 1, service={"image": own}).of_type(kind) == [], "Google's own agent pulls"
    assert ARTIFACTS.match("eu-docker.pkg.dev/example.com:project/images/orders@sha256:0")


def test_machines_sign_in_to_artifact_registry_alone() -> None:
    own = f"europe-west3-docker.pkg.dev/{PROJECT}/images/orders:1.4.2"
    sign_in = "docker-credential-gcr configure-docker --registries=europe-west3-docker.pkg.dev"
    assert sign_in in files(graph(MACHINES, 1, service={"image": own}))[SCRIPT].splitlines()
    assert "docker-credential-gcr" not in files(graph(MACHINES, 1))[SCRIPT]


def test_a_container_on_a_machine_is_no_root_and_writes_to_nothing_but_memory() -> None:
    built = graph(MACHINES, 1)
    words = command(built)
    assert words[:2] == ["docker", "run"]
    options = dict(itertools.pairwise(words))
    assert int(options["--user"].split(":")[0]) > 0
    assert "--read-only" in words
    assert options["--cap-drop"] == "ALL"
    assert options["--security-opt"] == "no-new-privileges"
    assert options["--tmpfs"].startswith("/tmp:size=")
    assert words[-1] == "ghcr.io/example/orders:1.4.2"
    unit = next(content for path, content in files(built).items() if path.endswith(".service"))
    assert f"ExecStart=/bin/bash {SCRIPT}\n" in unit
    # Logs are found by the container's name.
    assert f'container_name"="{options["--name"]}"' in one(built, "ProjectSink").inputs["filter"]
    assert "--dport 8000" in files(built)[SCRIPT]


def test_machines_are_sealed_and_have_no_address_outside() -> None:
    template = one(graph(MACHINES, 3, SECOND), "RegionInstanceTemplate").inputs
    assert template["networkInterfaces"] == [{"subnetwork": f"private-{SECOND}"}]
    assert template["disks"][0]["diskEncryptionKey"] == {"kmsKeySelfLink": "key-storage"}
    assert all(template["shieldedInstanceConfig"].values())
    assert template["serviceAccount"]["email"] == accounts.email(topology(phase=3), SECOND)
    assert template["metadata"]["block-project-ssh-keys"] == "true"


def test_a_template_is_made_before_the_one_it_follows_goes() -> None:
    template = one(graph(MACHINES, 1), "RegionInstanceTemplate")
    assert "name" not in template.inputs, "two of one name cannot be there at a time"
    assert len(template.inputs["namePrefix"]) <= 37
    another = one(graph(MACHINES, 1, service={"image": "a/b:2"}), "RegionInstanceTemplate")
    assert consequences(template.type, dict(template.inputs), dict(another.inputs), ())


def test_a_group_never_has_fewer_machines_than_load_needs_and_heals_what_is_stuck() -> None:
    built = graph(MACHINES, 1)
    group = one(built, "RegionInstanceGroupManager").inputs
    assert group["updatePolicy"]["maxUnavailableFixed"] == 0
    assert group["updatePolicy"]["maxSurgeFixed"] >= len(topology(phase=1).region(HOME).zones)
    assert group["namedPorts"] == [{"name": PORT_NAME, "port": 8000}]
    assert "distributionPolicyZones" not in group
    check = one(built, "HealthCheck").inputs
    assert check["httpHealthCheck"] == {"port": 8000, "requestPath": "/healthz/live"}
    assert check["timeoutSec"] < check["checkIntervalSec"]


@pytest.mark.parametrize(
    ("cpu", "memory", "expected"),
    [
        (1, 2048, "e2-custom-2-2560"),
        (4, 8192, "e2-custom-4-8704"),
        (1, 16384, "e2-custom-4-16896"),
        (8, 1000, "e2-custom-8-4096"),
        (0.5, 700, "e2-custom-2-1280"),
    ],
)
def test_a_machine_holds_the_service_and_its_system(cpu: float, memory: int, expected: str) -> None:
    plan = ServicePlan(image="a/b:1", port=8000, cpu=cpu, memory_mib=memory, minimum=2, maximum=4)
    assert machine_type(plan) == expected
    cpus, size = (int(part) for part in expected.split("-")[2:])
    assert cpus % 2 == 0
    assert size % 256 == 0
    assert 512 * cpus <= size <= 8192 * cpus


@pytest.mark.parametrize("adapter", [RUN, MACHINES])
def test_logs_are_kept_in_the_region_and_are_the_services_own(adapter: str) -> None:
    for region in (HOME, SECOND):
        built = graph(adapter, 3, region)
        sink = one(built, "ProjectSink")
        assert sink.inputs["destination"] == f"logging.googleapis.com/meridian-{region}-service-logs"
        assert region in sink.inputs["filter"]
        assert one(built, "ProjectBucketConfig").inputs["location"] == region


@pytest.mark.parametrize("adapter", [RUN, MACHINES])
@pytest.mark.parametrize("region", [HOME, "northamerica-northeast1"])
def test_the_longest_names_fit(adapter: str, region: str) -> None:
    regions = [{"name": region, "slot": 0}, {"name": SECOND, "slot": 1}]
    built = graph(adapter, 1, region, app="abcdefghijklmnopqrst", regions=regions, partitions=[], residency={})
    limits = {"Service": 49, "ProjectSink": 100, "ProjectBucketConfig": 100}
    found = set()
    for resource in built:
        kind = resource.type.rpartition(":")[2]
        for key in ("name", "bucketId", "namePrefix", "baseInstanceName"):
            name = resource.inputs.get(key)
            if not resource.custom or name is None or kind == "IAMMember":
                continue
            limit = {"namePrefix": 37, "baseInstanceName": 58}.get(key, limits.get(kind, 63))
            assert len(name) <= limit, resource.name
            assert name == name.lower()
            found.add(key)
    assert "name" in found


@pytest.mark.parametrize(("adapter", "group"), [(RUN, "endpoints"), (MACHINES, None)])
@pytest.mark.parametrize("phase", [1, 3, 5])
def test_outputs_are_those_of_the_contract(adapter: str, group: str | None, phase: int) -> None:
    seen: dict[str, Any] = {}
    cut = topology(phase=phase, gcp=settings(adapter))

    def program() -> None:
        service = Service(f"{cut.app}-{HOME}-service", arguments(cut, HOME, None))
        for key, value in {**service.attachments, "endpoint": service.endpoint, "id": service.service_id}.items():
            value.apply(lambda found, key=key: seen.update({key: found}))

    recorded(program)
    assert set(seen) - {"backend_group"} == {"service_name", "service_account", "endpoint", "id"}
    assert seen["endpoint"] == f"https://{HOME}.api.example.com"
    assert seen["service_account"] == accounts.email(cut, HOME)
    assert seen["id"] == f"meridian-{HOME}-service-{'run' if adapter == RUN else 'group'}"
    if group is not None:
        assert seen["backend_group"] == f"meridian-{HOME}-service-{group}"
