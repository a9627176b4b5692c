"""What the audit asks of a database, on two real ones: each mistake is made by SQL, and found."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from components.local.servers import paths, postgres
from components.local.servers.member import MemberSpec
from components.local.servers.postgres_files import DATABASE, OWNER
from components.local.servers.postgres_session import Connection, session
from operations.drill import homes_audit
from operations.drill.homes_audit import Held, findings, gather
from tests.components.local.servers.conftest import stack_of_its_own

pytestmark = pytest.mark.servers

SCHEMA = (paths.PROJECT / "service" / "schema.sql").read_text()
RANGES = (("", "main"), ("01/", "americas"), ("02/", "main"))
SLOTS = ("main", "americas")


Members = dict[str, dict[str, MemberSpec]]


@pytest.fixture
def members() -> Iterator[Members]:
    """Two partitions of one member, each with two customers who ordered twice."""
    with stack_of_its_own() as stack:
        made: Members = {}
        for slot, name in enumerate(SLOTS):
            member = MemberSpec(
                stack_folder=stack.folder,
                region="eu-central",
                member=f"{name}-eu-central",
                endpoint=stack.addresses.postgres(0, slot),
            )
            postgres.create_origin(member, f"{SCHEMA}\nselect public.found_partition({slot});")
            made[name] = {"eu-central": member}
            with at(member) as connection:
                for who in ("ada", "bob"):
                    for number in (1, 2):
                        place(connection, f"{who}-{slot}", f"{slot:02d}/eu-central/7f", f"x-{who}{slot}{number}")
        yield made


@contextmanager
def at(member: MemberSpec) -> Iterator[Connection]:
    with session(member.stack_folder, member.endpoint, OWNER, DATABASE) as connection:
        yield connection


def place(connection: Connection, who: str, home: str, item: str) -> None:
    row = connection.execute(
        "call public.place_order(%s, %s, %s, %s, 1, %s, '\\x00', '5s', null, null, null, null, null, null, null)",
        (home, who, who.encode(), item, str(uuid.uuid4())),
    ).fetchone()
    assert row is not None
    assert row[0] == "placed"


def cancel(connection: Connection, who: str, item: str) -> None:
    order = connection.execute("select id::text from public.orders where item = %s", (item,)).fetchone()
    assert order is not None
    row = connection.execute(
        "call public.change_order(null, %s, %s, %s::uuid, null, null, true, null, %s, '\\x00', '5s', "
        "null, null, null, null, null, null, null, null, null)",
        (who, who.encode(), order[0], str(uuid.uuid4())),
    ).fetchone()
    assert row is not None
    assert row[0] == "cancelled"


def found(members: Members) -> tuple[list[Held], dict[str, tuple[str, ...]]]:
    held = gather(members, "x")
    wrong = findings(held, {"eu-central": RANGES}, {}).wrong
    return held, {name: what for name, what in wrong.items() if what}


MISTAKES = {
    "customers whose orders have gaps": (
        "delete from public.idempotency_keys k using public.orders o where k.order_id = o.id and o.sequence = 1 "
        "and o.customer = 'ada-0'",
        "delete from public.orders where customer = 'ada-0' and sequence = 1",
    ),
    "customers whose orders are out of order": (
        "update public.orders set created_at = created_at - interval '1 h' where customer = 'bob-0' and sequence = 2",
    ),
    "keys without their order": (
        "insert into public.idempotency_keys (home, customer, key, request_hash, order_id, created_at) "
        "values ('00/eu-central/7f', 'bob-0', 'k', '\\x00', uuidv7(), now())",
    ),
    "rows outside their home's partition": (
        "insert into public.move_marks (home, mark) values ('01/eu-central/7f', '1')",
    ),
    "homes that none or several write": ("update public.home_ranges set owned = true where first = '01/'",),
    homes_audit.DOUBLED: ("update public.orders set item = 'x-ada02' where customer = 'bob-0' and sequence = 1",),
}


def test_two_databases_in_order_are_found_in_order_and_each_mistake_is_found(
    members: Members,
) -> None:
    with at(members["main"]["eu-central"]) as connection:
        place(connection, "ada-0", "00/eu-central/7f", "x-cancelled")
        cancel(connection, "ada-0", "x-cancelled")
    held, wrong = found(members)
    assert wrong == {}
    assert sorted(order[1:] for order in held[0].orders) == [
        ("x-ada01", 1, 1),
        ("x-ada02", 1, 1),
        ("x-bob01", 1, 1),
        ("x-bob02", 1, 1),
    ]
    assert [each.writes for each in held] == [True, True]
    main = members["main"]["eu-central"]
    seen: set[str] = set()
    for name, statements in MISTAKES.items():
        with at(main) as connection:
            for statement in statements:
                connection.execute(statement.encode())
        _, wrong = found(members)
        assert set(wrong) - seen == {name}, (name, wrong)
        seen.add(name)


def test_what_a_move_leaves_behind_is_found(members: Members) -> None:
    left = {
        "a move of the homes from 00/": "update public.home_ranges set moving_to = 'americas', timeline = '1' "
        "where first = '00/'",
        "publication move_001": "create publication move_001 for table public.orders",
        "slot move_001": "select pg_create_logical_replication_slot('move_001', 'pgoutput')",
        "subscription move_001": "create subscription move_001 connection 'host=nowhere' publication move_001 "
        "with (connect = false)",
    }
    for count, (words, statement) in enumerate(left.items(), 1):
        with at(members["main"]["eu-central"]) as connection:
            connection.execute(statement.encode())
        _, wrong = found(members)
        assert list(wrong) == ["left behind by a move"]
        assert len(wrong["left behind by a move"]) == count
        assert any(words in each for each in wrong["left behind by a move"])
