"""Users: orders placed, changed, cancelled and read at a steady rate through the entry, and a ledger of what they were
told.

    python -m operations.drill.load ENTRY LEDGER REGION,REGION,... [--rate 200] [--reads 0.5] [--retries 1]
        [--changes 0.15] [--cancels 0.05]

A process of its own, so that nothing else that a drill does delays a request; it ends when its standard input does. The
ledger has a line a request, written when the request ended, whatever came of it.
"""

import argparse
import asyncio
import json
import random
import re
import sys
import threading
import time
import uuid
from base64 import urlsafe_b64decode
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import urlsplit

TIMEOUT = 15.0  # longer than the entry's own limit for a write (14 s)
PAUSE = 1.0  # before a request is sent again, unless the answer names another time
LONGEST_PAUSE = 5.0
SETTLED = 1.5  # seconds after which an acknowledged order is read anywhere
REMEMBERED = 500
STATUS = re.compile(rb"HTTP/1\.1 (\d{3})")


class Closed(Exception):  # noqa: N818
    """The connection ended, or never came about."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes


class Pool:
    """Connections that stay open. HTTP/1.1 by hand: a full client would take a good part of a core at this rate."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> Reply:
        kept = self.idle.pop() if self.idle else None
        try:
            reader, writer = kept or await asyncio.open_connection(self.host, self.port)
        except OSError as fault:
            raise Closed(type(fault).__name__) from None
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}:{self.port}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        try:
            async with asyncio.timeout(TIMEOUT):
                writer.write("\r\n".join([*lines, "", ""]).encode() + body)
                reply = await _read(reader)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as fault:
            writer.close()
            raise Closed(type(fault).__name__) from None
        except asyncio.CancelledError:
            writer.close()
            raise
        if reply.headers.get("connection", "").lower() == "close":
            writer.close()
        else:
            self.idle.append((reader, writer))
        return reply

    async def close(self) -> None:
        for _, writer in self.idle:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for _, writer in self.idle), return_exceptions=True)


async def _read(reader: asyncio.StreamReader) -> Reply:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    body = b""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    found = STATUS.match(first.encode())
    if found is None:
        raise Closed("no HTTP/1.1")
    return Reply(status=int(found[1]), headers=headers, body=body)


@dataclass
class Load:
    """`rate` requests a second, for users in the given regions in turn, until the block is left.

    A request that fails is sent again with the same key, as the contract of the service allows; what fails then too
    counts as failed. An order counts as acknowledged when its 201 (or the replay's 200) has arrived.

    Of the writes a share are changes and cancellations of orders that were acknowledged, one at a time for each order;
    after one whose answer never came an order is left alone, so that what may have become of it stays known.
    """

    entry: str
    regions: tuple[str, ...]
    rate: float = 100.0
    reads: float = 0.0  # their share
    retries: int = 1
    changes: float = 0.0  # their share of the writes
    cancels: float = 0.0
    customers: int = 50
    ledger: Path | None = None
    acknowledged: dict[str, dict[str, Any]] = field(default_factory=dict)  # by order id
    keys: dict[str, str] = field(default_factory=dict)  # idempotency key -> order id
    told: list[dict[str, Any]] = field(default_factory=list)  # of every write, as in the ledger
    failed: list[str] = field(default_factory=list)
    retried: list[str] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)

    def __enter__(self) -> "Load":
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self.run(self._stop)), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=60)
        assert not self._thread.is_alive(), "the load did not end"

    async def run(self, stop: threading.Event) -> None:
        place = urlsplit(self.entry)
        self._pool = Pool(place.hostname or "", place.port or 80)
        self._name = uuid.uuid4().hex[:8]
        self._known: deque[tuple[float, str]] = deque(maxlen=REMEMBERED)
        self._free: deque[dict[str, Any]] = deque(maxlen=REMEMBERED)  # no write for them is under way
        self._file: TextIO | None = self.ledger.open("w", buffering=1) if self.ledger else None
        tasks: set[asyncio.Task[None]] = set()
        begin, count, wrote, changed, cancelled = time.monotonic(), 0, 0.0, 0.0, 0.0
        while not stop.is_set():
            due = int((time.monotonic() - begin) * self.rate)
            while count < due:
                # Spread evenly, also over the regions: of every ten requests five reads, say.
                wrote += 1 - self.reads
                is_write = wrote >= 1
                wrote -= is_write
                region = self.regions[(count // 2 if self.reads else count) % len(self.regions)]
                if is_write:
                    changed, cancelled = changed + self.changes, cancelled + self.cancels
                if is_write and changed >= 1 and self._free:
                    changed -= 1
                    work = self._change(count, region, self._free.popleft())
                elif is_write and cancelled >= 1 and self._free:
                    cancelled -= 1
                    work = self._cancel(region, self._free.popleft())
                else:
                    work = self._place(count, region) if is_write else self._look(count, region)
                task = asyncio.create_task(work)
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                count += 1
            await asyncio.sleep(0.005)
        await asyncio.gather(*tasks)
        await self._pool.close()
        if self._file is not None:
            self._file.close()

    async def _place(self, number: int, region: str) -> None:
        key = str(uuid.uuid4())
        order = {
            "customer": f"customer-{number % self.customers}",
            "item": f"{self._name}-{number}",
            "quantity": 1 + number % 5,
        }
        headers = {"Idempotency-Key": key, "X-User-Region": region, "Content-Type": "application/json"}
        who = {"customer": order["customer"], "item": order["item"]}
        record = {"kind": "write", "region": region, "key": key, "quantity": order["quantity"], **who}
        reply = await self._ask(record, "POST", "/orders", headers, json.dumps(order).encode(), good=(200, 201))
        if reply is None:
            return
        made = json.loads(reply.body)
        self.acknowledged[made["id"]] = made
        self.keys[key] = made["id"]
        self._known.append((time.monotonic(), made["id"]))
        self._free.append(made)

    async def _change(self, number: int, region: str, order: dict[str, Any]) -> None:
        quantity = 1 + (order["quantity"] + number) % 97
        reply = await self._alter("PATCH", "change", region, order, {"quantity": quantity}, good=(200,))
        if reply is not None:
            self._free.append(json.loads(reply.body))

    async def _cancel(self, region: str, order: dict[str, Any]) -> None:
        await self._alter("DELETE", "cancel", region, order, None, good=(204,))

    async def _alter(
        self, method: str, kind: str, region: str, order: dict[str, Any], content: Any, *, good: tuple[int, ...]
    ) -> Reply | None:
        key = str(uuid.uuid4())
        headers = {"Idempotency-Key": key, "X-User-Region": region, "Content-Type": "application/json"}
        record = {"kind": kind, "region": region, "key": key, "id": order["id"], "customer": order["customer"]}
        record |= {"based_on": order["revision"], **(content or {})}
        body = b"" if content is None else json.dumps(content).encode()
        path = f"/orders/{order['id']}?customer={order['customer']}"
        return await self._ask(record, method, path, headers, body, good=good)

    async def _look(self, number: int, region: str) -> None:
        old = time.monotonic() - SETTLED
        known = [order for at, order in self._known if at <= old]
        if not known:
            return
        order = random.choice(known)  # noqa: S311
        record = {"kind": "read", "region": region, "id": order}
        # That an order is not there is an answer: whether it should be is for the audit to say.
        await self._ask(record, "GET", f"/orders/{order}", {"X-User-Region": region}, good=(200, 404))

    async def _ask(
        self,
        record: dict[str, Any],
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes = b"",
        *,
        good: tuple[int, ...],
    ) -> Reply | None:
        """The good answer, after as many tries as there may be; None where none was."""
        begun, said, reply = time.time(), [], None
        for attempt in range(1 + self.retries):
            pause = PAUSE
            try:
                reply = await self._pool.ask(method, path, headers, body)
            except Closed as fault:
                reply, why = None, str(fault)
            else:
                if reply.status in good:
                    break
                why = f"{reply.status} {reply.body[:160].decode(errors='replace')}"
                pause = _pause(reply)
                reply = None
            said.append(why)
            told = f"{record.get('key') or record.get('id')} from {record['region']}: {why}"
            if attempt < self.retries:
                self.retried.append(told)
                await asyncio.sleep(pause)
            else:
                self.failed.append(told)
        ended = time.time()
        self.latencies.append(ended - begun)
        record |= {"begun": round(begun, 4), "ended": round(ended, 4), "tries": len(said) + (reply is not None)}
        record |= {"said": said} if said else {}
        if reply is not None:
            record |= {"status": reply.status, "served": reply.headers.get("x-served-region")}
            if record["kind"] != "read":
                record |= _written(record["kind"], reply)
        if record["kind"] != "read":
            self.told.append(record)
        if self._file is not None:
            self._file.write(json.dumps(record) + "\n")
        return reply


def _written(kind: str, reply: Reply) -> dict[str, Any]:
    found: dict[str, Any] = {"written": reply.headers.get("x-written-region")}
    if token := reply.headers.get("x-write-position"):
        found |= {"partition": _partition(token)}
    if kind != "cancel":
        order = json.loads(reply.body)
        found |= {"id": order["id"], "at": order["created_at"]} if kind == "write" else {"revision": order["revision"]}
    return found


def _partition(token: str) -> str:
    """Whose write it was: the end of what it says of its position (service/positions.py), before a checksum."""
    return urlsafe_b64decode(token + "=" * (-len(token) % 4))[9:-4].decode()


def _pause(reply: Reply) -> float:
    wanted = reply.headers.get("retry-after", "")
    return min(LONGEST_PAUSE, max(PAUSE, float(wanted))) if wanted.isdigit() else PAUSE


def main() -> None:
    words = argparse.ArgumentParser(allow_abbrev=False)
    words.add_argument("entry")
    words.add_argument("ledger", type=Path)
    words.add_argument("regions")
    words.add_argument("--rate", type=float, default=200.0)
    words.add_argument("--reads", type=float, default=0.5)
    words.add_argument("--retries", type=int, default=1)
    words.add_argument("--changes", type=float, default=0.0)
    words.add_argument("--cancels", type=float, default=0.0)
    given = words.parse_args()
    load = Load(
        entry=given.entry,
        regions=tuple(given.regions.split(",")),
        rate=given.rate,
        reads=given.reads,
        retries=given.retries,
        changes=given.changes,
        cancels=given.cancels,
        ledger=given.ledger,
    )
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    asyncio.run(load.run(stop))


if __name__ == "__main__":
    main()
