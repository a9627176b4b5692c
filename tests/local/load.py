"""A client that places orders at a steady rate through the entry, and remembers what was acknowledged."""

import asyncio
import json
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import httpx


@dataclass
class Load:
    """Places `rate` orders a second, for users in the given regions in turn, until the block is left.

    A request that fails is sent once more with the same key, as the contract of the service allows; what fails then
    too counts as failed. An order counts as acknowledged when its 201 (or the replay's 200) has arrived.
    """

    entry: str
    regions: tuple[str, ...]
    rate: float = 100.0
    customers: int = 50
    acknowledged: dict[str, dict[str, Any]] = field(default_factory=dict)  # by order id
    keys: dict[str, str] = field(default_factory=dict)  # idempotency key -> order id
    failed: list[str] = field(default_factory=list)
    retried: list[str] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)

    def __enter__(self) -> "Load":
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=60)
        assert not self._thread.is_alive(), "the load did not end"

    async def _run(self) -> None:
        limits = httpx.Limits(max_connections=400, max_keepalive_connections=200)
        async with httpx.AsyncClient(base_url=self.entry, timeout=15.0, limits=limits) as client:
            tasks: set[asyncio.Task[None]] = set()
            begin, count = time.monotonic(), 0
            while not self._stop.is_set():
                due = int((time.monotonic() - begin) * self.rate)
                while count < due:
                    task = asyncio.create_task(self._place(client, count))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
                    count += 1
                await asyncio.sleep(0.005)
            await asyncio.gather(*tasks)

    async def _place(self, client: httpx.AsyncClient, number: int) -> None:
        key = str(uuid.uuid4())
        region = self.regions[number % len(self.regions)]
        order = {
            "customer": f"customer-{number % self.customers}",
            "item": f"item-{number}",
            "quantity": 1 + number % 5,
        }
        begin = time.monotonic()
        problem = await self._attempt(client, key, region, order)
        if problem is not None:
            self.retried.append(f"{key} from {region}: {problem}")
            await asyncio.sleep(1.0)
            problem = await self._attempt(client, key, region, order)
        if problem is not None:
            self.failed.append(f"{key} from {region}: {problem}")
        self.latencies.append(time.monotonic() - begin)

    async def _attempt(self, client: httpx.AsyncClient, key: str, region: str, order: dict[str, Any]) -> str | None:
        try:
            answer = await client.post("/orders", json=order, headers={"Idempotency-Key": key, "X-User-Region": region})
        except httpx.HTTPError as fault:
            return type(fault).__name__
        if answer.status_code not in (200, 201):
            return f"{answer.status_code} {answer.text[:200]}"
        body = json.loads(answer.content)
        self.acknowledged[body["id"]] = body
        self.keys[key] = body["id"]
        return None
