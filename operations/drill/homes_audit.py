"""What moves of homes may never leave behind: asked of every member of every partition, by SQL, past the service."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from components.local.servers.home_ranges import Ranges, owner
from components.local.servers.member import MemberSpec
from components.local.servers.postgres_files import DATABASE, OWNER
from components.local.servers.postgres_session import Connection, session
from operations.drill.audit import STATEMENT_MS, sums
from operations.drill.expectation import Contradiction, Expected, contradictions
from operations.drill.measures import instant

DOUBLED = "orders that are there twice"
DIFFERING = "members that differ"

# Every home that a row names, also a row that no customer belongs to.
_HOMES = """
select home from public.customers union select home from public.orders union
select home from public.idempotency_keys union select home from public.move_marks order by 1
"""

# A sequence is unique for a customer and begins at 1, so as many as its end says are there, or were cancelled.
_GAPS = """
select coalesce(c.customer, o.customer) from public.customers c full join
    (select customer, count(*) as orders, max(sequence) as newest from public.orders group by customer) o
    on o.customer = c.customer
where coalesce(o.orders, 0) + c.cancelled is distinct from c.last_sequence or o.newest > c.last_sequence
order by 1
"""

_TURNED = """
select distinct customer from (
    select customer, created_at < lag(created_at) over (partition by customer order by sequence) as turned
    from public.orders) t
where turned order by 1
"""

_KEYS = """
select k.customer || ' ' || k.key from public.idempotency_keys k
left join public.orders o on o.id = k.order_id and o.home = k.home and o.customer = k.customer
where o.id is null and not exists (
    select from public.idempotency_keys l
    where l.order_id = k.order_id and l.customer = k.customer and l.answer #>> '{change,cancels}' = 'true')
order by 1
"""

# The lease's and the followers' slots are physical; what a copy began with has a name of PostgreSQL's own.
_LEFT = """
select 'publication ' || pubname from pg_publication
union all select 'subscription ' || subname from pg_subscription
union all select 'slot ' || slot_name from pg_replication_slots where slot_type = 'logical'
union all select 'a move of the homes from ' || first || ' noted' from public.home_ranges where moving_to is not null
order by 1
"""


@dataclass(frozen=True, kw_only=True)
class Held:
    """What one member of a partition holds. `orders` are those of this drill: id, item, revision, quantity."""

    partition: str
    region: str
    writes: bool
    tables: Mapping[str, tuple[int, str]]
    homes: tuple[str, ...]
    customers: Mapping[str, str]
    orders: tuple[tuple[str, str, int, int], ...]
    gaps: tuple[str, ...] = ()
    turned: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    ranges: tuple[tuple[str, bool], ...] = ()  # where each begins, and whether this database writes it
    left: tuple[str, ...] = ()

    def owns(self, home: str) -> bool:
        return next((owned for first, owned in reversed(self.ranges) if first <= home), False)


def gather(partitions: Mapping[str, Mapping[str, MemberSpec]], load: str) -> list[Held]:
    """`partitions`: the members of each by region. `load` is what the items of this drill's orders begin with."""
    asked = [(name, region, spec) for name, members in partitions.items() for region, spec in members.items()]

    def look(one: tuple[str, str, MemberSpec]) -> Held:
        name, region, spec = one
        with session(spec.stack_folder, spec.endpoint, OWNER, DATABASE, statement_ms=STATEMENT_MS) as connection:
            return held(connection, name, region, load)

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(look, asked))


def held(connection: Connection, partition: str, region: str, load: str) -> Held:
    def rows(query: str, *values: object) -> list[Any]:
        return connection.execute(query.encode(), values or None).fetchall()

    def first(query: str) -> tuple[str, ...]:
        return tuple(str(row[0]) for row in rows(query))

    return Held(
        partition=partition,
        region=region,
        writes=rows("select not pg_is_in_recovery()") == [(True,)],
        tables=sums(connection),
        homes=first(_HOMES),
        customers={str(customer): str(home) for customer, home in rows("select customer, home from public.customers")},
        orders=tuple(
            (str(order), str(item), int(revision), int(quantity))
            for order, item, revision, quantity in rows(
                "select id::text, item, revision, quantity from public.orders where item like %s", f"{load}-%"
            )
        ),
        gaps=first(_GAPS),
        turned=first(_TURNED),
        keys=first(_KEYS),
        ranges=tuple(
            (str(begin), bool(owned))
            for begin, owned in rows('select first, owned from public.home_ranges order by first collate "C"')
        ),
        left=first(_LEFT),
    )


@dataclass(frozen=True, kw_only=True)
class Findings:
    """`told`: what speaks against what users were told. `wrong`: what was looked for, and what was found."""

    told: tuple[Contradiction, ...]
    wrong: Mapping[str, tuple[str, ...]]


def findings(members: Sequence[Held], maps: Mapping[str, Ranges], expected: Mapping[str, Expected]) -> Findings:
    """`maps`: each region's partition map. `expected`: what each order should be. Of what is replicated only the
    writers' rows are looked at: the members of a partition have to be alike."""
    writers = {each.partition: each for each in members if each.writes}
    ranges = next(iter(maps.values()))
    there = {order: state for each in writers.values() for order, _, *state in each.orders}
    wrong = {
        DIFFERING: _differing(members, writers),
        "rows outside their home's partition": [
            f"{each.partition} in {each.region} has rows of {home}, which is of {owner(ranges, home)}"
            for each in members
            for home in each.homes
            if owner(ranges, home) != each.partition
        ],
        DOUBLED: _doubled(writers.values()),
        "customers with two homes": _twice_at_home(writers.values()),
        "homes that none or several write": _unowned(writers, ranges),
        "customers whose orders have gaps": _named(writers.values(), "gaps"),
        "customers whose orders are out of order": _named(writers.values(), "turned"),
        "keys without their order": _named(writers.values(), "keys"),
        "left behind by a move": _named(members, "left"),
        "partition maps that differ": [region for region, each in maps.items() if each != ranges],
    }
    return Findings(
        told=tuple(contradictions(expected, {order: (state[0], state[1]) for order, state in there.items()})),
        wrong={name: tuple(found) for name, found in wrong.items()},
    )


def _differing(members: Iterable[Held], writers: Mapping[str, Held]) -> list[str]:
    return [
        f"{each.partition} in {each.region}"
        for each in members
        if each.partition not in writers or each.tables != writers[each.partition].tables
    ]


def _doubled(writers: Iterable[Held]) -> list[str]:
    found: dict[str, list[str]] = defaultdict(list)
    for each in writers:
        for order, item, _, _ in each.orders:
            found[f"order {order}"].append(each.partition)
            found[f"item {item}"].append(each.partition)
    return [f"{what}: {', '.join(places)}" for what, places in sorted(found.items()) if len(places) > 1]


def _twice_at_home(writers: Iterable[Held]) -> list[str]:
    found: dict[str, list[str]] = defaultdict(list)
    for each in writers:
        for customer, home in each.customers.items():
            found[customer].append(f"{home} in {each.partition}")
    return [f"{customer}: {', '.join(places)}" for customer, places in sorted(found.items()) if len(places) > 1]


def _unowned(writers: Mapping[str, Held], ranges: Ranges) -> list[str]:
    homes = sorted({home for each in writers.values() for home in each.customers.values()})
    found = []
    for home in homes:
        owning = [name for name, each in writers.items() if each.owns(home)]
        if owning != [owner(ranges, home)]:
            found.append(f"{home}: {', '.join(owning) or 'nobody'}, and the map says {owner(ranges, home)}")
    return found


def _named(members: Iterable[Held], what: str) -> list[str]:
    return [f"{each.partition} in {each.region}: {found}" for each in members for found in getattr(each, what)]


def turns(acknowledged: Iterable[Mapping[str, Any]], moves: int) -> tuple[str, ...]:
    """The customers whom partitions wrote in turn more often than homes were moved: then two wrote at once.

    By the stamp of each order, which is made under a lock at the writer.
    """
    by_customer: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for record in acknowledged:
        by_customer[record["customer"]].append(record)
    found = []
    for customer, records in sorted(by_customer.items()):
        ordered = sorted(records, key=lambda record: instant(record["at"]))
        taken = [partition for partition, _ in groupby(ordered, key=lambda record: record["partition"])]
        if len(taken) > moves + 1:
            found.append(f"{customer}: {', '.join(taken)}")
    return tuple(found)
