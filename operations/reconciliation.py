"""Writes that an old writer had acknowledged, or nearly so, and that did not survive a failover: kept, until replayed.

A tail is a folder that a driver wrote before the old data were rewound. Nothing here ever deletes one.
"""

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.local.servers.loopback import opened

RECORD, ORDERS, CHANGES, REPLAYED = "tail.json", "orders.jsonl", "changes.jsonl", "replayed.jsonl"
# The order is another by now, or gone, or its user has sent something else with this key.
CONFLICTS = (404, 412, 422)
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
        return _region(self.home)


@dataclass(frozen=True, kw_only=True)
class Change:
    """A change or a cancellation that the new writer lacks, of an order that it has, or that is in the tail itself."""

    key: str
    home: str
    id: str
    customer: str
    cancels: bool
    item: str | None  # None: it stayed
    quantity: int | None
    based_on: int  # the revision that the order had
    made_at: str
    known: bool = False  # the writer has the key: its user has sent it again

    @property
    def region(self) -> str:
        return _region(self.home)


def _region(home: str) -> str:
    parts = home.split("/")
    return parts[1] if len(parts) == 3 else home


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
    changes: tuple[Change, ...]
    placed_as: Mapping[str, str]  # the ids that replayed orders have at the writer
    sent: Mapping[tuple[str, str], int]  # customer and key of a change -> the last answer to it

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def open(self) -> tuple[Order, ...]:
        """What nobody has sent again."""
        return tuple(order for order in self.orders if order.is_lost and order.id not in self.replayed)

    @property
    def open_changes(self) -> tuple[Change, ...]:
        """Also those in conflict, which only a person can settle."""
        return tuple(each for each in self.changes if not each.known and not self._is_done(each))

    @property
    def conflicts(self) -> tuple[Change, ...]:
        return tuple(each for each in self.open_changes if self.sent.get((each.customer, each.key)) in CONFLICTS)

    def _is_done(self, change: Change) -> bool:
        return done(change, self.sent.get((change.customer, change.key), 0))


def done(change: Change, status: int) -> bool:
    """What should be cancelled and is not there needs nothing."""
    return status in (200, 204) or (change.cancels and status == 404)


def tails(stack_folder: Path) -> list[Tail]:
    """The oldest first."""
    found = [_read(path.parent) for path in tails_folder(stack_folder).glob(f"[!.]*/{RECORD}")]
    return sorted(found, key=lambda tail: tail.saved_at)


def _read(folder: Path) -> Tail:
    record: dict[str, Any] = json.loads((folder / RECORD).read_bytes())
    replayed = list(_lines(folder / REPLAYED))
    placed = {line["id"]: line for line in replayed if line.get("kind") != "change" and line["status"] in (200, 201)}
    return Tail(
        folder=folder,
        partition=str(record["partition"]),
        region=str(record["region"]),
        writer=str(record["writer"]),
        saved_at=float(record["saved_at"]),
        rows=int(record["rows"]),
        found_by=str(record.get("found_by", "log")),
        orders=tuple(Order(**line) for line in _lines(folder / ORDERS)),
        replayed=frozenset(placed),
        changes=tuple(Change(**line) for line in _lines(folder / CHANGES)),
        placed_as={number: line["as"] for number, line in placed.items()},
        sent={(line["customer"], line["key"]): line["status"] for line in replayed if line.get("kind") == "change"},
    )


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        for line in path.read_text().splitlines():
            yield json.loads(line)


@dataclass(frozen=True, kw_only=True)
class Replayed:
    order: Order | Change
    status: int
    as_id: str | None  # the order's id at the writer
    why: str = ""

    @property
    def placed(self) -> bool:
        """Or changed, or cancelled."""
        return done(self.order, self.status) if isinstance(self.order, Change) else self.status in (200, 201)


def replay(tail: Tail, entry: str) -> Iterator[Replayed]:
    """Send what is open again, each with its own key, so that nothing is done twice however often this is done.

    Ids, times and sequence numbers are the new writer's: what a user was told of the old ones is in the tail. A change
    is sent for the revision that it was based on: where the order is another by now, a person has to decide.
    """
    placed_as = dict(tail.placed_as) | {order.id: order.known_as for order in tail.orders if order.known_as}
    for order in tail.open:
        if order.key is None:
            yield Replayed(order=order, status=0, as_id=None, why="its key is not known any more; export it instead")
            continue
        sent = _send(entry, order)
        with (tail.folder / REPLAYED).open("a") as file:
            record = {"id": order.id, "key": order.key, "status": sent.status, "as": sent.as_id, "at": time.time()}
            file.write(json.dumps(record) + "\n")
        if sent.as_id is not None:
            placed_as[order.id] = sent.as_id
        yield sent
    for change in tail.open_changes:
        sent = _send_change(entry, change, placed_as.get(change.id, change.id))
        with (tail.folder / REPLAYED).open("a") as file:
            record = {"kind": "change", "customer": change.customer, "key": change.key, "id": change.id}
            file.write(json.dumps({**record, "status": sent.status, "as": sent.as_id, "at": time.time()}) + "\n")
        yield sent


def _send_change(entry: str, change: Change, number: str) -> Replayed:
    content = {"item": change.item, "quantity": change.quantity}
    body = {} if change.cancels else {name: value for name, value in content.items() if value is not None}
    return _ask(
        urllib.request.Request(  # noqa: S310  (our own entry)
            f"{entry}/orders/{number}?customer={urllib.parse.quote(change.customer, safe='')}",
            data=None if change.cancels else json.dumps(body).encode(),
            method="DELETE" if change.cancels else "PATCH",
            headers={
                "Idempotency-Key": change.key,
                "If-Match": f'"{change.based_on}"',
                "X-User-Region": change.region,
                "Content-Type": "application/json",
            },
        ),
        change,
        number,
    )


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
    return _ask(request, order, None)


def _ask(request: urllib.request.Request, order: Order | Change, number: str | None) -> Replayed:
    try:
        with opened(request, timeout=SECONDS) as reply:
            known = number if number is not None else json.loads(reply.read())["id"]
            return Replayed(order=order, status=reply.status, as_id=known)
    except urllib.error.HTTPError as fault:
        with fault:
            return Replayed(order=order, status=fault.code, as_id=None, why=fault.reason)
    except OSError as fault:
        return Replayed(order=order, status=0, as_id=None, why=f"the entry does not answer ({type(fault).__name__})")
