"""A partition is given up while others stay: what the real databases of those know of it afterwards."""

import time

import pytest

from components.local import homes
from components.local.homes import NewcomersProvider
from components.local.servers import partition_map, paths, postgres, service
from components.local.servers.errors import ServerFault
from components.local.servers.member import MemberSpec
from components.local.servers.postgres_files import DATABASE, OWNER
from components.local.servers.postgres_session import session
from tests.components.local.servers.conftest import Stack

pytestmark = pytest.mark.servers

SCHEMA = (paths.PROJECT / "service" / "schema.sql").read_text()
WRITERS = {"main": "eu-central", "americas": "us-east", "asia": "ap-northeast"}
REGIONS = {"eu-central": 0, "us-east": 1}
SLOTS = {"main": 0, "americas": 1, "asia": 2}
BORN = {name: (f"{slot:02}/", f"{slot + 1:02}/") for name, slot in SLOTS.items()}

LISTED = {
    b"lost": "02/ap-northeast/7f",
    b"moved away": "02/ap-northeast/03",
    b"american": "01/us-east/7f",
    b"brought to main": "02/ap-northeast/13",
}


def member(stack: Stack, partition: str) -> MemberSpec:
    region = WRITERS[partition]
    return MemberSpec(
        stack_folder=stack.folder,
        region=region,
        member=f"{partition}-{region}",
        endpoint=stack.addresses.postgres(REGIONS[region], SLOTS[partition]),
    )


def ask(stack: Stack, partition: str, query: str) -> list[tuple[object, ...]]:
    with session(stack.folder, member(stack, partition).endpoint, OWNER, DATABASE) as connection:
        cursor = connection.execute(query.encode())
        return cursor.fetchall() if cursor.description else []


def props(stack: Stack, *kept: str) -> dict[str, object]:
    return {
        "stack": "test",
        "block": stack.addresses.block,
        "newcomers": {"ap-northeast": "00/ap-northeast/"},
        "regions": [{"name": name, "slot": slot, "partitions": []} for name, slot in REGIONS.items()],
        "kept": {name: SLOTS[name] for name in kept},
    }


def test_who_stays_is_known_and_who_was_given_up_is_not(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "members_up", lambda *_: True)
    monkeypatch.setattr(homes, "REQUEST_SECONDS", 0.2)
    for name in ("main", "americas"):
        postgres.create_origin(member(stack, name), f"{SCHEMA}\nselect public.found_partition({SLOTS[name]});")
    for region in REGIONS:
        partition_map.ensure(stack.folder, region, WRITERS, BORN)
    for first, last, name in (
        ("02/ap-northeast/00", "02/ap-northeast/10", "americas"),
        ("02/ap-northeast/10", "02/ap-northeast/20", "main"),
        ("00/us-east/", "00/us-east0", "americas"),
    ):
        partition_map.give(stack.folder, REGIONS, first, last, name)
    ask(stack, "main", "select begin_range('00/us-east/'), begin_range('00/us-east0'), begin_range('02/ap-south/')")
    # By way of asia, which is how `main` knows it; and what came from asia and went back.
    ask(stack, "main", "update home_ranges set owned = false, moved_to = 'asia' where first = '00/us-east/'")
    ask(stack, "main", "update home_ranges set moved_to = 'asia' where first = '02/ap-south/'")
    for digest, home in LISTED.items():
        ask(stack, "main", f"insert into directory (digest, home) values ('\\x{digest.hex()}', '{home}')")

    provider = NewcomersProvider()
    both = props(stack, "main", "americas", "asia")
    provider.ensure(both)
    assert provider.is_in_place(both)
    assert ask(stack, "main", "select count(*) from directory") == [(4,)]

    kept = props(stack, "main", "americas")
    assert not provider.is_in_place(kept)
    began = time.monotonic()
    provider.ensure(kept)
    assert time.monotonic() - began > 0.2, "what is in flight is waited for"
    assert provider.is_in_place(kept)
    left = {bytes(row[0]) for row in ask(stack, "main", "select digest from directory")}  # type: ignore[arg-type]
    assert left == set(LISTED) - {b"lost"}
    led = "select moved_to from home_ranges where first = "
    assert ask(stack, "main", f"{led} '00/us-east/'") == [("americas",)]
    assert ask(stack, "main", f"{led} '02/ap-south/'") == [(None,)]
    assert (partition_map.read(stack.folder, "us-east") or {})["retired"] == ["02/"]

    # A run that was cut short is completed, and one that has nothing to do takes no time.
    ask(stack, "main", f"insert into directory (digest, home) values ('\\x00', '{LISTED[b'lost']}')")
    provider.ensure(kept)
    assert ask(stack, "main", "select count(*) from directory") == [(3,)]


def test_the_step_fails_where_the_directory_cannot_be_told(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """So no database of the partition goes, and the next `up` makes it again."""
    monkeypatch.setattr(service, "members_up", lambda *_: True)
    for region in REGIONS:
        partition_map.ensure(stack.folder, region, WRITERS, BORN)
    with pytest.raises(ServerFault):
        NewcomersProvider().ensure(props(stack, "main", "americas"))
