"""What only the old writer had is found in its log, and in its tables where that log is gone. Two real servers."""

import json
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from components.local.servers import postgres, postgres_demotion
from components.local.servers.paths import PROJECT
from components.local.servers.postgres_demotion import Fork
from components.local.servers.postgres_files import DATABASE, OWNER
from components.local.servers.postgres_session import session
from operations.drivers import local_rejoin, local_tail
from operations.drivers.local_ground import Ground
from operations.reconciliation import tails
from tests.components.local.servers.conftest import stack_of_its_own
from topology import from_summary, load, plan, to_summary

pytestmark = pytest.mark.servers

A, B = "eu-central", "us-east"  # the old writer, the new one
BOTH, LOST, MOVED = (str(uuid.UUID(int=number)) for number in (1, 2, 3))


def ask(ground: Ground, region: str, query: str, *values: Any) -> Any:
    with session(ground.folder, ground.member(region).endpoint, OWNER, DATABASE) as connection:
        cursor = connection.execute(query.encode(), values or None)
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def order(ground: Ground, region: str, number: str, sequence: int) -> None:
    ask(
        ground,
        region,
        "insert into orders (home, id, customer, item, quantity, sequence, created_at) "
        "values ('eu-central', %s, 'ada', 'book', 1, %s, '2026-11-21 10:00:00+00')",
        number,
        sequence,
    )
    ask(
        ground,
        region,
        "insert into idempotency_keys (home, customer, key, request_hash, order_id, created_at) "
        "values ('eu-central', 'ada', %s, '\\x00ff', %s, '2026-11-21 10:00:00+00')",
        f"key-{number}",
        number,
    )


def until(ground: Ground, region: str, query: str, wanted: Any) -> None:
    deadline = time.monotonic() + 15
    while ask(ground, region, query) != wanted:
        assert time.monotonic() < deadline, query
        time.sleep(0.05)


@contextmanager
def two_members() -> Iterator[Ground]:
    settings = {"target": "local", "phase": "async-replica", "regions": json.dumps([{"name": A}, {"name": B}])}
    summary = from_summary(to_summary(plan(load(settings, "test"))))
    with stack_of_its_own() as stack:
        ground = Ground(
            folder=stack.folder,
            addresses=stack.addresses,
            summary=summary,
            partition=summary.partitions[0],
            vantage=None,
            programs=None,
        )
        first, second = ground.member(A), ground.member(B)
        postgres.create_origin(first, (PROJECT / "service" / "schema.sql").read_text())
        postgres.create_replica(second, first.endpoint)
        yield ground


@pytest.fixture(scope="module")
def parted() -> Iterator[Ground]:
    """Two writers: B was promoted, and A, which was not told, has taken an order since."""
    with two_members() as ground:
        order(ground, A, BOTH, 1)
        ask(ground, A, "create table loose (n int, at timestamptz)")
        ask(ground, A, "insert into loose values (1, '2026-11-21 10:00:00+00')")
        until(ground, B, "select count(*) from loose", 1)
        ask(ground, B, "select pg_promote()")
        until(ground, B, "select not pg_is_in_recovery()", True)
        ask(ground, A, "select pg_drop_replication_slot(slot_name) from pg_replication_slots where not active")
        order(ground, A, LOST, 2)
        ask(ground, A, "insert into loose values (2, '2026-11-21 11:00:00+00')")
        ask(ground, A, "insert into customers values ('eu-central', 'ada', 2)")
        ask(ground, B, "insert into customers values ('eu-central', 'ada', 7)")
        order(ground, B, MOVED, 3)
        yield ground


def saved(ground: Ground) -> tuple[dict[str, Any], list[str], list[dict[str, Any]], Path]:
    folder = local_tail.save(ground, A, B)
    assert folder is not None
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    (tail,) = tails(ground.folder)
    return json.loads((folder / "tail.json").read_bytes()), [one.id for one in tail.open], rows, folder


def test_the_log_tells_what_only_the_old_writer_has(parted: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    record, orders, rows, folder = saved(parted)
    assert (record["found_by"], orders) == ("log", [LOST])
    assert sorted(row["table"] for row in rows) == [
        "public.customers",
        "public.idempotency_keys",
        "public.loose",
        "public.orders",
    ]
    assert "whole tables" not in capsys.readouterr().err
    # The kept log begins where the fork is, in files of the size that this stack has.
    size = postgres_demotion.control(parted.member(A)).segment
    first = postgres_demotion.lsn(record["from"]) // size
    kept = sorted(path.name for path in (folder / "wal").iterdir())
    assert size == 2**20
    assert kept[0] == f"00000001{first // (2**32 // size):08X}{first % (2**32 // size):08X}"
    shutil.rmtree(folder)


def test_without_the_log_whole_tables_are_compared_and_that_is_said(
    parted: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    member = parted.member(A)
    postgres.stop(member)
    postgres_demotion.restore(member)
    postgres.ensure_started(member)
    fork = postgres_demotion.fork(parted.folder, parted.member(B).endpoint, 1)
    assert isinstance(fork, Fork)
    recycle(parted, fork)

    record, orders, rows, folder = saved(parted)
    assert (record["found_by"], record["transactions"], orders) == ("tables", None, [LOST])
    assert "whole tables are compared" in capsys.readouterr().err
    found = {row["table"]: row for row in rows}
    assert len(found) == len(rows) == 4
    assert found["public.orders"]["row"]["id"] == LOST
    assert found["public.idempotency_keys"]["row"]["request_hash"] == "\\x00ff"
    assert found["public.loose"]["row"]["n"] == 2
    assert found["public.customers"]["there"]["last_sequence"] == 7  # what the new writer made of it
    assert record["rows"] == 4
    (tail,) = tails(parted.folder)
    assert (tail.found_by, [one.key for one in tail.open]) == ("tables", [f"key-{LOST}"])
    shutil.rmtree(folder)


def alter(ground: Ground, region: str, number: str, key: str, *, cancels: bool) -> None:
    outcome = ask(
        ground,
        region,
        "call change_order(null, 'ada', '\\x', %s, null, %s, %s, null, %s, '\\x01', '1s', "
        "null, null, null, null, null, null, null, null, null)",
        number,
        None if cancels else 5,
        cancels,
        key,
    )
    assert outcome == ("cancelled" if cancels else "changed")


@pytest.mark.parametrize("log_is_there", [True, False])
def test_changes_and_cancellations_are_kept_with_their_keys(log_is_there: bool) -> None:
    with two_members() as ground:
        ask(ground, A, "select found_partition(0)")
        ask(ground, A, "insert into customers values ('eu-central', 'ada', 9)")
        third = str(uuid.UUID(int=4))
        for sequence, number in enumerate((BOTH, MOVED, third), 1):
            order(ground, A, number, sequence)
        alter(ground, A, third, "before", cancels=False)
        until(ground, B, "select count(*) from idempotency_keys", 4)
        ask(ground, B, "select pg_promote()")
        until(ground, B, "select not pg_is_in_recovery()", True)
        ask(ground, A, "select pg_drop_replication_slot(slot_name) from pg_replication_slots where not active")
        alter(ground, A, BOTH, "first", cancels=False)
        alter(ground, A, BOTH, "second", cancels=True)
        alter(ground, A, MOVED, "third", cancels=False)
        alter(ground, A, third, "again", cancels=False)
        alter(ground, B, third, "again", cancels=False)  # by its user, at the new writer
        order(ground, A, LOST, 4)
        alter(ground, A, LOST, "fourth", cancels=False)
        if not log_is_there:
            fork = postgres_demotion.fork(ground.folder, ground.member(B).endpoint, 1)
            assert isinstance(fork, Fork)
            recycle(ground, fork)
        record, orders, _, _ = saved(ground)
        assert record["found_by"] == ("log" if log_is_there else "tables")
        (tail,) = tails(ground.folder)
        assert record["changes"] == len(tail.changes)
        found = [(each.key, each.id, each.cancels, each.quantity, each.based_on) for each in tail.open_changes]
        assert found == [
            ("first", BOTH, False, 5, 1),
            ("second", BOTH, True, None, 2),
            ("third", MOVED, False, 5, 1),
            ("fourth", LOST, False, 5, 1),
        ]
        if log_is_there:
            assert [each.key for each in tail.changes if each.known] == ["again"]
        assert orders == [LOST]


def recycle(ground: Ground, fork: Fork) -> None:
    """As checkpoints do it in time, until nothing of where the fork lies is left."""
    member = ground.member(A)
    for setting in ("wal_keep_size = 0", "min_wal_size = '2MB'"):
        ask(ground, A, f"alter system set {setting}")
    ask(ground, A, "select pg_reload_conf()")
    name = ask(ground, A, "select pg_walfile_name('0/0'::pg_lsn + %s::numeric)", fork.at)
    deadline = time.monotonic() + 20
    while (member.data / "pg_wal" / name).exists():
        assert time.monotonic() < deadline
        ask(ground, A, "create table if not exists public.filler ()")
        ask(ground, A, "drop table public.filler")
        ask(ground, A, "select pg_switch_wal()")
        ask(ground, A, "checkpoint")


def test_where_nothing_differs_nothing_is_kept(parted: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    order(parted, B, LOST, 2)
    ask(parted, B, "insert into loose values (2, '2026-11-21 11:00:00+00')")
    ask(parted, B, "update customers set last_sequence = 2")
    postgres.ensure_started(parted.member(A))
    assert local_tail.save(parted, A, B) is None
    assert "whole tables are compared" in capsys.readouterr().err


def test_a_server_apart_is_asked_for_its_end_once_it_has_replayed_all_that_lies_on_its_disk() -> None:
    """It answers long before, as soon as its data are consistent; what it holds behind that would be overlooked."""
    with two_members() as ground:
        ask(ground, B, "select pg_wal_replay_pause()")
        ask(ground, A, "create table bulk as select g, repeat('x', 500) from generate_series(1, 100000) g")
        end = ask(ground, A, "select (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint")
        until(ground, B, f"select pg_last_wal_receive_lsn() - '0/0'::pg_lsn >= {end}", True)
        member = ground.member(B)
        postgres.stop(member)
        found = postgres_demotion.control(member)
        assert found.last < end
        assert not found.clean  # a replica's checkpoint is not its end
        with postgres_demotion.apart(member):
            assert local_rejoin.last_replayed(ground, B) >= end
