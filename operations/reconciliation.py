"""Writes that an old writer had acknowledged, or nearly so, and that did not survive a failover: kept, until replayed.

A tail is a folder that a driver wrote before the old data were rewound. Nothing here ever deletes one.
"""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.local.servers.loopback import opened

RECORD, ORDERS, REPLAYED = "tail.json", "orders.jsonl", "replayed.jsonl"
SECONDS = 20.0


def tails_folder(stack_folder: Path) -> Path:
    return stack_folder / "tails"


@dataclass(frozen=True, kw_only=True)
class Order:
    """An order that the new writer lacks."""

    key: str | None  # None: its key was removed, after a day
    home: str
    id: str
    customer: str
    item: str
    quantity: int
    sequence: int
    created_at: str
    known_as: str | None = None  # what the same key stands for at the new writer: its user has sent it again

    @property
    def is_lost(self) -> bool:
        return self.known_as is None

    @property
    def region(self) -> str:
        """Where its customer was first seen: in the middle of a home, and all of one of an earlier version."""
        parts = self.home.split("/")
        return parts[1] if len(parts) == 3 else self.home


@dataclass(frozen=True, kw_only=True)
class Tail:
    folder: Path
    partition: str
    region: str
    writer: str
    saved_at: float
    rows: int
    found_by: str  # "log", or "tables": the log was gone, and rows that the writer changed itself are among them
    orders: tuple[Order, ...]
    replayed: frozenset[str]  # ids that were sent again, and acknowledged

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def open(self) -> tuple[Order, ...]:
        """What nobody has sent again."""
        return tuple(order for order in self.orders if order.is_lost and order.id not in self.replayed)


def tails(stack_folder: Path) -> list[Tail]:
    """The oldest first."""
    found = [_read(path.parent) for path in tails_folder(stack_folder).glob(f"[!.]*/{RECORD}")]
    return sorted(found, key=lambda tail: tail.saved_at)


def _read(folder: Path) -> Tail:
    record: dict[str, Any] = json.loads((folder / RECORD).read_bytes())
    return Tail(
        folder=folder,
        partition=str(record["partition"]),
        region=str(record["region"]),
        writer=str(record["writer"]),
        saved_at=float(record["saved_at"]),
        rows=int(record["rows"]),
        found_by=str(record.get("found_by", "log")),
        orders=tuple(Order(**line) for line in _lines(folder / ORDERS)),
        replayed=frozenset(line["id"] for line in _lines(folder / REPLAYED) if line["status"] in (200, 201)),
    )


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        for line in path.read_text().splitlines():
            yield json.loads(line)


@dataclass(frozen=True, kw_only=True)
class Replayed:
    order: Order
    status: int
    as_id: str | None  # the order's id at the writer
    why: str = ""

    @property
    def placed(self) -> bool:
        return self.status in (200, 201)


def replay(tail: Tail, entry: str) -> Iterator[Replayed]:
    """Send what is open again, each with its own key, so that nothing is placed twice however often this is done.

    Ids, times and sequence numbers are the new writer's: what a user was told of the old ones is in the tail.
    """
    for order in tail.open:
        if order.key is None:
            yield Replayed(order=order, status=0, as_id=None, why="its key is not known any more; export it instead")
            continue
        sent = _send(entry, order)
        with (tail.folder / REPLAYED).open("a") as file:
            record = {"id": order.id, "key": order.key, "status": sent.status, "as": sent.as_id, "at": time.time()}
            file.write(json.dumps(record) + "\n")
        yield sent


def _send(entry: str, order: Order) -> Replayed:
    body = {"customer": order.customer, "item": order.item, "quantity": order.quantity}
    request = urllib.request.Request(  # noqa: S310  (our own entry)
        f"{entry}/orders",
        data=json.dumps(body).encode(),
        headers={
            "Idempotency-Key": str(order.key),
            "X-User-Region": order.region,
            "Content-Type": "application/json",
        },
    )
    try:
        with opened(request, timeout=SECONDS) as reply:
            return Replayed(order=order, status=reply.status, as_id=json.loads(reply.read())["id"])
    except urllib.error.HTTPError as fault:
        with fault:
            return Replayed(order=order, status=fault.code, as_id=None, why=fault.reason)
    except OSError as fault:
        return Replayed(order=order, status=0, as_id=None, why=f"the entry does not answer ({type(fault).__name__})")
