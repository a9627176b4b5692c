"""What is held while nobody writes: how long, how much, and what it costs others."""

import asyncio
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import httpx
import psutil
import pytest

from service import holding
from service.deadlines import Deadline
from service.holding import RETRY_SECONDS, TRY_SECONDS, Again, Hold
from service.problems import Problem, not_found, unavailable, unknown_outcome
from tests.service.servers import Service, free_port


def main() -> str:
    return "main"


class Writer:
    """Takes writes from the moment it is `up`."""

    def __init__(self) -> None:
        self.up = False
        self.tries = 0
        self.problem: Callable[[str], Problem] = unavailable
        self.at_once = self.most = 0

    async def attempt(self) -> str:
        self.tries += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await asyncio.sleep(0.002)
        finally:
            self.at_once -= 1
        if not self.up:
            raise Again(self.problem("nobody"))
        return "written"


def test_many_that_are_held_ask_seldom_and_go_on_as_soon_as_one_was_answered() -> None:
    async def run() -> None:
        hold, writer = Hold(), Writer()
        held = [asyncio.create_task(hold.write(main, writer.attempt, Deadline.after(5))) for _ in range(500)]
        await asyncio.sleep(0.3)  # those that were under way before it was known
        assert hold.held == 500
        before = writer.tries
        await asyncio.sleep(1.0)
        assert 5 <= writer.tries - before <= 1.0 / TRY_SECONDS + 1
        writer.up = True
        begin = time.monotonic()
        assert await asyncio.gather(*held) == ["written"] * 500
        assert time.monotonic() - begin < 1
        assert hold.held == 0

    asyncio.run(run())


def test_news_of_the_writer_are_waited_for_no_longer_than_they_take() -> None:
    async def run() -> None:
        hold, writer = Hold(), Writer()
        held = [asyncio.create_task(hold.write(main, writer.attempt, Deadline.after(5))) for _ in range(50)]
        await asyncio.sleep(0.3)
        writer.up = True
        hold.news()
        done, _ = await asyncio.wait(held, timeout=TRY_SECONDS / 2)
        assert len(done) == 50

    asyncio.run(run())


def test_who_was_asking_a_writer_that_is_gone_asks_the_new_one_at_once() -> None:
    async def run() -> None:
        hold, gone, asked = Hold(), asyncio.Event(), list[float]()

        async def attempt() -> str:
            if not gone.is_set():
                await gone.wait()
                raise Again(unknown_outcome("it was asked, and does not write any more"), moved=True)
            asked.append(time.monotonic())
            await asyncio.sleep(0.01)
            return "written"

        held = [asyncio.create_task(hold.write(main, attempt, Deadline.after(5))) for _ in range(100)]
        await asyncio.sleep(0.1)
        began = time.monotonic()
        gone.set()
        hold.news()
        done, _ = await asyncio.wait(held, timeout=1)
        assert len(done) == 100
        assert asked[0] - began < TRY_SECONDS / 2
        assert asked[1] - asked[0] >= 0.01  # the others wait for its answer

    asyncio.run(run())


def test_who_waits_for_the_wrong_partition_goes_on_at_the_right_one_once_the_map_says_so() -> None:
    async def run() -> None:
        hold, silent, other = Hold(), Writer(), Writer()
        other.up, place = True, "main"

        def attempt() -> Awaitable[str]:
            return (silent if place == "main" else other).attempt()

        stays = [asyncio.create_task(hold.write(main, silent.attempt, Deadline.after(2))) for _ in range(20)]
        goes = [asyncio.create_task(hold.write(lambda: place, attempt, Deadline.after(5))) for _ in range(20)]
        await asyncio.sleep(0.3)
        before = silent.tries
        place = "americas"
        hold.news()
        done, _ = await asyncio.wait(goes, timeout=TRY_SECONDS / 2)
        assert len(done) == 20
        assert silent.tries - before <= 2, "that others write says nothing of this writer"
        assert not any(task.done() for task in stays)
        silent.up = True
        hold.news()
        assert await asyncio.gather(*stays) == ["written"] * 20

    asyncio.run(run())


def test_the_silence_of_a_writer_that_was_found_out_of_on_the_way_is_not_that_of_another() -> None:
    async def run() -> None:
        hold, tries, place = Hold(), 0, "main"

        async def attempt() -> str:
            nonlocal tries, place
            tries += 1
            place = "americas"
            raise Again(unavailable("americas is silent"), partition="americas")

        held = [asyncio.create_task(hold.write(lambda: place, attempt, Deadline.after(2))) for _ in range(50)]
        await asyncio.sleep(0.4)
        before = tries
        await asyncio.sleep(0.5)
        assert tries - before <= 0.5 / TRY_SECONDS + 1, "they wait for that one together"
        writer = Writer()
        writer.up = True
        began = time.monotonic()
        assert await hold.write(main, writer.attempt, Deadline.after(1)) == "written"
        assert time.monotonic() - began < TRY_SECONDS / 2
        for task in held:
            task.cancel()
        await asyncio.gather(*held, return_exceptions=True)

    asyncio.run(run())


def test_what_is_let_go_does_not_arrive_all_at_once() -> None:
    async def run() -> None:
        hold, writer = Hold(), Writer()
        writer.up = True
        await asyncio.gather(*(hold.write(main, writer.attempt, Deadline.after(5)) for _ in range(900)))
        assert writer.most == holding.MAXIMUM_UNDER_WAY

    asyncio.run(run())


def refusal(of: Awaitable[object]) -> Problem:
    async def run() -> Problem:
        with pytest.raises(Problem) as caught:
            await of
        return caught.value

    return asyncio.run(run())


def test_a_region_that_stops_lets_go_of_what_it_holds() -> None:
    async def run() -> None:
        hold, writer = Hold(), Writer()
        held = [asyncio.create_task(hold.write(main, writer.attempt, Deadline.after(5))) for _ in range(100)]
        await asyncio.sleep(0.4)
        hold.drain()
        done, _ = await asyncio.wait(held, timeout=1)
        assert len(done) == 100
        assert all(isinstance(task.exception(), Problem) for task in done)

    asyncio.run(run())


def test_at_its_deadline_a_write_is_told_to_come_back_after_a_failover() -> None:
    begin = time.monotonic()
    problem = refusal(Hold().write(main, Writer().attempt, Deadline.after(1.0)))
    assert 0.5 < time.monotonic() - begin < 1.2
    assert (problem.status, problem.headers["Retry-After"]) == (503, str(RETRY_SECONDS))


def test_a_write_that_may_have_happened_stays_one() -> None:
    writer, said = Writer(), iter([unavailable, unknown_outcome])
    writer.problem = lambda detail: next(said, unavailable)(detail)
    assert refusal(Hold().write(main, writer.attempt, Deadline.after(1.0))).kind == "outcome-unknown"
    assert writer.tries > 2


def test_what_is_no_matter_of_waiting_is_said_at_once() -> None:
    async def attempt() -> None:
        raise not_found("nothing")

    begin = time.monotonic()
    assert refusal(Hold().write(main, attempt, Deadline.after(5))).status == 404
    assert time.monotonic() - begin < 0.1


def test_a_region_holds_so_many_writes_and_reads_have_room_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "MAXIMUM_HELD", 20)

    async def run() -> None:
        hold, writer = Hold(), Writer()
        held = [asyncio.create_task(hold.write(main, writer.attempt, Deadline.after(1))) for _ in range(20)]
        await asyncio.sleep(0.1)
        begin = time.monotonic()
        with pytest.raises(Problem, match="as many writes"):
            await hold.write(main, writer.attempt, Deadline.after(1))

        async def read(_: Deadline) -> str:
            return "read"

        assert await hold.read("main", read, Deadline.after(1)) == "read"
        assert time.monotonic() - begin < 0.1
        await asyncio.gather(*held, return_exceptions=True)

    asyncio.run(run())


def test_a_read_is_refused_soon_so_that_another_region_is_asked() -> None:
    async def run() -> None:
        hold, writer = Hold(), Writer()

        async def read(_: Deadline) -> str:
            return await writer.attempt()

        for _ in range(holding.FAILURES):
            with pytest.raises(Problem):
                await hold.read("main", read, Deadline.after(5))
        tries = writer.tries
        begin = time.monotonic()
        answers = await asyncio.gather(
            *(hold.read("main", read, Deadline.after(5)) for _ in range(100)), return_exceptions=True
        )
        assert all(isinstance(answer, Problem) for answer in answers)
        assert time.monotonic() - begin < 1
        assert writer.tries - tries <= 8
        writer.up = True
        assert await hold.read("main", read, Deadline.after(5)) == "written"

    asyncio.run(run())


def test_one_that_gives_up_does_not_take_anothers_turn() -> None:
    async def run() -> None:
        hold, writer = Hold(), Writer()
        leaving = [asyncio.create_task(hold.write(main, writer.attempt, Deadline.after(5))) for _ in range(50)]
        await asyncio.sleep(0.4)
        for task in leaving:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        assert hold.held == 0
        writer.up = True
        begin = time.monotonic()
        assert await hold.write(main, writer.attempt, Deadline.after(5)) == "written"
        assert time.monotonic() - begin < 2 * TRY_SECONDS

    asyncio.run(run())


# The whole service, with a gateway that refuses whatever it is asked, as quickly as it can.

REFUSES = """
import asyncio, sys
async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            length = next(int(l[15:]) for l in head.decode().lower().splitlines() if l.startswith("content-length:"))
            await reader.readexactly(length)
            print(flush=True)
            writer.write(b"HTTP/1.1 503 No\\r\\ncontent-length: 0\\r\\n\\r\\n")
    except (asyncio.IncompleteReadError, OSError):
        writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]), backlog=2048)
    await server.serve_forever()
asyncio.run(main())
"""


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[tuple[int, list[str]]]:
    """A gateway's port, and a line for each request that it was sent."""
    port = free_port()
    lines: list[str] = []
    gateway = subprocess.Popen([sys.executable, "-c", REFUSES, str(port)], stdout=subprocess.PIPE, text=True)
    assert gateway.stdout is not None
    reading = threading.Thread(target=lambda: lines.extend(gateway.stdout or ()))
    reading.start()
    try:
        yield port, lines
    finally:
        gateway.kill()
        gateway.wait()
        reading.join()
        gateway.stdout.close()


async def place_many(port: int, count: int) -> list[bytes]:
    async def one(number: int) -> bytes:
        body = b'{"customer": "c", "item": "x", "quantity": 1}'
        head = f"POST /orders HTTP/1.1\r\nhost: x\r\nidempotency-key: {number}\r\ncontent-length: {len(body)}\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        return answer

    return await asyncio.gather(*(one(number) for number in range(count)))


def test_hundreds_that_are_held_delay_no_answer_about_readiness(tmp_path: Path, asked: tuple[int, list[str]]) -> None:
    """Nor does a member that accepts connections and never answers."""
    port, lines = asked
    with socket.create_server(("127.0.0.1", 0), backlog=100) as mute, ThreadPoolExecutor(1) as pool:
        region = Service(
            tmp_path,
            "us-east",
            members={"main": {"host": "127.0.0.1", "port": mute.getsockname()[1]}},
            egress={"host": "127.0.0.1", "port": port},
        )
        region.publish("eu-central")
        region.start()
        try:
            region.answers()
            begin = time.monotonic()
            placing = pool.submit(lambda: asyncio.run(place_many(region.port, 600)))
            times: dict[str, list[float]] = {"ready": [], "live": []}
            assert region.process is not None
            server = psutil.Process(region.process.pid)
            with httpx.Client(base_url=region.url, timeout=10) as prober:
                while not placing.done():
                    for name, status in (("ready", 503), ("live", 200)):
                        asked_at = time.monotonic()
                        assert prober.get(f"/healthz/{name}").status_code == status
                        times[name].append(time.monotonic() - asked_at)
                    if len(times["live"]) == 1:
                        used = server.cpu_times()
                    time.sleep(0.02)
            assert time.monotonic() - begin > 4, "they were held"
            assert all(answer.startswith(b"HTTP/1.1 503") for answer in placing.result())
            # Next to an answer that needs nothing, and to what the server itself did: a clock tells of the machine too.
            assert median(times["ready"]) < 3 * median(times["live"])
            worked = server.cpu_times()
            assert sum(worked[:2]) - sum(used[:2]) < (time.monotonic() - begin) / 4, "it had time to spare"
        finally:
            region.stop()
    # Those that were under way before it was known that nobody answers; from then on it is one at a time.
    assert len(lines) < holding.MAXIMUM_UNDER_WAY + 5 / TRY_SECONDS + 50


class Way:
    """A region's own gateway, which leads to a region that is lost: whoever asks hears nothing, until it leads on."""

    def __init__(self) -> None:
        self.leads_on = threading.Event()
        self.port = free_port()
        self._server = socket.create_server(("127.0.0.1", self.port), backlog=256)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            answers = self.leads_on.is_set()
            threading.Thread(target=self._talk, args=(connection, answers), daemon=True).start()

    @staticmethod
    def _talk(connection: socket.socket, answers: bool) -> None:
        with connection:
            while connection.recv(65536):
                if answers:
                    connection.sendall(
                        b"HTTP/1.1 201 Created\r\nx-served-region: us-east\r\ncontent-length: 2\r\n\r\n{}"
                    )

    def close(self) -> None:
        self._server.close()


def test_nobody_waits_for_a_lost_region_once_another_one_writes(tmp_path: Path) -> None:
    way = Way()
    service = Service(tmp_path, "ap-northeast", egress={"host": "127.0.0.1", "port": way.port})
    service.publish("eu-central")
    service.start()
    try:
        service.answers()
        limits = httpx.Limits(max_connections=80)
        with httpx.Client(base_url=service.url, timeout=20, limits=limits) as client, ThreadPoolExecutor(80) as pool:
            order = {"customer": "ada", "item": "book", "quantity": 1}
            asked = [
                pool.submit(client.post, "/orders", json=order, headers={"Idempotency-Key": f"key-{number}"})
                for number in range(80)
            ]
            time.sleep(1.0)
            assert not any(one.done() for one in asked)
            way.leads_on.set()
            service.publish("us-east", version=2)
            began = time.monotonic()
            assert {one.result().status_code for one in asked} == {201}
            assert time.monotonic() - began < 2  # of the four that their deadlines would still have had
    finally:
        service.stop()
        way.close()
