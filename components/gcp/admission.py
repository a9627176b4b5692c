"""Which regions take users: one backend service for each thing that operations may decide.

The map of the hostname leads to one of them. Which one, operations alone change, by one call to the API; the phase says
what lies behind it:

| the map leads to | phases 1 to 3: users go home | phases 4 and 5: to the nearest |
| --- | --- | --- |
| planned: from birth on | home | every region |
| without a region: a decision | the other regions, the standby too | the other regions |
| a region alone, which its own name leads to as well | that region | that region |

So a standby that nobody has decided about begins to serve with the step to phase 4, a region that was held out stays
out, and `up` writes neither.
"""

from collections.abc import Mapping

from topology import RegionPlan, Serving, Topology

PLANNED = "planned"


def without(region: str) -> str:
    return f"without-{region}"


def alone(region: str) -> str:
    return f"alone-{region}"


def serving(topology: Topology) -> list[RegionPlan]:
    """By slot, so that a region in another place of the settings changes nothing."""
    return sorted((region for region in topology.regions_in_use if region.has_service), key=lambda region: region.slot)


def choices(topology: Topology) -> Mapping[str, tuple[str, ...]]:
    """The regions behind each backend service. Nobody is held out where nobody else could take the users."""
    regions = [region.name for region in serving(topology)]
    found = {PLANNED: tuple(each.name for each in serving(topology) if each.serving is not Serving.STANDBY)}
    found |= {alone(region): (region,) for region in regions}
    if len(regions) > 1:
        found |= {without(region): tuple(other for other in regions if other != region) for region in regions}
    return found
