"""The process: starting, stopping, and a region without data."""

import signal
import threading
import time
import uuid
from pathlib import Path

import httpx
import pytest

from tests.service.conftest import Regions
from tests.service.servers import Service, eventually, free_port

pytestmark = pytest.mark.servers


def test_a_region_without_a_member_is_not_ready_and_passes_on(regions: Regions, tmp_path: Path) -> None:
    service = Service(tmp_path, "ap-northeast", egress={"host": "127.0.0.1", "port": regions.gateway.port})
    service.publish("eu-central")
    service.start()
    try:
        service.answers()
        assert httpx.get(f"{service.url}/healthz/ready").status_code == 503
        order = {"customer": f"guest-{uuid.uuid4()}", "item": "lamp", "quantity": 1}
        made = httpx.post(f"{service.url}/orders", json=order, headers={"Idempotency-Key": "1"})
        assert (made.status_code, made.headers["X-Served-Region"]) == (201, "ap-northeast")
        assert httpx.get(f"{service.url}/orders/{made.json()['id']}").content == made.content
    finally:
        assert service.stop() == 0


@pytest.mark.skipif(not Path("/proc/self/limits").exists(), reason="only Linux tells another process's limits")
def test_what_is_held_is_not_limited_by_descriptors(tmp_path: Path) -> None:
    """256 would be used up by as many held writes, and nobody be accepted any more, not even for /healthz/ready."""
    service = Service(tmp_path, "eu-central")
    service.command = ["sh", "-c", 'ulimit -S -n 256; exec "$@"', "sh", *service.command]
    service.publish("eu-central")
    service.start()
    try:
        service.answers()
        assert service.process is not None
        limits = Path(f"/proc/{service.process.pid}/limits").read_text()
        (soft, hard) = next(line.split()[3:5] for line in limits.splitlines() if line.startswith("Max open files"))
        assert int(soft) == min(8192, int(hard))
    finally:
        assert service.stop() == 0


def test_without_a_map_it_serves_nothing_until_one_comes(regions: Regions, tmp_path: Path) -> None:
    service = Service(tmp_path, "eu-central", members={"main": {"host": "127.0.0.1", "port": regions.primary.port}})
    service.map.write_text("{}")
    service.start()
    try:
        service.ready()
        answer = httpx.get(f"{service.url}/orders", params={"customer": "a"})
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        service.publish("eu-central")
        eventually(
            lambda: httpx.get(f"{service.url}/orders", params={"customer": "a"}).status_code == 200, "the map is read"
        )
    finally:
        assert service.stop() == 0


def test_a_stop_lets_requests_end_and_is_quick(regions: Regions, tmp_path: Path) -> None:
    service = Service(tmp_path, "eu-central", members={"main": {"host": "127.0.0.1", "port": regions.primary.port}})
    service.publish("eu-central")
    service.start()
    service.ready()
    who = f"last-{uuid.uuid4()}"
    answers: list[httpx.Response] = []
    order = {"customer": who, "item": "lamp", "quantity": 1}
    with regions.primary.session() as other, httpx.Client(base_url=service.url) as idle:
        idle.get("/version")  # a kept connection must not delay the stop
        other.execute("begin")
        other.execute("insert into customers values ('eu-central', %s, 0)", (who,))
        asking = threading.Thread(
            target=lambda: answers.append(
                httpx.post(f"{service.url}/orders", json=order, headers={"Idempotency-Key": "1"}, timeout=10)
            )
        )
        asking.start()
        eventually(
            lambda: regions.primary.ask(
                "select 1 from pg_stat_activity where usename = 'service' and wait_event_type = 'Lock'"
            ),
            "the order waits",
        )
        assert service.process is not None
        service.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{service.url}/healthz/live")
        other.execute("commit")
        asking.join(timeout=5)
    begin = time.monotonic()
    assert service.stop() == 0
    assert time.monotonic() - begin < 2
    assert answers[0].status_code == 201


def test_an_address_in_use_is_a_fault(tmp_path: Path, regions: Regions) -> None:
    service = Service(tmp_path, "eu-central", listen={"host": "127.0.0.1", "port": regions.writer.port})
    service.start()
    assert service.process is not None
    assert service.process.wait(timeout=10) == 1
    assert "address already in use" in service.log.read_text()


def test_it_is_up_before_its_database_and_ready_soon_after(tmp_path: Path) -> None:
    service = Service(tmp_path, "eu-central", members={"main": {"host": "127.0.0.1", "port": free_port()}})
    service.publish("eu-central")
    service.start()
    try:
        service.answers()
        assert httpx.get(f"{service.url}/healthz/ready").json()["members"] == {"main": "down"}
        order = {"customer": "early", "item": "lamp", "quantity": 1}
        answer = httpx.post(f"{service.url}/orders", json=order, headers={"Idempotency-Key": "1"})
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:meridian:problem:unavailable")
    finally:
        assert service.stop() == 0
