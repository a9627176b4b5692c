"""Between which partitions a drill moves homes, and which."""

from collections.abc import Mapping, Sequence

from operations.drivers.local_ground import Ground
from operations.errors import Refused
from operations.partitions import homes
from topology.model import Topology
from topology.residency import Residency


def partner(topology: Topology, grounds: Mapping[str, Ground], writers: Mapping[str, str], source: str) -> str:
    """The first partition that homes of `source` may go to, and come back from: residency holds for both ways."""
    why = ["there is no other partition"]
    for target in grounds:
        if target == source:
            continue
        try:
            for here, there in ((source, target), (target, source)):
                _allow(topology, grounds, writers, here, there)
        except Refused as refused:
            why.append(str(refused))
            continue
        return target
    raise Refused(why[-1].rstrip("."))


def _allow(
    topology: Topology, grounds: Mapping[str, Ground], writers: Mapping[str, str], source: str, target: str
) -> None:
    rules = topology.partition(source)
    homes.require_residency(
        source,
        target,
        Residency(primary=rules.primary_jurisdictions, copies=rules.copy_jurisdictions),
        tuple(grounds[target].members),
        writers[target],
        {region.name: region.facts for region in topology.regions},
    )


def half(counts: Mapping[str, int], spans: Sequence[tuple[str, str]]) -> str | None:
    """As `--homes` takes it: half of the customers of the region that most are of, of one span that the partition has.
    None where there are no customers."""
    groups: dict[tuple[str, str], dict[str, int]] = {}
    for home, count in counts.items():
        region, _, part = home.rpartition("/")
        span = next((first for first, last in spans if first <= home < last), None)
        if span is not None and homes.FORM.fullmatch(region) and part:
            groups.setdefault((region, span), {})[home] = count
    if not groups:
        return None
    found = max(groups.values(), key=lambda group: sum(group.values()))
    begin = homes.half(found) or min(found)
    return f"{begin}-{max(found).rpartition('/')[2]}"
