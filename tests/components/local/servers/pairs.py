"""Two partitions' databases, of which one has homes that go to the other."""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from components.local.servers import paths, postgres, secrets
from components.local.servers.home_move import Homes
from components.local.servers.member import MemberSpec
from components.local.servers.postgres_files import DATABASE, OWNER, REPLICATOR, password_line
from components.local.servers.postgres_session import Connection, session
from tests.components.local.servers.conftest import Stack

SCHEMA = (paths.PROJECT / "service" / "schema.sql").read_text()
HOMES = Homes(name="move_001", first="00/us-east/", last="00/us-east0")


@dataclass(frozen=True)
class Pair:
    main: MemberSpec
    other: MemberSpec
    source: Connection
    target: Connection

    @property
    def conninfo(self) -> str:
        password_file = self.other.home / "move.pgpass"
        paths.write_atomic(
            password_file, password_line(REPLICATOR, secrets.read_password(self.other.stack_folder, REPLICATOR))
        )
        at = self.main.endpoint
        return f"host={at.host} port={at.port} user={REPLICATOR} dbname={DATABASE} passfile={password_file}"


@pytest.fixture
def pair(stack: Stack) -> Iterator[Pair]:
    members = [
        MemberSpec(
            stack_folder=stack.folder,
            region="eu-central",
            member=f"{name}-eu-central",
            endpoint=stack.addresses.postgres(0, slot),
        )
        for slot, name in enumerate(("main", "other"))
    ]
    for slot, member in enumerate(members):
        postgres.create_origin(member, f"{SCHEMA}\nselect public.found_partition({slot});")
    with ExitStack() as opened:
        sessions = [
            opened.enter_context(session(stack.folder, member.endpoint, OWNER, DATABASE, statement_ms=60_000))
            for member in members
        ]
        yield Pair(members[0], members[1], sessions[0], sessions[1])


def place(connection: Connection, who: str, region: str = "us-east") -> tuple[str, str | None]:
    row = connection.execute(
        "call public.place_order(%s, %s, %s, 'lamp', 1, %s, '\\x00', '5s', null, null, null, null, null, null, null)",
        (f"00/{region}/7f", who, who.encode(), str(uuid.uuid4())),
    ).fetchone()
    assert row is not None
    return str(row[0]), row[6]


def change(connection: Connection, who: str, number: str, *, cancels: bool, region: str = "us-east") -> str:
    row = connection.execute(
        "call public.change_order(%s, %s, %s, %s::uuid, null, 7, %s, null, %s, '\\x00', '5s', "
        "null, null, null, null, null, null, null, null, null)",
        (f"00/{region}/7f", who, who.encode(), number, cancels, str(uuid.uuid4())),
    ).fetchone()
    assert row is not None
    return str(row[0])


def until(check: Callable[[], bool], what: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)
