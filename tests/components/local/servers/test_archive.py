"""The log outside the region, base backups, and a partition as it was: with real servers, lost ones and cut ways."""

import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from components.local.servers import archive, base_backup, paths, postgres, process, restored, table_copy, wan
from components.local.servers.addresses import Addresses
from components.local.servers.errors import ServerFault
from components.local.servers.member import MemberSpec, Vault
from components.local.servers.postgres_files import ARCHIVE_PROGRAM, OWNER
from components.local.servers.restored import RestoredSpec
from tests.components.local.servers.conftest import Stack
from tests.components.local.servers.test_postgres import SCHEMA, ask, member, until

VAULT = "ap-northeast"


def archiving(stack: Stack, slot: int) -> MemberSpec:
    folder = paths.vault_folder(stack.folder, VAULT, "main")
    return replace(member(stack, slot), vault=Vault(region=VAULT, folder=folder))


def beside(stack: Stack) -> RestoredSpec:
    return RestoredSpec(
        stack_folder=stack.folder,
        region=VAULT,
        member="restored-main",
        endpoint=stack.addresses.restored(0),
        partition="main",
        into=paths.restored_folder(stack.folder, "main"),
    )


def folder_of(spec: MemberSpec) -> Path:
    assert spec.vault is not None
    return spec.vault.folder


def switch(spec: MemberSpec) -> str:
    """End the segment, after a commit, and say its name."""
    ask(spec, "select pg_current_xact_id()")
    return str(ask(spec, "select pg_walfile_name(pg_switch_wal())"))


def kept(spec: MemberSpec) -> list[str]:
    return archive.segments(folder_of(spec))


# --- the program that PostgreSQL calls, without PostgreSQL ------------------------------------------------------------


@pytest.fixture
def program(tmp_path: Path) -> Iterator[tuple[MemberSpec, Path]]:
    """A member with a path that a shell would take apart, and a file to archive."""
    home = paths.make_folder(tmp_path / "it's 100% $HOME")
    vault = Vault(region=VAULT, folder=paths.vault_folder(home, VAULT, "main"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        spec = MemberSpec(
            stack_folder=home,
            region="eu-central",
            member="main-eu-central",
            endpoint=member(Stack(home, Addresses("127.20")), 0).endpoint,
            vault=vault,
        )
        archive.prepare(spec)
        (tmp_path / "segment").write_bytes(b"one" * 1000)
        yield spec, tmp_path / "segment"


def call(spec: MemberSpec, path: Path, name: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["/bin/sh", spec.home / ARCHIVE_PROGRAM, path, name], capture_output=True, text=True, check=False
    )


Program = tuple[MemberSpec, Path]


def test_a_file_is_kept_once_and_never_replaced(program: Program) -> None:
    spec, path = program
    for _ in range(2):
        assert call(spec, path, "000000010000000000000001").returncode == 0
    path.write_bytes(b"two" * 1000)
    refused = call(spec, path, "000000010000000000000001")
    assert refused.returncode != 0
    assert "other content" in refused.stderr
    assert kept(spec) == ["000000010000000000000001"]
    back = subprocess.run(
        [
            "/bin/sh",
            "-c",
            archive.restore_command(folder_of(spec))
            .replace("%f", kept(spec)[0])
            .replace("%p", "back")
            .replace("%%", "%"),
        ],
        cwd=path.parent,
        check=True,
    )
    assert back.returncode == 0
    assert (path.parent / "back").read_bytes() == b"one" * 1000


def test_what_is_not_in_the_archive_is_no_empty_file(program: Program) -> None:
    spec, path = program
    command = archive.restore_command(folder_of(spec)).replace("%f", "00000002.history").replace("%%", "%")
    assert subprocess.run(["/bin/sh", "-c", command], cwd=path.parent, check=False).returncode != 0
    assert not (path.parent / "%p").exists()


def test_a_draft_of_a_run_that_was_killed_is_in_nobody_s_way(program: Program) -> None:
    spec, path = program
    log = archive.log_folder(folder_of(spec))
    (log / f".000000010000000000000001.{spec.member}").write_bytes(b"half")
    assert kept(spec) == []
    assert call(spec, path, "000000010000000000000001").returncode == 0
    assert [entry.name for entry in log.iterdir()] == ["000000010000000000000001.gz"]


@pytest.mark.parametrize("way", [("eu-central", VAULT), (VAULT, "eu-central")])
def test_nothing_crosses_a_way_that_is_cut(program: Program, way: tuple[str, str]) -> None:
    spec, path = program
    cut = wan.cut_file(spec.stack_folder, wan.link_name(*way, users=False))
    paths.write_json(cut, {})
    assert call(spec, path, "000000010000000000000001").returncode != 0
    assert kept(spec) == []
    cut.unlink()
    assert call(spec, path, "000000010000000000000001").returncode == 0


def test_of_the_log_before_a_segment_only_histories_stay(program: Program) -> None:
    spec, path = program
    names = ["000000010000000000000001", "000000010000000000000002.partial", "000000020000000000000003"]
    for name in [*names, "00000002.history", "000000010000000100000000"]:
        assert call(spec, path, name).returncode == 0
    assert archive.forget_before(folder_of(spec), "000000030000000000000003") == 2
    assert kept(spec) == ["000000010000000100000000", "00000002.history", "000000020000000000000003"]


def test_a_member_whose_vault_is_not_said_archives_as_before(program: Program) -> None:
    spec, _ = program
    before = (spec.home / "archive.conf").read_text()
    assert not archive.prepare(replace(spec, vault=None))
    assert (spec.home / "archive.conf").read_text() == before


# --- with servers -----------------------------------------------------------------------------------------------------


@pytest.mark.servers
def test_a_partition_as_it_was_and_a_table_brought_back(stack: Stack) -> None:
    origin = archiving(stack, 0)
    postgres.create_origin(origin, SCHEMA + "create index on public.t ((n % 7));")
    vault = folder_of(origin)
    ask(origin, "insert into t values (1)", "service")
    backup = base_backup.take(origin, vault)
    assert base_backup.backups(vault) == [backup]
    ask(origin, "insert into t values (2), (3)", "service")
    before = time.time()
    ask(origin, "drop table t")
    ask(origin, "create table later (n int)")
    name = switch(origin)
    until(lambda: name in kept(origin))

    spec = beside(stack)
    reached = restored.restore(spec, vault, backup, before, ends=False)
    assert reached.whole
    assert reached.last is not None
    assert backup.ended < reached.last <= before
    assert ask(spec, "select count(*) from t") == 3
    assert ask(spec, "select to_regclass('later')") is None
    with pytest.raises(ServerFault, match="read-only transaction"):
        ask(spec, "insert into t values (4)")
    with pytest.raises(ServerFault, match="is there already"):
        restored.restore(spec, vault, backup, before, ends=False)

    with table_copy.pending(spec, origin, "public", "t") as pending:
        assert (pending.found.there, pending.found.missing) == (False, 3)
        assert ask(origin, "select to_regclass('t')") is None
        assert pending.apply() == 3
    rights = (
        "select has_table_privilege('service', 't', 'insert') and not has_table_privilege('service', 't', 'delete')"
    )
    assert ask(origin, rights) is True
    assert ask(origin, "select count(*) from pg_indexes where tablename = 't'") == 2
    ask(origin, "delete from t where n < 3")
    ask(origin, "insert into t values (9)")
    for missing in (2, 0):
        with table_copy.pending(spec, origin, "public", "t") as pending:
            assert (pending.found.there, pending.found.rows, pending.found.missing) == (True, 3, missing)
            assert ask(origin, "select count(*) from t") == 4 - missing
            assert pending.apply() == missing
    assert ask(origin, "select array_agg(n order by n) from t") == [1, 2, 3, 9]
    with (
        pytest.raises(ServerFault, match="was not there at that time"),
        table_copy.pending(spec, origin, "public", "later"),
    ):
        pass

    assert restored.drop(stack.folder, "main")
    assert not restored.drop(stack.folder, "main")
    assert not spec.home.exists()
    assert process.running(spec.home) is None


@pytest.mark.servers
def test_what_the_lost_writer_had_not_archived_comes_from_the_new_one(stack: Stack) -> None:
    origin, replica = archiving(stack, 0), archiving(stack, 1)
    postgres.create_origin(origin, SCHEMA)
    vault = folder_of(origin)
    postgres.create_replica(replica, origin.endpoint)
    backup = base_backup.take(origin, vault)
    paths.write_json(wan.cut_file(stack.folder, wan.link_name(origin.region, VAULT, users=False)), {})
    lacking = []
    for number in range(3):
        ask(origin, f"insert into t values ({number})", "service")
        lacking.append(switch(origin))
    ask(origin, "insert into t values (3)", "service")
    until(lambda: ask(replica, "select count(*) from t") == 4)
    before = time.time()
    postgres.stop(origin)
    assert not set(lacking) & set(kept(origin))
    ask(replica, "select pg_promote()")
    ask(replica, "insert into t values (4)", "service")
    name = switch(replica)
    until(lambda: name in kept(replica))
    assert name.startswith("00000002")
    assert "00000002.history" in kept(replica)
    assert set(lacking) <= set(kept(replica))

    spec = beside(stack)
    assert restored.restore(spec, vault, backup, before, ends=False).whole
    assert ask(spec, "select max(n) from t") == 3
    restored.drop(stack.folder, "main")
    now = time.time()
    # The log ends before that time: what there is is shown, and that it is not all is said.
    reached = restored.restore(spec, vault, backup, now, ends=True)
    assert not reached.whole
    assert ask(spec, "select max(n) from t") == 4


@pytest.mark.servers
def test_backups_that_are_too_many_go_with_their_log(stack: Stack) -> None:
    origin = archiving(stack, 0)
    postgres.create_origin(origin, SCHEMA)
    vault = folder_of(origin)
    made = []
    for number in range(3):
        made.append(base_backup.take(origin, vault))
        ask(origin, f"insert into t values ({number})", "service")
        name = switch(origin)
        until(lambda name=name: name in kept(origin))
    (vault / "base" / ".new").mkdir()  # of a run that was killed
    first = kept(origin)[0]
    old, files = base_backup.keep(vault, 2)
    assert old == made[:1]
    assert files > 0
    assert first not in kept(origin)
    assert base_backup.backups(vault) == made[1:]
    data = made[1].folder / base_backup.DATA
    spec, moment = beside(stack), made[1].ended
    whole = data.read_bytes()
    data.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ServerFault, match="cannot be unpacked"):
        restored.restore(spec, vault, made[1], moment, ends=False)
    data.write_bytes(whole)
    assert restored.restore(spec, vault, made[1], moment, ends=False).whole
    assert ask(spec, "select count(*) from t", OWNER) == 1
