"""Faults that lie between settings: what one key says and another does not bear out.

A check runs when every key that it looks at is sound, so that one fault hides as few others as possible.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

from topology import checks_aws, checks_clouds, checks_gcp
from topology.addressing import (
    LARGEST,
    REGION_PREFIX,
    SMALLEST,
    ZONES,
    capacity,
    is_private,
    overlaps,
    range_of_slot,
)
from topology.catalogue import SLOTS, catalogue, jurisdictions
from topology.errors import sentence
from topology.ladder import LADDER
from topology.model import Phase
from topology.nearest import nearest
from topology.places import places
from topology.schema import RegionSetting, ResidencySetting, Settings
from topology.section import Section
from topology.witnesses import LEAST

CLOUDS = frozenset({"aws", "gcp"})

# Why there is one conflict model, and which databases have the others.
MODELS_ADR = "docs/adr/0011-one-home-for-each-customer.md"
REFUSED_MODELS = {
    "last-writer-wins": f"It drops one of two acknowledged writes without telling anyone; {MODELS_ADR} says why, and "
    "which databases do it.",
    "consensus": f"It needs another database than PostgreSQL, and every write would wait for another region; "
    f"{MODELS_ADR} says why, and which databases do it.",
}


def repeated(values: Sequence[object]) -> list[object]:
    return [value for value, count in Counter(values).items() if count > 1]


def slot_of(settings: Settings, region: RegionSetting) -> int:
    return region.slot if region.slot is not None else catalogue(settings.target)[region.name].slot


def ranges(settings: Settings) -> dict[str, IPv4Network]:
    """The range of every planned region, by name; regions whose range cannot be told are left out."""
    supernet, known = settings.network.supernet, catalogue(settings.target)
    found: dict[str, IPv4Network] = {}
    for region in settings.regions:
        if region.cidr is not None:
            found[region.name] = region.cidr
        elif region.name in known and slot_of(settings, region) < capacity(supernet):
            found[region.name] = range_of_slot(supernet, slot_of(settings, region))
    return found


def check_regions(settings: Settings) -> Iterator[str]:
    known = catalogue(settings.target)
    for position, region in enumerate(settings.regions):
        path = f"regions[{position}]"
        if region.name not in known:
            yield sentence(
                f'{path}.name: "{region.name}" is not a region of the target {settings.target}.',
                nearest(region.name, known),
                f"Allowed: {', '.join(known)}.",
            )
            continue
        zones = known[region.name].zones[:ZONES]
        for zone in region.zones or ():
            if zone not in zones:
                yield sentence(
                    f'{path}.zones: "{zone}" is not a zone of {region.name}.',
                    nearest(zone, zones),
                    f"Allowed: {', '.join(zones)}.",
                )
        for zone in repeated(region.zones or ()):
            yield f'{path}.zones: "{zone}" is listed twice. Remove one.'
        if region.slot is not None and region.slot >= SLOTS[settings.target]:
            yield (
                f"{path}.slot: {region.slot} is not allowed. "
                f"Allowed on the target {settings.target}: 0 to {SLOTS[settings.target] - 1}."
            )
    for name in repeated([region.name for region in settings.regions]):
        yield f'regions: "{name}" is listed twice. Remove one.'
    slots = {region.name: slot_of(settings, region) for region in settings.regions if region.name in known}
    for slot in repeated(list(slots.values())):
        names = " and ".join(name for name, own in slots.items() if own == slot)
        yield (
            f"regions: {names} have the same slot, {slot}. A slot belongs to one region for ever: "
            f"give a `slot` of its own to the one that is not deployed yet."
        )


def check_addresses(settings: Settings) -> Iterator[str]:
    supernet, known = settings.network.supernet, catalogue(settings.target)
    if supernet.prefixlen > REGION_PREFIX:
        yield (
            f"network.supernet: {supernet} is too small. Allowed: /{REGION_PREFIX} or larger, "
            f"because each region takes a /{REGION_PREFIX}."
        )
    if not is_private(supernet):
        yield (
            f"network.supernet: {supernet} is not private. "
            f"Allowed: a range inside 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or 100.64.0.0/10."
        )
    for position, region in enumerate(settings.regions):
        path = f"regions[{position}]"
        if region.cidr is not None:
            if not LARGEST <= region.cidr.prefixlen <= SMALLEST:
                size = "large" if region.cidr.prefixlen < LARGEST else "small"
                yield f"{path}.cidr: {region.cidr} is too {size}. Allowed: /{LARGEST} to /{SMALLEST}."
            if not is_private(region.cidr):
                yield (
                    f"{path}.cidr: {region.cidr} is not private. "
                    f"Allowed: a range inside 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or 100.64.0.0/10."
                )
        elif region.name in known and supernet.prefixlen <= REGION_PREFIX:
            slot, room = slot_of(settings, region), capacity(supernet)
            if slot >= room:
                yield (
                    f"{path}: {supernet} has room for the slots 0 to {room - 1}, and {region.name} has slot {slot}. "
                    f"Give it a free `slot` below {room}, or a larger `network.supernet`."
                )
    if not repeated([region.name for region in settings.regions]):
        known_slots = [slot_of(settings, region) for region in settings.regions if region.name in known]
        if not repeated(known_slots):  # the same slot is one fault, and is said once
            yield from overlaps(ranges(settings))


def check_home(settings: Settings) -> Iterator[str]:
    names = [region.name for region in settings.regions]
    if settings.home is not None and settings.home not in names:
        yield sentence(
            f'home: "{settings.home}" is not among the regions.',
            nearest(settings.home, names),
            f"Allowed: {', '.join(names)}.",
        )


def check_partitions(settings: Settings) -> Iterator[str]:
    names = [region.name for region in settings.regions]
    for position, partition in enumerate(settings.partitions):
        path = f"partitions[{position}]"
        if partition.name == "main":
            yield (
                f"{path}.name: main is always there and is not listed. "
                f"Write its residency under the top-level key `residency`."
            )
        if partition.origin not in names:
            yield sentence(
                f'{path}.origin: "{partition.origin}" is not among the regions.',
                nearest(partition.origin, names),
                f"Allowed: {', '.join(names)}.",
            )
    for name in repeated([partition.name for partition in settings.partitions]):
        yield f'partitions: "{name}" is listed twice. Remove one.'
    for slot in repeated([partition.slot for partition in settings.partitions]):
        yield f"partitions: two have the slot {slot}. Give each its own, 1 to 15."
    for place in repeated([place for partition in settings.partitions for place in partition.serves]):
        yield f'partitions: "{place}" is served twice. Each place belongs to one partition.'


def check_places(path: str, residency: ResidencySetting) -> Iterator[str]:
    for key, listed in (("primary", residency.primary), ("copies", residency.copies)):
        for place in listed or ():
            if place not in jurisdictions():
                yield (
                    f'{path}.{key}: no region of any target lies in "{place}". '
                    f"Allowed: {', '.join(sorted(jurisdictions()))}."
                )


def check_residency(settings: Settings) -> Iterator[str]:
    yield from check_places("residency", settings.residency)


def check_partition_residency(settings: Settings) -> Iterator[str]:
    for position, partition in enumerate(settings.partitions):
        yield from check_places(f"partitions[{position}].residency", partition.residency)


def check_conflicts(settings: Settings) -> Iterator[str]:
    model = settings.conflicts.model
    if model not in (None, "home-partition"):
        yield sentence(
            f'conflicts.model: "{model}" is not supported.',
            REFUSED_MODELS.get(model, nearest(model, ["home-partition"])),
            "Allowed: home-partition, where each customer's data has one writer. "
            "Write `conflicts: {model: home-partition}`.",
        )


def check_target(settings: Settings) -> Iterator[str]:
    if settings.target == "local":
        if settings.hostname is not None:
            yield (
                f'hostname: "{settings.hostname}" is not allowed on the target local, '
                f"whose entry is an address of this machine. Leave it out."
            )
    elif settings.hostname is None:
        yield (
            f"hostname: is missing. The target {settings.target} needs the DNS name that users call, from phase 1 on, "
            f"because it never changes afterwards. Write one that you can delegate, such as api.example.com."
        )


def check_retire(settings: Settings) -> Iterator[str]:
    known = catalogue(settings.target)
    for name in settings.retire:
        if name not in known:
            yield sentence(
                f'retire: "{name}" is not a region of the target {settings.target}.',
                nearest(name, known),
                f"Allowed: {', '.join(known)}.",
            )
        if name == settings.home_region:
            yield f'retire: "{name}" is the home region, which a stack cannot give up. Take it out of the list.'


def check_automatic(settings: Settings) -> Iterator[str]:
    """What acts by itself goes by a limit. An asynchronous copy is always a little behind, so none at all, or none but
    nothing, is a refusal each time; with a quorum there is normally nothing to lose."""
    rpo, rung = settings.objectives.rpo_seconds, LADDER[settings.phase]
    # Where there are no keepers, `automatic` is refused itself (topology/plan.py).
    keeps = settings.target == "local" and settings.phase >= Phase.ACTIVE_PASSIVE and len(settings.regions) >= LEAST
    if not settings.failover.automatic or rpo or not keeps:
        return
    behind = [each.name for each in places(settings, rung) if not rung.quorum or each.durability == "async"]
    if behind:
        said = "is missing" if rpo is None else "0 is not allowed"
        yield (
            f"objectives.rpo_seconds: {said}. `failover.automatic` is true and the replication of "
            f"{', '.join(behind)} is asynchronous, so every failover by itself would be refused: nobody said that "
            f"anything may be lost. Allowed with it: a whole number above 0, such as 10. Write it, set "
            f"`failover.automatic` to false, or choose `database.durability: quorum` from "
            f"{Phase.MULTI_REGION_READS.label} on."
        )


@dataclass(frozen=True)
class Check:
    looks_at: frozenset[str]
    find: Callable[[Settings], Iterator[str]]


def only_on(targets: Collection[str], section: str, *, besides: Collection[str] = ()) -> Check:
    """That the keys of a section are written where they mean something; those named in `besides` always do."""

    def find(settings: Settings) -> Iterator[str]:
        if settings.target not in targets:
            chosen: Section = getattr(settings, section)
            for key in sorted(chosen.model_fields_set.difference(besides)):
                yield f"{section}.{key}: means nothing on the target {settings.target}. Leave it out."

    return Check(frozenset({"target", section}), find)


CHECKS = (
    Check(frozenset({"target", "regions"}), check_regions),
    Check(frozenset({"target", "regions", "network"}), check_addresses),
    Check(frozenset({"regions", "home"}), check_home),
    Check(frozenset({"regions", "partitions"}), check_partitions),
    Check(frozenset({"residency"}), check_residency),
    Check(frozenset({"partitions"}), check_partition_residency),
    Check(frozenset({"conflicts"}), check_conflicts),
    Check(frozenset({"target", "hostname"}), check_target),
    only_on({"local"}, "local"),
    only_on({"aws"}, "aws"),
    only_on({"gcp"}, "gcp"),
    only_on(CLOUDS, "service", besides={"standby_capacity"}),
    only_on(CLOUDS, "ownership"),
    only_on(CLOUDS, "retention"),
    only_on(CLOUDS, "alarms"),
    Check(frozenset({"target"}), checks_clouds.check_stack),
    Check(frozenset({"target", "app"}), checks_clouds.check_app),
    Check(frozenset({"target", "service"}), checks_clouds.check_image),
    Check(frozenset({"target", "service"}), checks_clouds.check_capacity),
    Check(frozenset({"target", "ownership"}), checks_clouds.check_ownership),
    Check(frozenset({"target", "database"}), checks_clouds.check_durability),
    Check(frozenset({"target", "partitions"}), checks_clouds.check_partition_durability),
    Check(frozenset({"target", "aws"}), checks_aws.check_account),
    Check(frozenset({"target", "aws", "hostname"}), checks_aws.check_hostname),
    Check(frozenset({"target", "service"}), checks_aws.check_size),
    Check(frozenset({"target", "retention"}), checks_aws.check_log_days),
    Check(frozenset({"target", "aws", "regions"}), checks_aws.check_database),
    Check(frozenset({"target", "aws", "regions"}), checks_aws.check_cache),
    Check(frozenset({"target", "gcp"}), checks_gcp.check_project),
    Check(frozenset({"target", "gcp", "hostname"}), checks_gcp.check_hostname),
    Check(frozenset({"target", "gcp", "service"}), checks_gcp.check_size),
    Check(frozenset({"target", "retention"}), checks_gcp.check_retention),
    Check(
        frozenset(
            {"target", "phase", "regions", "home", "failover", "objectives", "database", "partitions", "residency"}
        ),
        check_automatic,
    ),
    Check(frozenset({"target", "retire", "regions", "home"}), check_retire),
)


def cross_checks(settings: Settings, unsound: frozenset[str]) -> list[str]:
    """Every fault between the settings, leaving out the checks that look at an unsound key."""
    return [problem for check in CHECKS if not check.looks_at & unsound for problem in check.find(settings)]
