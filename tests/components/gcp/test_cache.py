"""The cache of a region on Google Cloud, at every phase that has one."""

from types import SimpleNamespace
from typing import Any, cast

import pulumi
import pulumi_random as random
import pytest

from components.contracts import CacheArgs
from components.gcp.cache import Cache, address, certificates
from components.gcp.replacement import consequences
from engine.recorder import Graph, Registered
from tests.components.gcp.stacks import recorded, topology

REGION, PROJECT = "europe-west3", "example-production"
INSTANCE = "gcp:memorystore/instance:Instance"


def settings(**cache: Any) -> dict[str, Any]:
    return {
        "project": PROJECT,
        "project_number": "123456789012",
        "zone": {"name": "example-com", "dns_name": "example.com"},
        "cache": cache,
    }


def graph(*, phase: int = 3, region: str = REGION, seen: dict[str, str] | None = None, **overrides: Any) -> Graph:
    cut = topology(phase=phase, **overrides)
    learnt = {} if seen is None else seen

    def program() -> None:
        # Stands for the service connection policy.
        made = random.RandomId("policy", byte_length=1).id
        cache = Cache(
            f"{cut.app}-{region}-cache",
            CacheArgs(
                topology=cut,
                region=cut.region(region),
                ground=PROJECT,
                network=cast("Any", SimpleNamespace(subnet_ids={"isolated": [made]})),
                key_ids={"cache": pulumi.Output.from_input("key-cache")},
                secrets=None,
            ),
        )
        cache.cache_id.apply(lambda id_: learnt.update(id=id_))

    return recorded(program)


def cache(built: Graph) -> Registered:
    (found,) = built.of_type(INSTANCE)
    return found


def test_it_is_of_its_region_project_and_component() -> None:
    found = cache(graph())
    assert (found.inputs["location"], found.inputs["project"]) == (REGION, PROJECT)
    assert found.parent.endswith(f"::meridian-{REGION}-cache")
    assert found.inputs["labels"]["region"] == REGION


def test_who_enters_and_what_lies_in_it_is_settled_at_birth() -> None:
    inputs = cache(graph(phase=1)).inputs
    assert inputs["authorizationMode"] == "IAM_AUTH"
    assert inputs["transitEncryptionMode"] == "SERVER_AUTHENTICATION"
    assert inputs["kmsKey"] == "key-cache"
    for argument, other in (
        ("authorizationMode", "AUTH_DISABLED"),
        ("transitEncryptionMode", "TRANSIT_ENCRYPTION_DISABLED"),
        ("kmsKey", "another"),
        ("mode", "CLUSTER_DISABLED"),
        ("serverCaMode", "GOOGLE_MANAGED_SHARED_CA"),
        ("zoneDistributionConfig", {"mode": "SINGLE_ZONE"}),
    ):
        assert argument in inputs, "left to a default, which may move"
        assert consequences(INSTANCE, inputs, {**inputs, argument: other}, ()), argument


def test_a_replica_takes_over_when_a_zone_is_gone_and_nothing_is_kept() -> None:
    inputs = cache(graph()).inputs
    assert inputs["replicaCount"] >= 1
    assert inputs["zoneDistributionConfig"] == {"mode": "MULTI_ZONE"}
    assert inputs["persistenceConfig"] == {"mode": "DISABLED"}
    assert inputs["engineConfigs"] == {"maxmemory-policy": "allkeys-lru"}
    assert inputs["deletionProtectionEnabled"] is True
    assert not {"automatedBackupConfig", "gcsSource", "managedBackupSource", "crossInstanceReplicationConfig"} & {
        *inputs
    }


def test_google_makes_the_endpoint_in_the_one_network_once_it_may() -> None:
    found = cache(graph())
    network = f"projects/{PROJECT}/global/networks/meridian-production-gcp-network"
    assert found.inputs["desiredAutoCreatedEndpoints"] == [{"network": network, "projectId": PROJECT}]
    assert any(urn.endswith("::policy") for urn in found.dependencies)


def test_what_google_says_of_its_endpoints_does_not_replace_the_cache() -> None:
    found = cache(graph())
    inputs = dict(found.inputs)
    told = {**inputs, "desiredAutoCreatedEndpoints": [{"network": "another", "projectId": PROJECT}]}
    assert consequences(INSTANCE, told, inputs, found.ignore_changes) == ()
    assert consequences(INSTANCE, told, inputs, ()), "the check can fail"


@pytest.mark.parametrize(
    ("size", "argument", "value"),
    [({"shards": 3}, "shardCount", 3), ({"node_type": "HIGHMEM_XLARGE"}, "nodeType", "HIGHMEM_XLARGE")],
)
def test_it_grows_in_place(size: dict[str, Any], argument: str, value: Any) -> None:
    before, after = cache(graph(gcp=settings())), cache(graph(gcp=settings(**size)))
    assert before.inputs[argument] != after.inputs[argument] == value
    assert consequences(INSTANCE, dict(before.inputs), dict(after.inputs), after.ignore_changes) == ()


def test_nothing_changes_with_the_phase() -> None:
    first = graph(phase=1)
    for phase in (2, 3, 4, 5):
        assert graph(phase=phase).resources == first.resources


def test_no_two_regions_are_maintained_on_the_same_day() -> None:
    days = [
        cache(graph(region=region)).inputs["maintenancePolicy"]["weeklyMaintenanceWindows"][0]["day"]
        for region in (REGION, "europe-west1", "us-east4")
    ]
    assert len(set(days)) == 3


def test_the_longest_name_fits_and_each_region_has_its_own() -> None:
    regions = ("northamerica-northeast1", "australia-southeast1")
    listed = [{"name": name, "slot": slot} for slot, name in enumerate(regions)]
    found = [
        cache(
            graph(phase=1, region=region, app="abcdefghijklmnopqrst", regions=listed, partitions=[], residency={})
        ).inputs["instanceId"]
        for region in regions
    ]
    assert len(set(found)) == 2
    assert all(4 <= len(name) <= 63 and name == name.lower() and not name.endswith("-") for name in found)


def test_its_name_is_known_before_it_exists() -> None:
    seen: dict[str, str] = {}
    built = graph(seen=seen)
    name = cache(built).inputs["instanceId"]
    assert seen["id"] == f"projects/{PROJECT}/locations/{REGION}/instances/{name}"


def connection(kind: str, ip: str) -> Any:
    found = SimpleNamespace(connection_type=kind, ip_address=ip, port=6379)
    return SimpleNamespace(psc_auto_connection=found)


def test_clients_ask_the_discovery_endpoint() -> None:
    connections = [
        SimpleNamespace(psc_auto_connection=None),
        connection("CONNECTION_TYPE_READER", "10.0.0.1"),
        connection("CONNECTION_TYPE_DISCOVERY", "10.0.0.2"),
    ]
    assert address([cast("Any", SimpleNamespace(connections=connections))]) == "10.0.0.2:6379"
    assert address(None) == ""


def test_clients_trust_every_authority_there_is() -> None:
    chains = [SimpleNamespace(certificates=["old\n"]), SimpleNamespace(certificates=["new\n", "root\n"])]
    assert certificates([cast("Any", SimpleNamespace(ca_certs=chains))]) == "old\nnew\nroot"
    assert certificates(None) == ""
