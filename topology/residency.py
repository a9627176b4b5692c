"""Where a partition's data may be. A rule names jurisdictions or countries: `EU` allows Frankfurt, and so does `DE`."""

from collections.abc import Sequence
from dataclasses import dataclass

from topology.model import RegionFacts


@dataclass(frozen=True, kw_only=True)
class Residency:
    """One partition's rules; None allows every place."""

    primary: tuple[str, ...] | None
    copies: tuple[str, ...] | None

    def allows_copy(self, region: RegionFacts) -> bool:
        return lies_in(region, self.copies)

    def allows_writer(self, region: RegionFacts) -> bool:
        """A writer holds a copy too, so both rules bind it."""
        return lies_in(region, self.primary) and self.allows_copy(region)


def lies_in(region: RegionFacts, places: Sequence[str] | None) -> bool:
    return places is None or region.jurisdiction in places or region.country in places


def rules_text(residency: Residency) -> str:
    parts = [
        f"{name} {', '.join(places)}"
        for name, places in (("primary", residency.primary), ("copies", residency.copies))
        if places is not None
    ]
    return "; ".join(parts) or "anywhere"


def check_origin(path: str, partition: str, residency: Residency, origin: RegionFacts) -> list[str]:
    if residency.allows_writer(origin):
        return []
    return [
        f"{path}: the data of {partition} may not be written in {origin.name} ({origin.place}, "
        f"{origin.jurisdiction}): {rules_text(residency)}. "
        f"Choose another origin, or add {origin.jurisdiction} to the rule."
    ]


def check_replicas(
    path: str, partition: str, residency: Residency, phase: str, others: Sequence[RegionFacts]
) -> list[str]:
    """A partition needs one region beside its origin that may hold a copy and may become the writer."""
    if any(residency.allows_writer(region) for region in others):
        return []
    listed = ", ".join(f"{region.name} ({region.jurisdiction})" for region in others)
    return [
        f"{path}: leaves {partition} no legal replica, and phase {phase} needs one that could become the writer: "
        f"{rules_text(residency)}. Listed beside its origin: {listed}. "
        f"List a region that the rule allows, or widen the rule."
    ]
