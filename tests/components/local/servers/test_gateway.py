"""A region's gateway as plain values: what changes when the stack grows, and who owns which file."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from components.local.servers import gateway
from components.local.servers.addresses import Addresses, Endpoint
from components.local.servers.errors import ServerFault

PLACES = Addresses("127.99")
WRITERS = {"main": ("eu-central", 0)}


@pytest.fixture
def spec(tmp_path: Path) -> gateway.GatewaySpec:
    return gateway.GatewaySpec(
        stack=tmp_path, region="us-east", slot=1, addresses=PLACES, partitions={"main": 0}, members={}
    )


def test_a_member_or_a_service_changes_no_listener(spec: gateway.GatewaySpec) -> None:
    gateway.ensure_files(spec, WRITERS)
    with_member = replace(spec, members={"main": PLACES.postgres(1, 0)})
    assert gateway.ensure_files(with_member, WRITERS) == ("xds/cds.json",)
    with_service = replace(with_member, service=PLACES.service(1))
    assert gateway.ensure_files(with_service, WRITERS) == ("xds/cds.json",)


def test_a_second_time_changes_nothing(spec: gateway.GatewaySpec) -> None:
    assert gateway.ensure_files(spec, WRITERS)
    assert gateway.ensure_files(spec, {}) == ()


def test_a_partition_adds_its_own_and_touches_no_other(spec: gateway.GatewaySpec) -> None:
    def resources(of: gateway.GatewaySpec, name: str) -> dict[str, str]:
        return {each["name"]: json.dumps(each) for each in gateway.render(of)[name]["resources"]}

    more = replace(spec, partitions={"main": 0, "eu": 1})
    clusters, more_clusters = resources(spec, "xds/cds.json"), resources(more, "xds/cds.json")
    assert {name: more_clusters[name] for name in clusters} == clusters
    assert set(more_clusters) - set(clusters) == {"local-db-eu", "writer-eu", "db-eu"}
    listeners, more_listeners = resources(spec, "xds/lds.json"), resources(more, "xds/lds.json")
    assert {name for name in listeners if more_listeners[name] != listeners[name]} == {"peers", "egress"}
    assert set(more_listeners) - set(listeners) == {"db-eu"}


def test_what_is_rendered_names_no_other_region_and_no_pointer(spec: gateway.GatewaySpec) -> None:
    files = gateway.render(spec)
    assert not {"xds/eds/writer-main.json", "xds/eds/db-main.json"} & set(files)
    assert "eu-central" not in json.dumps(files)


def test_the_deployment_never_moves_a_writer(spec: gateway.GatewaySpec) -> None:
    gateway.ensure_files(spec, WRITERS)
    assert gateway.pointed_at(spec.folder, "main") == gateway.pointed_at(spec.folder, "main", "db") == "eu-central"
    assert gateway.point_writer(spec.folder, "main", "ap-northeast", PLACES.link(1, 2))
    assert gateway.ensure_files(spec, WRITERS) == ()
    assert gateway.pointed_at(spec.folder, "main") == gateway.pointed_at(spec.folder, "main", "db") == "ap-northeast"
    assert not gateway.point_writer(spec.folder, "main", "ap-northeast", PLACES.link(1, 2))


def test_replication_and_requests_move_apart(spec: gateway.GatewaySpec) -> None:
    gateway.ensure_files(spec, WRITERS)
    assert gateway.point(spec.folder, "db", "main", "ap-northeast", PLACES.link(1, 2))
    assert gateway.pointed_at(spec.folder, "main", "db") == "ap-northeast"
    assert gateway.pointed_at(spec.folder, "main", "writer") == "eu-central"


def test_pointing_nowhere_yet_and_at_damage(spec: gateway.GatewaySpec) -> None:
    assert gateway.pointed_at(spec.folder, "main") is None
    path = spec.folder / "xds/eds/writer-main.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"resources": []}')
    with pytest.raises(ServerFault, match=r"writer-main\.json is damaged"):
        gateway.pointed_at(spec.folder, "main")


def test_a_writer_is_reached_over_its_link_or_at_home() -> None:
    assert gateway.writer_endpoint(PLACES, source_slot=1, writer_slot=2) == PLACES.link(1, 2)
    assert gateway.writer_endpoint(PLACES, source_slot=1, writer_slot=1) == PLACES.gateway_peer(1)


def test_the_endpoint_carries_the_name_that_is_asked_for_and_checked() -> None:
    [resource] = gateway.pointer("db", "main", "us-east", Endpoint("127.0.0.1", 1))["resources"]
    assert resource["endpoints"][0]["lb_endpoints"][0]["endpoint"]["hostname"] == "db-main.us-east.meridian.internal"
