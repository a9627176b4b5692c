"""A member that was writer: kept from writing, with the settings that are its own."""

from pathlib import Path

import pytest

from components.local.servers import partition_map, postgres_demotion, secrets
from components.local.servers.addresses import Endpoint
from components.local.servers.member import MemberSpec

HERE = Endpoint("127.20.1.10", 5432)
GATEWAY = Endpoint("127.20.1.1", 6400)


@pytest.fixture
def member(tmp_path: Path) -> MemberSpec:
    made = MemberSpec(stack_folder=tmp_path, region="a", member="main-a", endpoint=HERE)
    made.data.mkdir(parents=True)
    secrets.ensure_password(tmp_path, "replicator")
    return made


def test_a_stopped_writer_becomes_a_replica_and_back(member: MemberSpec) -> None:
    assert postgres_demotion.demote(member, GATEWAY)
    assert not postgres_demotion.demote(member, GATEWAY)
    assert postgres_demotion.is_replica(member)
    assert GATEWAY.host in (member.home / "upstream.conf").read_text()
    assert postgres_demotion.restore(member)
    assert not postgres_demotion.restore(member)
    assert not postgres_demotion.is_replica(member)


def test_only_a_rejoin_may_start_the_writer_of_before(member: MemberSpec) -> None:
    stack = member.stack_folder
    assert not postgres_demotion.is_away(member, "main")  # there is no map yet
    for region in ("a", "b"):
        partition_map.ensure(stack, region, {"main": "a"})
    assert not postgres_demotion.is_away(member, "main")
    partition_map.point(stack, ("b",), "main", "b")
    assert postgres_demotion.is_away(member, "main")
    postgres_demotion.demote(member, GATEWAY)
    assert not postgres_demotion.is_away(member, "main")
    (member.home / postgres_demotion.REWINDING).write_text("{}")
    assert postgres_demotion.is_away(member, "main")


def test_settings_of_its_own_survive_and_the_writers_do_not(member: MemberSpec) -> None:
    auto = member.data / "postgresql.auto.conf"
    own = member.home / "postgresql.auto.conf.own"
    own.write_text("# head\nwork_mem = '7MB'\ndefault_transaction_read_only = 'on'\nsynchronous_standby_names = 'x'\n")
    auto.write_text("work_mem = '9MB'\n")  # what a rewind brought along
    postgres_demotion.settle_settings(member, ["main-b", "main-c"])
    text = auto.read_text()
    assert "work_mem = '7MB'" in text
    assert "default_transaction_read_only" not in text
    assert text.count("synchronous_standby_names") == 1
    assert '\'ANY 1 ("main-b", "main-c")\'' in text
    assert not own.exists()

    postgres_demotion.settle_settings(member, [])
    assert "synchronous_standby_names" not in auto.read_text()
    assert "work_mem = '7MB'" in auto.read_text()


def test_a_position_is_written_as_postgresql_does() -> None:
    assert postgres_demotion.lsn("16/B374D848") == 0x16B374D848
    assert postgres_demotion.lsn_text(0x16B374D848) == "16/B374D848"
