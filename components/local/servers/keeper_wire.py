"""How keepers speak: a JSON object a line, over mutual TLS with the regions' certificates."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from components.local.servers.certificates import DOMAIN

LINE_LIMIT = 64 * 1024
CONNECT_SECONDS = 1.5  # TCP and TLS take two round trips; the longest way round the world takes 0.3 s
ANSWER_SECONDS = 1.0  # a path that is cut swallows what is sent, so silence has to end somewhere

Message = dict[str, Any]
Handler = Callable[[str, Message], Awaitable[Message]]


def server_context(key: Path, certificate: Path, trust: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(trust))
    context.verify_mode = ssl.CERT_REQUIRED
    return _own(context, key, certificate)


def client_context(key: Path, certificate: Path, trust: Path) -> ssl.SSLContext:
    return _own(ssl.create_default_context(cafile=str(trust)), key, certificate)


def _own(context: ssl.SSLContext, key: Path, certificate: Path) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(certificate, key)
    return context


def server_name(region: str) -> str:
    """The name that a keeper's certificate must bear: below the region's own domain, like everything there."""
    return f"keeper.{region}.{DOMAIN}"


def region_of(certificate: Mapping[str, Any] | None) -> str | None:
    """The region whose certificate this is; its gateway's name stands in it."""
    for kind, name in (certificate or {}).get("subjectAltName", ()):
        if kind == "DNS" and name.startswith("gateway.") and name.endswith(f".{DOMAIN}"):
            return name.removeprefix("gateway.").removesuffix(f".{DOMAIN}")
    return None


async def serve(host: str, port: int, context: ssl.SSLContext, handler: Handler) -> asyncio.Server:
    """Answer every line; what the handler raises as ValueError or KeyError is a fault of who asks."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        region = region_of(writer.get_extra_info("peercert"))
        # A reset, a line that is too long, a loop that ends: the other side asks again.
        with contextlib.suppress(OSError, ValueError, asyncio.CancelledError):
            while region is not None and (line := await reader.readline()):
                writer.write(json.dumps(await _answer(handler, region, line)).encode() + b"\n")
                await writer.drain()
        writer.transport.abort()

    return await asyncio.start_server(accept, host, port, ssl=context, limit=LINE_LIMIT)


async def _answer(handler: Handler, region: str, line: bytes) -> Message:
    message: Any = None
    try:
        message = json.loads(line)
        answer = await handler(region, message)
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        answer = {"fault": f"{type(fault).__name__}: {fault}"}
    return {**answer, "id": message.get("id")} if isinstance(message, dict) else answer


class Peer:
    """The way to another keeper: one connection, as many questions at once as there are."""

    def __init__(self, region: str, host: str, port: int, context: Callable[[], ssl.SSLContext]) -> None:
        self.region = region
        self.place = (host, port)
        self._context = context
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._opening: asyncio.Task[asyncio.StreamWriter] | None = None
        self._pending: dict[int, asyncio.Future[Message]] = {}
        self._last = 0

    async def ask(self, message: Message) -> Message | None:
        """The answer; None when there is none in time, and then the connection is given up."""
        try:
            writer = self._writer or await self._opened()
            self._last += 1
            number = self._last
            answer = self._pending[number] = asyncio.get_running_loop().create_future()
            try:
                writer.write(json.dumps({**message, "id": number}).encode() + b"\n")
                return await asyncio.wait_for(answer, ANSWER_SECONDS)
            finally:
                self._pending.pop(number, None)
        except (OSError, TimeoutError, ssl.SSLError):
            self.close()
            return None

    def close(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()
            self._writer = None
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
        for answer in self._pending.values():
            if not answer.done():
                answer.set_exception(ConnectionResetError())
                answer.exception()  # seen, also when nobody waits for it any more

    async def _opened(self) -> asyncio.StreamWriter:
        """However many wait for the way to open, it is tried once."""
        if self._opening is None:
            self._opening = asyncio.create_task(asyncio.wait_for(self._open(), CONNECT_SECONDS))
            self._opening.add_done_callback(self._tried)
        return await asyncio.shield(self._opening)

    def _tried(self, opening: asyncio.Task[asyncio.StreamWriter]) -> None:
        self._opening = None
        if not opening.cancelled():
            opening.exception()  # seen, also when nobody waits for it any more

    async def _open(self) -> asyncio.StreamWriter:
        reader, writer = await asyncio.open_connection(
            *self.place, ssl=self._context(), server_hostname=server_name(self.region), limit=LINE_LIMIT
        )
        self._writer = writer
        self._reading = asyncio.create_task(self._read(reader))
        return writer

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError, ValueError):
            while line := await reader.readline():
                message = json.loads(line)
                waiting = self._pending.get(message.get("id"))
                if waiting is not None and not waiting.done():
                    waiting.set_result(message)
        self._reading = None
        self.close()
