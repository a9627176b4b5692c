"""What a change of the settings means for customers: whose partition is whose. In words; nothing here moves anybody."""

from collections.abc import Sequence

from topology.catalogue import catalogue
from topology.homes import serving
from topology.residency import rules_text
from topology.summary import PartitionSummary, Summary


def newcomers(summary: Summary, partition: PartitionSummary) -> list[str]:
    """The listed regions whose new customers belong to a partition."""
    known = catalogue(summary.target)
    return [
        region.name
        for region in summary.regions
        if region.name in known and serving(summary.partitions, known[region.name]).name == partition.name
    ]


def welcome(summary: Summary, partition: PartitionSummary) -> str:
    """Whose partition a new one is, and what becomes of those who are there already."""
    places, regions = ", ".join(partition.serves), newcomers(summary, partition)
    if not regions:
        return f"Nobody is new in it yet: no listed region lies in {places}, which it serves."
    return f"Who is new in {places} belongs to it: users of {', '.join(regions)}. {stay(summary, partition, regions)}"


def stay(summary: Summary, partition: PartitionSummary, regions: Sequence[str]) -> str:
    kept = "Customers of before stay where they are"
    if summary.target != "local":
        return f"{kept}: on {summary.target} no command moves them."
    return f"{kept} until you move them: `./meridian partition move --homes 00/{regions[0]} --to {partition.name}`."


def serves_text(before: PartitionSummary | None, summary: Summary, partition: PartitionSummary) -> str | None:
    """What is said where a partition that was there serves other places; None where it serves the same."""
    if before is None or before.serves == partition.serves:
        return None
    comes = [place for place in partition.serves if place not in before.serves]
    goes = [place for place in before.serves if place not in partition.serves]
    changes = [f"serve {', '.join(comes)}"] if comes else []
    changes += [f"no longer serve {', '.join(goes)}"] if goes else []
    regions = newcomers(summary, partition)
    return (
        f"Let {partition.name} {' and '.join(changes)}. From then on who is new in "
        f"{', '.join(regions) or 'no listed region'} belongs to it. "
        + (stay(summary, partition, regions) if comes and regions else "Customers of before stay where they are.")
    )


def residency_text(before: PartitionSummary | None, partition: PartitionSummary) -> str | None:
    """What is said where a partition's data may be elsewhere than so far; None where that stays, or is not known."""
    if before is None or before.residency is None or partition.residency is None:
        return None
    if before.residency == partition.residency:
        return None
    text = (
        f"Hold {partition.name} to another rule of residency, {rules_text(partition.residency)} (so far: "
        f"{rules_text(before.residency)})."
    )
    if before.residency.primary != partition.residency.primary:
        text += (
            f" A writer where none may be any more stays until you move it: "
            f"`./meridian switchover --partition {partition.name}`."
        )
    return text
