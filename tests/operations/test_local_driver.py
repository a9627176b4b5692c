"""What is said of servers that do not answer, and that nothing of a stack is left running. No real servers here."""

import http.server
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from components.local.servers import partition_map, process
from components.local.servers.addresses import Endpoint
from operations.drivers import local
from operations.errors import Refused
from topology import from_summary, load, plan, to_summary

REGIONS = json.dumps([{"name": "eu-central"}, {"name": "us-east"}, {"name": "ap-northeast"}])


def summary(phase: str):
    return from_summary(to_summary(plan(load({"target": "local", "phase": phase, "regions": REGIONS}, "dev"))))


def test_what_cannot_be_reached_is_null_or_down(tmp_path: Path) -> None:
    began = time.monotonic()
    found = local.look(tmp_path, "127.0.0.1:30600", summary("active-passive"))
    assert time.monotonic() - began < 2 * local.SECONDS
    assert [region.name for region in found] == ["eu-central", "us-east"]
    for region in found:
        assert (region.ready, region.gateway, region.service, region.cache, region.entry) == (
            False,
            "down",
            "down",
            "down",
            None,
        )
        (member,) = region.members
        assert (member.role, member.lag_bytes, member.lag_ms) == (None, None, None)
    assert [region.serving for region in found] == ["full", "standby"]


def test_what_a_phase_does_not_build_is_absent(tmp_path: Path) -> None:
    home, second = local.look(tmp_path, "127.0.0.1:30600", summary("async-replica"))
    assert (home.service, home.cache) == ("down", "down")
    assert (second.serving, second.ready, second.service, second.cache) == ("none", False, "absent", "absent")
    assert [member.name for member in second.members] == ["main-us-east"]


@pytest.mark.parametrize(("status", "ready"), [(200, True), (503, False)])
def test_a_service_that_is_not_ready_is_not_gone(status: int, ready: bool) -> None:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            assert local.is_ready(Endpoint("127.0.0.1", server.server_port)) is ready
        finally:
            server.shutdown()
            thread.join()
    assert local.is_ready(Endpoint("127.0.0.1", server.server_port)) is None


def sleeper(record: Path) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, process.MARK_FOLDER: str(record)}
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env=environment)


def test_a_process_without_a_record_is_ended_and_others_are_not(tmp_path: Path) -> None:
    stack = tmp_path / "stacks" / "dev"
    stack.mkdir(parents=True)
    ours, other = sleeper(stack / "wan" / "server.json"), sleeper(tmp_path / "stacks" / "dev2" / "wan" / "server.json")
    try:
        deadline = time.monotonic() + 10
        while process.MARK_FOLDER not in psutil.Process(ours.pid).environ() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert local.sweep(stack) == 1
        assert not psutil.pid_exists(ours.pid)
        assert other.poll() is None
    finally:
        for child in (ours, other):
            child.kill()
            child.wait()


def test_sweeping_what_is_not_there_is_nothing(tmp_path: Path) -> None:
    assert local.sweep(tmp_path / "nowhere") == 0
    assert not (tmp_path / "nowhere").exists()


def test_following_tells_new_lines_of_old_and_new_logs(tmp_path: Path) -> None:
    (tmp_path / "entry").mkdir()
    old, new = tmp_path / "entry" / "envoy.log", tmp_path / "wan" / "wan.log"
    old.write_text("before\n")
    told: list[str] = []

    class Enough(Exception):  # noqa: N818
        pass

    def tell(log: local.Log, line: str) -> None:
        told.append(f"{log.label}: {line}")
        if len(told) == 1:
            new.parent.mkdir()
            new.write_text("first\nhalf")
        if len(told) == 2:
            with new.open("a") as file:
                file.write(" a line\n")
        if len(told) == 3:
            old.write_text("anew\n")  # set aside, and begun again
        if len(told) == 4:
            raise Enough

    with old.open("a") as file:
        file.write("after\n")
    with pytest.raises(Enough):
        local.follow(lambda: local.logs(tmp_path), {old: len("before\n")}, tell)
    assert told == ["entry: after", "wan: first", "wan: half a line", "entry: anew"]


def test_a_tail_is_the_end(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("".join(f"line {number}\n" for number in range(1000)))
    assert local.tail(log, 2) == (["line 998", "line 999"], log.stat().st_size)
    assert local.tail(log, 0)[0] == []
    assert local.tail(tmp_path / "none.log", 5) == ([], 0)


def test_the_member_that_writes_now_is_not_dropped(tmp_path: Path) -> None:
    before = summary("multi-region-reads")
    for region in ("eu-central", "us-east", "ap-northeast"):
        partition_map.ensure(tmp_path, region, {"main": "eu-central"})
    kept = ["main-eu-central", "main-ap-northeast"]
    nobody = lambda _: None  # noqa: E731 (no server answers: the map is all there is)
    local.require_writers_kept(tmp_path, before, kept, nobody)
    # Whatever the map says: what is seen to write is not dropped.
    with pytest.raises(Refused, match=r"main-us-east writes main now.*switchover"):
        local.require_writers_kept(tmp_path, before, kept, lambda _: "us-east")
    partition_map.point(tmp_path, ("us-east", "ap-northeast"), "main", "us-east")
    for seen in (None, "us-east", "eu-central"):
        with pytest.raises(Refused, match=r"main-us-east writes main now.*switchover"):
            local.require_writers_kept(tmp_path, before, kept, lambda _, seen=seen: seen)
    local.require_writers_kept(tmp_path, before, ["main-us-east", "main-ap-northeast"], nobody)
    with pytest.raises(Refused, match="main-eu-central writes main now"):
        local.require_writers_kept(tmp_path, before, ["main-us-east", "main-ap-northeast"], lambda _: "eu-central")


def test_nobody_is_asked_who_writes_where_nothing_is_dropped(tmp_path: Path) -> None:
    before = summary("multi-region-reads")
    every = [name for partition in before.partitions for name in partition.members]
    local.require_writers_kept(tmp_path, None, [], pytest.fail)
    local.require_writers_kept(tmp_path, before, every, pytest.fail)
    local.require_writers_kept(tmp_path, before, [], pytest.fail)  # the whole partition, which was asked for by name


def test_a_writer_of_before_is_named_by_its_region(tmp_path: Path) -> None:
    stack = summary("multi-region-reads")
    (tmp_path / "regions" / "eu-central" / "members" / "main-eu-central" / "data").mkdir(parents=True)
    for region in ("eu-central", "us-east"):
        partition_map.ensure(tmp_path, region, {"main": "eu-central"})
    assert local.away(tmp_path, "127.20", stack) == {}
    partition_map.point(tmp_path, ("us-east",), "main", "us-east")
    assert local.away(tmp_path, "127.20", stack) == {"eu-central": "main-eu-central"}
