"""What must hold among the rows of one partition's database: asked in parts, each of which is one statement.

One statement sees one moment, and whatever places or changes an order does all of it in one transaction, so what is
found is no half of something. Only rows of homes that this database writes are judged: a copy that a move is just
making is whole only when it has come to its end.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from psycopg import sql

from components.local.servers.postgres_session import Connection
from components.local.servers.table_walk import Key, Span, Table, within

_ORDERS = Table(
    schema="public",
    name="orders",
    key=("customer", "sequence", "id"),  # in the order of an index, of which the id makes a key
    types=("text", "bigint", "uuid"),
    has_home=True,
    rows=0,
)
_CUSTOMERS = replace(_ORDERS, name="customers", key=("customer",), types=("text",))
_KEYS = replace(_ORDERS, name="idempotency_keys", key=("customer", "key", "home"), types=("text", "text", "text"))

_OWNED = """
coalesce((select r.owned from public.home_ranges r where r.first <= wrong.home order by r.first desc limit 1), true)
"""

_JUDGE_ORDERS = """
with part as materialized (
    select o.* from public.orders o where {within} order by customer, sequence, id {limit}
), beside as (
    select p.*, lag(p.sequence) over (partition by p.customer order by p.sequence, p.id) as prior from part p
), judged as (
    select b.*, c.home as customer_home, c.last_sequence,
           case when b.prior is not null then b.prior
                else coalesce((select max(e.sequence) from public.orders e where e.customer = b.customer
                               and e.sequence <= b.sequence and (e.sequence, e.id) < (b.sequence, b.id)), 0)
           end as earlier
    from beside b left join public.customers c on c.customer = b.customer
), wrong as (
    select case when customer_home is null then 'order_without_customer'
                when customer_home <> home then 'other_home'
                when sequence = earlier then 'sequence_twice'
                when sequence > last_sequence then 'counter_behind' end as kind,
           customer, id, home, sequence
    from judged
)
select (select count(*) from part), (select array[customer, sequence::text, id::text] from part
                                     order by customer desc, sequence desc, id desc limit 1),
       coalesce((select jsonb_agg(to_jsonb(wrong)) from wrong where kind is not null and {owned}), '[]')
"""

# What is neither there nor counted as cancelled was lost; what is both came back. Where numbers lie beyond the counter,
# the orders themselves tell. `cancelled` is a column of newer schemas; before it nothing could be cancelled.
_JUDGE_CUSTOMERS = """
with part as materialized (
    select c.* from public.customers c where {within} order by customer {limit}
), counted as (
    select p.customer, p.home, p.last_sequence, found.newest,
           found.orders + coalesce((to_jsonb(p) ->> 'cancelled')::bigint, 0) as accounted
    from part p cross join lateral (
        select count(distinct o.sequence) as orders, coalesce(max(o.sequence), 0) as newest
        from public.orders o where o.customer = p.customer) found
), wrong as (
    select case when accounted < last_sequence then 'orders_lacking' else 'order_uncancelled' end as kind,
           customer, home
    from counted where accounted <> last_sequence and newest <= last_sequence
)
select (select count(*) from part), (select array[customer] from part order by customer desc limit 1),
       coalesce((select jsonb_agg(to_jsonb(wrong)) from wrong where {owned}), '[]')
"""

# A key outlives the order that it cancelled, and so do those of before, for the day that keys are good for. `answer` is
# a column of newer schemas.
_JUDGE_KEYS = """
with part as materialized (
    select k.* from public.idempotency_keys k where {within} order by customer, key, home {limit}
), wrong as (
    select case when c.home <> p.home then 'other_home' else 'orphaned_key' end as kind, p.customer, p.key, p.home
    from part p left join public.customers c on c.customer = p.customer
    where c.home <> p.home
       or (not exists (select from public.orders o where o.id = p.order_id and o.customer = p.customer)
           and not exists (select from public.idempotency_keys l where l.customer = p.customer
                           and l.order_id = p.order_id and to_jsonb(l) #>> '{{answer,change,cancels}}' = 'true')
           and p.created_at > now() - interval '24 hours')
)
select (select count(*) from part), (select array[customer, key, home] from part
                                     order by customer desc, key desc, home desc limit 1),
       coalesce((select jsonb_agg(to_jsonb(wrong)) from wrong where {owned}), '[]')
"""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """`last`: where the part ended; None where there is nothing behind it."""

    count: int
    last: Key | None
    wrong: tuple[Mapping[str, Any], ...]


Judge: TypeAlias = Callable[[Connection, Span, int | None], Judged]


def judges() -> dict[str, Judge]:
    """By table, what judges a part of it: a span, and at most so many rows where that has no end."""
    return {
        table.title: _judge(table, query)
        for table, query in ((_ORDERS, _JUDGE_ORDERS), (_CUSTOMERS, _JUDGE_CUSTOMERS), (_KEYS, _JUDGE_KEYS))
    }


def _judge(table: Table, query: str) -> Judge:
    def judge(connection: Connection, span: Span, size: int | None) -> Judged:
        limit = sql.SQL("") if size is None else sql.SQL("limit {}").format(size)
        row = connection.execute(
            sql.SQL(query).format(  # pyright: ignore
                within=within(table, span),
                limit=limit,
                owned=sql.SQL(_OWNED),
            )
        ).fetchone()
        assert row is not None
        count, last, wrong = row
        ended = size is None or count < size
        return Judged(count=int(count), last=None if ended else tuple(last), wrong=tuple(wrong))

    return judge


def customers(connection: Connection, after: str, size: int) -> list[tuple[str, str]]:
    """The next customers by name, with their homes."""
    rows = connection.execute(
        "select customer, home from public.customers where customer > %s order by customer limit %s", (after, size)
    ).fetchall()
    return [(str(customer), str(home)) for customer, home in rows]


def homes_of(connection: Connection, names: list[str]) -> dict[str, tuple[str, bool]]:
    """Those of these customers who are here: their home, and whether this database writes it."""
    rows = connection.execute(
        "select customer, home, coalesce((select r.owned from public.home_ranges r where r.first <= c.home "
        "order by r.first desc limit 1), true) from public.customers c where customer = any(%s)",
        (names,),
    ).fetchall()
    return {str(customer): (str(home), bool(owned)) for customer, home, owned in rows}


def listed(main: Connection, digests: list[bytes]) -> dict[bytes, str]:
    """The homes that the directory has for these customers."""
    rows = main.execute("select digest, home from public.directory where digest = any(%s)", (digests,)).fetchall()
    return {bytes(digest): str(home) for digest, home in rows}
