"""The near cache: orders by id, for a second, and with the position up to which they are right.

A reader with a write position is answered from here only behind that position; one without takes the second, which is
what the documents promise. That an order is absent is never kept.

A cache that is slow or gone costs a read at most 50 ms, and for a second after a few failures nothing at all.
"""

import asyncio
import logging
from dataclasses import dataclass

from valkey.asyncio import Valkey
from valkey.exceptions import ValkeyError

from service.breaker import Breaker
from service.metrics import Metrics
from service.positions import WritePosition
from service.settings import Cache

log = logging.getLogger("service.cache")

TIMEOUT_SECONDS = 0.05
KEPT_SECONDS = 1
MAXIMUM_PENDING = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    document: bytes
    partition: str  # whose member it was read from
    lsn: int  # where that member was, at least

    def serves(self, seen: WritePosition | None) -> bool:
        """Not at the very position: a writer's log may have a commit that its readers do not see yet."""
        return seen is None or (seen.partition == self.partition and seen.lsn < self.lsn)

    def packed(self) -> bytes:
        return f"{self.partition} {self.lsn}\n".encode() + self.document

    @classmethod
    def unpacked(cls, data: bytes) -> "Kept":
        head, _, document = data.partition(b"\n")
        partition, _, lsn = head.decode().rpartition(" ")
        return cls(document=document, partition=partition, lsn=int(lsn))


class OrderCache:
    def __init__(self, settings: Cache | None, metrics: Metrics) -> None:
        self._hits = metrics.cache.labels("hit")
        self._misses = metrics.cache.labels("miss")
        self._errors = metrics.cache.labels("error")
        self._skipped = metrics.cache.labels("skipped")
        self._breaker = Breaker(failures=3, seconds=1.0)
        self._pending: set[asyncio.Task[None]] = set()
        self._client: Valkey | None = None
        if settings is not None:
            password = settings.password_file.read_text().strip() if settings.password_file else None
            self._client = Valkey(
                host=settings.endpoint.host,
                port=settings.endpoint.port,
                password=password,
                socket_connect_timeout=TIMEOUT_SECONDS,
                socket_timeout=TIMEOUT_SECONDS,
                max_connections=200,
                lib_name=None,
                lib_version=None,
            )

    async def get(self, order_id: str) -> Kept | None:
        if self._client is None or not self._breaker.allows():
            self._skipped.inc()
            return None
        try:
            # One limit for all of it: connecting, signing on and asking each have a timeout of their own.
            async with asyncio.timeout(TIMEOUT_SECONDS):
                found = await self._client.get(_name(order_id))
        except (ValkeyError, OSError, TimeoutError) as fault:
            self._failed(fault)
            return None
        self._breaker.succeeded()
        (self._misses if found is None else self._hits).inc()
        return None if found is None else Kept.unpacked(found)

    def keep(self, order_id: str, kept: Kept) -> None:
        """Keep the order, without making the reader wait for it."""
        if self._client is None or self._breaker.open or len(self._pending) >= MAXIMUM_PENDING:
            return
        task = asyncio.ensure_future(self._set(order_id, kept))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def _set(self, order_id: str, kept: Kept) -> None:
        assert self._client is not None
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await self._client.set(_name(order_id), kept.packed(), ex=KEPT_SECONDS)
        except (ValkeyError, OSError, TimeoutError) as fault:
            self._failed(fault)

    def _failed(self, fault: Exception) -> None:
        was_open = self._breaker.open
        self._errors.inc()
        self._breaker.failed()
        if self._breaker.open and not was_open:
            log.warning("the cache does not answer (%s); reads go past it", type(fault).__name__)


def _name(order_id: str) -> str:
    return f"meridian:kept-order:{order_id}"
