"""Homes that go from one real server to another while they are written, and come to the same rows whatever happens."""

import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field

import psycopg
import pytest

from components.local.servers import home_move
from components.local.servers.errors import ServerFault
from components.local.servers.postgres_files import DATABASE, SERVICE
from components.local.servers.postgres_session import Connection, parameters
from tests.components.local.servers.pairs import HOMES, Pair, change, pair, place, until

__all__ = ["pair"]

pytestmark = pytest.mark.servers


@dataclass
class Users:
    """People who order at the source and go where they are told."""

    pair: Pair
    placed: list[str] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def __enter__(self) -> "Users":
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._go, args=(number,), daemon=True) for number in range(3)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(20)

    def _go(self, number: int) -> None:
        try:
            with ExitStack() as opened:
                connections = [
                    opened.enter_context(
                        psycopg.connect(
                            **parameters(member.stack_folder, member.endpoint, SERVICE, DATABASE, 0), autocommit=True
                        )
                    )
                    for member in (self.pair.main, self.pair.other)
                ]
                here, count = 0, 0
                while not self._stop.is_set():
                    count += 1
                    who = f"user-{number}-{count % 20}"
                    began = time.monotonic()
                    while True:
                        outcome, moved_to = place(connections[here], who)
                        if outcome == "placed":
                            break
                        assert outcome == "moved", outcome
                        if moved_to == "other":
                            here = 1
                        time.sleep(0.002)
                    self.pauses.append(time.monotonic() - began)
                    self.placed.append(who)
        except Exception as fault:
            self.faults.append(repr(fault))


def orders(connection: Connection) -> list[tuple[str, int]]:
    query = "select customer, sequence from public.orders where home like '00/us-east/%' order by 1, 2"
    return [(str(row[0]), int(row[1])) for row in connection.execute(query).fetchall()]


def test_homes_move_under_load_and_nothing_is_lost_or_doubled(pair: Pair) -> None:
    for number in range(300):
        place(pair.source, f"old-{number % 50}")
        if number % 3 == 0:
            place(pair.source, f"stays-{number}", region="eu-central")
    with Users(pair) as users:
        time.sleep(0.5)
        home_move.mark(pair.source, HOMES, "other")
        home_move.publish(pair.source, HOMES)
        home_move.publish(pair.source, HOMES)
        home_move.subscribe(pair.target, HOMES, pair.conninfo)
        until(lambda: home_move.is_copied(pair.target, HOMES), "copied")
        home_move.subscribe(pair.target, HOMES, pair.conninfo)
        until(lambda: home_move.behind(pair.source, HOMES) < 100_000, "caught up")
        # Deletes travel too, as of keys that are a day old.
        pair.source.execute("delete from public.idempotency_keys where customer = 'old-7'")
        before = len(users.placed)
        assert before > 50, "people ordered all the while"

        began = time.monotonic()
        first, mark = home_move.close(pair.source, HOMES), home_move.close(pair.source, HOMES)
        assert first != mark
        until(lambda: home_move.has_shipped(pair.target, HOMES, mark), "shipped")
        shipped = time.monotonic()
        assert home_move.content(pair.source, HOMES) == home_move.content(pair.target, HOMES)
        assert place(pair.source, "old-1") == ("moved", None)
        home_move.open_at(pair.target, HOMES)
        home_move.hand_over(pair.source, HOMES, "other")
        ended = time.monotonic()
        print(f"shipped after {shipped - began:.3f} s, opened after {ended - began:.3f} s")
        time.sleep(0.5)
        home_move.unsubscribe(pair.target, HOMES)
        home_move.unsubscribe(pair.target, HOMES)
        home_move.unpublish(pair.source, HOMES)
        home_move.unpublish(pair.source, HOMES)
        while home_move.remove(pair.source, HOMES, batch=50):
            pass
    assert not users.faults
    assert max(users.pauses) < 5
    assert not orders(pair.source)
    found = orders(pair.target)
    assert len(found) == len(users.placed) + 300
    for who in {customer for customer, _ in found}:
        assert [sequence for customer, sequence in found if customer == who] == list(
            range(1, sum(customer == who for customer, _ in found) + 1)
        )
    assert pair.source.execute("select count(*) from public.orders").fetchone() == (100,), "the others stayed"
    assert place(pair.source, "stays-0", region="eu-central")[0] == "placed"
    assert pair.source.execute("select count(*) from pg_replication_slots").fetchone() == (0,)


def test_changes_and_cancellations_travel_too(pair: Pair) -> None:
    """Before the first copy, behind it, and none once the homes are closed."""
    for number in range(30):
        place(pair.source, f"user-{number % 3}")

    def ids() -> list[tuple[str, str]]:
        query = "select customer, id::text from public.orders where revision = 1 order by id"
        return [(str(row[0]), str(row[1])) for row in pair.source.execute(query).fetchall()]

    def write(connection: Connection) -> set[str]:
        changed, cancelled, *_ = ids()
        return {change(connection, *changed, cancels=False), change(connection, *cancelled, cancels=True)}

    assert write(pair.source) == {"changed", "cancelled"}
    home_move.mark(pair.source, HOMES, "other")
    home_move.publish(pair.source, HOMES)
    assert write(pair.source) == {"changed", "cancelled"}
    home_move.subscribe(pair.target, HOMES, pair.conninfo)
    assert write(pair.source) == {"changed", "cancelled"}
    until(lambda: home_move.is_copied(pair.target, HOMES), "copied")
    for _ in range(5):
        assert write(pair.source) == {"changed", "cancelled"}
    assert write(pair.target) == {"moved"}
    mark = home_move.close(pair.source, HOMES)
    assert write(pair.source) == {"moved"}
    until(lambda: home_move.has_shipped(pair.target, HOMES, mark), "shipped")
    assert home_move.content(pair.source, HOMES) == home_move.content(pair.target, HOMES)
    home_move.open_at(pair.target, HOMES)
    home_move.hand_over(pair.source, HOMES, "other")
    assert write(pair.target) == {"changed", "cancelled"}
    quantities = "select quantity, count(*) from public.orders group by 1 order by 1"
    assert pair.target.execute(quantities).fetchall() == [(1, 12), (7, 9)]
    assert "moved" in write(pair.source)
    # What was cancelled since is not missed; what is gone otherwise, as after a failover that lost it, is.
    assert home_move.lacking(pair.source, pair.target, HOMES) == []
    (lost,) = pair.target.execute("select id::text from public.orders limit 1").fetchall()[0]
    pair.target.execute("delete from public.orders where id = %s", (lost,))
    assert home_move.lacking(pair.source, pair.target, HOMES) == [lost]
    home_move.unsubscribe(pair.target, HOMES)
    home_move.unpublish(pair.source, HOMES)


def test_a_move_that_is_given_up_leaves_the_source_as_it_was(pair: Pair) -> None:
    for number in range(20):
        place(pair.source, f"old-{number}")
    before = home_move.content(pair.source, HOMES)
    home_move.mark(pair.source, HOMES, "other")
    home_move.publish(pair.source, HOMES)
    home_move.subscribe(pair.target, HOMES, pair.conninfo)
    until(lambda: home_move.is_copied(pair.target, HOMES), "copied")
    home_move.close(pair.source, HOMES)
    home_move.reopen(pair.source, HOMES)
    home_move.unsubscribe(pair.target, HOMES)
    home_move.unpublish(pair.source, HOMES)
    while home_move.remove(pair.target, HOMES):
        pass
    assert home_move.content(pair.source, HOMES) == before
    assert home_move.content(pair.target, HOMES).total == 0
    assert place(pair.source, "old-1")[0] == "placed"


def test_a_promoted_source_writes_none_of_the_homes_until_the_move_goes_on(pair: Pair) -> None:
    place(pair.source, "somebody")
    home_move.mark(pair.source, HOMES, "other")
    assert place(pair.source, "somebody")[0] == "placed"
    # As on a member that was promoted with the mark, and perhaps without what came after it.
    pair.source.execute("update public.home_ranges set timeline = '00000000' where moving_to is not null")
    assert place(pair.source, "somebody") == ("moved", None)
    assert place(pair.source, "another", region="eu-central")[0] == "placed"
    home_move.mark(pair.source, HOMES, "other")
    assert place(pair.source, "somebody")[0] == "placed"


def test_rows_of_homes_that_are_written_here_are_never_taken_away(pair: Pair) -> None:
    place(pair.source, "somebody")
    with pytest.raises(ServerFault, match="written here"):
        home_move.remove(pair.source, HOMES)


def test_a_writer_without_a_lease_takes_nothing_over(pair: Pair) -> None:
    pair.target.execute("insert into public.lease_policy (required) values (true)")
    with pytest.raises(ServerFault, match="lease"):
        home_move.open_at(pair.target, HOMES)


def test_homes_are_closed_only_by_a_writer_that_was_told_of_the_move(pair: Pair) -> None:
    """Else a member that is promoted later would know neither of the move nor of the closing, and write them."""
    place(pair.source, "somebody")
    with pytest.raises(ServerFault, match="writer changed"):
        home_move.close(pair.source, HOMES)
    home_move.mark(pair.source, HOMES, "other")
    pair.source.execute("update public.home_ranges set timeline = '00000000' where moving_to is not null")
    with pytest.raises(ServerFault, match="writer changed"):
        home_move.close(pair.source, HOMES)
    home_move.mark(pair.source, HOMES, "other")
    assert home_move.close(pair.source, HOMES)
