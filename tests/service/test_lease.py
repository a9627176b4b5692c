"""Writes under a lease: refused without one, never acknowledged after its end, and what a region says of itself."""

import contextlib
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import psycopg
import pytest

from service.standing import STALE_SECONDS, UNKNOWN_SECONDS, Standing
from tests.service.conftest import Regions
from tests.service.servers import PASSWORD, eventually

SOON = {"X-Meridian-Deadline-Ms": "500"}
WAITS = "select pid from pg_stat_activity where usename = 'service' and wait_event = 'SyncRep'"


def place(client: httpx.Client, key: str = "", who: str = "", **headers: str) -> httpx.Response:
    order = {"customer": who or f"customer-{uuid.uuid4()}", "item": "lamp", "quantity": 1}
    return client.post("/orders", json=order, headers={"Idempotency-Key": key or str(uuid.uuid4()), **headers})


def give_lease(regions: Regions, seconds: float) -> None:
    """What the keeper beside the writer does."""
    regions.primary.ask(
        "insert into lease (term, valid_until) values (1, clock_timestamp() + %s * interval '1 second') "
        "on conflict (only_row) do update set valid_until = excluded.valid_until",
        seconds,
    )


@pytest.fixture
def leased(regions: Regions) -> Iterator[Regions]:
    regions.primary.ask("insert into lease_policy (required) values (true)")
    try:
        yield regions
    finally:
        regions.primary.ask("delete from lease_policy")
        regions.primary.ask("delete from lease")
        for service in (regions.writer, regions.reader):
            eventually(lambda s=service: "x-envoy-degraded" not in readiness(s.url).headers, "as it was")


def readiness(url: str) -> httpx.Response:
    return httpx.get(f"{url}/healthz/ready")


@pytest.mark.servers
def test_without_a_lease_nothing_is_written_and_with_one_it_is(leased: Regions, near: httpx.Client) -> None:
    who, key = f"customer-{uuid.uuid4()}", str(uuid.uuid4())
    refused = place(near, key, who, **SOON)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "3")
    assert refused.json()["type"].endswith(":unavailable")
    assert leased.primary.ask("select count(*) from orders where customer = %s", who) == [(0,)]
    give_lease(leased, -0.01)
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(place, near, key, who)
        time.sleep(1)
        assert not held.done()
        give_lease(leased, 60)
        begin = time.monotonic()
        assert held.result().status_code == 201
        assert time.monotonic() - begin < 1


@pytest.mark.servers
def test_a_write_that_outlasts_the_lease_is_not_acknowledged(leased: Regions, near: httpx.Client) -> None:
    """Here its commit waits for a standby while the lease runs out; a stopped process comes to the same."""
    key, who = str(uuid.uuid4()), f"customer-{uuid.uuid4()}"
    answers: list[httpx.Response] = []
    give_lease(leased, 60)
    set_standbys(leased, "nobody")
    try:
        writing = threading.Thread(target=lambda: answers.append(place(near, key, who)))
        writing.start()
        eventually(lambda: leased.primary.ask(WAITS), "the commit waits")
        give_lease(leased, -0.01)
    finally:
        set_standbys(leased, "")
    writing.join()
    assert answers[0].status_code == 503
    assert answers[0].json()["type"].endswith(":outcome-unknown")
    # It was written all the same, and the key finds out, once there is a lease again.
    assert place(near, key, who, **SOON).status_code == 503
    give_lease(leased, 60)
    again = place(near, key, who)
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (200, "true")


def set_standbys(regions: Regions, names: str) -> None:
    regions.primary.ask(f"alter system set synchronous_standby_names = '{names}'", database="postgres")
    regions.primary.ask("select pg_reload_conf()", database="postgres")
    eventually(lambda: regions.primary.ask("show synchronous_standby_names") == [(names,)], "taken over")


@pytest.mark.servers
def test_other_clients_need_the_lease_too(leased: Regions) -> None:
    with psycopg.connect(
        host="127.0.0.1", port=leased.primary.port, user="service", password=PASSWORD, dbname="orders", autocommit=True
    ) as client:
        write = "insert into idempotency_keys values ('h', 'c', %s, '', gen_random_uuid(), now())"
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction, match="holds no lease"):
            client.execute(write, (str(uuid.uuid4()),))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            client.execute("update lease_policy set required = false")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            client.execute("update lease set valid_until = 'infinity'")
        give_lease(leased, 60)
        client.execute(write, (str(uuid.uuid4()),))


@pytest.mark.servers
def test_the_lease_stays_where_it_was_given(leased: Regions) -> None:
    """Unlogged: a replica has the policy and not the lease, and writing the lease waits for no standby."""
    give_lease(leased, 60)
    eventually(lambda: leased.replica.ask("select required from lease_policy") == [(True,)], "the policy is copied")
    with pytest.raises(psycopg.errors.FeatureNotSupported):
        leased.replica.ask("select * from lease")
    set_standbys(leased, "nobody")
    try:
        give_lease(leased, 60)
    finally:
        set_standbys(leased, "")


@pytest.mark.servers
def test_a_writer_without_a_lease_says_so_and_still_reads(leased: Regions, near: httpx.Client) -> None:
    give_lease(leased, 60)
    order = place(near).json()["id"]
    eventually(lambda: readiness(leased.writer.url).json()["status"] == "ready", "ready")
    give_lease(leased, -2)
    answer = eventually(
        lambda: (found := readiness(leased.writer.url)).json()["status"] == "degraded" and found, "degraded"
    )
    assert (answer.status_code, answer.headers["x-envoy-degraded"]) == (200, "true")
    assert answer.json()["age_ms"]["main"] >= 2000
    listed = near.get("/orders", params={"customer": "nobody"})
    assert (listed.status_code, int(listed.headers["X-Read-Age-Ms"]) >= 2000) == (200, True)
    assert near.get(f"/orders/{order}").status_code == 200


@pytest.mark.servers
def test_a_replica_that_hears_nothing_is_used_last_and_still_passes_writes_on(
    leased: Regions, far: httpx.Client
) -> None:
    give_lease(leased, 120)
    assert place(far).status_code == 201
    listed = far.get("/orders", params={"customer": "nobody"})
    assert "X-Read-Age-Ms" not in listed.headers
    with deaf(leased):
        answer = eventually(
            lambda: (found := readiness(leased.reader.url)).json()["status"] == "degraded" and found, "degraded", 15
        )
        assert (answer.status_code, answer.headers["x-envoy-degraded"]) == (200, "true")
        assert answer.json()["age_ms"]["main"] > STALE_SECONDS * 1000
        listed = far.get("/orders", params={"customer": "nobody"})
        assert int(listed.headers["X-Read-Age-Ms"]) > STALE_SECONDS * 1000
        assert place(far).headers["X-Written-Region"] == "eu-central"


@contextlib.contextmanager
def deaf(regions: Regions) -> Iterator[None]:
    """The replica's way to its writer is gone."""
    known = regions.replica.ask("show primary_conninfo")[0][0]
    regions.replica.ask("alter system set primary_conninfo = 'host=127.0.0.1 port=1'", database="postgres")
    regions.replica.ask("select pg_reload_conf()")
    try:
        yield
    finally:
        regions.replica.ask("alter system set primary_conninfo = '" + known.replace("'", "''") + "'")
        regions.replica.ask("select pg_reload_conf()")


def seen(
    standing: Standing, now: float, *, replica: bool, left: int | None = None, heard: int | None = None
) -> Standing:
    return standing.seen(replica, True, left, heard, replayed_ago=None, now=now)


def test_where_no_lease_is_asked_for_everybody_is_up_to_date() -> None:
    nothing = Standing().seen(True, False, None, None, replayed_ago=1000.0, now=50.0)
    assert nothing.age_ms(5000.0) is None


def test_a_writer_is_up_to_date_to_the_end_of_its_lease() -> None:
    writer = seen(Standing(), 100.0, replica=False, left=2000)
    assert writer.age_ms(101.9) is None
    assert writer.age_ms(102.5) == 500
    assert seen(writer, 103.0, replica=False, left=-1000).age_ms(103.0) == 1000


def test_a_promoted_member_has_a_moment_until_its_keeper_has_written() -> None:
    replica = seen(Standing(), 100.0, replica=True, heard=4000)
    promoted = seen(replica, 101.0, replica=False)
    assert promoted.age_ms(101.0 + UNKNOWN_SECONDS) is None
    promoted = seen(promoted, 101.5, replica=False)
    assert promoted.age_ms(101.2 + UNKNOWN_SECONDS) == round((0.2 + UNKNOWN_SECONDS) * 1000)


def test_a_replica_without_a_receiver_is_as_old_as_what_it_heard_last() -> None:
    replica = seen(Standing(), 100.0, replica=True, heard=1000)
    replica = seen(replica, 103.0, replica=True)
    assert replica.age_ms(104.0) is None
    assert replica.age_ms(104.5) == 5500
    # One that never had a receiver in this process's life is as old as what it replayed.
    fresh = Standing().seen(True, True, None, None, replayed_ago=60.0, now=200.0)
    assert fresh.age_ms(200.0) == 60_000
