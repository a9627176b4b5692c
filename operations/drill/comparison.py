"""What drills measured, as Markdown for a README: phase by phase beside what others publish, then every figure."""

import csv
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

from operations.drill.report import grid, grouped, lost_of, moves, pauses, table
from topology.model import Phase

HEAD = ("", "time to recover", "may lose", "from")


@cache
def published() -> tuple[tuple[str, ...], ...]:
    with (Path(__file__).parent / "published.csv").open(encoding="utf-8", newline="") as file:
        return tuple(tuple(row) for row in list(csv.reader(file))[1:])


def markdown(records: Sequence[Mapping[str, Any]]) -> str:
    return f"{beside(records)}\n\n{table(records)}"


def beside(records: Sequence[Mapping[str, Any]]) -> str:
    """A row for each phase, durability and drill that loses the region, or else the data; then the others."""
    return grid(HEAD, [*_measured(records), *published()])


def _measured(records: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    told = [each for each in records if each["event"] == "region" or (not each["moves"] and each["restored"])]
    for (phase, durability, _), found in grouped(told).items():
        days = sorted({time.strftime("%Y-%m-%d", time.gmtime(each["began"])) for each in found})
        failed = sum(each["verdict"] == "failed" for each in found)
        count = f"{len(found)} drill{'s' if len(found) > 1 else ''}"
        yield (
            f"phase {phase} ({Phase(phase).label}), {durability}: {found[0]['title'].lower()}",
            _recovers(found),
            _loses(found),
            f"{count} here, {' to '.join(dict.fromkeys((days[0], days[-1])))}"
            + (f"; **{failed} failed**" if failed else ""),
        )


def _recovers(found: Sequence[Mapping[str, Any]]) -> str:
    known = pauses(found)
    if not known:
        return "did not recover"
    words = f"{median(known):.1f} s until the first write, at most {max(known):.1f} s"
    own = moves(found)
    if own and all(each["restored"] is not None for each in found):
        # The operation had ended well before.
        return f"{words}, with the region; the copy was promoted in {median(move['seconds'] for move in own):.1f} s"
    noticed = [each["detection"] for each in found if each["detection"] is not None]
    return f"{words}, detection included" if noticed else words


def _loses(found: Sequence[Mapping[str, Any]]) -> str:
    lost, since = lost_of(found)
    if not lost:
        return f"nothing of {sum(each['acknowledged'] for each in found):,} writes"
    return f"{lost:,} writes" + ("" if since is None else f", of the last {since:.2f} s at most")
