"""Regional gateways as real Envoys: who gets in, where requests and replication go, and what a change does to them."""

import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from components.local.servers import envoy_admin, envoy_process, gateway, paths, process
from components.local.servers.addresses import Endpoint
from components.local.servers.errors import ServerFault
from tests.components.local.servers.envoy_stage import HOME, SLOTS, Authority, Load, Stage, Stream, eventually

pytestmark = pytest.mark.servers

DRAIN = 1


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Three regions with a service and a database each; eu-central writes."""
    made = Stage(tmp_path_factory.mktemp("gateways"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(envoy_process, "DRAIN_SECONDS", DRAIN)
        try:
            made.join(*SLOTS)
            for region in SLOTS:
                made.service(region)
                made.database(region)
                made.gateway(region)
            yield made
        finally:
            made.close()


@pytest.fixture(autouse=True)
def as_at_the_start(stage: Stage) -> None:
    for link in stage.links:
        link.cut = False
    for region in SLOTS:
        service = stage.service(region)
        service.status, service.ready, service.hang = 200, True, False
        service.requests.clear()
        stage.database(region)
        stage.gateway(region)
        stage.point(region, HOME)


def egress(stage: Stage, region: str) -> httpx.Client:
    base = f"http://{stage.addresses.gateway_egress(SLOTS[region])}"
    return httpx.Client(base_url=base, headers={"x-meridian-partition": "main"}, timeout=20, trust_env=False)


def users(stage: Stage, region: str) -> httpx.Client:
    base = f"http://{stage.addresses.gateway_http(SLOTS[region])}"
    return httpx.Client(base_url=base, timeout=20, trust_env=False)


def settled(stage: Stage, region: str) -> None:
    """The gateway uses what its files say."""
    admin = stage.addresses.gateway_admin(SLOTS[region])
    eventually(lambda: not envoy_admin.unapplied(paths.gateway_folder(stage.folder, region), admin))


def test_users_reach_the_regions_own_service(stage: Stage) -> None:
    with users(stage, "us-east") as client:
        answer = client.get("/orders/1", headers={"x-meridian-forwarded-by": "x", "x-meridian-partition": "main"})
        assert (answer.status_code, answer.json()["region"]) == (200, "us-east")
        assert not [name for name in answer.json()["headers"] if name.startswith("x-meridian")]
        assert "server" not in answer.headers


def test_readiness_is_the_services_own(stage: Stage) -> None:
    with users(stage, "us-east") as client:
        assert client.get("/healthz/ready").status_code == 200
        stage.services["us-east"].ready = False
        assert client.get("/healthz/ready").status_code == 503


def test_without_a_service_it_refuses_and_with_one_it_serves(stage: Stage) -> None:
    server = process.running(stage.gateway("us-east", service=None))
    with users(stage, "us-east") as client:
        answer = client.get("/orders/1")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == 503
        assert process.running(stage.gateway("us-east")) == server
        assert client.get("/orders/1").status_code == 200


def test_the_request_that_reached_a_dying_service_is_not_sent_again(stage: Stage) -> None:
    service = stage.services["us-east"]
    service.status = 503
    with users(stage, "us-east") as client:
        assert client.get("/orders/9").status_code == 503
    assert len(service.asked("/orders/9")) == 1


def test_a_writers_request_goes_to_its_region_and_keeps_its_headers(stage: Stage) -> None:
    sent = {
        "x-meridian-forwarded-by": "us-east",
        "x-request-id": "my-own",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
    with egress(stage, "us-east") as client:
        answer = client.post("/orders", headers=sent, json={"item": "tea"})
    assert (answer.status_code, answer.json()["region"]) == (200, HOME)
    got = answer.json()["headers"]
    assert sent == {name: got[name] for name in sent}


def test_a_request_for_no_partition_is_refused(stage: Stage) -> None:
    with egress(stage, "us-east") as client:
        answer = client.get("/orders/1", headers={"x-meridian-partition": "mian"})
    assert answer.status_code == 400
    assert "x-meridian-partition" in answer.json()["detail"]


def test_the_writers_own_region_is_reached_in_the_same_way(stage: Stage) -> None:
    with egress(stage, HOME) as client:
        assert client.get("/orders/1").json()["region"] == HOME
    stream = stage.run(Stream.open(stage.addresses.gateway_database(SLOTS[HOME], 0)))
    assert stream.greeting == HOME
    stage.run(stream.close())


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
def test_moving_the_writer_under_load_fails_nothing(stage: Stage, method: str) -> None:
    """Both writers take requests here: what is measured is the switch, not the wait for a promotion."""
    here = stage.addresses.gateway_egress(SLOTS["us-east"])
    load = Load(
        stage=stage, headers={"x-meridian-partition": "main"}, method=method, endpoint=here, keyed=method != "GET"
    )
    with load.running():
        time.sleep(0.3)
        for writer in ("ap-northeast", "us-east", "eu-central", "ap-northeast"):
            stage.point("us-east", writer)
            began = len(load.served)
            assert eventually(lambda began=began, writer=writer: writer in load.served[began:]) < 1
            time.sleep(0.1)
    assert load.failed == []
    assert len(load.statuses) > 50


def test_the_switch_takes_milliseconds(stage: Stage) -> None:
    with egress(stage, "us-east") as client:
        for writer in ("ap-northeast", "eu-central"):
            stage.point("us-east", writer)
            assert eventually(lambda writer=writer: client.get("/x").json()["region"] == writer) < 0.5


def test_a_refusal_comes_back_at_once_and_is_not_repeated(stage: Stage) -> None:
    """Held writes that each gateway repeated kept a writer's region too busy to come back; its service holds them."""
    key = {"idempotency-key": "k"}
    with egress(stage, "us-east") as client:
        stage.services[HOME].status = 503
        began = time.monotonic()
        assert client.post("/orders/refused", headers=key).status_code == 503
        assert len(stage.services[HOME].asked("/orders/refused")) == 1
        stage.run(stage.services[HOME].stop())
        assert client.post("/orders/gone", headers=key).status_code == 503
        assert time.monotonic() - began < 1
        stage.point("us-east", "ap-northeast")
        assert eventually(lambda: client.post("/orders/next", headers=key).status_code == 200) < 0.5
    assert not stage.services["ap-northeast"].asked("/orders/gone")


def test_writes_on_a_lost_link_go_on_at_the_next_writer(stage: Stage) -> None:
    """Nothing closes the connection to the lost writer; the pings do, and the held writes are asked again."""
    here = stage.addresses.gateway_egress(SLOTS["us-east"])
    headers = {"x-meridian-partition": "main"}
    load = Load(stage=stage, headers=headers, method="POST", endpoint=here, keyed=True, rate=50)
    link = stage.peer_links["us-east", HOME]
    with load.running():
        time.sleep(0.3)
        link.cut = True
        time.sleep(1.0)
        stage.point("us-east", "ap-northeast")
        began = len(load.served)
        assert eventually(lambda: "ap-northeast" in load.served[began:]) < 0.5
        time.sleep(1.5)
    link.cut = False
    assert load.failed == []
    assert load.slowest < 3


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
def test_a_write_without_a_key_is_tried_once(stage: Stage, method: str) -> None:
    stage.services[HOME].status = 503
    with egress(stage, "us-east") as client:
        assert client.request(method, "/orders/bare").status_code == 503
    assert len(stage.services[HOME].asked("/orders/bare")) == 1


def test_a_write_that_gets_no_answer_ends_as_a_problem(stage: Stage) -> None:
    stage.services[HOME].hang = True
    with egress(stage, "us-east") as client:
        began = time.monotonic()
        answer = client.post("/orders/silent")
    assert (answer.status_code, answer.headers["content-type"]) == (504, "application/problem+json")
    assert answer.headers["retry-after"] == "1"
    assert time.monotonic() - began < 7


class TestWhoGetsIn:
    def call(self, stage: Stage, context: ssl.SSLContext, name: str) -> bytes:
        """What the home gateway's peer port says first."""
        context.check_hostname = True
        with (
            socket.create_connection(stage.addresses.gateway_peer(SLOTS[HOME]), 5) as bare,
            context.wrap_socket(bare, server_hostname=name) as secure,
        ):
            secure.settimeout(5)
            if name.startswith("service"):
                secure.sendall(b"GET /orders/1 HTTP/1.1\r\nhost: x\r\n\r\n")
            return secure.recv(1000)

    def context(self, stage: Stage, keys: Path | None) -> ssl.SSLContext:
        made = ssl.create_default_context(cafile=paths.keys_folder(stage.folder, HOME) / "ca.crt")
        if keys:
            made.load_cert_chain(keys / "tls.crt", keys / "tls.key")
        return made

    def test_another_region(self, stage: Stage) -> None:
        context = self.context(stage, paths.keys_folder(stage.folder, "us-east"))
        assert self.call(stage, context, f"db-main.{HOME}.meridian.internal") == f"{HOME}\n".encode()
        assert self.call(stage, context, f"service.{HOME}.meridian.internal").startswith(b"HTTP/1.1 200")

    def test_nobody_without_a_certificate(self, stage: Stage) -> None:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            self.call(stage, self.context(stage, None), f"db-main.{HOME}.meridian.internal")

    def test_nobody_with_a_foreign_certificate(self, stage: Stage, tmp_path: Path) -> None:
        Authority().install(tmp_path / "keys", "us-east")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            self.call(stage, self.context(stage, tmp_path / "keys"), f"db-main.{HOME}.meridian.internal")

    def test_nobody_with_an_older_protocol(self, stage: Stage) -> None:
        context = self.context(stage, paths.keys_folder(stage.folder, "us-east"))
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises((ssl.SSLError, ConnectionError)):
            self.call(stage, context, f"db-main.{HOME}.meridian.internal")

    def test_nobody_who_asks_for_another_region_or_partition(self, stage: Stage) -> None:
        context = self.context(stage, paths.keys_folder(stage.folder, "us-east"))
        for name in ("db-main.us-east.meridian.internal", f"db-other.{HOME}.meridian.internal"):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                self.call(stage, context, name)

    def test_a_region_is_not_taken_for_another(self, stage: Stage) -> None:
        """A gateway that answers in another region's place is left, though the same authority signed it."""
        impostor = stage.addresses.gateway_peer(SLOTS["ap-northeast"])
        folder = paths.gateway_folder(stage.folder, "us-east")
        # The impostor must know the name, else it would refuse of itself.
        keys = paths.keys_folder(stage.folder, "ap-northeast")
        stage.authority.install(keys, "us-east")
        admin = stage.addresses.gateway_admin(SLOTS["us-east"])
        try:
            eventually(lambda: self.presented(impostor, stage) == "us-east")
            gateway.point_writer(folder, "main", "ap-northeast", impostor)
            settled(stage, "us-east")
            with egress(stage, "us-east") as client:
                assert client.post("/orders/secret").status_code == 503
            assert envoy_admin.counter(admin, "cluster.writer-main.ssl.fail_verify_san") >= 1
            assert stage.services["ap-northeast"].asked("/orders/secret") == []
            stream = stage.run(Stream.open(stage.addresses.gateway_database(SLOTS["us-east"], 0)))
            assert stream.greeting == ""
            stage.run(stream.close())
        finally:
            stage.authority.install(keys, "ap-northeast")
            eventually(lambda: self.presented(impostor, stage) == "ap-northeast")

    def presented(self, endpoint: Endpoint, stage: Stage) -> str:
        """The region in the certificate that a gateway presents now."""
        return certificate(stage, endpoint)["subject"][0][0][1]


def certificate(stage: Stage, endpoint: Endpoint) -> dict:
    keys = paths.keys_folder(stage.folder, "us-east")
    context = ssl.create_default_context(cafile=keys / "ca.crt")
    context.load_cert_chain(keys / "tls.crt", keys / "tls.key")
    context.check_hostname = False
    region = next(region for region, slot in SLOTS.items() if stage.addresses.gateway_peer(slot) == endpoint)
    with (
        socket.create_connection(endpoint, 5) as bare,
        context.wrap_socket(bare, server_hostname=f"db-main.{region}.meridian.internal") as secure,
    ):
        return secure.getpeercert() or {}


def test_a_renewed_certificate_is_used_and_streams_go_on(stage: Stage) -> None:
    endpoint = stage.addresses.gateway_peer(SLOTS[HOME])
    before = certificate(stage, endpoint)["serialNumber"]
    stream = stage.run(Stream.open(stage.addresses.gateway_database(SLOTS["us-east"], 0)))
    for region in (HOME, "us-east"):
        stage.authority.install(paths.keys_folder(stage.folder, region), region)
    eventually(lambda: certificate(stage, endpoint)["serialNumber"] != before)
    time.sleep(DRAIN + 0.5)
    assert stage.run(stream.echo("still here")) == "still here"
    stage.run(stream.close())
    with egress(stage, "us-east") as client:
        assert client.get("/x").status_code == 200


def test_replication_follows_its_pointer(stage: Stage) -> None:
    here = stage.addresses.gateway_database(SLOTS["us-east"], 0)
    old = stage.run(Stream.open(here))
    assert old.greeting == HOME
    stage.point("us-east", "ap-northeast")
    settled(stage, "us-east")
    new = stage.run(Stream.open(here))
    assert new.greeting == "ap-northeast"
    assert stage.run(new.echo("WAL")) == "WAL"
    # A stream that runs is not cut: a switchover ends it by stopping the old writer.
    assert stage.run(old.echo("WAL")) == "WAL"
    stage.run(old.close())
    stage.run(new.close())


def test_a_partition_is_added_and_removed_without_cutting_a_stream(stage: Stage) -> None:
    """The listener on 8443 changes with it, at both ends of the stream."""
    both = (HOME, "us-east")
    running = {region: process.running(paths.gateway_folder(stage.folder, region)) for region in both}
    stream = stage.run(Stream.open(stage.addresses.gateway_database(SLOTS["us-east"], 0)))
    for partitions in ({"main": 0, "eu": 1}, {"main": 0}):
        for region in both:
            stage.gateway(region, partitions=partitions)
            stage.gateway(region, partitions=partitions)
        if len(partitions) == 2:
            other = stage.run(Stream.open(stage.addresses.gateway_database(SLOTS["us-east"], 1)))
            assert other.greeting == ""  # no member holds it yet
            stage.run(other.close())
        time.sleep(DRAIN + 0.5)  # what drains is cut by then
        assert stage.run(stream.echo("still here")) == "still here"
    stage.run(stream.close())
    assert {region: process.running(paths.gateway_folder(stage.folder, region)) for region in both} == running


def test_a_rejected_configuration_is_a_fault_and_the_former_one_stays(stage: Stage) -> None:
    taken = stage.addresses.gateway_database(SLOTS["us-east"], 2)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(taken)
        other.listen()
        with pytest.raises(ServerFault, match=r"gateway of us-east rejected lds\.json.*" + taken.host):
            stage.gateway("us-east", partitions={"main": 0, "more": 2})
        with users(stage, "us-east") as client:
            assert client.get("/orders/1").status_code == 200
    stage.gateway("us-east")


def test_the_admin_address_shows_but_does_not_obey(stage: Stage) -> None:
    admin = stage.addresses.gateway_admin(SLOTS[HOME])
    with httpx.Client(base_url=f"http://{admin}", trust_env=False) as client:
        for path in ("/quitquitquit", "/drain_listeners", "/healthcheck/fail", "/runtime_modify?a=b"):
            assert client.post(path).status_code == 403
        assert "PRIVATE KEY" not in client.get("/config_dump").text
    assert gateway.is_ready(stage.addresses, SLOTS[HOME])


def test_errors_are_logged_without_what_users_own(stage: Stage) -> None:
    log = paths.gateway_folder(stage.folder, "us-east") / "errors.log"
    stage.services["us-east"].status = 503
    with users(stage, "us-east") as client:
        client.get("/orders?customer=alice", headers={"authorization": "Bearer hush", "x-request-id": "find-me"})
    eventually(lambda: log.exists() and "find-me" in log.read_text())
    assert "alice" not in log.read_text()
    assert "hush" not in log.read_text()
