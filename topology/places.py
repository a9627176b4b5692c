"""The partitions of a phase, and the regions that hold a copy of each."""

from collections.abc import Sequence
from dataclasses import dataclass

from topology.ladder import Rung
from topology.model import Durability, RegionFacts
from topology.residency import Residency
from topology.schema import ResidencySetting, Settings


@dataclass(frozen=True, kw_only=True)
class Place:
    """A partition before it is planned: `main`, or one that the settings list."""

    path: str  # where its residency stands in the settings
    name: str
    slot: int
    origin: str
    serves: tuple[str, ...]
    residency: Residency
    durability: Durability
    durability_path: str


def residency_of(setting: ResidencySetting) -> Residency:
    return Residency(primary=setting.primary, copies=setting.copies)


def places(settings: Settings, rung: Rung) -> tuple[Place, ...]:
    """The partitions of the phase, `main` first."""
    main = Place(
        path="residency",
        name="main",
        slot=0,
        origin=settings.home_region,
        serves=(),
        residency=residency_of(settings.residency),
        durability=settings.database.durability,
        durability_path="database.durability",
    )
    if not rung.partitions:
        return (main,)
    return main, *(
        Place(
            path=f"partitions[{position}].residency",
            name=partition.name,
            slot=partition.slot,
            origin=partition.origin,
            serves=partition.serves,
            residency=residency_of(partition.residency),
            durability=partition.durability or settings.database.durability,
            durability_path=f"partitions[{position}].durability" if partition.durability else "database.durability",
        )
        for position, partition in enumerate(settings.partitions)
    )


def copy_regions(place: Place, rung: Rung, planned: Sequence[RegionFacts]) -> tuple[str, ...]:
    """The regions that hold a member of a partition, its origin first."""
    others = [region for region in planned if region.name != place.origin]
    if rung.reach == "home":
        return (place.origin,)
    if rung.reach == "pair":  # the second must be able to take over
        return place.origin, *[region.name for region in others if place.residency.allows_writer(region)][:1]
    return place.origin, *[region.name for region in others if place.residency.allows_copy(region)]
