"""Real PostgreSQL servers: made, copied, followed, killed at the worst moment, and made whole again."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from components.local.servers import paths, postgres, postgres_files, process, secrets
from components.local.servers.addresses import Endpoint
from components.local.servers.errors import ServerFault
from components.local.servers.postgres import MemberSpec
from components.local.servers.postgres_files import OWNER, ROLES
from components.local.servers.postgres_session import session
from tests.components.local.servers.conftest import Stack, processes_of

pytestmark = pytest.mark.servers

SCHEMA = "create table if not exists public.t (n int primary key); grant select, insert on public.t to service;"
REGIONS = ("eu-central", "us-east")


def member(stack: Stack, slot: int) -> MemberSpec:
    region = REGIONS[slot]
    return MemberSpec(
        stack_folder=stack.folder,
        region=region,
        member=f"main-{region}",
        endpoint=stack.addresses.postgres(slot, 0),
    )


def ask(spec: MemberSpec, query: str, role: str = OWNER, database: str = "orders") -> object:
    with session(spec.stack_folder, spec.endpoint, role, database) as connection:
        cursor = connection.execute(query.encode())
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def until(check: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def pair(shared_stack: Stack) -> tuple[MemberSpec, MemberSpec]:
    origin, replica = member(shared_stack, 0), member(shared_stack, 1)
    postgres.create_origin(origin, SCHEMA)
    postgres.create_replica(replica, origin.endpoint)
    return origin, replica


def _pid(spec: MemberSpec) -> int:
    server = process.running(spec.home)
    assert server is not None
    return server.pid


Pair = tuple[MemberSpec, MemberSpec]


def test_what_is_written_arrives_and_the_lag_returns_to_nothing(pair: Pair) -> None:
    origin, replica = pair
    ask(origin, "insert into t select generate_series(1, 5000)", "service")
    endpoints = {spec.member: spec.endpoint for spec in pair}
    until(lambda: _lags(origin, endpoints) == [0, 0])
    found = postgres.statuses(origin.stack_folder, endpoints)
    writer, reader = found[origin.member], found[replica.member]
    assert writer is not None
    assert reader is not None
    assert (writer.role, writer.lag_ms) == ("writer", 0)
    assert (reader.role, reader.lag_ms, reader.streaming) == ("replica", 0, True)
    assert list(writer.replicas) == [replica.member]
    assert ask(replica, "select count(*) from t", "service") == 5000


def _lags(origin: MemberSpec, endpoints: Mapping[str, Endpoint]) -> list[int | None]:
    found = postgres.statuses(origin.stack_folder, endpoints)
    return [entry.lag_bytes if entry else None for entry in found.values()]


def test_a_replica_that_stands_still_lags(pair: Pair) -> None:
    origin, replica = pair
    ask(replica, "select pg_wal_replay_pause()")
    try:
        ask(origin, "create table lag as select generate_series(1, 1000)")
        time.sleep(0.2)
        flush = postgres.status(origin.stack_folder, origin.endpoint)
        assert flush is not None
        behind = postgres.status(origin.stack_folder, replica.endpoint, writer_flush=flush.flush_lsn)
        assert behind is not None
        assert behind.lag_bytes is not None
        assert behind.lag_bytes > 1000
        assert behind.lag_ms is not None
        assert behind.lag_ms > 100
    finally:
        ask(replica, "select pg_wal_replay_resume()")
    until(lambda: _lags(origin, {spec.member: spec.endpoint for spec in pair}) == [0, 0])


def test_who_does_not_answer_has_no_status_and_holds_nobody_up(pair: Pair) -> None:
    origin, replica = pair
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoints = {
            origin.member: origin.endpoint,
            replica.member: replica.endpoint,
            "refuses": origin.endpoint._replace(port=1),
            "silent": Endpoint(*silent.getsockname()),
        }
        began = time.monotonic()
        found = postgres.statuses(origin.stack_folder, endpoints)
    assert time.monotonic() - began < 4
    assert found["refuses"] is None
    assert found["silent"] is None
    assert found[origin.member] is not None
    replied = found[replica.member]
    assert replied is not None
    assert replied.lag_bytes == 0


def test_everything_can_be_asked_for_again(pair: Pair) -> None:
    origin, replica = pair
    before = [process.running(spec.home) for spec in pair]
    postgres.create_origin(origin, SCHEMA)
    postgres.create_replica(replica, origin.endpoint)
    assert [process.running(spec.home) for spec in pair] == before


def test_the_settings_that_the_later_phases_need(pair: Pair) -> None:
    for spec in pair:
        settings = {
            name: ask(spec, f"select current_setting('{name}')")
            for name in ("wal_level", "data_checksums", "fsync", "max_slot_wal_keep_size", "cluster_name")
        }
        assert settings == {
            "wal_level": "logical",
            "data_checksums": "on",
            "fsync": "on",
            "max_slot_wal_keep_size": "1GB",
            "cluster_name": spec.member,
        }
        assert (
            ask(spec, "select datlocprovider::text || datlocale from pg_database where datname = 'orders'")
            == "bC.UTF-8"
        )
    slot = "select slot_name || ' ' || active || ' ' || wal_status from pg_replication_slots"
    assert ask(pair[0], slot) == "main_us_east true reserved"


def test_the_server_does_not_know_itself_as_root(pair: Pair) -> None:
    with session(pair[0].stack_folder, pair[0].endpoint, OWNER) as connection:
        connection.execute("create temporary table who (id text)")
        connection.execute("copy who from program 'id -u'")
        row = connection.execute("select id from who").fetchone()
    assert row is not None
    assert row[0] != "0"


def test_roles_have_what_they_need_and_no_more(pair: Pair) -> None:
    origin, replica = pair
    with pytest.raises(ServerFault, match="permission denied"):
        ask(origin, "delete from t", "service")
    with pytest.raises(ServerFault, match="permission denied"):
        ask(origin, "create table mine (n int)", "service")
    with pytest.raises(ServerFault, match=r"no pg_hba\.conf entry"):
        ask(origin, "select 1", "service", "postgres")
    with pytest.raises(ServerFault, match="read-only transaction"):
        ask(replica, "insert into t values (-1)", "service")
    stored = "select bool_and(rolpassword like 'SCRAM-SHA-256$%') and count(*) = 5 from pg_authid where rolcanlogin"
    assert ask(origin, stored) is True


def test_passwords_are_in_their_files_only(pair: Pair) -> None:
    stack_folder = pair[0].stack_folder
    passwords = [secrets.read_password(stack_folder, role) for role in ROLES]
    for found in processes_of(stack_folder):
        shown = " ".join([*found.cmdline(), *found.environ().values()])
        assert not any(password in shown for password in passwords)
    for path in stack_folder.rglob("*"):
        if path.suffix in (".log", ".conf", ".json", ".opts", ".pid"):
            assert not any(password in path.read_text(errors="replace") for password in passwords), path
    wrong = replace(pair[0], stack_folder=stack_folder / "other")
    paths.write_atomic(secrets.password_file(wrong.stack_folder, "service"), "wr0ng-word")
    with pytest.raises(ServerFault, match="password authentication failed") as caught:
        ask(wrong, "select 1", "service")
    assert "wr0ng-word" not in str(caught.value)


def test_a_quorum_is_kept_by_every_member_and_can_be_given_up(pair: Pair) -> None:
    postgres.set_synchronous(pair, "quorum")
    try:
        names = [ask(spec, "select current_setting('synchronous_standby_names')") for spec in pair]
        assert names == ['ANY 1 ("main-us-east")', 'ANY 1 ("main-eu-central")']
        until(lambda: ask(pair[0], "select sync_state from pg_stat_replication") == "quorum")
        ask(pair[0], "insert into t values (-2)")
    finally:
        postgres.set_synchronous(pair, "async")
    until(lambda: ask(pair[0], "select sync_state from pg_stat_replication") == "async")
    with pytest.raises(ServerFault, match="durability is 'some'"):
        postgres.set_synchronous(pair, "some")
    with pytest.raises(ServerFault, match="needs a second member"):
        postgres.set_synchronous(pair[:1], "quorum")


def test_another_size_needs_no_restart(pair: Pair) -> None:
    server = process.running(pair[1].home)
    changed = postgres.reconfigure(replace(pair[1], size="minimal"))
    assert changed == postgres.Reconfigured(changed=True, needs_restart=())
    until(lambda: ask(pair[1], "select current_setting('work_mem')") == "1MB")
    assert postgres.reconfigure(replace(pair[1], size="minimal")).changed is False
    assert process.running(pair[1].home) == server


def test_what_needs_a_restart_is_reported_and_not_done(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    server = process.running(pair[1].home)
    monkeypatch.setitem(postgres_files.MEMORY, "shared_buffers", "48MB")
    assert postgres.reconfigure(pair[1]).needs_restart == ("shared_buffers",)
    monkeypatch.undo()
    postgres.reconfigure(pair[1])
    assert process.running(pair[1].home) == server


def test_a_stopped_member_leaves_no_process_and_starts_in_its_role(pair: Pair) -> None:
    replica = pair[1]
    family = psutil.Process(_pid(replica)).children(recursive=True)
    assert postgres.stop(replica)
    assert not [child for child in family if child.is_running()]
    postgres.ensure_started(replica)
    assert ask(replica, "select pg_is_in_recovery()") is True


def test_a_member_that_was_killed_is_started_again_with_its_data(pair: Pair) -> None:
    replica = pair[1]
    before = ask(replica, "select count(*) from t")
    root = psutil.Process(_pid(replica))
    for victim in [root, *root.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.kill()
    until(lambda: not postgres.is_running(replica))
    postgres.create_replica(replica, pair[0].endpoint)
    assert ask(replica, "select count(*) from t") == before


def test_a_copy_that_was_killed_is_made_again(pair: Pair) -> None:
    origin, replica = pair
    postgres.remove(replica)
    postgres.drop_slot(origin.stack_folder, origin.endpoint, replica.slot)
    assert ask(origin, "select count(*) from pg_replication_slots") == 0
    _kill_half_way(origin, replica, "pg_basebackup")
    postgres.create_replica(replica, origin.endpoint)
    assert ask(replica, "select pg_is_in_recovery()") is True
    assert ask(origin, "select count(*) from pg_replication_slots where active") == 1
    assert not (replica.home / "data.new").exists()


def _kill_half_way(origin: MemberSpec, made: MemberSpec, program: str) -> None:
    """Run the making in a process of its own and kill that while the program works: the program lives on."""
    script = textwrap.dedent(f"""
        import sys
        sys.path.insert(0, {str(paths.PROJECT)!r})
        from pathlib import Path
        from components.local.servers import postgres
        from components.local.servers.addresses import Endpoint
        made = postgres.MemberSpec(stack_folder=Path({str(made.stack_folder)!r}), region={made.region!r},
                                   member={made.member!r}, endpoint=Endpoint(*{tuple(made.endpoint)!r}))
        if {program!r} == "initdb":
            postgres.create_origin(made, {SCHEMA!r})
        else:
            postgres.create_replica(made, Endpoint(*{tuple(origin.endpoint)!r}))
    """)
    with subprocess.Popen([sys.executable, "-c", script]) as maker:
        # The tool has begun to write, and stands still, so that the maker is surely killed in the middle.
        until(
            lambda: (made.home / "data.new" / "base").exists() and process.running(made.home, "tool.json") is not None
        )
        tool = process.running(made.home, "tool.json")
        assert tool is not None
        os.kill(tool.pid, signal.SIGSTOP)
        maker.kill()
    assert tool.is_alive()
    assert not made.data.exists()


def test_an_origin_that_was_killed_while_it_was_made_is_made_again(stack: Stack) -> None:
    origin = member(stack, 0)
    _kill_half_way(origin, origin, "initdb")
    postgres.create_origin(origin, SCHEMA)
    assert ask(origin, "select count(*) from t", "service") == 0
    assert not [found for found in processes_of(stack.folder) if found.name() == "initdb"]
    postgres.stop(origin)
    assert not processes_of(stack.folder)


def test_an_origin_without_its_furniture_is_completed_and_lost_data_are_not_hidden(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = member(stack, 0)
    with monkeypatch.context() as patch:
        patch.setattr(postgres, "_furnish", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            postgres.create_origin(origin, SCHEMA)
    postgres.create_origin(origin, SCHEMA)
    assert ask(origin, "select count(*) from t", "service") == 0
    postgres.create_origin(origin, SCHEMA + "alter table public.t add column if not exists more int;")
    assert ask(origin, "select count(more) from t", "service") == 0
    postgres.stop(origin)
    origin.data.rename(origin.home / "elsewhere")
    with pytest.raises(ServerFault, match=r"had data at .* and they are gone"):
        postgres.create_origin(origin, SCHEMA)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_port_in_use_names_the_process(stack: Stack) -> None:
    origin = member(stack, 0)
    with socket.create_server(origin.endpoint), pytest.raises(ServerFault) as caught:
        postgres.create_origin(origin, SCHEMA)
    assert f"{origin.endpoint}: the port is in use by process {os.getpid()}" in str(caught.value)
    postgres.create_origin(origin, SCHEMA)


def test_a_full_disk_is_said_in_one_line_and_leaves_nothing_half_made(stack: Stack) -> None:
    """On a small file system of its own, which an ordinary user can have inside a user namespace."""
    wrap = ["unshare", "-Urm", "sh", "-c"]
    room = stack.folder.parent / "small"
    room.mkdir()
    mount = f"mount -t tmpfs -o size=8m small {room}"
    try:
        if subprocess.run([*wrap, mount], capture_output=True, check=False).returncode != 0:
            pytest.skip("a tmpfs in a user namespace is not allowed on this machine")
    except FileNotFoundError:
        pytest.skip("there is no unshare on this machine")
    script = textwrap.dedent(f"""
        import sys
        from pathlib import Path
        from components.local.servers import postgres
        from components.local.servers.addresses import Endpoint
        from components.local.servers.errors import ServerFault
        member = postgres.MemberSpec(stack_folder=Path({str(room)!r}), region="r", member="main-r",
                                     endpoint=Endpoint(*{tuple(stack.addresses.postgres(3, 0))!r}))
        try:
            postgres.create_origin(member)
        except ServerFault as fault:
            print(fault)
            print(sorted(path.name for path in member.home.iterdir()))
            sys.exit(1)
    """)
    done = subprocess.run(
        [*wrap, f'{mount} && exec "$0" -c "$1"', sys.executable, script],
        cwd=paths.PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout, done.stderr
    message, left = done.stdout.splitlines()
    assert message.startswith("PostgreSQL main-r could not be made: ")
    assert "No space left on device" in message
    assert "data" not in left.replace("initdb.log", "")
    assert Path(room).is_dir()


def test_a_lock_file_whose_number_is_another_process_does_not_keep_a_member_down(stack: Stack) -> None:
    origin = member(stack, 0)
    postgres.create_origin(origin, SCHEMA)
    before = process.running(origin.home)
    assert before is not None
    os.kill(before.pid, signal.SIGKILL)  # the postmaster alone: its children have to be seen to as well
    while process.running(origin.home):
        time.sleep(0.01)
    lock = origin.data / "postmaster.pid"
    lines = lock.read_text().splitlines()
    lock.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")  # as after a reboot: somebody else's number
    after = postgres.ensure_started(origin)
    assert after.pid != before.pid
    assert ask(origin, "select count(*) from t", "service") == 0
