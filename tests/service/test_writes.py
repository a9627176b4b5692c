"""What the database keeps true: sequences, keys, homes, commits that waited in vain."""

import asyncio
import re
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from service.member import Member
from service.settings import Database, Endpoint
from tests.service.conftest import Regions
from tests.service.servers import PASSWORD, eventually

pytestmark = pytest.mark.servers


WAITS = "select pid from pg_stat_activity where usename = 'service' and wait_event = 'SyncRep'"
WAITS_FOR_A_LOCK = "select pid from pg_stat_activity where usename = 'service' and wait_event_type = 'Lock'"


async def burst(orders: list[tuple[str, dict[str, Any], dict[str, str]]]) -> list[httpx.Response]:
    limits = httpx.Limits(max_connections=len(orders))
    async with httpx.AsyncClient(timeout=20, limits=limits) as client:
        return await asyncio.gather(
            *(client.post(f"{url}/orders", json=order, headers=headers) for url, order, headers in orders)
        )


def test_the_first_orders_of_new_customers_meet_without_an_error(regions: Regions) -> None:
    """Two unique keys meet in the customer's first row, and only one of them is the arbiter of ON CONFLICT."""
    for _ in range(4):
        customers = [f"new-{uuid.uuid4()}" for _ in range(8)]
        orders = [
            (regions.writer.url, {"customer": who, "item": "x", "quantity": 1}, {"Idempotency-Key": str(uuid.uuid4())})
            for _ in range(5)
            for who in customers
        ]
        assert Counter(answer.status_code for answer in asyncio.run(burst(orders))) == {201: 40}


def test_fifty_writers_on_one_customer_leave_no_gap_and_no_double(regions: Regions) -> None:
    who = f"busy-{uuid.uuid4()}"
    answers = asyncio.run(
        burst(
            [
                (
                    (regions.writer if number % 2 else regions.reader).url,
                    {"customer": who, "item": f"item-{number}", "quantity": 1},
                    {"Idempotency-Key": str(uuid.uuid4())},
                )
                for number in range(50)
            ]
        )
    )
    assert Counter(answer.status_code for answer in answers) == {201: 50}
    assert sorted(answer.json()["sequence"] for answer in answers) == list(range(1, 51))
    rows = regions.primary.ask("select sequence, created_at from orders where customer = %s order by 1", who)
    assert [row[0] for row in rows] == list(range(1, 51))
    assert [row[1] for row in rows] == sorted(row[1] for row in rows), "later in sequence is later in time"
    # Both regions met this new customer at once; it has one home all the same.
    assert len(regions.primary.ask("select distinct home from orders where customer = %s", who)) == 1


def test_one_key_sent_many_times_at_once_places_one_order(regions: Regions) -> None:
    who, headers = f"keen-{uuid.uuid4()}", {"Idempotency-Key": str(uuid.uuid4())}
    order = {"customer": who, "item": "lamp", "quantity": 1}
    answers = asyncio.run(burst([(regions.writer.url, order, headers)] * 30))
    statuses = Counter(answer.status_code for answer in answers)
    assert statuses[201] == 1
    assert set(statuses) <= {200, 201, 409}
    assert all(answer.headers["Retry-After"] == "1" for answer in answers if answer.status_code == 409)
    assert len({answer.content for answer in answers if answer.status_code in (200, 201)}) == 1
    assert regions.primary.ask("select count(*) from orders where customer = %s", who) == [(1,)]


def test_a_key_older_than_a_day_is_new_again_and_is_removed(regions: Regions, near: httpx.Client) -> None:
    who, headers = f"slow-{uuid.uuid4()}", {"Idempotency-Key": "daily"}
    order = {"customer": who, "item": "paper", "quantity": 1}
    aged = "update idempotency_keys set created_at = now() - %s::interval where customer = %s"
    first = near.post("/orders", json=order, headers=headers)
    regions.primary.ask(aged, "23 hours 59 minutes", who)
    assert near.post("/orders", json=order, headers=headers).content == first.content
    regions.primary.ask(aged, "24 hours 1 second", who)
    second = near.post("/orders", json={**order, "quantity": 2}, headers=headers)
    assert (second.status_code, second.json()["sequence"]) == (201, 2)
    assert near.post("/orders", json={**order, "quantity": 2}, headers=headers).content == second.content

    keys = "select count(*) from idempotency_keys where customer = %s"
    password = regions.folder / "service.password"
    assert sweep(regions, password) == 0
    assert regions.primary.ask(keys, who) == [(1,)]
    regions.primary.ask(aged, "24 hours 1 second", who)
    assert sweep(regions, password) == 1
    assert regions.primary.ask(keys, who) == [(0,)]


def sweep(regions: Regions, password: Path) -> int:
    async def run() -> int:
        member = Member(
            "main",
            Endpoint(host="127.0.0.1", port=regions.primary.port),
            Database(name="orders", user="service", password_file=password),
            capacity=1.0,
        )
        try:
            return await member.sweep()
        finally:
            await member.close(1)

    return asyncio.run(run())


def test_the_home_is_the_users_region_at_the_first_order(regions: Regions, near: httpx.Client) -> None:
    who = f"mover-{uuid.uuid4()}"
    order = {"customer": who, "item": "box", "quantity": 1}
    for region, sequence in (("ap-northeast", 1), ("us-east", 2), (None, 3)):
        headers = {"Idempotency-Key": str(uuid.uuid4())} | ({"X-User-Region": region} if region else {})
        assert near.post("/orders", json=order, headers=headers).json()["sequence"] == sequence
    ((home,),) = regions.primary.ask("select distinct home from orders where customer = %s", who)
    assert re.fullmatch("00/ap-northeast/[0-9a-f]{2}", home)
    assert regions.primary.ask("select home from customers where customer = %s", who) == [(home,)]


def test_a_home_settled_by_another_request_meanwhile_is_respected(regions: Regions, near: httpx.Client) -> None:
    who = f"twice-{uuid.uuid4()}"
    order = {"customer": who, "item": "box", "quantity": 1}
    with regions.primary.session() as other, ThreadPoolExecutor(1) as pool:
        other.execute("begin")
        other.execute("insert into customers values ('ap-northeast', %s, 1)", (who,))
        answer = pool.submit(near.post, "/orders", json=order, headers={"Idempotency-Key": "1"})
        eventually(
            lambda: regions.primary.ask(WAITS_FOR_A_LOCK),
            "the order waits",
        )
        other.execute("commit")
        assert (answer.result().status_code, answer.result().json()["sequence"]) == (201, 2)
    assert regions.primary.ask("select home from orders where customer = %s", who) == [("ap-northeast",)]


@contextmanager
def closed(regions: Regions, first: str, last: str, session: "psycopg.Connection[Any] | None" = None) -> Iterator[None]:
    """The homes of a range are not this database's, as while they are being moved away."""
    rows = "insert into home_ranges (first, owned) values (%s, false), (%s, true)"
    if session is not None:
        session.execute(rows, (first, last))
    else:
        regions.primary.ask(rows, first, last)
    try:
        yield
    finally:
        regions.primary.ask("delete from home_ranges where first = any(%s)", [first, last])


def test_a_home_that_moved_away_takes_no_orders(regions: Regions, near: httpx.Client) -> None:
    who = f"gone-{uuid.uuid4()}"
    order = {"customer": who, "item": "box", "quantity": 1}
    headers = {"X-User-Region": "ap-northeast"}
    with closed(regions, "00/ap-northeast/", "00/ap-northeast0"):
        soon = {"Idempotency-Key": "1", "X-Meridian-Deadline-Ms": "500"}
        answer = near.post("/orders", json=order, headers={**headers, **soon})
        # After 3 s as a rule, after 1 s where the last try was cut short by the deadline; placed by neither.
        assert (answer.status_code, answer.headers["Retry-After"] in ("1", "3")) == (503, True)
        assert near.post("/orders", json=order, headers={"Idempotency-Key": "1"}).status_code == 201


def test_the_move_waits_for_orders_and_orders_see_its_flag(regions: Regions, near: httpx.Client) -> None:
    """The barrier: an order that waited for the move's lock must read the flag of after the move."""
    order = {"customer": f"barrier-{uuid.uuid4()}", "item": "box", "quantity": 1}
    headers = {"X-User-Region": "ap-northeast", "Idempotency-Key": "1"}
    with regions.primary.session() as move, ThreadPoolExecutor(1) as pool:
        move.execute("begin")
        move.execute("select pg_advisory_xact_lock(hashtextextended('meridian homes', 0))")
        answer = pool.submit(near.post, "/orders", json=order, headers=headers)
        eventually(
            lambda: regions.primary.ask("select 1 from pg_locks where locktype = 'advisory' and not granted"),
            "the order waits",
        )
        with closed(regions, "00/ap-northeast/", "00/ap-northeast0", move):
            move.execute("commit")
            assert answer.result().status_code == 503  # after it was held
    assert near.post("/orders", json=order, headers=headers).status_code == 201


def test_founding_a_partition_again_gives_nothing_back(regions: Regions) -> None:
    with closed(regions, "00/us-east/", "00/us-east0"):
        before = regions.primary.ask("select * from home_ranges order by first")
        regions.primary.ask("select found_partition(0)")
        assert regions.primary.ask("select * from home_ranges order by first") == before


def test_a_deadline_ends_the_wait_for_a_lock_with_nothing_written(regions: Regions, near: httpx.Client) -> None:
    who = f"locked-{uuid.uuid4()}"
    order = {"customer": who, "item": "box", "quantity": 1}
    assert near.post("/orders", json=order, headers={"Idempotency-Key": "1"}).status_code == 201
    with regions.primary.session() as other:
        other.execute("begin")
        other.execute("select from customers where customer = %s for update", (who,))
        begin = time.monotonic()
        answer = near.post("/orders", json=order, headers={"Idempotency-Key": "2", "X-Meridian-Deadline-Ms": "300"})
        assert time.monotonic() - begin < 1
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:meridian:problem:unavailable")
        other.execute("rollback")
    answer = near.post("/orders", json=order, headers={"Idempotency-Key": "2"})
    assert (answer.status_code, answer.json()["sequence"]) == (201, 2)


def test_a_commit_whose_wait_was_cancelled_is_not_acknowledged(regions: Regions, near: httpx.Client) -> None:
    """The server says such a commit went well, and warns that it is local only. Neither it nor a replay may count."""
    who = f"quorum-{uuid.uuid4()}"
    order, headers = {"customer": who, "item": "box", "quantity": 1}, {"Idempotency-Key": "1"}
    synchronous(regions, "nobody")
    try:
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(near.post, "/orders", json=order, headers=headers)
            eventually(lambda: regions.primary.ask(WAITS), "the commit waits")
            regions.primary.ask(f"select pg_cancel_backend(pid) from ({WAITS})")
            assert answer.result().status_code == 503
            assert answer.result().json()["type"] == "urn:meridian:problem:outcome-unknown"
        assert regions.primary.ask("select count(*) from orders where customer = %s", who) == [(1,)], "visible here"
        begin = time.monotonic()
        replay = near.post("/orders", json=order, headers={**headers, "X-Meridian-Deadline-Ms": "300"})
        assert (replay.status_code, replay.json()["type"]) == (503, "urn:meridian:problem:outcome-unknown")
        assert time.monotonic() - begin < 1
        assert near.post("/orders", json=order, headers=headers).status_code == 409, "the replay is still waiting"
    finally:
        synchronous(regions, "")
    eventually(lambda: not regions.primary.ask(WAITS), "no commit waits")
    replay = near.post("/orders", json=order, headers=headers)
    assert (replay.status_code, replay.json()["sequence"]) == (200, 1)


def test_writes_that_wait_for_a_standby_leave_reads_alone(regions: Regions, near: httpx.Client) -> None:
    order, headers = {"customer": "r", "item": "box", "quantity": 1}, {"Idempotency-Key": str(uuid.uuid4())}
    placed = near.post("/orders", json=order, headers=headers)
    synchronous(regions, "nobody")
    stuck: list[httpx.Response] = []
    orders = [
        (
            regions.writer.url,
            {"customer": f"stuck-{number}-{uuid.uuid4()}", "item": "i", "quantity": 1},
            {"Idempotency-Key": "1", "X-Meridian-Deadline-Ms": "1500"},
        )
        for number in range(60)
    ]
    writing = threading.Thread(target=lambda: stuck.extend(asyncio.run(burst(orders))))
    writing.start()
    try:
        eventually(lambda: len(regions.primary.ask(WAITS)) == 40, "every write connection waits")
        for _ in range(20):
            begin = time.monotonic()
            listed = near.get("/orders", params={"customer": "r"})
            assert (listed.status_code, listed.json()["orders"][0]["id"]) == (200, placed.json()["id"])
            assert time.monotonic() - begin < 0.5
        assert near.get("/healthz/ready").status_code == 200
    finally:
        synchronous(regions, "")
        writing.join(timeout=20)
    assert {answer.status_code for answer in stuck} <= {201, 503}
    assert len(stuck) == 60
    eventually(lambda: not regions.primary.ask(WAITS), "no commit waits")


def synchronous(regions: Regions, names: str) -> None:
    regions.primary.ask(f"alter system set synchronous_standby_names = '{names}'")
    regions.primary.ask("select pg_reload_conf()")
    # Reached by a new session only once the reload is through.
    eventually(lambda: regions.primary.ask("show synchronous_standby_names") == [(names,)], "the setting is in force")


def test_connections_that_the_server_closed_are_replaced_unseen(regions: Regions, near: httpx.Client) -> None:
    """A failover leaves a pool of them; no request may pay for each."""
    for number in range(3):
        regions.primary.ask("select pg_terminate_backend(pid, 2000) from pg_stat_activity where usename = 'service'")
        order = {"customer": f"cut-{uuid.uuid4()}", "item": "i", "quantity": 1}
        answer = near.post("/orders", json=order, headers={"Idempotency-Key": f"{number}"})
        assert answer.status_code == 201, answer.text


def test_the_service_may_not_change_whose_an_order_is_or_when_it_was_placed(regions: Regions) -> None:
    with psycopg.connect(
        host="127.0.0.1", port=regions.primary.port, user="service", password=PASSWORD, dbname="orders", autocommit=True
    ) as session:
        for statement in (
            "update orders set customer = 'x'",
            "update orders set home = '00/x/00'",
            "update orders set sequence = 9",
            "update orders set created_at = now()",
            "delete from customers",
            "update customers set home = 'x'",
            "update home_ranges set owned = true",
            "update directory set home = '00/x/00'",
            "delete from directory",
            "truncate idempotency_keys",
            "create table mine (id int)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute(statement.encode())


def test_rows_that_a_filtered_publication_leaves_out_can_still_change(regions: Regions, near: httpx.Client) -> None:
    """Phase 5 moves homes by publications with a row filter; that is why `home` is in every primary key."""
    tables = ("customers", "orders", "idempotency_keys")
    within = "home >= '00/us-east/' and home < '00/us-east0'"
    regions.primary.ask(
        "create publication move for table " + ", ".join(f"{table} where ({within})" for table in tables)
    )
    try:
        for number in (1, 2):
            answer = near.post(
                "/orders",
                json={"customer": "published", "item": "i", "quantity": 1},
                headers={"Idempotency-Key": f"{number}", "X-User-Region": "us-east"},
            )
            assert answer.status_code == 201, answer.text
        order = answer.json()
        for method, content, status in (("PATCH", {"quantity": 2}, 200), ("DELETE", None, 204)):
            answer = near.request(
                method,
                f"/orders/{order['id']}",
                params={"customer": "published"},
                json=content,
                headers={"Idempotency-Key": method},
            )
            assert answer.status_code == status, answer.text
    finally:
        regions.primary.ask("drop publication move")
