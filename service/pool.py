"""A small pool of PostgreSQL connections.

psycopg_pool backs off for longer and longer while a server is away, and would still be waiting when it is back; after
a failover that wait is downtime. This pool connects on demand, hands out the connection used last, notices a
connection that the server has closed before it is used again, and lets work that outlives its deadline end by itself:
cancelling a commit that waits for a standby makes it look done.
"""

import asyncio
import contextlib
import select
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import psycopg
from psycopg.pq import TransactionStatus

from service.deadlines import Deadline

T = TypeVar("T")
Connection = psycopg.AsyncConnection[Any]

IDLE_SECONDS = 60.0
WAITING_PER_CONNECTION = 8  # beyond that a request would only wait to be refused


class PoolBusyError(Exception):
    """No connection came free in time; nothing was sent."""


class OutOfTimeError(Exception):
    """The deadline passed while the server was at work."""


class Pool:
    """At most `size` connections; a piece of work holds one until it has ended, even when nobody waits for it."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]], size: int, *, cancel_after: float | None) -> None:
        """`cancel_after`: how long work may outlive its deadline before it is cancelled; None for never."""
        self.size = size
        self.busy = 0
        self._connect = connect
        self._cancel_after = cancel_after
        self._idle: list[tuple[Connection, float]] = []
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._work: set[asyncio.Task[Any]] = set()
        self._closed = False

    @property
    def idle(self) -> int:
        return len(self._idle)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def run(self, work: Callable[[Connection], Awaitable[T]], deadline: Deadline) -> T:
        """Do the work on a connection. What it raises passes through; psycopg.Error for a server that is away."""
        await self._enter(deadline)
        # A task of its own, so that neither the deadline nor a client that leaves interrupts it half-way.
        task = asyncio.ensure_future(self._holding_a_connection(work))
        self._work.add(task)
        task.add_done_callback(self._ended)
        done, _ = await asyncio.wait((task,), timeout=deadline.left())
        if done:
            return task.result()
        if self._cancel_after is not None:
            asyncio.get_running_loop().call_later(self._cancel_after, task.cancel)
        raise OutOfTimeError

    def trim(self) -> None:
        """Close what has been idle for long."""
        oldest = time.monotonic() - IDLE_SECONDS
        while self._idle and self._idle[0][1] < oldest:
            self._idle.pop(0)[0].pgconn.finish()

    async def close(self, seconds: float) -> None:
        self._closed = True
        if self._work:
            await asyncio.wait(self._work, timeout=seconds)
        while self._idle:
            self._idle.pop()[0].pgconn.finish()

    async def _enter(self, deadline: Deadline) -> None:
        if self.busy < self.size:
            self.busy += 1
            return
        if len(self._waiting) >= self.size * WAITING_PER_CONNECTION:
            raise PoolBusyError
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(deadline.left()):
                await turn
        except BaseException as fault:
            if turn.done() and not turn.cancelled():
                self._leave()  # the place was handed over just as the wait ended
            else:
                with contextlib.suppress(ValueError):
                    self._waiting.remove(turn)
            if isinstance(fault, TimeoutError):
                raise PoolBusyError from None
            raise

    def _leave(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.busy -= 1

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._work.discard(task)
        self._leave()
        if not task.cancelled():
            task.exception()  # seen, also when nobody waits for it any more

    async def _holding_a_connection(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        connection = self._take() or await self._connect()
        try:
            return await work(connection)
        finally:
            if connection.pgconn.transaction_status == TransactionStatus.IDLE and not self._closed:
                self._idle.append((connection, time.monotonic()))
            else:
                connection.pgconn.finish()

    def _take(self) -> Connection | None:
        while self._idle:
            connection, _ = self._idle.pop()
            poll = select.poll()
            poll.register(connection.pgconn.socket, select.POLLIN)
            # An idle server has nothing to say: what can be read is its farewell.
            if not connection.closed and not poll.poll(0):
                return connection
            connection.pgconn.finish()
        return None
