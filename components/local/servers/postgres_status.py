"""How a partition's members are doing, asked of all of them at once and never for long."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import psycopg

from components.local.servers.addresses import Endpoint
from components.local.servers.errors import ServerFault
from components.local.servers.postgres_files import MONITOR
from components.local.servers.postgres_session import parameters

SECONDS = 2.0

# On a replica the receiver may be ahead of what is replayed. A replica that never was connected in this life has no
# receive position; what it replayed is then what it has.
_OWN = """
select pg_is_in_recovery(),
       case when pg_is_in_recovery()
            then coalesce(greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()), '0/0') - '0/0'::pg_lsn
            else (pg_current_wal_flush_lsn() - '0/0'::pg_lsn) end,
       case when pg_is_in_recovery()
            then coalesce(pg_last_wal_replay_lsn(), '0/0') - '0/0'::pg_lsn
            else (pg_current_wal_flush_lsn() - '0/0'::pg_lsn) end,
       case when pg_is_in_recovery()
            then coalesce((select received_tli from pg_stat_wal_receiver),
                          (select timeline_id from pg_control_checkpoint()))
            -- the checkpoint of a promotion comes some time after it
            else ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int end,
       (select status from pg_stat_wal_receiver),
       current_setting('synchronous_standby_names'),
       (extract(epoch from now() - pg_last_xact_replay_timestamp()) * 1000)::float8,
       current_setting('default_transaction_read_only')::bool
"""

# The writer's own measure of each replica's delay; null once the replica has caught up and nothing new came.
_REPLICAS = "select application_name, (extract(epoch from replay_lag) * 1000)::float8 from pg_stat_replication"


@dataclass(frozen=True, kw_only=True)
class MemberStatus:
    role: Literal["writer", "replica"]
    flush_lsn: int
    """The last position it holds on disk, or has received: which of several replicas knows most."""

    replay_lsn: int
    timeline: int
    lag_bytes: int | None
    lag_ms: float | None
    """0 when replay has reached the writer's flush position; None where the writer's position is not known."""

    streaming: bool
    """Whether a replica is connected to its writer; True for the writer."""

    synchronous_standby_names: str
    replicas: Mapping[str, float | None]
    """For the writer: the replicas that are connected, by name, with the writer's measure of their delay in ms."""

    since_replay_ms: float | None = None
    """For a replica: the age of the last transaction that it replayed."""

    held: bool = False
    """Whether an operation keeps new writes from beginning here."""


def statuses(
    stack_folder: Path, members: Mapping[str, Endpoint], *, timeout: float = SECONDS
) -> dict[str, MemberStatus | None]:
    """The members of one partition, by name; None for one that does not answer in time."""
    return asyncio.run(_statuses(stack_folder, members, timeout))


def status(
    stack_folder: Path, endpoint: Endpoint, *, writer_flush: int | None = None, timeout: float = SECONDS
) -> MemberStatus | None:
    """One member; a replica's lag is known only when the writer's flush position, read before, is handed in."""
    found = asyncio.run(_bounded(_ask(stack_folder, endpoint, None), timeout))
    return None if found is None else with_lag(found, writer_flush)


def with_lag(found: MemberStatus, writer_flush: int | None, measured_ms: float | None = None) -> MemberStatus:
    if found.role == "writer":
        return replace(found, lag_bytes=0, lag_ms=0.0)
    if writer_flush is None:
        return replace(found, lag_bytes=None, lag_ms=None)
    behind = max(0, writer_flush - found.replay_lsn)
    delay = measured_ms if measured_ms is not None else found.since_replay_ms
    return replace(found, lag_bytes=behind, lag_ms=0.0 if behind == 0 else delay)


async def _statuses(
    stack_folder: Path, members: Mapping[str, Endpoint], timeout: float
) -> dict[str, MemberStatus | None]:
    # Replicas tell their position only after the writers have told theirs, or a replica would seem to lag behind what
    # was written in between.
    asked = asyncio.Event()
    waiting = set(members)

    def answered(name: str) -> None:
        waiting.discard(name)
        if not waiting:
            asked.set()

    async def ask(name: str, endpoint: Endpoint) -> MemberStatus | None:
        try:
            return await _bounded(_ask(stack_folder, endpoint, (lambda: answered(name), asked)), timeout)
        finally:
            answered(name)

    answers = await asyncio.gather(*(ask(name, endpoint) for name, endpoint in members.items()))
    found = dict(zip(members, answers, strict=True))
    writers = [answer for answer in answers if answer is not None and answer.role == "writer"]
    if not writers:
        return {name: answer and with_lag(answer, None) for name, answer in found.items()}
    # After a failover the old writer may still be up; the newer timeline is the one that counts.
    writer = max(writers, key=lambda answer: answer.timeline)
    return {
        name: answer and with_lag(answer, writer.flush_lsn, writer.replicas.get(name)) for name, answer in found.items()
    }


async def _bounded(question: Any, timeout: float) -> MemberStatus | None:
    try:
        return await asyncio.wait_for(question, timeout)
    except (psycopg.Error, OSError, ServerFault, TimeoutError):
        return None


async def _ask(stack_folder: Path, endpoint: Endpoint, turn: Any) -> MemberStatus:
    given = parameters(stack_folder, endpoint, MONITOR, "postgres", int(SECONDS * 1000))
    connection = await psycopg.AsyncConnection.connect(**given, autocommit=True)
    async with connection:
        own = await _row(connection)
        if turn is not None:
            tell, everybody = turn
            tell()
            if own[0]:
                # A member that does not answer holds up the others for a part of their time only.
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(everybody.wait(), SECONDS / 2)
                own = await _row(connection)
        replicas: dict[str, float | None] = {}
        if not own[0]:
            replicas = {str(name): delay for name, delay in await (await connection.execute(_REPLICAS)).fetchall()}
    return MemberStatus(
        role="replica" if own[0] else "writer",
        flush_lsn=int(own[1]),
        replay_lsn=int(own[2]),
        timeline=int(own[3]),
        lag_bytes=None,
        lag_ms=None,
        streaming=not own[0] or own[4] == "streaming",
        synchronous_standby_names=str(own[5]),
        replicas=replicas,
        since_replay_ms=own[6],
        held=bool(own[7]),
    )


async def _row(connection: psycopg.AsyncConnection[Any]) -> Any:
    return await (await connection.execute(_OWN)).fetchone()
