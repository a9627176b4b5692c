"""Rows of two real servers that are compared while both are written: whatever differs in the end is found."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import psycopg
import pytest

from components.local.servers import home_comparison, home_move
from components.local.servers.errors import ServerFault
from components.local.servers.home_comparison import Comparison, Side, Snapshot
from components.local.servers.postgres_files import DATABASE, OWNER
from components.local.servers.postgres_session import session
from tests.components.local.servers.pairs import HOMES, Pair, pair, place, until

__all__ = ["pair"]
pytestmark = pytest.mark.servers

FILL = """
with people as (
    insert into public.customers (home, customer, last_sequence)
    select '00/us-east/' || lpad(to_hex(n %% 256), 2, '0'), 'filled-' || n, 1 from generate_series(1, %s) n
    returning home, customer
), ordered as (
    insert into public.orders (home, customer, item, quantity, sequence, created_at)
    select home, customer, 'lamp', 1, 1, now() from people returning home, id, customer
)
insert into public.idempotency_keys (home, customer, key, request_hash, order_id, created_at)
select home, customer, 'key', '\\x00', id, now() from ordered
"""


@pytest.fixture
def compared(pair: Pair) -> Iterator[Comparison]:
    """Filled, copied and followed; nothing was compared yet."""
    pair.source.execute(FILL, (500,))
    for number in range(50):
        place(pair.source, f"old-{number}")
    home_move.mark(pair.source, HOMES, "other")
    home_move.publish(pair.source, HOMES)
    home_move.subscribe(pair.target, HOMES, pair.conninfo)
    until(lambda: home_move.is_copied(pair.target, HOMES), "copied")
    with ExitStack() as opened:
        source, target = (
            opened.enter_context(session(each.stack_folder, each.endpoint, OWNER, DATABASE, statement_ms=0))
            for each in (pair.main, pair.other)
        )
        found = Comparison(Side(source, HOMES), Side(target, HOMES))
        opened.callback(found.close)
        yield found


def shipped(pair: Pair) -> None:
    mark = home_move.close(pair.source, HOMES)
    until(lambda: home_move.has_shipped(pair.target, HOMES, mark), "shipped")


def test_rows_that_are_the_same_are_found_so_whatever_was_written_meanwhile(pair: Pair, compared: Comparison) -> None:
    stop = threading.Event()

    def write() -> None:
        with session(pair.main.stack_folder, pair.main.endpoint, OWNER, DATABASE) as connection:
            number = 0
            while not stop.is_set():
                number += 1
                place(connection, f"new-{number % 30}")
                connection.execute("update public.orders set quantity = quantity + 1 where customer = 'filled-7'")
                connection.execute("delete from public.orders where customer = %s", (f"filled-{100 + number}",))

    writing = threading.Thread(target=write)
    writing.start()
    try:
        compared.begin()
        compared.settle(10)
        time.sleep(0.3)
        compared.settle(10)
    finally:
        stop.set()
        writing.join()
    assert compared.rows >= 3 * 550 - 100
    compared.look_ahead()
    shipped(pair)
    compared.finish(2)
    assert home_move.content(pair.source, HOMES) == home_move.content(pair.target, HOMES)


# Of the target alone, and the row that differs then; whoever makes them.
MISTAKES = {
    "delete from public.orders where customer = 'filled-3'": "orders",
    "update public.orders set quantity = 9 where customer = 'filled-4'": "orders",
    "insert into public.customers (home, customer) values ('00/us-east/10', 'nobody')": "customers",
    "delete from public.idempotency_keys where customer = 'filled-5'": "idempotency_keys",
}


def test_differences_of_before_are_found_before_users_wait(pair: Pair, compared: Comparison) -> None:
    for mistake in MISTAKES:
        pair.target.execute(mistake.encode())
    compared.begin()
    assert sorted(key[0] for key in compared.differing) == sorted(MISTAKES.values())
    with pytest.raises(ServerFault, match="rows differ"):
        compared.settle(0.3)


def test_differences_that_arise_afterwards_are_found_too(pair: Pair, compared: Comparison) -> None:
    compared.begin()
    compared.settle(10)
    assert not compared.differing
    compared.look_ahead()
    shipped(pair)
    found: list[str] = []
    for mistake, table in MISTAKES.items():
        pair.target.execute(mistake.encode())  # after the look ahead, or beside it
        with pytest.raises(ServerFault, match="rows differ"):
            compared.finish(0.1)
        found.append(table)
        assert sorted(key[0] for key in compared.differing) == sorted(found)


def test_a_change_that_never_arrives_is_found(pair: Pair, compared: Comparison) -> None:
    compared.begin()
    compared.settle(10)
    pair.target.execute("alter subscription move_001 disable")
    until(
        lambda: (
            pair.source.execute("select active from pg_replication_slots where slot_name = 'move_001'").fetchone()
            == (False,)
        ),
        "nothing is shipped",
    )
    place(pair.source, "old-1")
    home_move.close(pair.source, HOMES)
    with pytest.raises(ServerFault, match="1 of idempotency_keys, 1 of orders, 1 of customers"):
        compared.finish(0.3)
    assert {key[0] for key in compared.differing} == {"customers", "orders", "idempotency_keys"}


def test_a_change_that_cannot_be_seen_yet_is_waited_for(pair: Pair, compared: Comparison) -> None:
    """A commit that waits for a standby is in the log, and shipped, before anybody at the source sees it."""
    compared.begin()
    compared.settle(10)
    pair.target.execute("alter subscription move_001 disable")
    pair.source.execute("alter system set synchronous_standby_names = 'nobody'")
    pair.source.execute("select pg_reload_conf()")
    until(lambda: pair.source.execute("show synchronous_standby_names").fetchone() == ("nobody",), "told")
    placing = threading.Thread(target=_place_apart, args=(pair,))
    placing.start()
    waiting = "select count(*) from pg_stat_activity where wait_event = 'SyncRep' and backend_xid is not null"
    until(lambda: pair.source.execute(waiting).fetchone() == (1,), "the commit waits")
    compared.look()
    changed = {key[0] for key in compared.differing}
    compared.look()
    assert {key[0] for key in compared.differing} == changed == {"customers", "orders", "idempotency_keys"}
    pair.source.execute("set synchronous_commit = local")
    pair.source.execute("alter system reset synchronous_standby_names")
    pair.source.execute("select pg_reload_conf()")
    placing.join(20)
    compared.look()
    assert compared.differing, "it is at the source alone"
    pair.target.execute("alter subscription move_001 enable")
    compared.settle(10)
    assert not compared.differing


def _place_apart(pair: Pair) -> None:
    with session(pair.main.stack_folder, pair.main.endpoint, OWNER, DATABASE) as connection:
        place(connection, "old-1")


def test_other_homes_are_no_matter_of_it_and_nothing_is_left(pair: Pair, compared: Comparison) -> None:
    compared.begin()
    compared.settle(10)
    place(pair.source, "elsewhere", region="eu-central")
    compared.look()
    assert not compared.differing
    for side in (compared.source, compared.target):
        side.connection.close()
    with pytest.raises(psycopg.Error):
        compared.look()
    slots = "select count(*) from pg_replication_slots where slot_name like '%check%'"
    until(lambda: pair.source.execute(slots).fetchone() == (0,), "its slot is gone")
    for each in (pair.source, pair.target):
        home_comparison.forget(each, HOMES)
        home_comparison.forget(each, HOMES)
        assert not each.execute("select from pg_publication where pubname like '%check%'").fetchall()


def test_a_transaction_is_seen_once_it_runs_no_more_also_where_numbers_begin_again() -> None:
    now = Snapshot.parse("100:105:100,103")
    assert [number for number in range(98, 107) if now.shows(number)] == [98, 99, 101, 102, 104]
    late = Snapshot.parse(f"{2**33 - 3}:{2**33 + 2}:{2**33 - 3},{2**33}")
    assert [late.shows(number) for number in (2**32 - 4, 2**32 - 3, 2**32 - 1, 0, 1, 2)] == [
        True, False, True, False, True, False,
    ]  # fmt: skip
    assert Snapshot.parse("7:7:").shows(6)
