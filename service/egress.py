"""An HTTP/1.1 client for one address: the region's own gateway, which knows the way to the others.

It keeps connections open, passes bodies through as bytes, and does nothing else, so it starts and answers quickly.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import cast

import httptools

from service.deadlines import Deadline
from service.settings import Endpoint

MAXIMUM_ANSWER = 4 * 1024 * 1024


class NotSentError(Exception):
    """No connection could be had, or a kept one was closed before any of an answer came."""


class NoAnswerError(Exception):
    """The request went out, and no whole answer came back."""


@dataclass(kw_only=True, slots=True)
class Answer:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class _Exchange(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.used = False
        self._waiter: asyncio.Future[Answer] | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._answer = Answer()
        self._body: list[bytes] = []
        self._size = 0
        self._begun = False

    @property
    def ready(self) -> bool:
        return self.transport is not None and not self.transport.is_closing() and self._waiter is None

    def send(self, request: bytes) -> asyncio.Future[Answer]:
        assert self.transport is not None
        self._parser = httptools.HttpResponseParser(self)
        self._answer, self._body, self._size, self._begun = Answer(), [], 0, False
        self._waiter = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self._waiter

    def close(self) -> None:
        self._waiter = None
        if self.transport is not None:
            self.transport.abort()

    # asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's own is no subclass

    def data_received(self, data: bytes) -> None:
        if self._waiter is None or self._parser is None:
            self.close()
            return
        self._begun = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as fault:
            self._fail(NoAnswerError(f"not HTTP: {fault}"))
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        # A gateway may close a kept connection just as a request is written to it; it has then not read it.
        stale = self.used and not self._begun
        self._fail(NotSentError("closed") if stale else NoAnswerError("closed half-way"))

    # httptools

    def on_status(self, status: bytes) -> None:
        assert self._parser is not None
        self._answer.status = self._parser.get_status_code()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._answer.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > MAXIMUM_ANSWER:
            raise ValueError("the answer is too large")
        self._body.append(body)

    def on_message_complete(self) -> None:
        assert self._parser is not None
        self._answer.status = self._parser.get_status_code()
        self._answer.body = b"".join(self._body)
        waiter, self._waiter = self._waiter, None
        self.used = True
        if not self._parser.should_keep_alive() and self.transport is not None:
            self.transport.close()
        if waiter is not None and not waiter.done():
            waiter.set_result(self._answer)

    def _fail(self, fault: Exception) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(fault)


class Egress:
    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._idle: list[_Exchange] = []

    async def ask(
        self, method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes, deadline: Deadline
    ) -> Answer:
        """One attempt. Raises NotSentError, NoAnswerError, or TimeoutError at the deadline."""
        lines = [f"{method} {target} HTTP/1.1", f"host: {self._endpoint}", f"content-length: {len(body)}"]
        lines.extend(f"{name}: {value}" for name, value in headers)
        request = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
        exchange = self._take()
        try:
            async with asyncio.timeout(deadline.left()):
                if exchange is None:
                    exchange = await self._connect()
                answer = await exchange.send(request)
        except BaseException as fault:
            if exchange is not None:
                exchange.close()
            elif isinstance(fault, TimeoutError):
                raise NotSentError("no connection in time") from None
            raise
        if exchange.ready:
            self._idle.append(exchange)
        return answer

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> _Exchange | None:
        while self._idle:
            exchange = self._idle.pop()
            if exchange.ready:
                return exchange
        return None

    async def _connect(self) -> _Exchange:
        try:
            _, exchange = await asyncio.get_running_loop().create_connection(
                _Exchange, self._endpoint.host, self._endpoint.port
            )
        except OSError as fault:
            raise NotSentError(type(fault).__name__) from fault
        return exchange
