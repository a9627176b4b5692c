"""Bad input, refusals and interrupted runs: one clear message, the right status, nothing lost."""

import contextlib
import json
import os
import random
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.local.clone import Clone, Outcome, lives
from tests.local.database import block, connect

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]


def refused(outcome: Outcome, *words: str, status: int = 2) -> None:
    assert outcome.status == status, outcome.stderr
    assert "Traceback" not in outcome.stderr + outcome.stdout
    for word in words:
        assert word in outcome.stderr, f"{word!r} is not in:\n{outcome.stderr}"


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def mended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """A stack for the tests that break something of it and mend it by an ordinary `up`."""
    made = Clone.make(tmp_path_factory.mktemp("mended"))
    made.must("up")
    yield made
    made.end()


def edit(clone: Clone, old: str, new: str) -> None:
    settings = clone.folder / "Pulumi.dev.yaml"
    text = settings.read_text()
    assert old in text
    settings.write_text(text.replace(old, new))


def test_bad_settings_change_nothing(tmp_path: Path) -> None:
    clone = Clone.make(tmp_path)
    before = snapshot(clone.folder)
    refused(clone.run("up", "--phase", "activ-passive"), "activ-passive", "active-passive")
    refused(clone.run("up", "--phase", "9"), "phase", "9")
    refused(clone.run("preview", "--stack", "nowhere"), "nowhere", "dev")
    assert snapshot(clone.folder) == before

    edit(clone, "us-east", "us-eest")
    refused(clone.run("up"), "us-eest", "us-east")
    edit(clone, "us-eest", "eu-central")
    refused(clone.run("up"), "eu-central", "twice")
    assert not (clone.folder / ".meridian" / "stacks").exists()


def test_preview_never_writes(tmp_path: Path) -> None:
    clone = Clone.make(tmp_path)
    before = snapshot(clone.folder)
    for phase in ("single-region", "multi-region-reads"):
        clone.must("preview", "--phase", phase)
    assert snapshot(clone.folder) == before


def test_going_down_asks_and_retire_answers(clone: Clone) -> None:
    clone.must("up", "--phase", "async-replica")
    refused(clone.run("up", "--phase", "single-region"), "main-us-east", "retire")
    assert clone.status()["phase"] == "async-replica"
    assert "phase: async-replica" in (clone.folder / "Pulumi.dev.yaml").read_text()

    refused(clone.run("down", "--yes"), "main-eu-central", "--destroy-data")
    with connect(clone, 1) as connection:
        assert connection.execute("select pg_is_in_recovery()").fetchone() == (True,)

    settings = clone.folder / "Pulumi.dev.yaml"
    settings.write_text(settings.read_text() + "  meridian:retire: [us-east]\n")
    clone.must("up", "--phase", "single-region", "--yes")
    status = clone.status()
    assert [region["name"] for region in status["regions"] if region["members"]] == ["eu-central"]
    assert not list((clone.stack / "regions" / "us-east").glob("members/*"))
    with connect(clone, 0) as connection:
        assert connection.execute("select count(*) from pg_replication_slots").fetchone() == (0,)


def test_down_leaves_no_process_behind(clone: Clone) -> None:
    clone.must("up", "--phase", "active-passive")
    entry = clone.status()["entry"]
    pids = {json.loads(path.read_text())["pid"] for path in clone.stack.rglob("server.json")}
    family = {child.pid for pid in pids for child in psutil.Process(pid).children(recursive=True)} | pids
    clone.must("down", "--destroy-data", "--yes")
    assert not {pid for pid in family if lives(pid)}
    with pytest.raises(httpx.ConnectError):
        httpx.get(entry)
    assert clone.must("status", "--json").document == {"phase": None, "entry": None, "regions": []}


def test_a_second_up_is_kept_out(clone: Clone) -> None:
    first = clone.start("up")
    try:
        deadline = time.monotonic() + 30
        while not clone.stack.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.3)
        if first.poll() is not None:
            pytest.fail("the first up ended before the second could begin")
        second = clone.run("up")
        refused(second, str(first.pid), status=1)
    finally:
        assert first.wait(timeout=120) == 0


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.deep) for seed in range(1, 4))])
def test_an_up_that_is_killed_is_completed_by_the_next(clone: Clone, seed: int) -> None:
    """At a random moment of the way from nothing to phase 2 and, on what that left, from there to phase 3."""
    chance = random.Random(seed)
    for phase in ("async-replica", "active-passive"):
        run = clone.start("up", "--phase", phase)
        time.sleep(chance.uniform(0.5, 5.0))
        run.send_signal(signal.SIGKILL)
        run.wait(timeout=10)
        clone.must("up", "--phase", phase)
        status = clone.status()
        assert status["phase"] == phase
        assert all(member["role"] for region in status["regions"] for member in region["members"])
    resources = clone.must("preview", "--json").document["resources"]
    assert {step["op"] for step in resources} == {"same"}
    # One process for each server, and none that nobody remembers.
    marks = [json.loads(path.read_text())["pid"] for path in clone.stack.rglob("server.json")]
    assert len(marks) == len(set(marks))
    ours = [
        process.pid
        for process in psutil.process_iter()
        if process.is_running() and str(clone.stack) in " ".join(_command(process)) and process.pid not in marks
    ]
    parents = set(marks)
    assert all(_parent(pid) in parents for pid in ours), ours


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _parent(pid: int) -> int | None:
    try:
        return psutil.Process(pid).ppid()
    except psutil.Error:
        return None


def test_a_port_in_use_names_its_holder(mended: Clone) -> None:
    valkey = block(mended).valkey(0)
    folder = mended.stack / "regions" / "eu-central" / "cache"
    pid = json.loads((folder / "server.json").read_text())["pid"]
    psutil.Process(pid).kill()
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        deadline = time.monotonic() + 5
        while True:
            try:
                taken.bind((valkey.host, valkey.port))
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        taken.listen()
        refused(mended.run("up"), str(valkey.port), str(os.getpid()), status=1)
    mended.must("up")
    assert mended.status()["regions"][0]["cache"] == "up"


def test_a_damaged_state_file_is_named_and_kept(mended: Clone) -> None:
    state = mended.stack / "state.json"
    whole = state.read_bytes()
    state.write_bytes(whole[: len(whole) // 2])
    refused(mended.run("up"), "state.json", status=1)
    assert state.read_bytes() == whole[: len(whole) // 2]
    state.write_bytes(whole)
    mended.must("up")


def test_files_that_were_lost_are_put_back_as_they_were(mended: Clone) -> None:
    """Another password, another address block or another map would lock out what runs."""
    entry = mended.status()["entry"]
    password = mended.stack / "secrets" / "service.password"
    kept, addresses = password.read_text(), (mended.stack / "block.json").read_text()
    password.unlink()
    (mended.stack / "block.json").unlink()
    (mended.stack / "regions" / "eu-central" / "partitions.json").write_text("damaged")
    service = json.loads((mended.stack / "regions" / "eu-central" / "service" / "server.json").read_text())["pid"]
    psutil.Process(service).kill()
    mended.must("up")
    assert password.read_text() == kept
    assert json.loads((mended.stack / "block.json").read_text()) == json.loads(addresses)
    assert mended.status()["entry"] == entry
    order = {"customer": "lost", "item": "lamp", "quantity": 1}
    answer = httpx.post(f"{entry}/orders", json=order, headers={"Idempotency-Key": "1"}, timeout=10)
    assert answer.status_code == 201, answer.text


def test_down_ends_everything_also_without_a_state_that_can_be_read(clone: Clone) -> None:
    clone.must("up")
    pids = [json.loads(path.read_text())["pid"] for path in clone.stack.rglob("server.json")]
    for name in ("state.json", "state.json.bak"):
        (clone.stack / name).write_text("damaged")
    clone.must("down", "--destroy-data", "--yes")
    assert not [pid for pid in pids if lives(pid)]
    assert not clone.stack.exists()


def test_what_cannot_be_built_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    clone = Clone.make(tmp_path)
    settings = clone.folder / "Pulumi.dev.yaml"
    whole = settings.read_text()
    settings.write_text(whole.replace("model: home-partition", "model: last-writer-wins"))
    refused(clone.run("up", "--phase", "5"), "last-writer-wins", "docs/adr/0011")
    settings.write_text(whole + "  meridian:local: {postgres_folder: /nowhere}\n")
    refused(clone.run("up"), "local.postgres_folder", "/nowhere")
    assert not (clone.folder / ".meridian" / "stacks").exists()


def test_servers_come_back_after_a_reboot(mended: Clone) -> None:
    mended.must("up", "--phase", "async-replica")
    entry = mended.status()["entry"]
    order = {"customer": "reboot", "item": "lamp", "quantity": 1}
    made = httpx.post(f"{entry}/orders", json=order, headers={"Idempotency-Key": "reboot"}, timeout=10).json()
    for path in mended.stack.rglob("server.json"):  # what a power cut leaves behind
        process = psutil.Process(json.loads(path.read_text())["pid"])
        for one in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
    assert not mended.status()["regions"][0]["ready"]
    mended.must("up")
    assert mended.status()["entry"] == entry
    assert httpx.get(f"{entry}/orders/{made['id']}", timeout=10).json() == made
