"""What is in the databases in the end: asked of every member, by SQL, past the service."""

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from components.local.servers.member import MemberSpec
from components.local.servers.postgres_files import DATABASE, OWNER
from components.local.servers.postgres_session import Connection, session
from operations.drill.expectation import Contradiction, Expected, contradictions

STATEMENT_MS = 60_000

# Rows and a sum that depends on every value of every row, and on no order of them.
SUM = "select count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)::text from {table} t"

# What is of each server's own: the lease is unlogged, and so neither copied nor meant to be.
TABLES = """
select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and c.relpersistence = 'p' and n.nspname not in ('pg_catalog', 'information_schema') order by 1
"""


@dataclass(frozen=True, kw_only=True)
class Audit:
    """By the region of the member that was asked."""

    wrong: Mapping[str, tuple[Contradiction, ...]]  # what speaks against what users were told
    doubled: tuple[str, ...]  # items that are there twice, though each was ordered once
    tables: Mapping[str, Mapping[str, tuple[int, str]]]  # rows and sum of each table

    @property
    def alike(self) -> bool:
        sums = list(self.tables.values())
        return all(each == sums[0] for each in sums)


def audit(members: Mapping[str, MemberSpec], orders: Mapping[str, Expected], load: str) -> Audit:
    """`orders`: what each should be. `load` is what the items of this drill's orders begin with."""
    wrong: dict[str, tuple[Contradiction, ...]] = {}
    tables: dict[str, dict[str, tuple[int, str]]] = {}
    doubled: set[str] = set()

    def look(region: str) -> None:
        member = members[region]
        with session(member.stack_folder, member.endpoint, OWNER, DATABASE, statement_ms=STATEMENT_MS) as connection:
            wrong[region] = tuple(contradictions(orders, states(connection, orders)))
            rows = connection.execute(
                "select item from public.orders where item like %s group by item having count(*) > 1", (f"{load}-%",)
            ).fetchall()
            doubled.update(str(row[0]) for row in rows)
            tables[region] = sums(connection)

    with ThreadPoolExecutor(len(members)) as pool:
        list(pool.map(look, members))
    return Audit(wrong=wrong, doubled=tuple(sorted(doubled)), tables=tables)


def states(connection: Connection, orders: Collection[str]) -> dict[str, tuple[int, int]]:
    """Revision and quantity of those that are there."""
    rows = connection.execute(
        "select id::text, revision, quantity from public.orders where id = any(%s::uuid[])", (list(orders),)
    ).fetchall()
    return {str(row[0]): (int(row[1]), int(row[2])) for row in rows}


def sums(connection: Connection) -> dict[str, tuple[int, str]]:
    found: dict[str, tuple[int, str]] = {}
    for (table,) in connection.execute(TABLES).fetchall():
        row: Any = connection.execute(SUM.format(table=table).encode()).fetchone()
        found[str(table)] = (int(row[0]), str(row[1]))
    return found
