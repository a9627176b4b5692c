"""The parts of the benchmarks that are right or wrong; how long something takes is not tested anywhere."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import engine
from benchmarks import __main__ as command
from benchmarks import client, memory, preview, requests, stacks
from engine.recorder import RecordingMonitor


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
