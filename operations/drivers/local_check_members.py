"""Every table of a partition part by part: each replica against its writer, and the rows against who has their home.

A writer is asked for a part of a table in one statement, and then for the position of its log. A replica is asked for
the same part once it has replayed that position. Where the sums differ the rows are read, at the writer before and
after the replica, and more than once (operations/partitions/check.py says what is believed).
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from components.local.servers import home_move, table_walk
from components.local.servers.postgres_session import Connection
from components.local.servers.table_walk import Key, Span, Table
from operations.drivers.local_check_round import Round
from operations.drivers.local_check_seats import Away, Seat, Seats, await_replay, ranges
from operations.partitions import check, check_homes
from operations.partitions.check import Row, Suspect, next_size
from operations.partitions.check_homes import Range
from topology.homes import born

T = TypeVar("T")

FIRST_SIZE = 1000


def walk(run: Round, seats: Seats) -> tuple[int, int, int]:
    """Every table against every replica: how many rows and tables, and how many rows could not be compared."""
    rows, restless = 0, 0
    tables = seats.writer.ask(table_walk.tables)
    for table in tables:
        after: Key | None = None
        size = FIRST_SIZE
        own = seats.writer.ask(ranges)
        while True:
            began = time.monotonic()
            span, here, homes = seats.writer.ask(partial(table_walk.first_part, table=table, after=after, size=size))
            position = seats.writer.ask(home_move.position)
            took = time.monotonic() - began
            question = partial(table_walk.part, table=table, span=span)
            sums = _at_replicas(run, seats, position, question, table)
            if any(there != here for there in sums.values()):
                restless += _differences(run, seats, table, span)
            strangers = [home for home in homes if not _owned(own, home)]
            if strangers and table.title != "public.directory":
                run.steady(partial(_outside, run, seats, table, span, strangers))
            rows += here.count
            run.progress(here.count)
            size = next_size(size, took)
            if (after := span.last) is None:
                break
    return rows, len(tables), restless


def _at_replicas(
    run: Round, seats: Seats, position: str, question: Callable[[Connection], T], table: Table
) -> dict[str, T]:
    """What each replica answers that has what the writer had at the position. One that cannot is out of it."""

    def answer(seat: Seat) -> T | Away:
        try:
            await_replay(seat, position)
            return seat.ask(question)
        except Away as fault:
            return fault

    found: dict[str, T] = {}
    for seat, each in zip(list(seats.replicas), run.pool.map(answer, seats.replicas), strict=True):
        if isinstance(each, Away):
            run.skip(seat.member, f"{each} (at {table.title})")
            seats.replicas.remove(seat)
        else:
            found[seat.member] = each
    return found


def _differences(run: Round, seats: Seats, table: Table, span: Span) -> int:
    """Tells the rows that differ, and returns how many are never still."""
    looks: list[set[tuple[str, tuple[tuple[str, str], ...]]]] = []

    def look() -> list[Suspect]:
        found = _rows_that_differ(run, seats, table, span)
        looks.append({(each.member, each.key) for each in found})
        return found

    found = run.steady(look)
    always = set.intersection(*looks) if len(looks) > len(run.pauses) else set()
    return len(always - {(each.member, each.key) for each in found})


def _rows_that_differ(run: Round, seats: Seats, table: Table, span: Span) -> list[Suspect]:
    question = partial(_rows, table=table, span=span)
    before = seats.writer.ask(question)
    position = seats.writer.ask(home_move.position)
    replicas = _at_replicas(run, seats, position, question, table)
    in_flight = seats.writer.ask(_in_flight)  # before the rows: what ends in between is among them then
    after = seats.writer.ask(question)
    return [
        Suspect(
            kind="row_differs",
            partition=seats.partition,
            member=member,
            table=table.title,
            key=tuple(zip(table.key, key, strict=True)),
            value=value,
        )
        for member, there in replicas.items()
        for key, value in check.differing(before, there, after, in_flight).items()
    ]


def _outside(run: Round, seats: Seats, table: Table, span: Span, homes: Sequence[str]) -> list[Suspect]:
    """Rows of homes that another partition writes, or nobody; where a move is under way they may be here."""
    name = seats.partition
    own = seats.writer.ask(ranges)
    strangers = [home for home in homes if not _owned(own, home)]
    rows = seats.writer.ask(partial(table_walk.of_homes, table=table, span=span, homes=strangers))
    databases = run.databases()
    found: list[Suspect] = []
    by_owner: dict[str | None, list[tuple[Key, str]]] = {}
    for key, home in rows:
        by_owner.setdefault(check_homes.written_by(databases, home), []).append((key, home))
    move = run.move()  # after the rows were seen: a move is recorded before it copies anything
    for other, each in by_owner.items():
        moving = {home for _, home in each if check_homes.moves(move, home, name)}
        if moving and move is not None:
            run.moving(move)
        left = [(key, home) for key, home in each if home not in moving]
        if other is None:  # those of partitions that are there are told as homes, not row by row
            slots = [born(ground.partition.slot) for ground in run.grounds.values()]
            left = [(key, home) for key, home in left if not any(low <= home < high for low, high in slots)]
        if not left:
            continue
        there: set[Key] = set()
        if other is not None and other in run.seats:
            there = run.seats[other].writer.ask(partial(table_walk.present, table=table, keys=[key for key, _ in left]))
        found += [
            Suspect(
                kind="left_behind" if key in there else "outside_home",
                partition=name,
                member=seats.writer.member,
                other=other or "nobody",
                table=table.title,
                key=tuple(zip(table.key, key, strict=True)),
                home=home,
            )
            for key, home in left
        ]
    return found


def _rows(connection: Connection, table: Table, span: Span) -> dict[Key, Row]:
    found = table_walk.rows(connection, table, span)
    return {key: Row(hash=hash_, xmin=xmin, xmax=xmax) for key, (hash_, xmin, xmax) in found.items()}


def _in_flight(connection: Connection) -> set[str]:
    """The transactions that have written something and are not done."""
    query = (
        "select backend_xid::text from pg_stat_activity where backend_xid is not null "
        "union select transaction::text from pg_prepared_xacts"
    )
    return {str(xid) for (xid,) in connection.execute(query).fetchall()}


def _owned(own: Sequence[Range], home: str) -> bool:
    """Where a database says nothing of homes, as one of before there were any, all are its own."""
    return not own or check_homes.written_by({"": own}, home) is not None
