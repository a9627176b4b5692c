"""One table's rows brought from a restored server to the writer: those that are missing there, and no others.

Doing it again does nothing. A row that is there with other values stays as it is; it may have been changed since.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from psycopg import sql

from components.local.servers import home_move, paths, postgres, secrets
from components.local.servers.errors import ServerFault
from components.local.servers.member import MemberSpec
from components.local.servers.postgres_files import DATABASE, OWNER, password_line
from components.local.servers.postgres_session import Connection, session

STAGE = sql.Identifier("pg_temp", "meridian_restored")
LOCK_MS = 10_000

# What can be given a value, in an order that both sides share.
_COLUMNS = """
select a.attname from pg_attribute a
where a.attrelid = %s::regclass and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' order by a.attname
"""
# Rows of homes that were moved to another partition meanwhile are there; here they would be a second time.
_MOVED_AWAY = """
delete from {} s where not coalesce(
    (select r.owned from public.home_ranges r where r.first <= s.home order by r.first desc limit 1), true)
"""
# What its customer cancelled since is missing for good reason.
_CANCELLED = """
delete from {} s using public.idempotency_keys k
where k.customer = s.customer and k.order_id = s.id and to_jsonb(k) #>> '{{answer,change,cancels}}' = 'true'
"""
_HOMES = tuple(f'"public"."{table}"' for table in home_move.TABLES)
_ORDERS = '"public"."orders"'
_UNIQUE = "select exists (select from pg_index where indrelid = %s::regclass and indisunique and indpred is null)"


@dataclass(frozen=True, kw_only=True)
class Copy:
    table: str
    there: bool  # whether the writer has the table
    rows: int  # in what was restored
    missing: int  # of those, how many the writer lacks


@dataclass(frozen=True)
class Pending:
    """The rows, at the writer's already but in no table of it yet: to look at, and then to bring in or not."""

    found: Copy
    _source: MemberSpec
    _target: Connection
    _table: sql.Identifier

    def apply(self) -> int:
        """Bring them in. How many rows that added."""
        with self._target.transaction():
            self._target.execute(sql.SQL("set local lock_timeout = {}").format(LOCK_MS))
            if not self.found.there:
                self._target.execute(_definition(self._source, self.found.table).encode())
                _stage(self._source, self._target, self._table, self.found.table)
            return _bring_in(self._target, self._table, self.found.table)


@contextmanager
def pending(source: MemberSpec, writer: MemberSpec, schema: str, table: str) -> Iterator[Pending]:
    name = f"{_quoted(schema)}.{_quoted(table)}"
    identifier = sql.Identifier(schema, table)
    with _open(source) as old:
        if _scalar(old, "select to_regclass(%s) is null", name):
            raise ServerFault(f"{name} was not there at that time")
        rows = int(str(_scalar(old, sql.SQL("select count(*) from {}").format(identifier))))
    with _open(writer) as now:
        there = not _scalar(now, "select to_regclass(%s) is null", name)
        missing = rows
        if there:
            _stage(source, now, identifier, name)
            # Taken back, so that what is said is what will be done and nothing has been.
            with now.transaction(force_rollback=True):
                now.execute(sql.SQL("set local lock_timeout = {}").format(LOCK_MS))
                missing = _bring_in(now, identifier, name)
        yield Pending(Copy(table=name, there=there, rows=rows, missing=missing), source, now, identifier)


def _stage(source: MemberSpec, target: Connection, table: sql.Identifier, name: str) -> None:
    columns = _columns(target, name)
    listed = sql.SQL(", ").join(map(sql.Identifier, columns))
    target.execute(sql.SQL("drop table if exists {}").format(STAGE))
    target.execute(sql.SQL("create temporary table {} as select {} from {} with no data").format(STAGE, listed, table))
    with (
        _open(source) as old,
        old.cursor().copy(sql.SQL("copy {} ({}) to stdout (format binary)").format(table, listed)) as reading,
        target.cursor().copy(sql.SQL("copy {} ({}) from stdin (format binary)").format(STAGE, listed)) as writing,
    ):
        for block in reading:
            writing.write(block)
    if name in _HOMES and not _scalar(target, "select to_regclass('public.home_ranges') is null"):
        target.execute(sql.SQL(_MOVED_AWAY).format(STAGE))
    if name == _ORDERS and not _scalar(target, "select to_regclass('public.idempotency_keys') is null"):
        target.execute(sql.SQL(_CANCELLED).format(STAGE))


def _bring_in(target: Connection, table: sql.Identifier, name: str) -> int:
    listed = sql.SQL(", ").join(map(sql.Identifier, _columns(target, name)))
    if _scalar(target, _UNIQUE, name):
        rows = sql.SQL("select {} from {}").format(listed, STAGE)
    else:  # nothing tells two rows apart but all that they hold
        rows = sql.SQL("select {0} from {1} except all select {0} from {2}").format(listed, STAGE, table)
    statement = sql.SQL("insert into {} ({}) overriding system value {} on conflict do nothing")
    return target.execute(statement.format(table, listed, rows)).rowcount


def _definition(source: MemberSpec, name: str) -> str:
    """The statements that make the table as it was, with its indexes, constraints, triggers and rights."""
    password_file = source.home / ".dump.pgpass"
    paths.write_atomic(password_file, password_line(OWNER, secrets.read_password(source.stack_folder, OWNER)))
    try:
        done = subprocess.run(
            [
                postgres.programs(source) / "pg_dump",
                "--schema-only",
                f"--table={name}",
                f"--host={source.endpoint.host}",
                f"--port={source.endpoint.port}",
                f"--username={OWNER}",
                f"--dbname={DATABASE}",
                "--no-password",
            ],
            env={"LC_ALL": "C", "PGSSLMODE": "disable", "PGPASSFILE": str(password_file)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        password_file.unlink(missing_ok=True)
    if done.returncode != 0:
        raise ServerFault(f"pg_dump of {name}: {(done.stderr.strip().splitlines() or ['no reason given'])[0]}")
    # \\restrict and \\unrestrict are for psql, which this is not.
    return "\n".join(line for line in done.stdout.splitlines() if not line.startswith("\\"))


def _columns(connection: Connection, name: str) -> list[str]:
    return [str(row[0]) for row in connection.execute(_COLUMNS, (name,)).fetchall()]


def _scalar(connection: Connection, query: str | sql.Composed, *values: object) -> object:
    row = connection.execute(query.encode() if isinstance(query, str) else query, values or None).fetchone()
    return row[0] if row else None


@contextmanager
def _open(member: MemberSpec) -> Iterator[Connection]:
    # No limit to a statement: a commit that is cancelled while it waits for a standby would look like success.
    with session(member.stack_folder, member.endpoint, OWNER, DATABASE, statement_ms=0) as connection:
        yield connection


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
