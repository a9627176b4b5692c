"""Two regions: forwarding, near reads, tokens, and what each region can do without the other."""

import contextlib
import os
import signal
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.service.conftest import Regions
from tests.service.servers import Service, eventually

pytestmark = pytest.mark.servers

SOON = {"X-Meridian-Deadline-Ms": "500"}


def place(client: httpx.Client, who: str = "", **headers: str) -> httpx.Response:
    order = {"customer": who or f"customer-{uuid.uuid4()}", "item": "lamp", "quantity": 1}
    return client.post("/orders", json=order, headers={"Idempotency-Key": str(uuid.uuid4()), **headers})


def placed(client: httpx.Client, who: str = "") -> httpx.Response:
    answer = place(client, who)
    assert answer.status_code == 201, answer.text
    return answer


def kind(answer: httpx.Response) -> str:
    return answer.json()["type"].rpartition(":")[2]


def replicated(regions: Regions) -> None:
    (position,) = regions.primary.ask("select pg_current_wal_lsn()")[0]
    eventually(lambda: regions.replica.ask("select pg_last_wal_replay_lsn() >= %s::pg_lsn", position)[0][0], "replayed")


@contextlib.contextmanager
def lagging(regions: Regions) -> Iterator[None]:
    replicated(regions)
    regions.replica.ask("select pg_wal_replay_pause()")
    eventually(lambda: regions.replica.ask("select pg_get_wal_replay_pause_state()") == [("paused",)], "paused")
    try:
        yield
    finally:
        regions.replica.ask("select pg_wal_replay_resume()")


@contextlib.contextmanager
def cut(regions: Regions) -> Iterator[None]:
    regions.gateway.cut()
    try:
        yield
    finally:
        regions.gateway.start()


def test_a_write_goes_to_the_writer_with_trace_and_request_id(regions: Regions, far: httpx.Client) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    identity = f"request-{uuid.uuid4()}"
    answer = place(far, **{"traceparent": f"00-{trace}-00f067aa0ba902b7-01", "X-Request-Id": identity})
    assert answer.status_code == 201
    assert (answer.headers["X-Served-Region"], answer.headers["X-Written-Region"]) == ("us-east", "eu-central")
    assert answer.headers["X-Request-Id"] == identity

    def logged(service: Service) -> dict[str, Any] | None:
        return next((line for line in service.lines() if line.get("request_id") == identity), None)

    # A line is written after its answer.
    lines = [eventually(lambda s=service: logged(s), "the line") for service in (regions.reader, regions.writer)]
    assert [line["trace_id"] for line in lines] == [trace, trace]
    assert lines[0]["span_id"] != lines[1]["span_id"]
    assert (lines[0]["forwarded_to"], lines[1]["forwarded_by"]) == ("eu-central", "us-east")
    # The user is where the first region was asked.
    ((home,),) = regions.primary.ask("select home from orders where id = %s", answer.json()["id"])
    assert home.startswith("00/us-east/")


def test_errors_of_the_writer_come_back_as_they_are(far: httpx.Client) -> None:
    order = {"customer": f"customer-{uuid.uuid4()}", "item": "lamp", "quantity": 1}
    first = far.post("/orders", json=order, headers={"Idempotency-Key": "k"})
    again = far.post("/orders", json=order, headers={"Idempotency-Key": "k"})
    assert (again.status_code, again.headers["Idempotency-Replayed"], again.content) == (200, "true", first.content)
    other = far.post("/orders", json={**order, "quantity": 2}, headers={"Idempotency-Key": "k"})
    assert (other.status_code, kind(other)) == (422, "key-reused")
    assert other.headers["content-type"] == "application/problem+json"


def test_reads_are_near(regions: Regions, near: httpx.Client, far: httpx.Client) -> None:
    made = placed(near, "near-reader")
    replicated(regions)
    with cut(regions):
        for _ in range(2):
            read = far.get(made.headers["Location"])
            assert (read.content, read.headers["X-Served-Region"]) == (made.content, "us-east")
        assert far.get("/orders", params={"customer": "near-reader"}).json()["orders"] == [made.json()]


def test_a_reader_with_a_token_sees_its_write_however_far_the_replica_is_behind(
    regions: Regions, far: httpx.Client
) -> None:
    who = f"own-{uuid.uuid4()}"
    with lagging(regions):
        made = placed(far, who)
        token = {"X-Write-Position": made.headers["X-Write-Position"]}
        begin = time.monotonic()
        assert far.get("/orders", params={"customer": who}, headers=token).json()["orders"] == [made.json()]
        assert 0.2 < time.monotonic() - begin < 1, "the replica is waited for, briefly"
        assert far.get(made.headers["Location"], headers=token).content == made.content
        assert far.get("/orders", params={"customer": who}).json()["orders"] == [], "without a token: the near replica"
        with cut(regions):
            answer = far.get("/orders", params={"customer": who}, headers=token)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "3")
    # Once the replica has caught up it answers by itself.
    eventually(lambda: far.get("/orders", params={"customer": who}).json()["orders"], "replayed")
    with cut(regions):
        assert far.get("/orders", params={"customer": who}, headers=token).json()["orders"] == [made.json()]


def test_a_replica_that_catches_up_in_time_answers_itself(regions: Regions, far: httpx.Client) -> None:
    who = f"soon-{uuid.uuid4()}"
    with ThreadPoolExecutor(1) as pool:
        with lagging(regions):
            made = placed(far, who)
            token = {"X-Write-Position": made.headers["X-Write-Position"]}
            connections = regions.reader.metric(
                'meridian_forwards_total{outcome="answered",partition="main",region="eu-central"}'
            )
            answer = pool.submit(far.get, "/orders", params={"customer": who}, headers=token)
            time.sleep(0.05)
        assert answer.result().json()["orders"] == [made.json()]
    assert connections == regions.reader.metric(
        'meridian_forwards_total{outcome="answered",partition="main",region="eu-central"}'
    ), "not forwarded"


def test_an_order_the_replica_lacks_is_asked_for_only_when_it_may_be_new(regions: Regions, far: httpx.Client) -> None:
    old = uuid.UUID(int=(int(time.time() * 1000) - 3_600_000) << 80 | 7 << 76 | 2 << 62 | 5)
    with lagging(regions):
        made = placed(far)
        assert far.get(made.headers["Location"]).content == made.content, "no false 'not found'"
    placed(far)
    replicated(regions)
    with cut(regions):
        for absent in (uuid.uuid4(), old):
            assert far.get(f"/orders/{absent}").status_code == 404, "answered here"


def test_that_an_order_is_absent_is_not_remembered(regions: Regions, near: httpx.Client) -> None:
    identity = str(uuid.uuid4())
    assert near.get(f"/orders/{identity}").status_code == 404
    regions.primary.ask(
        "insert into orders (home, id, customer, item, quantity, sequence, created_at) "
        "values ('us-east', %s, %s, 'lamp', 1, 1, now())",
        identity,
        f"late-{identity}",
    )
    assert near.get(f"/orders/{identity}").json()["id"] == identity


def test_without_a_way_to_the_writer_writes_are_held_and_reads_go_on(regions: Regions, far: httpx.Client) -> None:
    made = placed(far)
    replicated(regions)
    with ThreadPoolExecutor(20) as pool, httpx.Client(base_url=regions.reader.url, timeout=10) as other:
        with cut(regions):
            held = [pool.submit(place, other) for _ in range(20)]
            refused = place(far, **SOON)
            assert (refused.status_code, refused.headers["Retry-After"]) == (503, "3")
            assert regions.reader.metric("meridian_writes_held") == 20
            assert far.get(made.headers["Location"]).status_code == 200
            assert far.get("/healthz/ready").status_code == 200, "readiness is the region's own"
            time.sleep(0.5)
            assert not any(each.done() for each in held)
        begin = time.monotonic()
        assert [each.result().status_code for each in held] == [201] * 20
        assert time.monotonic() - begin < 1.5
    assert regions.reader.metric("meridian_writes_held") == 0


def test_a_connection_that_the_gateway_closed_is_replaced_unseen(regions: Regions, far: httpx.Client) -> None:
    for _ in range(3):
        placed(far)
        with cut(regions):
            pass
        placed(far)


def test_a_writer_that_hangs_costs_no_more_than_the_deadline(regions: Regions, far: httpx.Client) -> None:
    made = placed(far)
    regions.writer.pause()
    try:
        begin = time.monotonic()
        answer = place(far, **{"X-Meridian-Deadline-Ms": "400"})
        assert (answer.status_code, kind(answer)) == (503, "outcome-unknown")
        assert 0.3 < time.monotonic() - begin < 1.5
        replicated(regions)
        assert far.get(made.headers["Location"]).status_code == 200
    finally:
        regions.writer.resume()


def test_a_forwarded_request_is_never_forwarded_again(regions: Regions, far: httpx.Client) -> None:
    before = regions.gateway.connections
    made = place(far, **{"X-Meridian-Forwarded-By": "ap-northeast", "X-Meridian-Partition": "main"})
    assert (made.status_code, made.headers["Retry-After"]) == (503, "1")
    assert "replica" in made.json()["detail"]
    assert regions.gateway.connections == before


def test_an_outage_of_the_cache_slows_reads_and_fails_none(
    regions: Regions, near: httpx.Client, far: httpx.Client
) -> None:
    made = placed(near)
    replicated(regions)

    def read(client: httpx.Client) -> float:
        begin = time.monotonic()
        assert client.get(made.headers["Location"]).content == made.content
        return time.monotonic() - begin

    regions.cache.pause()  # it hangs
    regions.far_cache.stop(signal.SIGKILL)  # it is gone
    try:
        times = [read(client) for _ in range(30) for client in (near, far)]
        assert max(times) < 0.3
        assert sum(times) < 3, "a cache that is away is left alone"
    finally:
        regions.cache.resume()
        regions.far_cache.start()
    hits = 'meridian_cache_requests_total{outcome="hit"}'
    for service, client in ((regions.writer, near), (regions.reader, far)):
        before = service.metric(hits)
        eventually(lambda c=client, s=service, b=before: read(c) and s.metric(hits) > b, "the cache is used again")


def test_an_outage_of_the_writers_database(regions: Regions, near: httpx.Client, far: httpx.Client) -> None:
    made = placed(near)
    replicated(regions)
    assert far.get(made.headers["Location"]).status_code == 200
    regions.primary.stop()
    try:
        for client in (near, far):
            answer = place(client, **SOON)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "3"), answer.text
        listed = near.get("/orders", params={"customer": made.json()["customer"]})
        assert (listed.status_code, listed.headers["Retry-After"]) == (503, "1")
        assert far.get("/orders", params={"customer": made.json()["customer"]}).json()["orders"] == [made.json()]
        eventually(lambda: near.get("/healthz/ready").status_code == 503, "not ready", 3)
        assert near.get("/healthz/live").status_code == 200
        assert far.get("/healthz/ready").status_code == 200
    finally:
        regions.primary.start()
        regions.primary.ready()
    eventually(lambda: near.get("/healthz/ready").status_code == 200, "ready again", 3)
    # No connection left over from before the outage gets in the way.
    for client in (near, far):
        for _ in range(5):
            placed(client)


def test_a_database_that_hangs(regions: Regions, near: httpx.Client) -> None:
    made = placed(near)
    backends = regions.primary.ask("select pid from pg_stat_activity where usename = 'service'")
    for (pid,) in backends:
        # Stops the service's own backends, so that the test itself can still connect.
        send(pid, signal.SIGSTOP)
    try:
        begin = time.monotonic()
        answer = place(near, **{"X-Meridian-Deadline-Ms": "300"})
        assert answer.status_code in (201, 503)  # a new connection is served, an old one is not
        listed = near.get(
            "/orders", params={"customer": made.json()["customer"]}, headers={"X-Meridian-Deadline-Ms": "300"}
        )
        assert listed.status_code in (200, 503)
        assert time.monotonic() - begin < 2
    finally:
        for (pid,) in backends:
            send(pid, signal.SIGCONT)
    eventually(lambda: near.get("/healthz/ready").status_code == 200, "ready again", 5)
    placed(near)


def send(pid: int, number: int) -> None:
    # Inside its user namespace the server knows the same process ids.
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def test_near_reads_go_to_the_writer_while_the_replica_is_away(regions: Regions, far: httpx.Client) -> None:
    made = placed(far)
    regions.replica.stop()
    try:
        for _ in range(3):
            listed = far.get("/orders", params={"customer": made.json()["customer"]})
            assert (listed.status_code, listed.json()["orders"]) == (200, [made.json()])
            assert listed.headers["X-Served-Region"] == "us-east"
        assert far.get(made.headers["Location"]).content == made.content
        eventually(lambda: far.get("/healthz/ready").status_code == 503, "not ready", 3)
        assert placed(far)
    finally:
        regions.replica.start()
        regions.replica.ready()
    eventually(lambda: far.get("/healthz/ready").status_code == 200, "ready again", 5)


def test_a_failover_needs_no_restart(own_regions: Regions) -> None:
    regions = own_regions
    with (
        httpx.Client(base_url=regions.writer.url, timeout=10) as near,
        httpx.Client(base_url=regions.reader.url, timeout=10) as far,
    ):
        who = f"survivor-{uuid.uuid4()}"
        order: dict[str, Any] = {"customer": who, "item": "lamp", "quantity": 1}
        first = far.post("/orders", json=order, headers={"Idempotency-Key": "first"})
        assert first.status_code == 201
        replicated(regions)

        regions.primary.stop(signal.SIGQUIT)
        with ThreadPoolExecutor(1) as pool:
            held = pool.submit(place, far, who)
            time.sleep(0.5)
            regions.replica.ask("select pg_promote()")
            assert not held.done()
            # The map is not told yet: what is forwarded by a region that knows more is written all the same.
            early = place(far, who, **{"X-Meridian-Forwarded-By": "ap-northeast", "X-Meridian-Partition": "main"})
            assert (early.status_code, early.headers["X-Written-Region"]) == (201, "us-east")

            regions.reader.publish("us-east", version=2)
            begin = time.monotonic()
            assert held.result().headers["X-Written-Region"] == "us-east"
            assert time.monotonic() - begin < 1
        again = far.post("/orders", json=order, headers={"Idempotency-Key": "first"})
        assert (again.status_code, again.headers["Idempotency-Replayed"], again.content) == (200, "true", first.content)
        second = place(far, who)
        assert (second.status_code, second.json()["sequence"]) == (201, 4)
        assert (second.headers["X-Served-Region"], second.headers["X-Written-Region"]) == ("us-east", "us-east")

        # An older map, say from a process that was slow, changes nothing.
        regions.reader.publish("eu-central", version=1)
        time.sleep(0.3)
        assert place(far, who).headers["X-Written-Region"] == "us-east"
        # A token from before the failover is still good at the new writer.
        token = {"X-Write-Position": first.headers["X-Write-Position"]}
        listed = far.get("/orders", params={"customer": who}, headers=token)
        assert [order["sequence"] for order in listed.json()["orders"]] == [1, 2, 3, 4, 5]
        assert place(near, who, **SOON).status_code == 503
