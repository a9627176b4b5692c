"""Whether two databases hold the same rows of some homes, found out while both are written.

To read all rows takes long, and users would wait for it. So the rows are read before, at some moment of each database,
and from that moment on each database's log says which rows are changed in it, whoever changes them. Rows that were not
the same, and rows that were changed, are looked at again. Once none of them differs and nothing is written any more,
all rows are the same.

The log is read by a slot of its own, without the move's row filter, on both sides: neither what the replication sends
nor what it applies is taken for granted. The slots are temporary: they end with this process, as does what it knows.
"""

import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from psycopg import Cursor, sql

from components.local.servers.errors import ServerFault
from components.local.servers.home_move import TABLES, Homes
from components.local.servers.pgoutput import Reader
from components.local.servers.postgres_session import Connection

T = TypeVar("T")
Key: TypeAlias = tuple[str, ...]  # a table, and what its primary key consists of

KEYS = {"customers": ("home", "customer"), "orders": ("home", "id"), "idempotency_keys": ("home", "customer", "key")}
BUCKETS = 4096
AT_A_TIME = 500  # rows that are asked for by their keys
FEW = 300  # rows that differ or were just changed: no reason to wait before users do
POLL = 0.01
BEGIN_SECONDS = 30.0


@dataclass(frozen=True)
class Snapshot:
    """Which transactions can be seen by then: all before `end` but those that still run, as a commit does that waits
    for a standby."""

    end: int
    running: frozenset[int]

    @classmethod
    def parse(cls, text: str) -> "Snapshot":
        """`text`: as pg_current_snapshot() says it, xmin:xmax:running."""
        _, end, running = text.split(":")
        return cls(int(end), frozenset(int(each) for each in running.split(",") if each))

    def shows(self, transaction: int) -> bool:
        """`transaction`: the lower 32 bits, which is what the log has, of one that was begun lately."""
        number = self.end + (transaction - self.end + 2**31) % 2**32 - 2**31
        return number < self.end and number not in self.running


@dataclass
class Side:
    """One database: a session that nobody else uses, at its writer."""

    connection: Connection
    homes: Homes
    unseen: dict[Key, int] = field(
        default_factory=dict
    )  # rows whose change may not be visible yet, and its transaction

    def begin(self) -> None:
        """Everything that is changed after this, or that cannot be seen yet, will be in `changes`."""
        connection, name = self.connection, publication(self.homes)
        connection.execute("select set_config('statement_timeout', %s, false)", (f"{BEGIN_SECONDS:.0f}s",))
        if not connection.execute("select from pg_publication where pubname = %s", (name,)).fetchall():
            tables = sql.SQL(", ").join(sql.SQL("public.{}").format(sql.Identifier(table)) for table in TABLES)
            connection.execute(sql.SQL("create publication {} for table {}").format(sql.Identifier(name), tables))
        self._slot = f"{name}_{secrets.token_hex(4)}"
        connection.execute("select pg_create_logical_replication_slot(%s, 'pgoutput', true)", (self._slot,))
        # A commit that waits for a standby is in the log before it can be seen. Those before the slot must be seen.
        last = int(self._text("select pg_current_xact_id()::text"))
        deadline = time.monotonic() + BEGIN_SECONDS
        while self._oldest() <= last:
            if time.monotonic() > deadline:
                raise ServerFault(f"a transaction of before has not ended within {BEGIN_SECONDS:.0f} s")
            time.sleep(POLL)
        connection.execute("set statement_timeout = 0")
        # Rows are asked for by their keys, however many the planner takes them for, and it is to think of that once.
        for name in ("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit"):
            connection.execute(sql.SQL("set {} = off").format(sql.Identifier(name)))
        connection.execute("set plan_cache_mode = force_generic_plan")
        connection.prepare_threshold = 0

    def sums(self, table: str) -> dict[int, tuple[int, str]]:
        """How many rows, and a sum over every value, for each of the parts that the keys fall into."""
        found = self.connection.execute(
            sql.SQL("select {}, count(*), sum({})::text from public.{} t where {} group by 1").format(
                _bucket(table), _VALUE, sql.Identifier(table), self.homes.within
            )
        )
        return {int(bucket): (int(count), str(total)) for bucket, count, total in found.fetchall()}

    def parts(self, table: str, buckets: list[int]) -> dict[Key, int]:
        found = self.connection.execute(
            sql.SQL("select {}, {} from public.{} t where {} and {} = any({})").format(
                _columns(table), _VALUE, sql.Identifier(table), self.homes.within, _bucket(table), sql.Literal(buckets)
            )
        )
        return {(table, *map(str, row[:-1])): int(row[-1]) for row in found.fetchall()}

    def changes(self) -> set[Key]:
        """Of the homes' rows, those that were changed since the last call."""
        connection = self.connection
        with connection.pipeline(), connection.cursor(binary=True) as cursor:
            # Else each call would read the log from some seconds before the last one on.
            connection.execute("select pg_log_standby_snapshot()")
            # What the log tells ends where it is flushed, and what replication applies is seen before that.
            connection.execute("select pg_logical_emit_message(false, 'meridian', 'compare', true)")
            cursor.execute(
                "select xid::text, data from pg_logical_slot_get_binary_changes("
                "%s, null, null, 'proto_version', '1', 'publication_names', %s)",
                (self._slot, publication(self.homes)),
            )
            messages = cursor.fetchall()
        reader, found = Reader(KEYS), set[Key]()
        for transaction, data in messages:
            for key in reader.changed(data):
                if self.homes.first <= key[1] < self.homes.last:
                    found.add(key)
                    self.unseen[key] = int(transaction)
        return found

    def values(self, keys: Iterable[Key]) -> dict[Key, int]:
        """A sum of each row that there is. Changes that can be seen by then are `unseen` no more."""
        by_table: dict[str, list[Key]] = {}
        for key in keys:
            by_table.setdefault(key[0], []).append(key)
        connection = self.connection
        asked: list[tuple[str, Cursor[Any]]] = []
        with connection.pipeline():  # one round trip
            snapshot = connection.execute("select pg_current_snapshot()::text")
            for table, listed in by_table.items():
                query = _by_keys(table)
                for begin in range(0, len(listed), AT_A_TIME):
                    columns = [
                        list(column)
                        for column in zip(*(key[1:] for key in listed[begin : begin + AT_A_TIME]), strict=True)
                    ]
                    asked.append((table, connection.execute(query, columns)))
        row = snapshot.fetchone()
        assert row is not None
        seen = Snapshot.parse(str(row[0]))
        self.unseen = {key: number for key, number in self.unseen.items() if not seen.shows(number)}
        found: dict[Key, int] = {}
        for table, cursor in asked:
            for row in cursor.fetchall():
                found[table, *map(str, row[:-1])] = int(row[-1])
        return found

    def _oldest(self) -> int:
        """The oldest transaction that may still run: changes of older ones are seen by whoever looks from now on."""
        return int(self._text("select pg_snapshot_xmin(pg_current_snapshot())::text"))

    def _text(self, query: str) -> str:
        row = self.connection.execute(query.encode()).fetchone()
        assert row is not None
        return str(row[0])


@dataclass
class Comparison:
    """Two databases, of which one follows the other."""

    source: Side
    target: Side
    differing: set[Key] = field(default_factory=set)
    rows: int = 0
    _changed: set[Key] = field(default_factory=set)  # between the last two looks
    _ahead: Future[None] | None = None
    # One for each side, and one for what looks ahead.
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(3, thread_name_prefix="compare"))

    def begin(self) -> None:
        """Read all rows of both, and note which of them differ: most of those were changed in between."""
        self._both(Side.begin)
        with _moment(self.source.connection), _moment(self.target.connection):
            for table in TABLES:
                self._read(table)

    def _read(self, table: str) -> None:
        here, there = self._both(lambda side: side.sums(table))
        self.rows += sum(count for count, _ in here.values())
        buckets = [each for each in here.keys() | there.keys() if here.get(each) != there.get(each)]
        mine, theirs = self._both(lambda side: side.parts(table, buckets) if buckets else {})
        self.differing |= {key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key)}

    def look(self) -> None:
        """What is not in `differing` afterwards is the same, or was changed since, which the next look will find."""
        here, there = self._both(Side.changes)
        self._changed = here | there
        asked = self.differing | self._changed
        mine, theirs = self._both(lambda side: side.values(asked))
        # A change that cannot be seen yet is no reason to take the row for the same as another.
        waiting = self.source.unseen.keys() | self.target.unseen.keys()
        self.differing = {key for key in asked if key in waiting or mine.get(key) != theirs.get(key)}

    def settle(self, seconds: float) -> None:
        """While both are written: return once all that differs was changed a moment ago."""
        deadline = time.monotonic() + seconds
        while True:
            before = self.differing
            self.look()
            stale = before & self.differing - self._changed
            if not stale and len(self.differing) <= FEW:
                return
            if time.monotonic() > deadline:
                raise ServerFault(_difference(stale or self.differing))
            time.sleep(POLL)

    def look_ahead(self) -> None:
        """Look while something else is waited for, so that less is left for `finish`, which has to come next."""
        self._ahead = self._pool.submit(self.look)

    def finish(self, seconds: float) -> None:
        """Once neither is written: return if all rows are the same."""
        deadline = time.monotonic() + seconds
        if self._ahead is not None:
            self._ahead.result()
            self._ahead = None
        while True:
            self.look()
            if not self.differing:
                return
            if time.monotonic() > deadline:
                raise ServerFault(_difference(self.differing))
            time.sleep(POLL / 2)

    @property
    def lives(self) -> bool:
        return not (self.source.connection.closed or self.target.connection.closed)

    def close(self) -> None:
        self._pool.shutdown(wait=False)

    def _both(self, ask: Callable[[Side], T]) -> tuple[T, T]:
        asked = [self._pool.submit(ask, side) for side in (self.source, self.target)]
        return asked[0].result(), asked[1].result()


@contextmanager
def _moment(connection: Connection) -> Iterator[None]:
    """All that is read within is of one moment."""
    connection.execute("begin isolation level repeatable read, read only")
    connection.execute("set local enable_seqscan = on")
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("rollback")


def publication(homes: Homes) -> str:
    return f"{homes.name}_check"


def forget(database: Connection, homes: Homes) -> None:
    """The slots ended with their sessions."""
    database.execute(sql.SQL("drop publication if exists {}").format(sql.Identifier(publication(homes))))


_VALUE = sql.SQL("hashtextextended(t::text, 0)")


def _columns(table: str) -> sql.Composed:
    return sql.SQL(", ").join(sql.SQL("t.{}::text").format(sql.Identifier(column)) for column in KEYS[table])


def _bucket(table: str) -> sql.Composed:
    return sql.SQL("(hashtextextended(concat_ws(chr(31), {}), 0) & {})").format(
        _columns(table), sql.Literal(BUCKETS - 1)
    )


def _by_keys(table: str) -> sql.Composed:
    names = [sql.Identifier(column) for column in KEYS[table]]
    types = [sql.SQL("uuid[]" if column == "id" else "text[]") for column in KEYS[table]]
    return sql.SQL("select {}, {} from unnest({}) as k ({}) join public.{} t on {}").format(
        _columns(table),
        _VALUE,
        sql.SQL(", ").join(sql.SQL("%s::{}").format(each) for each in types),
        sql.SQL(", ").join(names),
        sql.Identifier(table),
        sql.SQL(" and ").join(sql.SQL("t.{0} = k.{0}").format(name) for name in names),
    )


def _difference(keys: set[Key]) -> str:
    by_table = {table: [key for key in keys if key[0] == table] for table in TABLES}
    counts = ", ".join(f"{len(found)} of {table}" for table, found in by_table.items() if found)
    table, *words = min(keys)
    return f"rows differ, or are on one side only: {counts}. One of them, in {table}: {', '.join(words)}"
