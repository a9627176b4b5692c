"""The client for the region's own gateway, against servers that misbehave on cue."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from service.deadlines import Deadline
from service.egress import Answer, Egress, NoAnswerError, NotSentError
from service.settings import Endpoint
from tests.service.servers import free_port

WHOLE = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nX-Note: a\r\n\r\nok"
CHUNKED = b"HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
LAST = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"


def against(script: list[list[bytes]], ask: Callable[[Callable[[], Awaitable[Answer]]], Awaitable[None]]) -> None:
    """Each list is one connection: what is sent after each request in turn. It is closed after the last."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in script.pop(0):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
        writer.close()

    async def run() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        egress = Egress(Endpoint(host="127.0.0.1", port=server.sockets[0].getsockname()[1]))
        await ask(lambda: egress.ask("GET", "/", [("x-a", "b")], b"", Deadline.after(1.0)))
        egress.close()
        server.close()
        await asyncio.sleep(0.02)  # for the connections' own tasks to end

    asyncio.run(run())


def test_a_connection_is_kept_and_used_again() -> None:
    async def ask(get: Callable[[], Awaitable[Answer]]) -> None:
        first, second, third = await get(), await get(), await get()
        assert (first.status, first.body, first.headers["x-note"]) == (200, b"ok", "a")
        assert (second.status, second.body) == (201, b"ok")
        assert (third.status, third.body) == (200, b"ok")

    against([[WHOLE, CHUNKED, WHOLE]], ask)


def test_a_connection_that_is_announced_to_close_is_not_used_again() -> None:
    async def ask(get: Callable[[], Awaitable[Answer]]) -> None:
        assert (await get()).body == b"ok"
        assert (await get()).body == b"ok"

    against([[LAST], [WHOLE]], ask)


def test_a_kept_connection_that_closes_instead_of_answering_counts_as_not_sent() -> None:
    async def ask(get: Callable[[], Awaitable[Answer]]) -> None:
        assert (await get()).body == b"ok"
        with pytest.raises(NotSentError):
            await get()
        assert (await get()).body == b"ok"

    against([[WHOLE, b""], [WHOLE]], ask)


@pytest.mark.parametrize("answer", [b"", WHOLE[:-1], b"220 mail.example\r\n"])
def test_on_a_new_connection_no_whole_answer_means_an_unknown_outcome(answer: bytes) -> None:
    async def ask(get: Callable[[], Awaitable[Answer]]) -> None:
        with pytest.raises(NoAnswerError):
            await get()

    against([[answer]], ask)


def test_no_listener_means_not_sent() -> None:
    async def run() -> None:
        egress = Egress(Endpoint(host="127.0.0.1", port=free_port()))
        with pytest.raises(NotSentError):
            await egress.ask("POST", "/", [], b"x", Deadline.after(1.0))

    asyncio.run(run())
