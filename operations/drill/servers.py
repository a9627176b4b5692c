"""Who could write when, from the members' own logs: when each began and ended to be a server out of recovery."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

LINE = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) UTC \[\d+\] (.*)$")

# PostgreSQL's own words (xlog.c, postmaster.c). A replica says "read-only" where a writer does not.
OPEN = "database system is ready to accept connections"
CLOSED = (
    "received fast shutdown request",
    "received smart shutdown request",
    "received immediate shutdown request",
    "database system is shut down",
    "terminating any other active server processes",
)
STARTING = ("starting PostgreSQL", "all server processes terminated; reinitializing")
PROMOTED = "received promote request"
TIMELINE = re.compile(r"selected new timeline ID: (\d+)")
STREAMS = re.compile(r"(?:re)?started (?:WAL streaming|streaming WAL from primary) at \S+ on timeline (\d+)")


@dataclass(frozen=True, kw_only=True)
class Event:
    at: float
    region: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Span:
    """A time in which a member was out of recovery."""

    region: str
    begin: float
    end: float


def events(region: str, lines: Iterable[str]) -> list[Event]:
    found = []
    for line in lines:
        if match := LINE.match(line):
            at = datetime.strptime(match[1], "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC).timestamp()
            found.append(Event(at=at, region=region, text=match[2]))
    return found


def read(logs: Mapping[str, Path], since: float) -> list[Event]:
    """Of every member, in order."""
    found = []
    for region, path in logs.items():
        older = path.with_name(f"{path.name}.1")
        for each in (older, path):
            if each.exists():
                with each.open(errors="replace") as file:
                    found += [event for event in events(region, file) if event.at >= since]
    return sorted(found, key=lambda event: event.at)


def spans(found: Sequence[Event], writer: str, window: tuple[float, float], killed: Mapping[str, float]) -> list[Span]:
    """`writer` is who wrote as the window began. A server that was killed says nothing: `killed` has its moment."""
    begin, end = window
    open_since: dict[str, float] = {writer: begin}
    done: list[Span] = []

    def close(region: str, at: float) -> None:
        if region in open_since:
            done.append(Span(region=region, begin=open_since.pop(region), end=at))

    deaths = [Event(at=at, region=region, text="killed") for region, at in killed.items()]
    for event in sorted((*found, *deaths), key=lambda each: each.at):
        if not begin <= event.at <= end:
            continue
        if event.text == "killed" or any(mark in event.text for mark in (*CLOSED, *STARTING)):
            close(event.region, event.at)
        elif OPEN in event.text:
            open_since.setdefault(event.region, event.at)
    for region in tuple(open_since):
        close(region, end)
    return sorted(done, key=lambda span: span.begin)


def overlap(found: Sequence[Span]) -> float:
    """For how many seconds two members of different regions were out of recovery at once."""
    total = 0.0
    for index, one in enumerate(found):
        for other in found[index + 1 :]:
            if other.region != one.region:
                total += max(0.0, min(one.end, other.end) - max(one.begin, other.begin))
    return round(total, 3)


def between(found: Iterable[Event], region: str, first: str, then: str, after: float) -> float | None:
    """Seconds from one line of a member's log to the next of another kind; None where one is missing."""
    start: float | None = None
    for event in found:
        if event.region != region or event.at < after:
            continue
        if start is None and first in event.text:
            start = event.at
        elif start is not None and then in event.text:
            return round(event.at - start, 3)
    return None


def attached(found: Iterable[Event], target: str, after: float) -> float | None:
    """Seconds from a promotion's end until the first other member streams on the new timeline; None where none does."""
    timeline, opened = None, None
    for event in found:
        if event.at < after:
            continue
        if event.region == target and (match := TIMELINE.search(event.text)):
            timeline = match[1]
        elif event.region == target and timeline is not None and OPEN in event.text:
            opened = opened or event.at
        elif opened is not None and (match := STREAMS.search(event.text)) and match[1] == timeline:
            return round(event.at - opened, 3)
    return None
