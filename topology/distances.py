"""How long a message takes between two regions, there and back.

`round_trips.csv` holds what was measured: the median over a year of TCP round trips between AWS regions, in
milliseconds, from CloudPing (cloudping.co, percentile p_50, timeframe 1Y), as the snapshot of 9 October 2025 in
github.com/oaustegard/oaustegard.github.io, web-utilities/aws-ping-p50-1y.json, has it; the mean of the two
directions, rounded. Where a place lies next to a measured one, on whichever cloud, that measurement stands for it.
Where it does not, the time comes from the great-circle distance and is marked as estimated.
"""

import csv
from functools import cache
from itertools import combinations
from math import asin, cos, radians, sin, sqrt
from pathlib import Path
from statistics import median

from topology.catalogue import catalogue
from topology.model import LinkPlan, RegionFacts

SOURCE = "CloudPing, median over one year, snapshot of 2025-10-09"

# A place this near to a measured one shares its backbone; the detour is worth less than 2 ms.
NEAR_KM = 150.0

# Light in glass covers about 200 km a millisecond (a refractive index near 1.5), and a round trip goes twice.
FIBRE_KM_PER_MS = 200.0


@cache
def measurements() -> dict[frozenset[str], float]:
    """Measured round trips in milliseconds, by unordered pair of AWS regions."""
    with (Path(__file__).parent / "round_trips.csv").open(encoding="utf-8", newline="") as table:
        columns, *rows = csv.reader(table)
    return {
        frozenset((row[0], column)): float(value)
        for row in rows
        for column, value in zip(columns[1:], row[1:], strict=False)
    }


def kilometres(one: RegionFacts, other: RegionFacts) -> float:
    """The great-circle distance (haversine, mean radius of the Earth 6371 km)."""
    latitude, longitude = radians(other.latitude - one.latitude), radians(other.longitude - one.longitude)
    chord = sin(latitude / 2) ** 2 + cos(radians(one.latitude)) * cos(radians(other.latitude)) * sin(longitude / 2) ** 2
    return 2 * 6371.0 * asin(sqrt(chord))


def straight_ms(one: RegionFacts, other: RegionFacts) -> float:
    """The round trip if a fibre ran straight: what no network beats."""
    return 2 * kilometres(one, other) / FIBRE_KM_PER_MS


@cache
def detour() -> float:
    """How much longer a real round trip takes than along a straight fibre: the median over every measured pair."""
    regions = catalogue("aws")
    return median(
        measurements()[frozenset((one, other))] / straight_ms(regions[one], regions[other])
        for one, other in combinations(regions, 2)
    )


@cache
def measured_place(region: RegionFacts) -> str | None:
    """The measured region at or next to a region's place."""
    nearest = min(catalogue("aws").values(), key=lambda candidate: kilometres(region, candidate))
    return nearest.name if kilometres(region, nearest) <= NEAR_KM else None


@cache
def link(source: RegionFacts, target: RegionFacts) -> LinkPlan:
    """The path from one region to another."""
    ends = measured_place(source), measured_place(target)
    if ends[0] is not None and ends[1] is not None and ends[0] != ends[1]:
        return LinkPlan(
            source=source.name,
            target=target.name,
            rtt_ms=measurements()[frozenset((ends[0], ends[1]))],
            estimated=False,
            provenance=f"measured between AWS {ends[0]} and {ends[1]} ({SOURCE})",
        )
    return LinkPlan(
        source=source.name,
        target=target.name,
        rtt_ms=float(max(1, round(straight_ms(source, target) * detour()))),
        estimated=True,
        provenance=(
            f"estimated: {round(kilometres(source, target))} km great circle at {FIBRE_KM_PER_MS:.0f} km/ms, "
            f"times {detour():.2f}, the median detour of the measured pairs"
        ),
    )
