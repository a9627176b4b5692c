"""The members that a check can ask, each with a session, and what is asked of any of them."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import psycopg

from components.local.servers.postgres_session import Connection
from operations.partitions.check_homes import Range

T = TypeVar("T")

LAG_SECONDS = 10.0
POLL = 0.01
TRIES = 3  # of a statement that a replica gives up because what it replays comes first


class Away(Exception):  # noqa: N818
    """A server that cannot be asked any more, or no longer for what it was."""


@dataclass(frozen=True, kw_only=True)
class Seat:
    """A member with a session."""

    member: str
    region: str
    connection: Connection

    def ask(self, question: Callable[[Connection], T]) -> T:
        for left in reversed(range(TRIES)):
            try:
                return question(self.connection)
            except psycopg.errors.SerializationFailure as fault:
                if not left:
                    raise Away(reason(fault)) from None
            except psycopg.Error as fault:
                raise Away(reason(fault)) from None
        raise AssertionError


@dataclass(kw_only=True)
class Seats:
    """A partition's members that can be compared now; `replicas` lose those that go away."""

    partition: str
    writer: Seat
    timeline: int
    replicas: list[Seat]
    slots: tuple[str, ...]  # that the writer keeps for its members


def ranges(connection: Connection) -> list[Range]:
    query = "select first, owned, moving_to, moved_to from public.home_ranges order by first"
    return [
        Range(first=str(first), owned=bool(owned), moving_to=moving_to, moved_to=moved_to)
        for first, owned, moving_to, moved_to in connection.execute(query).fetchall()
    ]


def writes_on(connection: Connection, timeline: int) -> bool:
    query = "select not pg_is_in_recovery() and ('x' || public.timeline())::bit(32)::int = %s"
    return connection.execute(query, (timeline,)).fetchone() == (True,)


def await_replay(seat: Seat, position: str) -> None:
    deadline = time.monotonic() + LAG_SECONDS
    query = "select pg_last_wal_replay_lsn() >= %s::pg_lsn"
    while seat.ask(lambda at: at.execute(query, (position,)).fetchone()) != (True,):
        if time.monotonic() > deadline:
            raise Away(f"lags: it did not have within {LAG_SECONDS:.0f} s what its writer had")
        time.sleep(POLL)


def reason(fault: Exception) -> str:
    return (str(fault).strip().splitlines() or [type(fault).__name__])[0]
