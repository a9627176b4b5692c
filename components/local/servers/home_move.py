"""Moving a range of homes from one partition's database to another's while both are written: the SQL of each step.

The rows travel by logical replication with a row filter, so updates and deletes that come meanwhile travel too. Who may
write a home is a row in each database (service/schema.sql, `home_ranges`), which every write reads under a lock that
`close` takes alone. Every step can be made again, after an interruption anywhere, also in the middle of itself.
"""

from dataclasses import dataclass
from typing import LiteralString

import psycopg
from psycopg import sql

from components.local.servers.errors import ServerFault
from components.local.servers.postgres_session import Connection

# In the order in which they are taken away: what refers to a row goes before it.
TABLES = ("idempotency_keys", "orders", "customers")
PUBLISHED = (*TABLES, "move_marks")
BATCH = 2000
LOCK_MS = 2000


@dataclass(frozen=True, kw_only=True)
class Homes:
    """What is moved: the homes from `first` up to `last`, under the name of this move."""

    name: str
    first: str
    last: str

    @property
    def within(self) -> sql.Composed:
        return sql.SQL("home >= {} and home < {}").format(sql.Literal(self.first), sql.Literal(self.last))

    @property
    def ranges(self) -> sql.Composed:
        return sql.SQL("first >= {} and first < {}").format(sql.Literal(self.first), sql.Literal(self.last))


@dataclass(frozen=True, kw_only=True)
class Content:
    """What a database holds of the homes: per table how many rows, and a sum over all that is in them."""

    rows: dict[str, tuple[int, int]]

    @property
    def total(self) -> int:
        return sum(count for count, _ in self.rows.values())


def mark(source: Connection, homes: Homes, target: str) -> None:
    """From now on only this timeline may write the homes at the source."""
    with source.transaction():
        _begin(source, homes)
        source.execute(
            sql.SQL(
                "update public.home_ranges set owned = true, moving_to = {}, timeline = public.timeline(), "
                "moved_to = null, changed_at = now() where {}"
            ).format(sql.Literal(target), homes.ranges)
        )


def publish(source: Connection, homes: Homes) -> None:
    if not _exists(source, "pg_publication where pubname", homes.name):
        tables = sql.SQL(", ").join(
            sql.SQL("public.{} where ({})").format(sql.Identifier(table), homes.within) for table in PUBLISHED
        )
        source.execute(sql.SQL("create publication {} for table {}").format(sql.Identifier(homes.name), tables))


def subscribe(target: Connection, homes: Homes, conninfo: str) -> None:
    """Copies what there is and follows what comes. A connection that led elsewhere before leads there from now on."""
    name, place = sql.Identifier(homes.name), sql.Literal(conninfo)
    if _exists(target, "pg_subscription where subname", homes.name):
        target.execute(sql.SQL("alter subscription {} connection {}").format(name, place))
        target.execute(sql.SQL("alter subscription {} enable").format(name))
        return
    target.execute(sql.SQL("create subscription {} connection {} publication {}").format(name, place, name))


def has_slot(source: Connection, homes: Homes) -> bool:
    """Whether the source still keeps what the target has not received: a promoted member has no such slot."""
    return _exists(source, "pg_replication_slots where wal_status <> 'lost' and slot_name", homes.name)


def is_copied(target: Connection, homes: Homes) -> bool:
    row = target.execute(
        "select count(*), count(*) filter (where r.srsubstate = 'r') from pg_subscription_rel r "
        "join pg_subscription s on s.oid = r.srsubid where s.subname = %s",
        (homes.name,),
    ).fetchone()
    return row is not None and row[0] == len(PUBLISHED) == row[1]


def behind(source: Connection, homes: Homes) -> int:
    """How many bytes of the source's log the target has not confirmed."""
    row = source.execute(
        "select pg_current_wal_flush_lsn() - confirmed_flush_lsn from pg_replication_slots where slot_name = %s",
        (homes.name,),
    ).fetchone()
    if row is None or row[0] is None:
        raise ServerFault(f"the source has no slot {homes.name} any more")
    return int(row[0])


def spread_to(writer: Connection, members: list[str], position: str) -> list[str]:
    """The members that do not have the writer's log up to a position yet."""
    rows = writer.execute(
        "select application_name from pg_stat_replication where state = 'streaming' and flush_lsn >= %s::pg_lsn",
        (position,),
    ).fetchall()
    return sorted(set(members) - {str(row[0]) for row in rows})


def position(writer: Connection) -> str:
    return str(_value(writer, "select pg_current_wal_flush_lsn()"))


def close(source: Connection, homes: Homes) -> str:
    """The barrier: once it is passed nothing of these homes is written here. Returns the mark that travels behind the
    last of their rows."""
    with source.transaction():
        # Whoever comes waits behind this, so it must not wait for long itself, as for a commit whose standby is gone.
        source.execute(sql.SQL("set local lock_timeout = {}").format(sql.Literal(LOCK_MS)))
        source.execute("select pg_advisory_xact_lock(hashtextextended('meridian homes', 0))")
        marked = "select coalesce(bool_and(timeline is not distinct from public.timeline()), false)"
        if not _value(source, sql.SQL("{} from public.home_ranges where {}").format(sql.SQL(marked), homes.ranges)):
            # A member that is promoted after this would know neither of the move nor that the homes were closed.
            raise ServerFault("the source's writer changed since it was told of the move")
        source.execute(
            sql.SQL("update public.home_ranges set owned = false, changed_at = now() where owned and {}").format(
                homes.ranges
            )
        )
        mark = str(_value(source, "select pg_current_xact_id()::text"))
        source.execute(
            "insert into public.move_marks (home, mark) values (%s, %s) "
            "on conflict (home) do update set mark = excluded.mark",
            (homes.first, mark),
        )
    return mark


def has_shipped(target: Connection, homes: Homes, mark: str) -> bool:
    """By the mark, not by what the slot was told: that comes only when the target's log is written at leisure."""
    return _exists(target, "public.move_marks where mark", mark)


def content(database: Connection, homes: Homes) -> Content:
    found: dict[str, tuple[int, int]] = {}
    for table in TABLES:
        row = database.execute(
            sql.SQL("select count(*), coalesce(sum(hashtextextended(t::text, 0)), 0) from public.{} t where {}").format(
                sql.Identifier(table), homes.within
            )
        ).fetchone()
        assert row is not None
        found[table] = (int(row[0]), int(row[1]))
    return Content(rows=found)


def open_at(target: Connection, homes: Homes) -> None:
    """The target writes the homes from now on; a writer without a lease takes nothing over."""
    with target.transaction():
        if _value(target, "select public.may_write()") is not True:
            raise ServerFault("the target's writer holds no lease now")
        _begin(target, homes)
        target.execute(
            sql.SQL(
                "update public.home_ranges set owned = true, moving_to = null, timeline = null, moved_to = null, "
                "changed_at = now() where {}"
            ).format(homes.ranges)
        )


def hand_over(source: Connection, homes: Homes, target: str) -> None:
    """The source says from now on who has the homes."""
    with source.transaction():
        source.execute(
            sql.SQL(
                "update public.home_ranges set owned = false, moving_to = null, timeline = null, moved_to = {}, "
                "changed_at = now() where {}"
            ).format(sql.Literal(target), homes.ranges)
        )


def writable(database: Connection) -> list[tuple[str, bool]]:
    """Where each range of homes begins, and whether this writer may write it now."""
    rows = database.execute(
        "select first, owned and coalesce(timeline = public.timeline(), true) from public.home_ranges order by first"
    )
    return [(str(first), bool(here)) for first, here in rows.fetchall()]


def reopen(source: Connection, homes: Homes) -> None:
    """As if nothing had been begun; only while the target was never opened."""
    with source.transaction():
        source.execute(
            sql.SQL(
                "update public.home_ranges set owned = true, moving_to = null, timeline = null, changed_at = now() "
                "where moving_to is not null and {}"
            ).format(homes.ranges)
        )


def unsubscribe(target: Connection, homes: Homes) -> None:
    """With its slots at the source, or where that cannot be reached without them."""
    if not _exists(target, "pg_subscription where subname", homes.name):
        return
    name = sql.Identifier(homes.name)
    try:
        target.execute(sql.SQL("drop subscription {}").format(name))
    except psycopg.Error:
        target.execute(sql.SQL("alter subscription {} disable").format(name))
        target.execute(sql.SQL("alter subscription {} set (slot_name = none)").format(name))
        target.execute(sql.SQL("drop subscription {}").format(name))


def unpublish(source: Connection, homes: Homes) -> None:
    """Also the slots that a target which could not be reached has left: its own, and those of a first copy."""
    source.execute(
        "select pg_terminate_backend(active_pid, 2000) from pg_replication_slots where slot_name = %s and active",
        (homes.name,),
    )
    source.execute(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_type = 'logical' "
        "and not active and database = current_database() and (slot_name = %s or slot_name ~ '^pg_[0-9]+_sync_')",
        (homes.name,),
    )
    source.execute(sql.SQL("drop publication if exists {}").format(sql.Identifier(homes.name)))


def remove(database: Connection, homes: Homes, *, batch: int = BATCH) -> int:
    """Take away up to a batch of rows of homes that this database does not have; how many went."""
    _begin(database, homes)  # or what covers the whole of them would not be seen below
    if _value(database, sql.SQL("select bool_or(owned) from public.home_ranges where {}").format(homes.ranges)):
        raise ServerFault("these homes are written here; their rows may not be taken away")
    for table in PUBLISHED:
        gone = database.execute(
            sql.SQL(
                "delete from public.{table} where ctid = any(array("
                "select ctid from public.{table} where {within} limit {batch} for update))"
            ).format(table=sql.Identifier(table), within=homes.within, batch=sql.Literal(batch))
        ).rowcount
        if gone:
            return gone
    return 0


def lacking(source: Connection, target: Connection, homes: Homes) -> list[str]:
    """The orders of these homes that the source has and the target has not, though nobody cancelled them there.

    The key of a cancellation says so for a day; where it has gone too, an order counts as lacking.
    """
    found: list[str] = []
    last = ""
    while True:
        rows = source.execute(
            sql.SQL(
                "select id::text, customer from public.orders where {} "
                "and ({last} = '' or id > nullif({last}, '')::uuid) order by id limit {}"
            ).format(homes.within, sql.Literal(BATCH), last=sql.Literal(last))
        ).fetchall()
        if not rows:
            return found
        ids = [str(row[0]) for row in rows]
        there = {
            str(row[0])
            for row in target.execute(
                "select id::text from public.orders where id = any(%s::uuid[])", (ids,)
            ).fetchall()
        }
        gone = [(number, str(customer)) for number, customer in rows if number not in there]
        if gone:
            there |= _cancelled(target, gone)
        found += [number for number, _ in gone if number not in there]
        last = ids[-1]


def _cancelled(target: Connection, orders: list[tuple[str, str]]) -> set[str]:
    rows = target.execute(
        "select order_id::text from public.idempotency_keys where customer = any(%s) and order_id = any(%s::uuid[]) "
        "and (answer #>> '{change,cancels}')::boolean",
        ([customer for _, customer in orders], [number for number, _ in orders]),
    ).fetchall()
    return {str(row[0]) for row in rows}


def customers(database: Connection, homes: Homes) -> list[tuple[str, str]]:
    """The customers of these homes who are here: name and home."""
    rows = database.execute(sql.SQL("select customer, home from public.customers where {}").format(homes.within))
    return [(str(row[0]), str(row[1])) for row in rows.fetchall()]


def list_in_directory(main: Connection, entries: list[tuple[bytes, str]]) -> None:
    """In the database of `main`: whose home is elsewhere. A home that stands there already stays."""
    with main.cursor() as cursor:
        cursor.executemany(
            "insert into public.directory (digest, home) values (%s, %s) on conflict do nothing", entries
        )


def _begin(database: Connection, homes: Homes) -> None:
    for bound in (homes.first, homes.last):
        database.execute("select public.begin_range(%s)", (bound,))


def _exists(database: Connection, what: LiteralString, name: str) -> bool:
    query = sql.SQL("select exists (select from {} = {})").format(sql.SQL(what), sql.Literal(name))
    return _value(database, query) is True


def _value(database: Connection, query: str | sql.Composed) -> object:
    row = database.execute(query.encode() if isinstance(query, str) else query).fetchone()
    return row[0] if row else None
