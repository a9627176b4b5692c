"""A table read in parts, along its primary key: as sums to compare, and as rows where the sums differ.

Each part is a statement of its own with an end, so that neither its time nor its memory grows with the table, and no
snapshot is held open in between. Which tables and columns there are is asked of the catalogue.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from psycopg import sql

from components.local.servers.postgres_session import Connection

Key: TypeAlias = tuple[str, ...]  # a row's primary key, as text

# What is replicated, with its size as the server guesses it; an unlogged table, as the lease, is the writer's own.
_TABLES = """
select n.nspname, c.relname,
       array(select a.attname::text from unnest(i.indkey) with ordinality k (attnum, place)
             join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum order by k.place),
       array(select format_type(a.atttypid, a.atttypmod) from unnest(i.indkey) with ordinality k (attnum, place)
             join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum order by k.place),
       exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'home' and not a.attisdropped),
       greatest(c.reltuples::bigint, pg_stat_get_live_tuples(c.oid), 0)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
left join pg_index i on i.indrelid = c.oid and i.indisprimary
where c.relkind = 'r' and c.relpersistence = 'p' and n.nspname not in ('pg_catalog', 'information_schema')
order by n.nspname, c.relname
"""


@dataclass(frozen=True, kw_only=True)
class Table:
    schema: str
    name: str
    key: tuple[str, ...]
    types: tuple[str, ...]
    has_home: bool
    rows: int

    @property
    def title(self) -> str:
        return f"{self.schema}.{self.name}"

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)


@dataclass(frozen=True, kw_only=True)
class Span:
    """The rows beyond one key, up to and with another; None is open."""

    after: Key | None = None
    last: Key | None = None


@dataclass(frozen=True, kw_only=True)
class Part:
    """What one server has of a span."""

    count: int
    total: str  # over a hash of each row's text, which is the same in any order


def tables(connection: Connection) -> list[Table]:
    return [
        Table(
            schema=str(schema),
            name=str(name),
            # Without a primary key by the place in the file, which a physical replica shares.
            key=tuple(key) or ("ctid",),
            types=tuple(types) or ("tid",),
            has_home=bool(has_home),
            rows=int(rows),
        )
        for schema, name, key, types, has_home, rows in connection.execute(_TABLES).fetchall()
    ]


def first_part(
    connection: Connection, table: Table, after: Key | None, size: int
) -> tuple[Span, Part, tuple[str, ...]]:
    """The next rows behind a key: where they end, their sum, and the homes that they are of."""
    row = connection.execute(
        sql.SQL(
            "with found as materialized (select {key}, {home} as its_home, hashtextextended(t::text, 0) as its_hash "
            "from {table} t where {within} order by {key} limit {size}) "
            "select count(*), coalesce(sum(its_hash), 0)::text, array_agg(distinct its_home::text), {last} from found"
        ).format(
            key=_list(table.key),
            home=sql.SQL("t.home") if table.has_home else sql.SQL("null::text"),
            table=table.identifier,
            within=within(table, Span(after=after)),
            size=sql.Literal(size),
            last=_last(table),
        )
    ).fetchone()
    assert row is not None
    count, total, homes, last = row
    span = Span(after=after, last=None if count < size else tuple(last))
    return span, Part(count=int(count), total=str(total)), tuple(home for home in homes or () if home is not None)


def part(connection: Connection, table: Table, span: Span) -> Part:
    row = connection.execute(
        sql.SQL("select count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)::text from {} t where {}").format(
            table.identifier, within(table, span)
        )
    ).fetchone()
    assert row is not None
    return Part(count=int(row[0]), total=str(row[1]))


def rows(connection: Connection, table: Table, span: Span) -> dict[Key, tuple[str, str, str]]:
    """By key: the hash of the row, and the transactions that wrote it and may have ended it."""
    found = connection.execute(
        sql.SQL(
            "select array[{}], hashtextextended(t::text, 0)::text, t.xmin::text, t.xmax::text from {} t where {}"
        ).format(
            sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(column)) for column in table.key),
            table.identifier,
            within(table, span),
        )
    ).fetchall()
    return {tuple(each): (str(hash_), str(xmin), str(xmax)) for each, hash_, xmin, xmax in found}


def of_homes(connection: Connection, table: Table, span: Span, homes: Sequence[str]) -> list[tuple[Key, str]]:
    """The keys of the rows that are of these homes, and which home each is of."""
    found = connection.execute(
        sql.SQL("select array[{}], t.home from {} t where {} and t.home = any({})").format(
            sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(column)) for column in table.key),
            table.identifier,
            within(table, span),
            sql.Literal(list(homes)),
        )
    ).fetchall()
    return [(tuple(key), str(home)) for key, home in found]


def present(connection: Connection, table: Table, keys: Sequence[Key]) -> set[Key]:
    """Those of these keys that there are rows of."""
    wanted = sql.SQL(", ").join(
        sql.SQL("{}::{}[]").format(sql.Literal([key[place] for key in keys]), sql.SQL(type_))  # pyright: ignore
        for place, type_ in enumerate(table.types)
    )
    found = connection.execute(
        sql.SQL("select array[{}] from {} t where ({}) in (select * from unnest({}))").format(
            sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(column)) for column in table.key),
            table.identifier,
            _list(table.key),
            wanted,
        )
    ).fetchall()
    return {tuple(row[0]) for row in found}


def _list(columns: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))


def _last(table: Table) -> sql.Composed:
    text = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(column)) for column in table.key)
    backwards = sql.SQL(", ").join(sql.SQL("{} desc").format(sql.Identifier(column)) for column in table.key)
    return sql.SQL("(select array[{}] from found order by {} limit 1)").format(text, backwards)


def within(table: Table, span: Span) -> sql.Composable:
    conditions: list[sql.Composable] = []
    for sign, bound in ((sql.SQL(">"), span.after), (sql.SQL("<="), span.last)):
        if bound is not None:
            values = sql.SQL(", ").join(
                sql.SQL("{}::{}").format(sql.Literal(value), sql.SQL(type_))  # pyright: ignore[reportArgumentType]
                for value, type_ in zip(bound, table.types, strict=True)
            )
            conditions.append(sql.SQL("({}) {} ({})").format(_list(table.key), sign, values))
    return sql.SQL(" and ").join(conditions) if conditions else sql.SQL("true")
