"""Real servers with mistakes of every kind in them: each is found and its mend mends it, and writes alarm nobody."""

import json
import os
import random
import shlex
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from components.local.servers import home_move, partition_map, paths, postgres, secrets
from components.local.servers.member import MemberSpec
from components.local.servers.postgres_files import DATABASE, OWNER
from components.local.servers.postgres_session import parameters, session
from operations.drivers import local_check
from operations.drivers.local_ground import Ground
from operations.drivers.local_move import digest
from operations.partitions.check_report import Finding, Outcome, document, lines
from operations.partitions.move import State
from tests.components.local.servers.conftest import stack_of_its_own
from topology import from_summary, load, plan, to_summary
from topology.homes import born

pytestmark = [pytest.mark.servers, pytest.mark.timeout(240)]

A, B = "eu-central", "us-east"
EUROPE, AMERICA = "00/eu-central/7f", "01/us-east/7f"
ORDER = "insert into public.orders (home, customer, item, quantity, sequence, created_at) values "


@dataclass
class World:
    """`main` is written in A and copied to B; `americas` is written in B and copied to A."""

    grounds: dict[str, Ground]
    move: State | None = None
    told: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.grounds["main"].folder

    def member(self, name: str) -> MemberSpec:
        return next(each for ground in self.grounds.values() for each in ground.members.values() if each.member == name)

    def writer(self, partition: str) -> MemberSpec:
        return self.grounds[partition].member({"main": A, "americas": B}[partition])

    def do(self, partition: str, *statements: str) -> None:
        member = self.writer(partition)
        with session(self.folder, member.endpoint, OWNER, DATABASE) as connection:
            for each in statements:
                connection.execute(each.encode())

    def check(self, *chosen: str, pauses: tuple[float, ...] = (0.1, 0.2)) -> Outcome:
        return local_check.compare(
            self.grounds,
            chosen or tuple(self.grounds),
            move=lambda: self.move,
            command=lambda *words: shlex.join(["./meridian", *words]),
            tell=self.told.append,
            pauses=pauses,
        )

    def mend(self, finding: Finding, folder: Path) -> None:
        """As a person would, command by command."""
        for line in finding.mend:
            words = shlex.split(line)
            if words[:2] != ["./meridian", "psql"]:
                subprocess.run(line, shell=True, check=True, cwd=folder)
                continue
            assert words[3:6] == ["--owner", "--", "-c"], line
            member = self.member(words[2])
            subprocess.run(
                [
                    postgres.programs(member) / "psql",
                    *("-h", member.endpoint.host, "-p", str(member.endpoint.port), "-U", OWNER, "-d", DATABASE),
                    *("-v", "ON_ERROR_STOP=1", "-c", words[6]),
                ],
                env={**os.environ, "PGPASSWORD": secrets.read_password(self.folder, OWNER), "PGSSLMODE": "disable"},
                check=True,
                cwd=folder,
                stdout=subprocess.DEVNULL,
            )


def place(connection: "psycopg.Connection[tuple[object, ...]]", home: str, who: str) -> None:
    connection.execute(
        "call public.place_order(%s, %s, %s, 'lamp', 1, %s, '\\x00', '5s', null, null, null, null, null, null, null)",
        (home, who, who.encode(), str(uuid.uuid4())),
    )


def cancel(connection: "psycopg.Connection[tuple[object, ...]]", who: str, sequence: int) -> None:
    row = connection.execute(
        "select id::text from public.orders where customer = %s and sequence = %s", (who, sequence)
    ).fetchone()
    assert row is not None
    done = connection.execute(
        "call public.change_order(null, %s, %s, %s::uuid, null, null, true, null, %s, '\\x00', '5s', "
        "null, null, null, null, null, null, null, null, null)",
        (who, who.encode(), row[0], str(uuid.uuid4())),
    ).fetchone()
    assert done is not None
    assert done[0] == "cancelled"


@contextmanager
def stack() -> Iterator[World]:
    settings = {
        "target": "local",
        "phase": "active-active",
        "regions": json.dumps([{"name": A}, {"name": B}]),
        "conflicts": json.dumps({"model": "home-partition"}),
        "partitions": json.dumps([{"name": "americas", "slot": 1, "origin": B, "serves": ["US"]}]),
    }
    summary = from_summary(to_summary(plan(load(settings, "test"))))
    schema = (paths.PROJECT / "service" / "schema.sql").read_text()
    with stack_of_its_own() as made:
        world = World(
            {
                each.name: Ground(
                    folder=made.folder,
                    addresses=made.addresses,
                    summary=summary,
                    partition=each,
                    vantage=None,
                    programs=None,
                )
                for each in summary.partitions
            }
        )
        for slot, name in enumerate(("main", "americas")):
            postgres.create_origin(world.writer(name), f"{schema}\nselect public.found_partition({slot});")
        for name, region in (("main", B), ("americas", A)):
            postgres.create_replica(world.grounds[name].member(region), world.writer(name).endpoint)
        secrets.ensure_password(made.folder, "directory")
        for region in (A, B):
            partition_map.ensure(
                made.folder, region, {"main": A, "americas": B}, {"main": born(0), "americas": born(1)}
            )
        key = secrets.read_password(made.folder, "directory").encode()
        with (
            session(made.folder, world.writer("main").endpoint, OWNER, DATABASE) as main,
            session(made.folder, world.writer("americas").endpoint, OWNER, DATABASE) as americas,
        ):
            for number in range(9):  # the last one is written by nobody later
                home_move.list_in_directory(main, [(digest(key, f"american-{number}"), AMERICA)])
                for _ in range(3):
                    place(main, EUROPE, f"european-{number}")
                    place(americas, AMERICA, f"american-{number}")
        yield world


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with stack() as made:
        yield made


def kinds(outcome: Outcome) -> set[str]:
    return {each.kind for each in outcome.findings}


def well(outcome: Outcome) -> bool:
    return outcome.well and not outcome.findings and not outcome.not_compared


def test_a_stack_in_order_is_well_and_says_what_was_compared(world: World) -> None:
    outcome = world.check()
    assert well(outcome), list(lines(outcome))
    by_name = {each.partition: each for each in outcome.compared}
    assert by_name["main"].members == ("main-us-east",)
    assert by_name["americas"].members == ("americas-eu-central",)
    assert by_name["main"].rows >= 9 * (1 + 3 + 3 + 1)
    assert "Nothing differs." in list(lines(outcome))
    assert json.loads(json.dumps(document(outcome)))["well"] is True


KEYS = "insert into public.idempotency_keys (home, customer, key, request_hash, order_id, created_at) values "

# What is planted where, what has to be found, and whether its mend as it is told mends all of it.
PLANTED: list[tuple[str, set[str], tuple[tuple[str, str], ...]]] = [
    (
        "outside_home",
        {"outside_home", "orders_lacking"},  # the home's partition lacks what is elsewhere
        (
            ("main", f"{ORDER} ('{AMERICA}', 'american-2', 'lamp', 1, 4, now())"),
            ("americas", "update public.customers set last_sequence = 4 where customer = 'american-2'"),
        ),
    ),
    (
        "left_behind",
        {"left_behind"},
        (("main", f"insert into public.customers values ('{AMERICA}', 'american-3', 2)"),),
    ),
    (
        "other_home",
        {"other_home"},
        (
            (
                "main",
                "update public.orders set home = '00/eu-central/ee' where customer = 'european-1' and sequence = 2",
            ),
            ("main", "update public.idempotency_keys set home = '00/eu-central/ee' where customer = 'european-1'"),
        ),
    ),
    (
        "order_without_customer",
        {"order_without_customer"},
        (("main", "delete from public.customers where customer = 'european-2'"),),
    ),
    (
        "sequence_twice",
        {"sequence_twice"},
        (
            ("main", "alter table public.orders drop constraint if exists orders_customer_sequence_key"),
            ("main", f"{ORDER} ('{EUROPE}', 'european-3', 'lamp', 1, 2, now())"),
        ),
    ),
    (
        "counter_behind",
        {"counter_behind"},
        (("americas", "update public.customers set last_sequence = 1 where customer = 'american-4'"),),
    ),
    (
        "orphaned_key",
        {"orphaned_key"},
        (("main", f"{KEYS} ('{EUROPE}', 'european-4', 'it''s', '\\x00', '{uuid.UUID(int=7)}', now())"),),
    ),
    (
        "customer_in_two",
        {"customer_in_two"},
        (("main", "insert into public.customers values ('00/eu-central/11', 'american-5', 0)"),),
    ),
    (
        "directory_lacks",
        {"directory_lacks"},
        (("main", "delete from public.directory where digest = (select min(digest) from public.directory)"),),
    ),
    (
        "directory_contradicts",
        {"directory_contradicts"},
        (
            (
                "main",
                "update public.directory set home = '01/us-east/00' "
                "where digest = (select max(digest) from public.directory)",
            ),
        ),
    ),
    (
        "homes_of_two",
        {"homes_of_two"},
        (
            ("main", "select public.begin_range('01/us-east/')"),
            ("main", "update public.home_ranges set owned = true where first = '01/us-east/'"),
        ),
    ),
    (
        "homes_of_none",
        {"homes_of_none"},
        (("americas", "update public.home_ranges set owned = false where first = '01/'"),),
    ),
    (
        "homes_astray",
        {"homes_astray"},
        (("americas", "update public.home_ranges set moved_to = 'asia' where first = ''"),),
    ),
    (
        "move_note",
        {"move_note"},
        (
            (
                "main",
                "update public.home_ranges set moving_to = 'americas', timeline = public.timeline() "
                "where first = '00/'",
            ),
        ),
    ),
    (
        "slot_left",
        {"slot_left"},
        (
            ("main", "select pg_create_physical_replication_slot('main_ap_northeast')"),
            ("main", "select pg_create_logical_replication_slot('move_009', 'pgoutput')"),
        ),
    ),
    ("publication_left", {"publication_left"}, (("main", "create publication move_009 for table public.orders"),)),
    (
        "subscription_left",
        {"subscription_left"},
        (("americas", "create subscription move_009 connection 'host=x' publication move_009 with (connect = false)"),),
    ),
]


@pytest.mark.parametrize(("kind", "expected", "planted"), PLANTED, ids=[each[0] for each in PLANTED])
def test_what_is_planted_is_found_and_its_mend_mends_it(
    world: World, tmp_path: Path, kind: str, expected: set[str], planted: tuple[tuple[str, str], ...]
) -> None:
    for partition, statement in planted:
        world.do(partition, statement)
    outcome = world.check()
    assert kinds(outcome) == expected, list(lines(outcome))
    assert not outcome.well
    for finding in outcome.findings:
        assert finding.examples
        if finding.kind == kind:
            world.mend(finding, tmp_path)
    outcome = world.check()
    assert well(outcome), list(lines(outcome))


def test_an_order_that_is_gone_is_found_unless_it_was_cancelled(world: World) -> None:
    cancelled = [("european-5", 1), ("european-6", 3), ("european-7", 2)]
    with session(world.folder, world.writer("main").endpoint, OWNER, DATABASE) as main:
        for who, sequence in cancelled:
            cancel(main, who, sequence)
    assert well(world.check())
    world.do(
        "main",
        "create table public.kept as select * from public.orders "
        "where (customer, sequence) in (('european-5', 2), ('european-6', 2))",
        "create table public.kept_keys as select k.* from public.idempotency_keys k "
        "where order_id in (select id from public.kept)",
    )
    world.do("main", "delete from public.orders where id in (select id from public.kept)")
    found = world.check("main")
    assert kinds(found) == {"orders_lacking", "orphaned_key"}, list(lines(found))
    named = {each.kind: each for each in found.findings}
    assert (named["orphaned_key"].count, named["orders_lacking"].count) == (2, 2)
    assert "customer european-5" in named["orders_lacking"].examples[0]
    assert any("reconcile list" in line for line in named["orders_lacking"].mend)
    world.do(
        "main",
        "insert into public.orders select * from public.kept",
        "drop table public.kept, public.kept_keys",
    )
    assert well(world.check())


def test_an_order_that_is_there_again_after_its_cancellation_is_found(world: World, tmp_path: Path) -> None:
    world.do("main", "create table public.kept as select * from public.orders where customer = 'european-0'")
    with session(world.folder, world.writer("main").endpoint, OWNER, DATABASE) as main:
        cancel(main, "european-0", 2)
    assert well(world.check("main"))
    world.do(
        "main", "insert into public.orders select * from public.kept on conflict do nothing", "drop table public.kept"
    )
    found = world.check("main")
    assert kinds(found) == {"order_uncancelled"}, list(lines(found))
    world.mend(found.findings[0], tmp_path)
    assert well(world.check())


def test_a_move_that_is_under_way_is_told_and_alarms_nobody(world: World) -> None:
    """Rows at both, the notes of the move, and that nobody writes the homes for a moment."""
    world.move = State(name="move_007", first="01/us-east/", last="01/us-east0", source="americas", target="main")
    plants = (
        f"insert into public.customers values ('{AMERICA}', 'american-7', 1)",
        "create publication move_007 for table public.orders",
    )
    world.do("main", *plants)
    world.do("americas", "select public.begin_range('01/us-east/')", "select public.begin_range('01/us-east0')")
    world.do(
        "americas",
        "update public.home_ranges set owned = false, moving_to = 'main', timeline = public.timeline() "
        "where first = '01/us-east/'",
    )
    try:
        outcome = world.check()
        assert well(outcome), list(lines(outcome))
        assert len(outcome.under_way) == 1
        assert "move_007" in outcome.under_way[0]
        world.move = None
        assert kinds(world.check()) == {"left_behind", "publication_left", "homes_of_none", "move_note"} - {
            "left_behind"
        }
    finally:
        world.move = None
        world.do(
            "americas",
            "update public.home_ranges set owned = true, moving_to = null, timeline = null where first = '01/us-east/'",
        )
    assert kinds(world.check()) == {"left_behind", "publication_left"}
    world.do("main", "drop publication move_007", "delete from public.customers where customer = 'american-7'")
    assert well(world.check())


def test_the_map_and_the_databases_have_to_agree(world: World, tmp_path: Path) -> None:
    spare = {region: paths.partition_map(world.folder, region).read_text() for region in (A, B)}
    partition_map.give(world.folder, [A, B], "00/us-east/", "00/us-east0", "americas")
    outcome = world.check()
    assert kinds(outcome) == {"map_contradicts"}, list(lines(outcome))
    assert "from '00/us-east/' up to '00/us-east0' to main" in outcome.findings[0].mend[0]
    for region, text in spare.items():
        paths.partition_map(world.folder, region).write_text(text)

    partition_map.point(world.folder, [A, B], "main", B)
    assert kinds(world.check()) == {"map_writer"}
    partition_map.point(world.folder, [A], "main", A)
    outcome = world.check()
    assert kinds(outcome) == {"map_old"}, list(lines(outcome))
    world.mend(outcome.findings[0], tmp_path)
    assert well(world.check())


# --- while users write ------------------------------------------------------------------------------------------------


class Users:
    """Several hundred changes a second: orders placed, changed, and taken back with all that belongs to them."""

    TAKE_BACK = """
    with gone as (delete from public.orders o using public.customers c where c.customer = %(who)s
                  and o.customer = c.customer and o.sequence = c.last_sequence returning o.id),
         keys as (delete from public.idempotency_keys k using gone where k.customer = %(who)s and k.order_id = gone.id)
    update public.customers set last_sequence = last_sequence - 1 where customer = %(who)s and exists (select from gone)
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.done = 0
        self.faults: list[str] = []

    def __enter__(self) -> "Users":
        self.began = time.monotonic()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._go, args=(partition, number), daemon=True)
            for partition in ("main", "americas")
            for number in range(2)
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(20)
        self.rate = self.done / (time.monotonic() - self.began)

    def _go(self, partition: str, number: int) -> None:
        dice = random.Random(number)
        member = self.world.writer(partition)
        home, people = (EUROPE, "european") if partition == "main" else (AMERICA, "american")
        try:
            given = parameters(member.stack_folder, member.endpoint, OWNER, DATABASE, 0)
            with psycopg.connect(**given, autocommit=True) as connection:
                while not self._stop.is_set():
                    # Each has customers of their own: what is taken back is then whole. One has most of the orders.
                    who = f"{people}-{number + 2 * min(dice.randrange(8), 3)}"
                    match dice.randrange(4):
                        case 0 | 1:
                            place(connection, home, who)
                        case 2:
                            query = (
                                "update public.orders set quantity = quantity + 1 where customer = %s and sequence < 4"
                            )
                            connection.execute(query, (who,))
                        case _:
                            connection.execute(self.TAKE_BACK, {"who": who})
                    self.done += 1
        except Exception as fault:
            self.faults.append(repr(fault))


def test_writes_alarm_nobody(world: World) -> None:
    members = [world.grounds["main"].member(each) for each in (A, B)]
    with Users(world) as users:
        looked = [world.check(), world.check()]
        postgres.set_synchronous(members, "quorum")  # a replica shows then what the writer does not show yet
        try:
            looked += [world.check(), world.check()]
        finally:
            postgres.set_synchronous(members, "async")
    assert not users.faults, users.faults
    assert users.rate > 200, users.rate
    for outcome in looked:
        assert not outcome.findings, list(lines(outcome))
        assert not outcome.not_compared, outcome.not_compared
    assert well(world.check())


def test_an_order_that_waits_for_its_standbys_alarms_nobody(world: World) -> None:
    """The replica has it and shows it, and the writer does not show it yet."""
    member = world.writer("main")
    given = parameters(member.stack_folder, member.endpoint, OWNER, DATABASE, 0)
    postgres.set_standbys(member, ["nobody"])
    try:
        with psycopg.connect(**given, autocommit=True) as connection:
            waiting = threading.Thread(target=place, args=(connection, EUROPE, "european-8"), daemon=True)
            waiting.start()
            wait_until(world, "select count(*) = 1 from pg_stat_activity where wait_event = 'SyncRep'")
            outcome = world.check("main")
            still = waiting.is_alive()
            postgres.set_standbys(member, [])
            waiting.join(10)
    finally:
        postgres.set_standbys(member, [])
    assert still
    assert not outcome.findings, list(lines(outcome))
    assert well(world.check("main"))


def test_a_replica_that_is_behind_for_a_moment_is_waited_for(world: World) -> None:
    replica = world.grounds["main"].member(B)
    with session(world.folder, replica.endpoint, OWNER, DATABASE) as connection:
        connection.execute("select pg_wal_replay_pause()")
        world.do("main", "update public.orders set quantity = quantity + 1 where customer = 'european-8'")
        resume = threading.Timer(2.5, lambda: connection.execute("select pg_wal_replay_resume()"))
        resume.start()
        outcome = world.check("main")
        resume.join()
    assert well(outcome), list(lines(outcome))
    assert outcome.seconds > 2


def test_a_change_is_found_while_users_write(world: World) -> None:
    world.do("main", "update public.customers set home = '00/eu-central/7e' where customer = 'european-8'")
    with Users(world) as users:
        outcome = world.check("main")
    assert not users.faults, users.faults
    assert kinds(outcome) == {"other_home"}, list(lines(outcome))
    world.do("main", f"update public.customers set home = '{EUROPE}' where customer = 'european-8'")


# --- what the replica has ---------------------------------------------------------------------------------------------


def damage(member: MemberSpec, before: bytes, after: bytes, *files: str) -> None:
    """Other bytes in tables' files, with the checksums that they should have."""
    assert len(before) == len(after)
    postgres.stop(member)
    for file in files:
        content = (member.data / file).read_bytes()
        assert content.count(before) == 1
        (member.data / file).write_bytes(content.replace(before, after))
    program = str(postgres.programs(member) / "pg_checksums")
    for how in ("--disable", "--enable"):
        subprocess.run([program, how, "--no-sync", "-D", str(member.data)], check=True, capture_output=True)
    postgres.ensure_started(member)


def test_a_replica_with_other_rows_is_found_also_while_users_write(world: World) -> None:
    replica = world.grounds["main"].member(B)
    # In tables that nobody writes meanwhile: a page that is changed may come whole, which mends the replica.
    made = "as select n as id, 'word-' || n as word from generate_series(1000, 4000) n"
    world.do("main", f"create table public.valued {made}", f"create table public.named {made}")
    world.do(
        "main",
        "alter table public.valued add primary key (id)",
        "alter table public.named add primary key (word)",
        "vacuum (freeze) public.valued, public.named",
        # Of two rows that are alike a third is told apart by its place.
        "create table public.loose as select n % 7 as n from generate_series(1, 2500) n",
    )
    with session(world.folder, world.writer("main").endpoint, OWNER, DATABASE) as connection:
        query = "select pg_relation_filepath('public.valued'), pg_relation_filepath('public.named')"
        files = connection.execute(query).fetchone()
        assert files is not None
    assert well(world.check("main"))
    world.do("main", "checkpoint")
    assert well(world.check("main"))  # which waits until the replica has that too
    with session(world.folder, replica.endpoint, OWNER, DATABASE) as connection:
        connection.execute("checkpoint")  # a restart point, so that starting it replays none of these pages
    damage(replica, b"word-2345", b"wore-2345", *files)
    wait_streaming(world)
    with Users(world) as users:
        outcome = world.check("main")
    assert not users.faults, users.faults
    assert kinds(outcome) == {"row_differs"}, list(lines(outcome))
    found = {each.what.split()[2]: each for each in outcome.findings}
    assert {table: sorted(each.examples) for table, each in found.items()} == {
        "public.named": ["word word-2345, missing there", "word wore-2345"],
        "public.valued": ["id 2345"],
    }
    for finding in found.values():
        assert finding.member == "main-us-east"
        assert str(replica.data) in finding.mend[1]
        assert finding.mend[-1] == "./meridian failback --partition main --to us-east --rejoin-only"
    world.do("main", "drop table public.valued, public.named, public.loose")
    assert well(world.check("main"))


def wait_streaming(world: World) -> None:
    wait_until(world, "select count(*) = 1 from pg_stat_replication")


def wait_until(world: World, query: str) -> None:
    """At the writer of `main`."""
    deadline = time.monotonic() + 20
    with session(world.folder, world.writer("main").endpoint, OWNER, DATABASE) as connection:
        while connection.execute(query.encode()).fetchone() != (True,):
            assert time.monotonic() < deadline, query
            time.sleep(0.05)


def test_what_cannot_be_compared_is_said_and_is_not_well(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    replica = world.grounds["main"].member(B)
    monkeypatch.setattr("operations.drivers.local_check_seats.LAG_SECONDS", 0.5)
    with session(world.folder, replica.endpoint, OWNER, DATABASE) as connection:
        connection.execute("select pg_wal_replay_pause()")
        world.do("main", "update public.orders set quantity = 9 where customer = 'european-0'")
        outcome = world.check("main")
        connection.execute("select pg_wal_replay_resume()")
    assert not outcome.findings, list(lines(outcome))
    assert not outcome.well
    assert [each.what for each in outcome.not_compared] == ["main-us-east"]
    assert "lags" in outcome.not_compared[0].why
    assert outcome.compared[0].members == ()

    postgres.stop(replica)
    outcome = world.check("main")
    assert (outcome.well, [each.what for each in outcome.not_compared]) == (False, ["main-us-east"])
    assert "Nothing that was compared differs." in list(lines(outcome))
    postgres.ensure_started(replica)
    wait_streaming(world)


def test_a_second_writer_is_found(world: World) -> None:
    """The last one: the replica is promoted, and the old writer knows nothing of it."""
    replica = world.grounds["main"].member(B)
    with session(world.folder, replica.endpoint, OWNER, DATABASE) as connection:
        connection.execute("select pg_promote()")
    outcome = world.check("main")
    assert "second_writer" in kinds(outcome), list(lines(outcome))
    assert {each.what for each in outcome.not_compared} >= {"main-eu-central"}
