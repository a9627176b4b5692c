"""The regions that a target has, and what is true of each."""

from functools import cache

from topology import regions_aws, regions_gcp, regions_local
from topology.model import RegionFacts, Target

Row = tuple[str, str, str, str, str, float, float, str, str, int]

ROWS: dict[Target, tuple[Row, ...]] = {
    "aws": regions_aws.ROWS,
    "gcp": regions_gcp.ROWS,
    "local": regions_local.ROWS,
}

# The local target's addresses have room for 16 regions; the clouds' ranges for as many as the supernet holds.
SLOTS: dict[Target, int] = {"aws": 256, "gcp": 256, "local": 16}


def facts(row: Row, target: Target) -> RegionFacts:
    name, place, country, continent, jurisdiction, latitude, longitude, prefix, zones, slot = row
    return RegionFacts(
        name=name,
        target=target,
        place=place,
        country=country,
        continent=continent,
        jurisdiction=jurisdiction,
        latitude=latitude,
        longitude=longitude,
        zones=tuple(prefix + zone for zone in zones),
        slot=slot,
    )


@cache
def catalogue(target: Target) -> dict[str, RegionFacts]:
    """A target's regions by name, in the order of their slots."""
    return {row[0]: facts(row, target) for row in ROWS[target]}


@cache
def jurisdictions() -> frozenset[str]:
    """Every name that a residency rule can use: the jurisdictions and countries that some region lies in."""
    regions = [region for target in ROWS for region in catalogue(target).values()]
    return frozenset(region.jurisdiction for region in regions) | frozenset(region.country for region in regions)
