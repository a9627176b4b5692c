"""How far users on each continent are from the region that serves them, and from the one that takes their writes.

Users are taken to sit in the catalogue's AWS regions of their continent, because most round trips between those are
measured. The median over these places stands for the continent, the region that most of them go to is named, and
`estimated` says that some came from a distance. The writer is the origin of the partition that a place belongs to.
"""

from collections import Counter
from dataclasses import dataclass
from statistics import median

from topology.catalogue import catalogue
from topology.distances import link
from topology.model import RegionFacts, Serving, Topology


@dataclass(frozen=True, kw_only=True)
class RoundTrip:
    continent: str
    serving: str
    serving_ms: float
    writer: str
    writer_ms: float
    estimated: bool


def writer_of(topology: Topology, user: RegionFacts) -> str:
    for partition in topology.partitions:
        if user.country in partition.serves or user.jurisdiction in partition.serves:
            return partition.origin
    return topology.partition("main").origin


def round_trips(topology: Topology) -> tuple[RoundTrip, ...]:
    known = catalogue(topology.target)
    takers = [region.name for region in topology.regions if region.serving in (Serving.READS, Serving.FULL)]
    if topology.entry.policy == "home":
        takers = [topology.home]
    found: list[RoundTrip] = []
    for continent in dict.fromkeys(place.continent for place in catalogue("aws").values()):
        places = [place for place in catalogue("aws").values() if place.continent == continent]
        serving = [min((link(place, known[name]) for name in takers), key=lambda path: path.rtt_ms) for place in places]
        writing = [link(place, known[writer_of(topology, place)]) for place in places]
        found.append(
            RoundTrip(
                continent=continent,
                serving=Counter(path.target for path in serving).most_common(1)[0][0],
                serving_ms=median(path.rtt_ms for path in serving),
                writer=Counter(path.target for path in writing).most_common(1)[0][0],
                writer_ms=median(path.rtt_ms for path in writing),
                estimated=any(path.estimated for path in (*serving, *writing)),
            )
        )
    return tuple(found)
