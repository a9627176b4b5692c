"""The parts of the benchmarks that are right or wrong; how long something takes is not tested anywhere."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import engine
from benchmarks import __main__ as command
from benchmarks import client, hot_spot, latency, memory, preview, requests, stacks
from engine.recorder import RecordingMonitor
from operations.partitions import homes
from operations.settings_file import SettingsFile
from service.member import Member
from service.settings import Database, Endpoint
from topology import load, plan


def test_a_table_is_markdown() -> None:
    assert stacks.table("Title", ("one", "two"), [("a", "b"), ("c", "")]) == (
        "### Title\n\n| one | two |\n| --- | --- |\n| a | b |\n| c |  |\n"
    )


def test_every_name_is_a_benchmark() -> None:
    assert all((stacks.PROJECT / "benchmarks" / f"{name}.py").exists() for name in command.NAMES)
    assert command.unknown(command.NAMES) is None
    assert "bring_up" in (command.unknown(["preview", "bringup"]) or "")


def test_a_wrong_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["previews"]) == 2
    assert "previews" in capsys.readouterr().err


def test_bring_up_measures_every_phase_that_is_built() -> None:
    from benchmarks import bring_up

    assert [stacks.topology(stacks.values(phase)).phase.value for phase in bring_up.STEPS] == list(bring_up.STEPS)


# preview


def test_rounds_are_paired_and_take_turns() -> None:
    ran: list[str] = []
    took = preview.paired(3, {name: lambda name=name: ran.append(name) for name in ("a", "b")})
    assert ran == ["a", "b", "b", "a", "a", "b"]
    assert {name: len(seconds) for name, seconds in took.items()} == {"a": 3, "b": 3}
    assert preview.ratios([2.0, 9.0], [1.0, 3.0]) == [2.0, 3.0]


def test_both_sides_of_the_preview_see_the_same_program() -> None:
    what = preview.five_regions()
    monitor = RecordingMonitor(what.project, what.stack, preview.Unknown())
    preview.answered(what, monitor)
    plan: engine.Plan = preview.preview(what)
    assert {step.urn for step in plan.steps if step.type != "pulumi:pulumi:Stack"} == set(monitor.graph.resources)
    assert {step.op for step in plan.steps} == {"create"}
    assert not plan.problems
    for region in preview.REGIONS:
        made = [one for one in monitor.graph if one.inputs.get("region") == region and "providers" not in one.type]
        assert len(made) >= 60
        assert {one.type.split(":")[0] for one in made} == {"aws"}


def test_a_monitor_that_answers_at_once_is_asked_for_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    what = preview.five_regions()
    asked: list[str] = []
    answer = preview.AtOnce.RegisterResource
    monkeypatch.setattr(
        preview.AtOnce, "RegisterResource", lambda self, request: asked.append(request.name) or answer(self, request)
    )
    preview.answered(what, preview.AtOnce(what.project, what.stack, preview.Unknown()))
    assert sorted(asked) == sorted(step.name for step in preview.preview(what).steps)


# requests


def run_of(latencies: list[float], seconds: float = 1.0, bodies: tuple[bytes, ...] = ()) -> client.Run:
    return client.Run(seconds=seconds, latencies=latencies, busy=0.25, bodies=bodies)


def test_a_run_tells_its_rate_and_percentiles() -> None:
    run = run_of([number / 1000 for number in range(100, 0, -1)], seconds=2.0)
    assert run.rate == 50
    assert run.percentile(0.5) == 0.051
    assert run.percentile(0.99) == 0.1
    assert run_of([0.5]).percentile(0.99) == 0.5


def test_a_row_takes_the_median_round_and_the_ratio_of_pairs() -> None:
    pairs = [
        requests.Pair(through=run_of([0.002] * 20, seconds=2.0), direct=run_of([0.001] * 20, seconds=1.0)),
        requests.Pair(through=run_of([0.003] * 20, seconds=1.0), direct=run_of([0.001] * 20, seconds=0.5)),
        requests.Pair(through=run_of([0.004] * 20, seconds=9.0), direct=run_of([0.009] * 20, seconds=9.0)),
    ]
    assert requests.row("GET", 16, pairs) == (
        "GET",
        "16",
        "10 / 20",
        "0.50",
        "3.00 / 1.00",
        "3.00 / 1.00",
        "25% / 25%",
    )


def test_requests_are_http() -> None:
    assert client.request("GET", "/x", X_User_Region="eu-central") == (
        b"GET /x HTTP/1.1\r\nHost: meridian\r\nX-User-Region: eu-central\r\n\r\n"
    )
    head, body = requests.order().split(b"\r\n\r\n")
    assert head.startswith(b"POST /orders HTTP/1.1\r\n")
    assert b"\r\nIdempotency-Key: " in head
    assert f"\r\nContent-Length: {len(body)}\r\n".encode() in head
    assert requests.order() != requests.order()


def test_answers_are_read_by_status_and_length() -> None:
    head = b"HTTP/1.1 201 Created\r\nContent-Length: 12\r\n\r\n"
    assert (client.status(head), client.length(head)) == (201, 12)
    with pytest.raises(RuntimeError, match="without a length"):
        client.length(b"HTTP/1.1 200 OK\r\n\r\n")


async def served(answer: bytes, count: int, concurrency: int) -> client.Run:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(4096):
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        port = server.sockets[0].getsockname()[1]
        return await client.drive("127.0.0.1", port, [client.request("GET", "/")] * count, concurrency, 200)
    finally:
        server.close()
        await asyncio.sleep(0.05)


def test_the_client_sends_every_request_once() -> None:
    run = asyncio.run(served(b'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{"id":"7"}', 25, 4))
    assert len(run.latencies) == 25
    assert requests.identities(run) == ["7"] * 25


def test_the_client_counts_no_other_answer() -> None:
    with pytest.raises(ExceptionGroup) as raised:
        asyncio.run(served(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nfull", 5, 1))
    assert "503" in str(raised.value.exceptions[0])


def test_the_limit_is_of_a_process_that_ends() -> None:
    assert len(client.limit(10, 2).latencies) == 10


# users


@asynccontextmanager
async def answering(pause: float = 0.0, written: str = "eu-central") -> AsyncIterator[tuple[client.Users, list[bytes]]]:
    """Users of a service that answers as the order service does, from one region, and what it was asked."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = re.search(rb"Content-Length: (\d+)", head)
                body = await reader.readexactly(int(length[1])) if length else b""
                asked.append(head + body)
                await asyncio.sleep(pause)
                said = json.dumps({"id": str(uuid.uuid4())}).encode()
                told = f"x-served-region: eu-central\r\nx-written-region: {written}\r\ncontent-length: {len(said)}"
                status = "201 Created" if head.startswith(b"POST") else "200 OK"
                writer.write(f"HTTP/1.1 {status}\r\n{told}\r\n\r\n".encode() + said)
        except asyncio.IncompleteReadError:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    users = client.Users(host="127.0.0.1", port=server.sockets[0].getsockname()[1])
    try:
        yield users, asked
    finally:
        await users.close()
        server.close()
        await asyncio.sleep(0.05)


def test_steady_users_wait_for_no_answer() -> None:
    async def asked_steadily() -> tuple[list[client.Answer[int]], float]:
        async with answering(pause=0.3) as (users, _):
            began = time.perf_counter()
            return await users.steadily(
                20, 200, lambda number: (number, client.request("GET", "/")) if number % 2 else None
            ), time.perf_counter() - began

    answers, took = asyncio.run(asked_steadily())
    assert sorted(each.what for each in answers) == list(range(1, 20, 2))
    assert took < 2  # one after the other they would take three seconds
    begun = sorted(each.begun for each in answers)
    assert begun[-1] - begun[0] == pytest.approx(18 / 200)  # when they were due, not when they were sent
    assert all(each.seconds >= 0.3 for each in answers)


def test_an_answer_that_is_late_by_the_client_counts_as_late() -> None:
    async def held_up() -> list[client.Answer[int]]:
        async with answering() as (users, _):

            def message(number: int) -> tuple[int, bytes]:
                if number == 1:
                    time.sleep(0.2)
                return number, client.request("GET", "/")

            return await users.steadily(3, 1000, message)

    answers = {each.what: each for each in asyncio.run(held_up())}
    assert answers[2].seconds > 0.15


def test_busy_users_are_as_many_as_they_are() -> None:
    async def busy() -> tuple[int, list[client.Answer[str]]]:
        most = 0
        async with answering(pause=0.02) as (users, asked):
            until = asyncio.Event()
            load = asyncio.create_task(users.busily(3, until, lambda: ("any", client.request("GET", "/"))))
            while len(asked) < 30:
                await asyncio.sleep(0.005)
            until.set()
            answers = await load
            moments = sorted([(each.begun, 1) for each in answers] + [(each.ended, -1) for each in answers])
            under_way = 0
            for _, change in moments:
                under_way += change
                most = max(most, under_way)
            return most, answers

    most, answers = asyncio.run(busy())
    assert most == 3
    assert {each.status for each in answers} == {200}


def test_users_whom_nobody_answers_are_told_so() -> None:
    async def refused() -> client.Answer[str]:
        async with answering() as (users, _):
            users.port = 1
            return await users.ask("alone", client.request("GET", "/"))

    assert asyncio.run(refused()).status == 0


# latency


def test_the_stack_of_the_ladder_is_the_dev_stack() -> None:
    written = SettingsFile.read("dev", stacks.PROJECT).config(lambda text: text, phase="5").own("meridian")
    assert plan(load(written, "dev")) == stacks.topology(stacks.partitioned(5), "dev")


def test_each_order_is_read_once_and_first_orders_are_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "CUSTOMERS", 4)
    monkeypatch.setattr(latency, "REST", 0.0)
    monkeypatch.setattr(latency, "SETTLED", 0.05)
    monkeypatch.setattr(latency, "REGIONS", ("eu-central",))

    async def measured() -> tuple[list[client.Answer[latency.What]], list[bytes]]:
        async with answering() as (users, asked):
            return await latency.Phase(number=1).measure(users, 0.5), asked

    answers, asked = asyncio.run(measured())
    kinds = [each.what[0] for each in answers]
    assert kinds.count("first order") == 4
    assert kinds.count("order") == 0.5 * latency.RATE / 2
    assert kinds.count("read") > 10
    orders = [json.loads(each.partition(b"\r\n\r\n")[2])["customer"] for each in asked if each.startswith(b"POST")]
    assert len(set(orders[:4])) == 4
    assert set(orders) == set(orders[:4])
    read = [each.split()[1] for each in asked if each.startswith(b"GET /orders")]
    assert len(read) == len(set(read)) == kinds.count("read")


def test_an_order_that_was_written_elsewhere_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "REST", 0.0)

    async def measured() -> None:
        async with answering(written="us-east") as (users, _):
            await latency.Phase(number=1).measure(users, 0.1)

    with pytest.raises(ExceptionGroup) as raised:
        asyncio.run(measured())
    assert "written by us-east, not by eu-central and eu-central" in str(raised.value.exceptions[0])


def slow(phase: int, region: str, factor: float) -> float:
    """Seconds: near ones in phase 5 and at home, far ones else, and orders twice the reads."""
    return factor * (0.01 if phase == 5 or region == "eu-central" else 0.2)


def a_round(five: float) -> latency.Round:
    factors: dict[latency.Kind, float] = {"order": 1.0, "read": 0.5, "first order": 3.0}
    return {
        (phase, kind, region): [slow(phase, region, factor) * (five if phase == 5 else 1.0)] * 10
        for phase in latency.PHASES
        for kind, factor in factors.items()
        for region in stacks.REGIONS
    }


def test_latency_is_told_next_to_the_single_region_at_home() -> None:
    rounds = [a_round(1.0), a_round(1.4), a_round(9.0)]
    found = {(row[0], row[1][0]): row for row in latency.rows(rounds, "order")}
    assert found["eu-central", "1"][5:] == ("the floor", "")
    assert found["us-east", "1"][2:] == ("200.0", "200.0", "200.0", "20.00 / 20.00", "")
    assert found["us-east", "4"][6] == ""  # not at home, so nothing is promised
    assert found["us-east", "5"][2:] == ("14.0", "14.0", "14.0", "1.40 / 1.40", "met / met")
    assert latency.rows([a_round(1.6)], "order")[-1][6] == "not met / not met"
    assert all(len(row) == 6 for row in latency.rows(rounds, "read"))
    assert latency.short_rows(rounds)[1] == (
        "us-east",
        *("200.0 / 200.0", "200.0 / 200.0", "14.0 / 14.0", "1.40"),
        *("100.0 / 100.0", "100.0 / 100.0", "7.0 / 7.0"),
    )
    assert "us-east 42.0 ms" in latency.report(rounds)


# the hot spot


def test_the_hot_partition_has_four_fifths_and_is_split_between_regions() -> None:
    assert sum(hot_spot.GROUPS[group][1] for group in hot_spot.OF_BEFORE) == pytest.approx(0.8)
    assert sum(share for _, share, _ in hot_spot.GROUPS.values()) == pytest.approx(1)
    counts: dict[str, int] = {}
    for group in hot_spot.OF_BEFORE:
        region, _, number = hot_spot.GROUPS[group]
        for customer in range(number):
            home = f"00/{region}/{customer * 7 % 256:02x}"
            counts[home] = counts.get(home, 0) + 1
    assert homes.half(counts) == f"00/{hot_spot.GROUPS['who are moved'][0]}/00"


def test_the_limit_of_a_writer_is_its_connections_by_the_way_of_a_commit() -> None:
    database = Database(name="orders", user="service", password_file=Path("none"))
    member = Member("main", Endpoint(host="127.0.0.1", port=1), database, capacity=1.0)
    assert member.writes.size == hot_spot.CONNECTIONS
    assert hot_spot.limit("ap-northeast") == pytest.approx(40 / 0.149)
    assert hot_spot.limit("us-east") == pytest.approx(40 / 0.093)


def ordered(
    group: hot_spot.Group, ended: float, seconds: float, status: int = 201, region: str = "ap-northeast"
) -> client.Answer[hot_spot.Group]:
    head = f"HTTP/1.1 {status} Created\r\nx-written-region: {region}\r\n\r\n".encode()
    return client.Answer(what=group, begun=ended - seconds, ended=ended, status=status, head=head)


def a_split(*, failed: int = 0, moved_to: str = "us-east") -> hot_spot.Round:
    """Ten seconds before, five meanwhile, ten after: ten, none and twenty orders a second of each group."""
    answers: list[client.Answer[hot_spot.Group]] = []
    for group in hot_spot.GROUPS:
        answers += [ordered(group, at / 10, 0.4) for at in range(100)]
        region = {"who are moved": moved_to, "who stay": "ap-northeast"}.get(group, "us-east")
        answers += [ordered(group, 15 + at / 20, 0.1, region=region) for at in range(200)]
    answers += [ordered("who stay", 12, 0.1, status=503)] * failed
    return hot_spot.Round(
        answers=answers,
        windows={"before": (0, 10), "meanwhile": (10, 15), "after": (15, 25)},
        steps=[(10.5, "clear"), (11.5, "copy")],
        pause=0.25,
        floor=0.2,
        busy=[(float(second), 0.5 if second <= 10 else 0.9) for second in range(1, 26)],
    )


def test_a_split_is_told_before_meanwhile_and_after() -> None:
    found = a_split()
    every, stay, *_ = hot_spot.rows([found, found])
    assert every == ("all", "30 / 0 / 60", "400 / 0 / 100", "400 / 0 / 100", "2.00 / 0.25 / 0.25")
    assert stay[:2] == ("who stay", "10 / 0 / 20")
    assert a_split(failed=2).seen("meanwhile") == (0, 0, 0)  # what failed is counted apart
    windows = hot_spot.window_rows([found, a_split(failed=2)])
    assert windows[0] == ("before", "10.0", "20", "0", "54%")
    assert windows[1][3] == "2"
    assert windows[2][1:3] == ("10.0", "20")


def test_the_time_line_begins_before_the_split() -> None:
    lines = {row[0]: row for row in hot_spot.time_line(a_split(failed=1))}
    assert next(iter(lines)) == "-5"
    assert lines["-1"][1:4] == ("30", "10", "400 / 400")
    assert lines["0"][-1] == "clear"
    assert lines["2"][1:] == ("0", "0", "", "0", "", "0", "", "1", "")
    assert lines["5"][1] == "60"


def test_a_split_that_moved_nobody_is_no_figure() -> None:
    hot_spot.check(a_split())
    with pytest.raises(RuntimeError, match="200 orders of those who are moved 200 were not written in us-east"):
        hot_spot.check(a_split(moved_to="ap-northeast"))


# memory


def test_a_server_is_told_by_its_folder(tmp_path: Path) -> None:
    for pid, place in enumerate(("regions/eu/members/main-eu", "regions/eu/cache", "entry", "wan")):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "server.json").write_text(f'{{"pid": {pid}}}')
    assert memory.servers(tmp_path) == {
        ("eu", "PostgreSQL"): 0,
        ("eu", "Valkey"): 1,
        ("the stack", "entry"): 2,
        ("the stack", "delay proxy"): 3,
    }


def test_memory_is_summed_by_region() -> None:
    mib = memory.MEBIBYTE
    weights = {("eu", "Valkey"): 2.0 * mib, ("eu", "gateway"): 20.0 * mib, ("the stack", "entry"): 5.0 * mib}
    assert memory.rows_of(weights) == [
        ("eu", "20", "", "", "2", "22"),
        ("entry", "", "", "", "", "5"),
        ("all", "", "", "", "", "27"),
    ]


def test_an_import_is_weighed_in_an_interpreter_of_its_own() -> None:
    told = memory.imported(memory.IMPORTS["the local target"])
    assert told["clouds"] == []
    assert int(str(told["bytes"])) > memory.MEBIBYTE


# stacks


def test_a_runtime_folder_takes_along_what_no_record_tells_of() -> None:
    with stacks.runtime() as home:
        environment = {**os.environ, "MERIDIAN_SERVER": f"{home}/stacks/x/server.json"}
        lost = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env=environment)
        time.sleep(0.1)  # until it is that program, with that environment
    assert lost.wait(timeout=10) == -signal.SIGKILL
    assert not home.exists()


def test_a_command_reads_its_settings_beside_what_runs(tmp_path: Path) -> None:
    words = stacks.command(tmp_path, hot_spot.settings(5), "partition", "list")
    told = subprocess.run(
        words,
        cwd=stacks.PROJECT,
        env={**os.environ, "MERIDIAN_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert told.returncode == 2
    assert "bench is not up" in told.stderr
