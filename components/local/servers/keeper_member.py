"""A keeper's view of the member beside it, and the one row that it writes there."""

import asyncio
import time
from pathlib import Path
from typing import Any

import psycopg

from components.local.servers.keeper import MemberSight

SECONDS = 1.0  # a member that is silent for longer is as good as gone; its lease then ends by itself

_LOOK = """
select pg_is_in_recovery(),
       case when pg_is_in_recovery()
            then coalesce(greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()), '0/0')
            else pg_current_wal_flush_lsn() end - '0/0'::pg_lsn,
       case when pg_is_in_recovery()
            then coalesce(pg_last_wal_replay_lsn(), '0/0')
            else pg_current_wal_flush_lsn() end - '0/0'::pg_lsn"""

_WRITE = """
insert into public.lease (term, valid_until) values (%s, to_timestamp(%s))
on conflict (only_row) do update set term = excluded.term, valid_until = excluded.valid_until
where lease.term <= excluded.term"""


class Member:
    def __init__(self, host: str, port: int, database: str, user: str, password_file: Path) -> None:
        self._place = (host, port, database, user, password_file)
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._turn = asyncio.Lock()

    async def look(self) -> MemberSight | None:
        """Its role and positions; None when it does not answer in time."""
        row = await self._run(_LOOK, ())
        if not row:
            return None
        return MemberSight(role="replica" if row[0] else "writer", received_lsn=int(row[1]), replayed_lsn=int(row[2]))

    async def write(self, term: int, left: float) -> bool:
        """Tell it that its lease lasts so many seconds from now. Whether it knows by now.

        As wall time, the one clock that SQL has. A wall clock that is set back while a lease runs would make it last
        longer: it is told anew at every renewal, so that such a step counts once at most.
        """
        return await self._run(_WRITE, (term, time.time() + left)) is not None

    async def end(self, term: int) -> bool:
        """Tell it that this term is over: a statement of before that arrives late is one of a lower term by then."""
        return await self.write(term + 1, 0.0)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.pgconn.finish()

    async def _run(self, query: str, values: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """The first row, or an empty one where the statement returns none; None when it failed."""
        try:
            async with asyncio.timeout(SECONDS), self._turn:
                if self._connection is None:
                    self._connection = await self._connect()
                cursor = await self._connection.execute(query.encode(), values or None)
                return await cursor.fetchone() if cursor.description else ()
        except (psycopg.Error, OSError, TimeoutError):
            self.close()
            return None

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        host, port, database, user, password_file = self._place
        return await psycopg.AsyncConnection.connect(
            host=host,
            port=port,
            dbname=database,
            user=user,
            password=password_file.read_text().strip(),
            application_name="meridian-keeper",
            connect_timeout=2,
            # An operation that holds writes makes new transactions read-only, and the lease is no write of that kind.
            options="-c statement_timeout=1000 -c default_transaction_read_only=off",
            passfile="/dev/null",
            sslmode="disable",
            gssencmode="disable",
            autocommit=True,
            prepare_threshold=0,
        )
