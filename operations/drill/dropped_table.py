"""A table is dropped on the writer: how fast every member loses it, and what brings it back costs in time and rows."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from psycopg import sql

from components.local.servers.member import MemberSpec
from components.local.servers.postgres_files import DATABASE, OWNER
from components.local.servers.postgres_session import session
from operations.drivers.local_restore import Backups
from operations.errors import Fault

TABLE = "orders"
COPY_SECONDS = 30.0
POLL = 0.02

_GONE = "select to_regclass(%s) is null"


@dataclass(frozen=True, kw_only=True)
class Dropped:
    table: str
    known: float
    """The time that whoever did it would name: just before the statement."""

    at: float  # when nothing could be written into it any more
    rows: int  # that it had then
    spread: dict[str, float | None]  # by region, seconds until its replica had lost it too; None: it had not in time


@dataclass(frozen=True, kw_only=True)
class Recovered:
    reached: float | None  # when the last transaction was committed that the restore holds
    lost: int  # rows that nothing brought back
    lost_seconds: float  # RPO: from the last transaction that is there again to the drop
    restore_seconds: float  # until it could be looked at
    seconds: float  # RTO: from the drop until the rows were back at the writer


def drop(backups: Backups, table: str = TABLE) -> Dropped:
    """Make the mistake, under whatever load there is, and watch it arrive everywhere."""
    writer = backups.need_writer()
    name = sql.Identifier("public", table)
    known = time.time()
    with session(writer.stack_folder, writer.endpoint, OWNER, DATABASE) as connection:
        with connection.transaction():
            connection.execute(sql.SQL("lock table {} in access exclusive mode").format(name))
            at = time.time()
            row = connection.execute(sql.SQL("select count(*) from {}").format(name)).fetchone()
            connection.execute(sql.SQL("drop table {}").format(name))
        done = time.monotonic()
    replicas = {region: spec for region, spec in backups.specs.items() if spec.member != writer.member}
    return Dropped(
        table=table,
        known=known,
        at=at,
        rows=int(row[0]) if row else 0,
        spread={region: _await_gone(spec, table, done) for region, spec in replicas.items()},
    )


def recover(
    backups: Backups,
    dropped: Dropped,
    *,
    into: Path | None = None,
    tell: Callable[[str], None] = lambda _text: None,
) -> Recovered:
    """Restore to the time that is known, and bring the rows back. What was restored is taken away again."""
    if backups.restored() is not None:
        raise Fault(f"{backups.partition} is restored already; `./meridian restore --drop` takes that away")
    began = time.monotonic()
    try:
        reached = backups.restore(dropped.known, into)
        restored = time.monotonic() - began
        tell(f"{backups.partition} is restored beside its members, after {restored:.1f} s")
        with backups.copying(f"public.{dropped.table}") as pending:
            pending.apply()
        ended = time.time()
        tell(f"{dropped.table} is back")
        back = pending.found.rows
    finally:
        backups.drop()
    return Recovered(
        reached=reached.last,
        lost=max(0, dropped.rows - back),
        lost_seconds=round(max(0.0, dropped.at - (reached.last or dropped.at)), 3),
        restore_seconds=round(restored, 3),
        seconds=round(ended - dropped.at, 3),
    )


def _await_gone(spec: MemberSpec, table: str, since: float) -> float | None:
    with session(spec.stack_folder, spec.endpoint, OWNER, DATABASE) as connection:
        while time.monotonic() - since < COPY_SECONDS:
            row = connection.execute(_GONE, (f"public.{table}",)).fetchone()
            if row is not None and row[0]:
                return round(time.monotonic() - since, 3)
            time.sleep(POLL)
    return None
