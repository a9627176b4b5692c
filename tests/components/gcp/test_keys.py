"""A region's keys on Google Cloud: all of them from phase 1, guarded, and open to nobody whom they are not for."""

import pytest

from components.gcp.keys import AGENTS
from components.gcp.replacement import consequences
from engine.recorder import Graph
from tests.components.gcp.ground import NUMBER, PROJECT, REGIONS, built, of_component, planned

USES = {"database", "cache", "storage", "logs", "secrets"}
RING, KEY = "gcp:kms/keyRing:KeyRing", "gcp:kms/cryptoKey:CryptoKey"
GRANT = "gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember"


@pytest.fixture(scope="module")
def graph() -> Graph:
    return built(5, REGIONS)


@pytest.mark.parametrize("phase", range(1, 6))
def test_every_region_in_use_has_a_ring_and_all_its_keys(phase: int) -> None:
    used = {region.name for region in planned(phase).regions_in_use}
    rings = {one.name: one.inputs["location"] for one in built(phase).of_type(RING)}
    assert sorted(rings.values()) == sorted(used)
    found = {(rings[one.inputs["keyRing"]], one.inputs["name"]) for one in built(phase).of_type(KEY)}
    assert found == {(region, use) for region in used for use in USES}


def test_every_resource_is_of_its_own_region(graph: Graph) -> None:
    for one in graph.of_type(RING):
        assert one.name == f"meridian-{one.inputs['location']}-keys-ring"
        assert one.inputs["project"] == PROJECT
    for one in graph.of_type(KEY):
        assert one.inputs["keyRing"] == f"meridian-{one.inputs['labels']['region']}-keys-ring"
        assert one.name.startswith(f"meridian-{one.inputs['labels']['region']}-keys-")


def test_keys_are_guarded_and_rotate(graph: Graph) -> None:
    assert all(one.protect for one in (*graph.of_type(RING), *graph.of_type(KEY)))
    for key in graph.of_type(KEY):
        assert key.inputs["deletionPolicy"] == "PREVENT"
        assert key.inputs["rotationPeriod"] == "7776000s"
        assert key.inputs["destroyScheduledDuration"] == "2592000s"
        without = {name: value for name, value in key.inputs.items() if name != "deletionPolicy"}
        assert [each.effect for each in consequences(KEY, key.inputs, without)] == ["unprotect"]


def test_another_rotation_replaces_no_key(graph: Graph) -> None:
    key = graph.of_type(KEY)[0]
    assert consequences(KEY, key.inputs, {**key.inputs, "rotationPeriod": "2592000s", "labels": {}}) == ()
    assert consequences(KEY, key.inputs, {**key.inputs, "destroyScheduledDuration": "86400s"}) != ()


def test_each_key_is_open_to_the_agents_of_its_services_alone(graph: Graph) -> None:
    keys = {one.name: one for one in graph.of_type(KEY)}
    found: dict[str, set[str]] = {use: set() for use in USES}
    for one in graph.of_type(GRANT):
        assert one.inputs["role"] == "roles/cloudkms.cryptoKeyEncrypterDecrypter"
        prefix, domain = one.inputs["member"].split("@")
        assert prefix == f"serviceAccount:service-{NUMBER}"
        found[keys[one.inputs["cryptoKeyId"]].inputs["name"]].add(domain.removesuffix(".iam.gserviceaccount.com"))
    assert found == {
        "database": {"gcp-sa-cloud-sql"},
        "cache": {"gcp-sa-memorystore"},
        "storage": {"gs-project-accounts", "serverless-robot-prod", "compute-system"},
        "logs": set(),
        "secrets": {"gcp-sa-secretmanager"},
    }
    assert len(graph.of_type(GRANT)) == len(REGIONS) * sum(map(len, AGENTS.values()))


def test_agents_are_there_before_they_are_let_in(graph: Graph) -> None:
    agents = {one.urn for one in graph.of_type("gcp:projects/serviceIdentity:ServiceIdentity")}
    assert agents
    rings = {one.name: one for one in graph.of_type(RING)}
    keys = {one.name: one for one in graph.of_type(KEY)}
    for one in graph.of_type(GRANT):
        ring = rings[keys[one.inputs["cryptoKeyId"]].inputs["keyRing"]]
        assert agents <= ring.dependencies


def test_a_key_is_given_out_only_when_its_users_are_let_in(graph: Graph) -> None:
    users = graph.of_type("gcp:secretmanager/secret:Secret")
    assert len(users) == len(REGIONS) * 3
    for one in users:
        region = one.inputs["labels"]["region"]
        grant = graph.named(f"meridian-{region}-keys-secrets-gcp-sa-secretmanager")
        assert grant.urn in one.dependencies
        # And for nobody else's grant: a key that cannot be used holds up only those who use it.
        others = {each.urn for each in of_component(graph, "Keys") if each.type == GRANT} - {grant.urn}
        assert not others & one.dependencies
