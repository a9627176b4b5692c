"""What users saw, from the ledger, and what the run itself took, from its journal and the servers' logs. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from statistics import median
from typing import Any

NOTICED = 0.5  # seconds; a longer time without an answer is counted as unavailability

Record = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Window:
    """The part of a drill that is measured, in seconds since the epoch."""

    begin: float
    end: float


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One kind of request, from one region's users or from all."""

    answered: int
    failed: int  # after the retries
    retried: int
    longest_gap: float  # without an answer
    unavailable: float  # the sum of the gaps that were noticed
    p50_ms: float | None
    p99_ms: float | None


def seen(records: Iterable[Record], kind: str, window: Window, region: str | None = None) -> Seen:
    """Requests that were begun or answered within the window."""
    of_kind = [
        record
        for record in records
        if counts_as(record, kind)
        and (region is None or record["region"] == region)
        and record["ended"] >= window.begin
        and record["begun"] <= window.end
    ]
    good = [record for record in of_kind if "status" in record]
    spans = gaps([record["ended"] for record in good], window)
    waits = sorted(1000 * (record["ended"] - record["begun"]) for record in good)
    return Seen(
        answered=len(good),
        failed=len(of_kind) - len(good),
        retried=sum(record["tries"] > 1 for record in good),
        longest_gap=round(max((end - begin for begin, end in spans), default=0.0), 3),
        unavailable=round(sum(end - begin for begin, end in spans if end - begin > NOTICED), 3),
        p50_ms=round(_share(waits, 0.5), 1) if waits else None,
        p99_ms=round(_share(waits, 0.99), 1) if waits else None,
    )


def counts_as(record: Record, kind: str) -> bool:
    """Changes and cancellations are writes as orders are."""
    return (record["kind"] == "read") == (kind == "read")


def gaps(moments: Iterable[float], window: Window) -> list[tuple[float, float]]:
    """The times between one answer and the next, cut to the window."""
    inside = sorted(moment for moment in moments if window.begin <= moment <= window.end)
    points = [window.begin, *inside, window.end]
    return list(pairwise(points))


def _share(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def acknowledged(records: Iterable[Record]) -> dict[str, Record]:
    """The writes that a user was told are placed, by order id."""
    return {record["id"]: record for record in records if record["kind"] == "write" and "status" in record}


def writes(records: Iterable[Record]) -> int:
    """How many writes users were told are done."""
    return sum(counts_as(record, "write") and "status" in record for record in records)


def told_at(record: Record) -> float:
    """When a write was done, by the stamp of its order; of a change or a cancellation, when its user was told."""
    return instant(record["at"]) if "at" in record else float(record["ended"])


def of_partition(records: Iterable[Record], partition: str, *, unknown: bool = True) -> list[dict[str, Any]]:
    """What is about one partition: a customer's orders are all of the same. What nobody can tell of stays in, unless
    `unknown` says otherwise."""
    found = [dict(record) for record in records]
    named = [record for record in found if "partition" in record]
    customers = {record["customer"]: record["partition"] for record in named}
    orders = {record["id"]: record["partition"] for record in named if "id" in record}

    def whose(record: Record) -> str | None:
        known = orders.get(record["id"]) if "id" in record else customers.get(record.get("customer"))
        return known or (partition if unknown else None)

    return [record for record in found if whose(record) == partition]


def instant(text: str) -> float:
    """A time stamp of an order, in seconds since the epoch."""
    return datetime.fromisoformat(text).timestamp()


@dataclass(frozen=True, kw_only=True)
class Reign:
    """A time in which a region wrote, by the stamps of the orders that it acknowledged."""

    region: str
    begin: float
    end: float
    orders: int


def reigns(acked: Iterable[Record]) -> list[Reign]:
    """Who wrote when. Each stamp is made under a lock on the writer, so that a region that comes twice wrote twice."""
    found: list[Reign] = []
    for at, region in sorted((instant(record["at"]), record["written"]) for record in acked):
        if found and found[-1].region == region:
            last = found[-1]
            found[-1] = Reign(region=region, begin=last.begin, end=at, orders=last.orders + 1)
        else:
            found.append(Reign(region=region, begin=at, end=at, orders=1))
    return found


def interleaved(found: Sequence[Reign], moves: int) -> bool:
    """Whether regions took turns more often than the writer was moved: then two of them wrote at once."""
    return len(found) > moves + 1


def durations(events: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Seconds by step of an operation's journal, each step's tries added up. `stop_writer eu` is `stop_writer`."""
    found: dict[str, float] = {}
    for event in events:
        if event["what"] == "ended":
            action = event["step"].split()[0]
            found[action] = found.get(action, 0.0) + event["seconds"]
    return found


def begun(events: Iterable[Mapping[str, Any]], action: str) -> float | None:
    moments = [
        event["at"] for event in events if event["what"] == "begun" and event.get("step", "").split()[:1] == [action]
    ]
    return min(moments, default=None)


def ordinary_write(acked: Iterable[Record], writer: str, after: float) -> float:
    """What a write takes whose user is beside the writer: the least that the first one after a move takes.

    Only those that were begun once the first had come through, or they would have waited for the move.
    """
    own = [record for record in acked if record["written"] == writer and record["begun"] > after]
    near = [record["ended"] - record["begun"] for record in own if record["region"] == writer]
    return median(near or [record["ended"] - record["begun"] for record in own] or [0.0])


def first_by(acked: Iterable[Record], writer: str, after: float) -> float | None:
    """When a user first learned of a write that this region did after a moment."""
    return min(
        (record["ended"] for record in acked if record["written"] == writer and record["ended"] > after), default=None
    )
