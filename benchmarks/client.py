"""The client of the benchmarks: HTTP/1.1 by hand, on connections that stay open.

A full client library spends more on a request than the service does. This one writes prepared bytes and reads the
status and the body's length, so what is measured is the other end. How busy it is is measured with it, and its own
limit against a server that answers at once, which `python -m benchmarks.client` is.
"""

import asyncio
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

T = TypeVar("T")

STATUS = re.compile(rb"HTTP/1\.1 (\d{3})")
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
TIMEOUT = 20.0  # seconds; longer than any limit on the way


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a client saw."""

    seconds: float
    latencies: Sequence[float]
    busy: float
    """Share of one core that the client itself took."""

    bodies: Sequence[bytes]

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        """The latency that this share of the requests stayed at or under."""
        return percentile(self.latencies, share)


@dataclass(frozen=True, kw_only=True)
class Answer(Generic[T]):
    """What became of one request, at moments of `time.perf_counter`."""

    what: T
    """What whoever sent it knows it by."""

    begun: float
    """When it was due, so that a client that is late counts as a slow answer and not as a request that nobody sent."""

    ended: float
    status: int
    """0: there was no answer."""

    head: bytes = b""
    body: bytes = b""

    @property
    def seconds(self) -> float:
        return self.ended - self.begun

    def header(self, name: str) -> str | None:
        found = re.search(rb"\r\n" + name.encode() + rb": *([^\r]*)", self.head, re.IGNORECASE)
        return found[1].decode() if found else None


@dataclass(kw_only=True)
class Users:
    """Anybody, on as many connections as it takes. Nothing is sent twice: what fails has failed."""

    host: str
    port: int
    _idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=list)

    async def ask(self, what: T, message: bytes, due: float | None = None) -> Answer[T]:
        begun = time.perf_counter() if due is None else due
        writer = None
        try:
            async with asyncio.timeout(TIMEOUT):
                connection = self._idle.pop() if self._idle else await asyncio.open_connection(self.host, self.port)
                reader, writer = connection
                writer.write(message)
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(length(head))
        except BaseException as fault:
            if writer is not None:
                writer.close()
            if isinstance(fault, OSError | TimeoutError | asyncio.IncompleteReadError | RuntimeError):
                return Answer(what=what, begun=begun, ended=time.perf_counter(), status=0, body=repr(fault).encode())
            raise
        self._idle.append(connection)
        return Answer(what=what, begun=begun, ended=time.perf_counter(), status=status(head), head=head, body=body)

    async def steadily(
        self,
        count: int,
        rate: float,
        message: Callable[[int], tuple[T, bytes] | None],
        seen: Callable[[Answer[T]], object] = lambda _: None,
    ) -> list[Answer[T]]:
        """So many requests a second, however long the answers take; without a message one is left out."""
        began = time.perf_counter()
        answers: list[Answer[T]] = []

        async def one(what: T, sent: bytes, due: float) -> None:
            answers.append(await self.ask(what, sent, due))
            seen(answers[-1])

        async with asyncio.TaskGroup() as group:
            for number in range(count):
                due = began + number / rate
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                if (found := message(number)) is not None:
                    group.create_task(one(*found, due))
        return answers

    async def busily(
        self, clients: int, until: asyncio.Event, message: Callable[[], tuple[T, bytes]]
    ) -> list[Answer[T]]:
        """As many at a time as there are clients, each of which asks again once it was answered."""
        answers: list[Answer[T]] = []

        async def one() -> None:
            while not until.is_set():
                answers.append(await self.ask(*message()))

        async with asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(one())
        return answers

    async def await_entry(self, served: Mapping[str, str]) -> None:
        """Until users in each region are served where they should be. The entry asks a region twice before it sends
        anybody there, and `up` does not wait for that."""
        deadline = time.monotonic() + TIMEOUT
        for region, server in served.items():
            while True:
                answer = await self.ask(region, request("GET", "/version", X_User_Region=region))
                if answer.status == 200 and answer.header("x-served-region") == server:
                    break
                if time.monotonic() > deadline:
                    raise RuntimeError(f"users in {region} are not sent to {server}: {answer.status} {answer.body!r}")
                await asyncio.sleep(0.1)

    async def close(self) -> None:
        await close(self._idle)
        self._idle.clear()


def percentile(seconds: Sequence[float], share: float) -> float:
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def request(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    named = (
        {"Host": "meridian", "Content-Length": str(len(body)), **headers} if body else {"Host": "meridian", **headers}
    )
    lines = [f"{method} {path} HTTP/1.1", *(f"{name.replace('_', '-')}: {value}" for name, value in named.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def drive(host: str, port: int, requests: Sequence[bytes], concurrency: int, expected: int) -> Run:
    """Send every request once, `concurrency` at a time, and raise for another answer than expected."""
    waiting = iter(requests)
    latencies: list[float] = []
    bodies: list[bytes] = []
    opened = [await asyncio.open_connection(host, port) for _ in range(concurrency)]

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for message in waiting:
            began = time.perf_counter()
            writer.write(message)
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(length(head))
            latencies.append(time.perf_counter() - began)
            bodies.append(body)
            if status(head) != expected:
                raise RuntimeError(f"{message[:60]!r} was answered with {status(head)}: {body[:300]!r}")

    began, busy = time.perf_counter(), time.process_time()
    try:
        async with asyncio.timeout(TIMEOUT + len(requests) * 0.05), asyncio.TaskGroup() as group:
            for connection in opened:
                group.create_task(one(*connection))
        seconds, busy = time.perf_counter() - began, time.process_time() - busy
    finally:
        await close(opened)
    return Run(seconds=seconds, latencies=latencies, busy=busy / seconds, bodies=bodies)


async def close(opened: Sequence[tuple[Any, asyncio.StreamWriter]]) -> None:
    for _, writer in opened:
        writer.close()
    await asyncio.gather(*(writer.wait_closed() for _, writer in opened), return_exceptions=True)


def status(head: bytes) -> int:
    found = STATUS.match(head)
    if found is None:
        raise RuntimeError(f"not an answer in HTTP/1.1: {head[:60]!r}")
    return int(found[1])


def length(head: bytes) -> int:
    """How long the body is. Only answers that say so are understood, which are all that the service gives."""
    found = LENGTH.search(head)
    if found is None:
        raise RuntimeError(f"an answer without a length: {head!r}")
    return int(found[1])


class Blank(asyncio.Protocol):
    """Answers whatever arrives at once and with nothing. A request of these benchmarks arrives in one piece."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")


async def answer_at_once() -> None:
    """Until whoever started this closes its standard input, or ends."""
    server = await asyncio.get_running_loop().create_server(Blank, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


def limit(count: int, concurrency: int) -> Run:
    """What this client reaches where the other end costs next to nothing."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.client"],
        cwd=Path(__file__).resolve().parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        return asyncio.run(drive("127.0.0.1", port, [request("GET", "/")] * count, concurrency, 200))


if __name__ == "__main__":
    asyncio.run(answer_at_once())
