"""Servers are recognised beyond doubt, started once, and leave nothing behind."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from components.local.servers import account, identity, paths, process
from components.local.servers.addresses import Endpoint
from components.local.servers.errors import ServerFault
from components.local.servers.process import Running, ServerSpec

LISTENER = textwrap.dedent("""
    import socket, sys, time
    server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
    time.sleep(600)
""")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "server"
    process.stop(tmp_path / "server", signal.SIGKILL)


def spec(folder: Path, *command: str, **more: object) -> ServerSpec:
    return ServerSpec(
        name="the sleeper",
        folder=folder,
        command=command or ("sleep", "600"),
        log=folder / "server.log",
        **more,  # pyright: ignore[reportArgumentType]
    )


def recorded(folder: Path) -> dict[str, Any]:
    record = paths.read_json(folder / "server.json")
    assert isinstance(record, dict)
    return record


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def wait_for_listener(port: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.01)
    pytest.fail("it does not listen")


def test_starting_again_returns_the_one_that_runs(folder: Path) -> None:
    first = process.start(spec(folder))
    assert process.start(spec(folder)) == first
    assert process.running(folder) == first


def test_a_server_is_detached_and_knows_little_of_its_starter(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OF_THE_STARTER", "secret")
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    server = process.start(spec(folder, environment={"GIVEN": "1"}))
    os.close(writing)
    # Were the pipe inherited, it would not be at its end.
    assert os.read(reading, 1) == b""
    os.close(reading)
    child = psutil.Process(server.pid)
    # Until what it is run through has become the program, the environment may be between two.
    deadline = time.monotonic() + 5
    while "GIVEN" not in (known := child.environ()):
        assert time.monotonic() < deadline
    assert known["GIVEN"] == "1"
    assert "OF_THE_STARTER" not in known
    assert (known["LANG"], known["TZ"], known["HOME"]) == ("C.UTF-8", "UTC", str(folder))
    assert os.getsid(server.pid) == server.pid
    assert (folder / "server.log").stat().st_mode & 0o777 == 0o600


def test_it_is_not_root_in_its_own_eyes(folder: Path) -> None:
    server = process.start(spec(folder, "sh", "-c", "id -u; exec sleep 600"))
    process.wait_ready(lambda: bool(process.last_lines(server.log)), timeout=5, what="it", server=server)
    assert process.last_lines(server.log) != ["0"]


def test_a_process_that_took_over_the_number_is_not_the_server(folder: Path) -> None:
    server = process.start(spec(folder))
    record = recorded(folder)
    process.stop(folder)
    # This very process now has the number that the record names.
    paths.write_json(folder / "server.json", {**record, "pid": os.getpid()})
    assert process.running(folder) is None
    assert not process.stop(folder)
    assert server.started != identity.started(os.getpid())


def test_a_record_from_before_a_reboot_names_nothing(folder: Path) -> None:
    server = process.start(spec(folder))
    record = recorded(folder)
    paths.write_json(folder / "server.json", {**record, "boot": "another boot"})
    assert process.running(folder) is None
    assert process.stop(folder) is False
    assert psutil.pid_exists(server.pid)
    paths.write_json(folder / "server.json", record)
    assert process.running(folder) == server


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"pid": "x"}', '{"pid": null}'])
def test_a_damaged_record_does_not_lose_the_server(folder: Path, damage: str) -> None:
    server = process.start(spec(folder))
    (folder / "server.json").write_text(damage)
    assert process.running(folder) is None
    assert process.start(spec(folder)).pid == server.pid
    assert process.running(folder) is not None


def test_a_start_that_was_killed_half_way_is_adopted(folder: Path) -> None:
    """The starter dies between making the process and writing down which it is."""
    script = textwrap.dedent(f"""
        import os, signal, sys
        sys.path.insert(0, {str(paths.PROJECT)!r})
        from pathlib import Path
        from components.local.servers import identity, process
        from components.local.servers.process import ServerSpec
        identity.started = lambda pid: os.kill(os.getpid(), signal.SIGKILL)
        folder = Path({str(folder)!r})
        process.start(ServerSpec(name="x", folder=folder, command=("sleep", "600"), log=folder / "server.log"))
    """)
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -signal.SIGKILL
    assert recorded(folder)["pid"] is None
    adopted = process.start(spec(folder)).pid
    # What it is run through may be turning into the program, and has no environment then.
    deadline = time.monotonic() + 5
    while not (marked := [one.pid for one in psutil.process_iter() if _mark(one) == str(folder / "server.json")]):
        assert time.monotonic() < deadline
    assert marked == [adopted]


def test_stopping_ends_a_start_that_was_killed_half_way(folder: Path) -> None:
    server = process.start(spec(folder))
    record = recorded(folder)
    paths.write_json(folder / "server.json", {**record, "pid": None, "started": None})
    assert process.stop(folder)
    assert not server.is_alive()


def _mark(found: psutil.Process) -> str | None:
    try:
        return found.environ().get(process.MARK_FOLDER)
    except psutil.Error:
        return None


def test_a_port_in_use_names_the_process(folder: Path) -> None:
    port = free_port()
    with subprocess.Popen([sys.executable, "-c", LISTENER, str(port)]) as other:
        try:
            wait_for_listener(port)
            with pytest.raises(ServerFault) as caught:
                process.start(spec(folder, endpoints=(Endpoint("127.0.0.1", port),)))
            assert f"cannot listen on 127.0.0.1:{port}" in str(caught.value)
            assert f"process {other.pid} ({psutil.Process(other.pid).name()}" in str(caught.value)
            assert process.running(folder) is None
        finally:
            other.kill()


def test_a_port_that_this_very_server_has_is_no_conflict(folder: Path) -> None:
    port = free_port()
    listening = spec(folder, sys.executable, "-c", LISTENER, str(port), endpoints=(Endpoint("127.0.0.1", port),))
    server = process.start(listening)
    wait_for_listener(port)
    (folder / "server.json").unlink()
    assert process.start(listening).pid == server.pid


def test_stopping_takes_the_children_along(folder: Path) -> None:
    # The child leaves the process group, as PostgreSQL's do, and both are deaf to SIGTERM.
    server = process.start(spec(folder, "sh", "-c", "trap '' TERM; setsid sleep 601 & sleep 602 & wait; wait"))
    deadline = time.monotonic() + 5
    while len(children := psutil.Process(server.pid).children(recursive=True)) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(children) == 2
    assert process.stop(folder, timeout=0.2)
    assert not server.is_alive()
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    assert not (folder / "server.json").exists()
    assert process.stop(folder) is False


def test_waiting_notices_the_end_at_once_and_quotes_this_run(folder: Path) -> None:
    paths.write_atomic(folder / "server.log", "of an earlier run\n")
    server = process.start(spec(folder, "sh", "-c", "echo it broke >&2; exit 3"))
    began = time.monotonic()
    with pytest.raises(ServerFault) as caught:
        process.wait_ready(lambda: False, timeout=30, what="the sleeper", server=server)
    assert time.monotonic() - began < 5
    assert "the process ended" in str(caught.value)
    assert "it broke" in str(caught.value)
    assert str(folder / "server.log") in str(caught.value)
    assert "earlier run" not in str(caught.value)


def test_waiting_reports_and_gives_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "REPORT", 0.02)
    told: list[tuple[float, str]] = []
    server = process.start(spec(folder))
    with pytest.raises(ServerFault, match=r"the sleeper: not ready after 0\.2 s"):
        process.wait_ready(
            lambda: False, timeout=0.2, what="the sleeper", server=server, on_wait=lambda *news: told.append(news)
        )
    assert len(told) > 2
    assert told == sorted(told)
    assert {what for _, what in told} == {"the sleeper"}


def test_a_program_that_is_missing_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "account", lambda: account.Account())
    with pytest.raises(ServerFault, match="could not be started: No such file or directory: no-such-program"):
        process.start(spec(folder, "no-such-program"))
    assert process.running(folder) is None


def test_a_tool_is_run_to_its_end(folder: Path) -> None:
    assert process.run(spec(folder, "sh", "-c", "echo said; exit 7"), stall=5) == 7
    assert process.last_lines(folder / "server.log") == ["said"]
    assert process.running(folder) is None


def test_a_tool_that_stands_still_is_ended(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "REPORT", 0.02)
    with pytest.raises(ServerFault, match=r"nothing happened for 0\.1 s"):
        process.run(spec(folder), stall=0.1)
    assert process.running(folder) is None


def test_a_long_log_is_set_aside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "LOG_LIMIT", 10)
    paths.write_atomic(folder / "server.log", "x" * 11)
    process.start(spec(folder))
    assert (folder / "server.log.1").read_text() == "x" * 11


def test_where_user_namespaces_are_blocked_the_account_nobody_runs_it(
    monkeypatch: pytest.MonkeyPatch, stack: object
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root has to give up its rights")
    folder = paths.stack_folder("test")
    for parent in (folder.parent, folder.parent.parent, folder.parent.parent.parent):
        parent.chmod(0o711)
    monkeypatch.setattr("shutil.which", lambda _name: None)
    account.account.cache_clear()
    try:
        private = folder / "regions" / "r" / "config"
        paths.write_atomic(private, "for the server\n")
        home = folder / "regions" / "r" / "service"
        command = spec(home, "sh", "-c", f"id -un; cat {private}; exec sleep 600", stack_folder=folder)
        server: Running = process.start(command)
        process.wait_ready(lambda: len(process.last_lines(server.log)) > 1, timeout=5, what="it", server=server)
        assert process.last_lines(server.log) == ["nobody", "for the server"]
        paths.write_atomic(private, "replaced")
        assert private.stat().st_uid == psutil.Process(server.pid).uids().real != 0
        process.stop(home)
    finally:
        account.account.cache_clear()
