"""What a change of settings does to a stack that exists: the steps in a safe order, and what it must not do.

Both work on summaries, because the old topology is known only from what the stack exported.

The order keeps every moment sound: a region's network stands before a member, a member before the service that reads
it, the service before users are sent there; what goes, goes the other way round, and after what comes.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

from topology import customers
from topology.catalogue import catalogue
from topology.errors import Refusal
from topology.model import Phase, Serving, Topology
from topology.summary import PartitionSummary, RegionSummary, Summary, summarise
from topology.witnesses import keepers

Kind = Literal[
    "network",
    "vault",
    "member",
    "size",
    "durability",
    "keeper",
    "cache",
    "service",
    "residency",
    "partition",
    "serves",
    "traffic",
]

RANK = {Serving.NONE: 0, Serving.STANDBY: 1, Serving.READS: 2, Serving.FULL: 3}

SERVING = {
    Serving.NONE: "serves nobody",
    Serving.STANDBY: "is warm and takes no users until it is promoted",
    Serving.READS: "answers reads itself and passes writes on to the writer",
    Serving.FULL: "answers reads and writes",
}


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing that a change does."""

    kind: Kind
    subject: str  # a region, a member, a partition, or the entry
    removes: bool
    text: str  # what happens, and what users notice


def view(topology: Topology | Summary) -> Summary:
    return summarise(topology) if isinstance(topology, Topology) else topology


def empty(like: Summary) -> Summary:
    """The stack before its first `up`."""
    return Summary(
        phase=like.phase,
        target=like.target,
        app=like.app,
        home=like.home,
        policy="",
        regions=(),
        partitions=(),
        backups={},
    )


def members_of(summary: Summary) -> dict[str, tuple[PartitionSummary, str]]:
    """Every member: its partition and its size."""
    return {name: (partition, size) for partition in summary.partitions for name, size in partition.members.items()}


def serving_in(summary: Summary, region: str) -> Serving:
    found = summary.region(region)
    return found.serving if found else Serving.NONE


def holds(summary: Summary, region: str) -> bool:
    """Whether a region has members."""
    found = summary.region(region)
    return bool(found and found.members)


def in_use(summary: Summary) -> list[RegionSummary]:
    return [region for region in summary.regions if region.in_use]


def added_networks(old: Summary, new: Summary) -> Iterator[Step]:
    used = {region.name for region in in_use(old)}
    for region in in_use(new):
        if region.name not in used:
            paths = " and its links to the regions in use" if used or region.name != new.home else ""
            yield Step(
                kind="network",
                subject=region.name,
                removes=False,
                text=f"Create the keys and the network {region.cidr} of {region.name}{paths}. Users notice nothing.",
            )


def added_vaults(old: Summary, new: Summary) -> Iterator[Step]:
    for region, target in new.backups.items():
        if region not in old.backups:
            sources = [source for source, copied_to in new.backups.items() if copied_to == region]
            uses = [
                f"its own backups{f', which are copied to {target}' if target else ''}" if holds(new, region) else "",
                f"copies of the backups of {' and '.join(sources)}" if sources else "",
            ]
            text = f"Create the vault of {region} for {' and for '.join(filter(None, uses))}. Users notice nothing."
        elif target is not None and target != old.backups[region]:
            before = old.backups[region]
            rest = f" and no longer to {before}; the copies that are there stay until they expire" if before else ""
            text = f"Copy the backups of {region} to {target}{rest}. Users notice nothing."
        else:
            continue
        yield Step(kind="vault", subject=region, removes=False, text=text)


def added_members(old: Summary, new: Summary) -> Iterator[Step]:
    before = members_of(old)
    for name, (partition, size) in members_of(new).items():
        if name not in before:
            if name == f"{partition.name}-{partition.origin}":
                text = f"Create {name}, the first member of {partition.name}. Users notice nothing."
            else:
                text = (
                    f"Create {name} as a copy of the writer of {partition.name}; it follows the writer from then on. "
                    f"Users notice nothing; the writer sends its data once."
                )
            yield Step(kind="member", subject=name, removes=False, text=text)
        elif before[name][1] != size and size == "full":
            yield Step(
                kind="size",
                subject=name,
                removes=False,
                text=f"Bring {name} to full size, equal to the writer, so that it can take over. "
                f"Users notice nothing: it takes no users yet.",
            )


def changed_durability(old: Summary, new: Summary, to: str) -> Iterator[Step]:
    for partition in new.partitions:
        before = old.partition(partition.name)
        was = before.durability if before else "async"
        if was != partition.durability == to:
            waits = (
                "Commits wait until one other member has them. Users notice that writes take a round trip to the "
                "nearest member longer; a region's loss costs no acknowledged write."
                if to == "quorum"
                else "Commits no longer wait for another member. Users notice faster writes; a region's loss may cost "
                "the last of them."
            )
            yield Step(kind="durability", subject=partition.name, removes=to == "async", text=waits)


def added_keepers(old: Summary, new: Summary) -> Iterator[Step]:
    before, after = keepers(old), keepers(new)
    used = {region.name for region in in_use(new)}
    for name in after:
        if name not in before:
            what = "a keeper" if name in used else "a witness, a keeper without data,"
            yield Step(
                kind="keeper",
                subject=name,
                removes=False,
                text=f"Start {what} in {name}. Users notice nothing: a region writes only while most of "
                f"{', '.join(after)} let it, so that a writer that is cut off stops by itself.",
            )


def removed_keepers(old: Summary, new: Summary) -> Iterator[Step]:
    after = keepers(new)
    for name in keepers(old):
        if name not in after:
            rest = f"the lease is kept by {', '.join(after)}" if after else "no lease ends a writer that is cut off"
            yield Step(
                kind="keeper",
                subject=name,
                removes=True,
                text=f"Stop the keeper of {name}: from then on {rest}. Users notice nothing.",
            )


def added_caches(old: Summary, new: Summary) -> Iterator[Step]:
    for region in new.regions:
        before = old.region(region.name)
        if region.has_cache and not (before and before.has_cache):
            yield Step(
                kind="cache",
                subject=region.name,
                removes=False,
                text=f"Create the cache of {region.name}, empty. Users notice nothing.",
            )


def raised_services(old: Summary, new: Summary) -> Iterator[Step]:
    for region in new.regions:
        was = serving_in(old, region.name)
        if RANK[region.serving] > RANK[was]:
            verb = "Start the service" if was is Serving.NONE else "Raise the service"
            yield Step(
                kind="service",
                subject=region.name,
                removes=False,
                text=f"{verb} in {region.name}: it {SERVING[region.serving]}. Users notice nothing yet.",
            )


def added_partitions(old: Summary, new: Summary) -> Iterator[Step]:
    for partition in new.partitions:
        if partition.name != "main" and old.partition(partition.name) is None:
            yield Step(
                kind="partition",
                subject=partition.name,
                removes=False,
                text=f"Open the partition {partition.name}, written in {partition.origin}. "
                + customers.welcome(new, partition),
            )


def changed_residency(old: Summary, new: Summary) -> Iterator[Step]:
    for partition in new.partitions:
        text = customers.residency_text(old.partition(partition.name), partition)
        if text is not None:
            yield Step(kind="residency", subject=partition.name, removes=False, text=text)


def changed_serves(old: Summary, new: Summary) -> Iterator[Step]:
    """Where new customers go; what a partition that is added takes over is said with that."""
    for partition in new.partitions:
        text = customers.serves_text(old.partition(partition.name), new, partition)
        if text is not None:
            yield Step(kind="serves", subject=partition.name, removes=False, text=text)


def widened_traffic(old: Summary, new: Summary) -> Iterator[Step]:
    entry = f"{new.app}-entry"
    if not old.policy:
        yield Step(
            kind="traffic",
            subject=entry,
            removes=False,
            text=f"Create the entry, the address that users call; it sends them to {new.home}.",
        )
    takers = {region.name for region in new.regions if RANK[region.serving] >= RANK[Serving.READS]}
    took = {region.name for region in old.regions if RANK[region.serving] >= RANK[Serving.READS]}
    for name in sorted(takers - took - ({new.home} if not old.policy else set())):
        yield Step(
            kind="traffic",
            subject=name,
            removes=False,
            text=f"Let the entry send users to {name}. Those nearest to it notice faster reads.",
        )
    standbys = {region.name for region in new.regions if region.serving is Serving.STANDBY}
    for name in sorted(standbys - {region.name for region in old.regions if region.serving is Serving.STANDBY} - took):
        yield Step(
            kind="traffic",
            subject=name,
            removes=False,
            text=f"Make {name} known to the entry, held out until operations promote it. Users notice nothing.",
        )


def narrowed_traffic(old: Summary, new: Summary) -> Iterator[Step]:
    for region in old.regions:
        now = serving_in(new, region.name)
        if RANK[region.serving] >= RANK[Serving.READS] > RANK[now]:
            yield Step(
                kind="traffic",
                subject=region.name,
                removes=True,
                text=f"Stop sending users to {region.name}. Those near it notice slower answers, from farther away.",
            )


def lowered_services(old: Summary, new: Summary) -> Iterator[Step]:
    for region in old.regions:
        now = serving_in(new, region.name)
        if RANK[now] < RANK[region.serving]:
            what = "Stop the service" if now is Serving.NONE else "Lower the service"
            rest = "" if now is Serving.NONE else f": it {SERVING[now]}"
            yield Step(kind="service", subject=region.name, removes=True, text=f"{what} in {region.name}{rest}.")


def removed_caches(old: Summary, new: Summary) -> Iterator[Step]:
    for region in old.regions:
        now = new.region(region.name)
        if region.has_cache and not (now and now.has_cache):
            yield Step(
                kind="cache",
                subject=region.name,
                removes=True,
                text=f"Remove the cache of {region.name}. It holds nothing that is not elsewhere.",
            )


def removed_members(old: Summary, new: Summary) -> Iterator[Step]:
    after = members_of(new)
    for name, (partition, size) in members_of(old).items():
        if name not in after:
            yield Step(
                kind="member",
                subject=name,
                removes=True,
                text=f"Delete {name} and its copy of the data of {partition.name}. It cannot be brought back.",
            )
        elif after[name][1] != size and after[name][1] == "minimal":
            yield Step(
                kind="size",
                subject=name,
                removes=True,
                text=f"Shrink {name} to the least that keeps a copy. It can no longer take over at once.",
            )


def removed_partitions(old: Summary, new: Summary) -> Iterator[Step]:
    for partition in old.partitions:
        if new.partition(partition.name) is None:
            yield Step(
                kind="partition",
                subject=partition.name,
                removes=True,
                text=f"Close the partition {partition.name}. Customers that still belong to it lose their data.",
            )


def removed_vaults(old: Summary, new: Summary) -> Iterator[Step]:
    for region, target in old.backups.items():
        if region not in new.backups:
            text = f"Remove the vault of {region} and the backups in it. They cannot be brought back."
        elif target is not None and new.backups[region] is None and holds(new, region):
            text = (
                f"Stop copying the backups of {region} to {target}: no listed region may hold a copy of all that lies "
                f"in {region}. The copies that are there stay until they expire."
            )
        else:
            continue
        yield Step(kind="vault", subject=region, removes=True, text=text)


def removed_networks(old: Summary, new: Summary) -> Iterator[Step]:
    used = {region.name for region in in_use(new)}
    for region in in_use(old):
        if region.name not in used:
            yield Step(
                kind="network",
                subject=region.name,
                removes=True,
                text=f"Remove the network of {region.name} and its links. Users notice nothing.",
            )


def steps(old: Topology | Summary | None, new: Topology | Summary) -> tuple[Step, ...]:
    """What changes from one topology to the other, in a safe order. No step where nothing changes."""
    after = view(new)
    before = view(old) if old is not None else empty(after)
    return (
        *added_networks(before, after),
        *added_vaults(before, after),
        *added_members(before, after),
        *changed_durability(before, after, "quorum"),
        *added_keepers(before, after),
        *added_caches(before, after),
        *raised_services(before, after),
        *changed_residency(before, after),
        *added_partitions(before, after),
        *changed_serves(before, after),
        *widened_traffic(before, after),
        *narrowed_traffic(before, after),
        *lowered_services(before, after),
        *removed_caches(before, after),
        *removed_partitions(before, after),
        *changed_durability(before, after, "async"),
        *removed_keepers(before, after),
        *removed_members(before, after),
        *removed_vaults(before, after),
        *removed_networks(before, after),
    )


def fixed(old: Summary, new: Summary, retire: Collection[str] = ()) -> Iterator[str]:
    """What a stack keeps for life, and would lose by this change.

    Home may be given up, after a failover, where no resource is made otherwise for being there: on the local target.
    """
    moves = old.target == "local" and old.home in retire and new.region(old.home) is None
    for key, was, now in (
        ("target", old.target, new.target),
        ("app", old.app, new.app),
        ("home", old.home, new.home),
    ):
        if was != now and not (key == "home" and moves):
            yield (
                f'{key}: "{now}" is not what the stack was built with, "{was}", and it never changes: everything would '
                f'be made anew. Write "{was}" again, or make another stack.'
            )
    slots = {region.slot: region.name for region in old.regions}
    for region in new.regions:
        before = old.region(region.name)
        if before is None and region.slot in slots:
            yield (
                f"regions: {region.name} has slot {region.slot}, which {slots[region.slot]} had. A slot is never "
                f"used twice: addresses of the one would come to mean the other. Give it a free `slot`."
            )
        elif before is not None and before.slot != region.slot:
            yield (
                f"regions: {region.name} has slot {region.slot}, and the stack was built with {before.slot}. A slot "
                f"never changes. Write `slot: {before.slot}` again."
            )
        elif before is not None and before.in_use and before.cidr != region.cidr:
            yield (
                f"regions: {region.name} has the range {region.cidr}, and the stack was built with {before.cidr}. "
                f"Another range would replace its network and everything in it. Write {before.cidr} again, as the "
                f"region's `cidr` or through `network.supernet`."
            )
    taken = {partition.slot: partition.name for partition in old.partitions}
    for partition in new.partitions:
        before = old.partition(partition.name)
        if before is None and partition.slot in taken:
            yield (
                f"partitions: {partition.name} has slot {partition.slot}, which {taken[partition.slot]} had. "
                f"A slot is never used twice. Give it a free one."
            )
        elif before is not None and before.slot != partition.slot:
            yield (
                f"partitions: {partition.name} has slot {partition.slot}, and the stack was built with {before.slot}. "
                f"A slot never changes. Write `slot: {before.slot}` again."
            )
        elif before is not None and before.origin != partition.origin and partition.name != "main":
            yield (
                f"partitions: {partition.name} has the origin {partition.origin}, and its first member was created in "
                f"{before.origin}. An origin never changes; to move the writer, use a switchover. "
                f"Write `origin: {before.origin}` again."
            )


def region_of(summary: Summary, member: str) -> str:
    return next(region.name for region in summary.regions if member in region.members)


def lost(old: Summary, new: Summary, retire: Collection[str]) -> dict[str, list[str]]:
    """What would be taken from regions that are not named in `retire`, by region.

    Naming the region that a partition was created in gives up the whole partition, wherever its copies are.
    """
    found: dict[str, list[str]] = {}
    after = members_of(new)
    for name, (partition, size) in members_of(old).items():
        region = region_of(old, name)
        whole = new.partition(partition.name) is None
        if region in retire or (whole and partition.origin in retire):
            continue
        if name not in after:
            found.setdefault(region, []).append(
                f"the database {name}" + (f" with the last data of the partition {partition.name}" if whole else "")
            )
        elif size == "full" and after[name][1] == "minimal":
            found.setdefault(region, []).append(f"the size of {name}, which could no longer take over at once")
    for region in old.regions:
        now = new.region(region.name)
        if region.name in retire:
            continue
        if region.has_cache and not (now and now.has_cache):
            found.setdefault(region.name, []).append("its cache")
        serving = now.serving if now else Serving.NONE
        if RANK[serving] < RANK[region.serving]:
            left = "" if serving is Serving.NONE else f" (it would be {serving.value}, and is {region.serving.value})"
            found.setdefault(region.name, []).append(f"its service{left}")
    for region in old.backups:
        if region not in new.backups and region not in retire:
            found.setdefault(region, []).append("its vault with the backups in it")
    return found


def forbidden(old: Summary, new: Summary, region: str) -> list[str]:
    """The partitions whose member in a region goes because their residency does not allow it any more."""
    here = catalogue(new.target).get(region)
    found: list[str] = []
    for name in held_in(old, region):
        partition, _ = members_of(old)[name]
        now = new.partition(partition.name)
        if here and now and now.residency and name not in now.members and not now.residency.allows_copy(here):
            found.append(partition.name)
    return found


def held_in(old: Summary, region: str) -> tuple[str, ...]:
    found = old.region(region)
    return found.members if found else ()


def check(old: Topology | Summary | None, new: Topology | Summary, retire: Collection[str]) -> None:
    """Raise `Refusal` where a change would lose something that nobody gave up, or alter what never changes."""
    if old is None:
        return
    before, after = view(old), view(new)
    problems = list(fixed(before, after, retire))
    down = before.phase > after.phase
    for region, things in lost(before, after, retire).items():
        dropped = after.region(region) is None
        illegal = [] if dropped or down else forbidden(before, after, region)
        cause = "phase" if down and not dropped else "residency" if illegal else "regions"
        lead = (
            f"dropping {region} would lose"
            if dropped
            else f"going from {label(before.phase)} down to {label(after.phase)} would lose, in {region}"
            if down
            else f"{' and '.join(illegal)} may not be copied to {region} any more, and this change would lose there"
            if illegal
            else f"this change would lose, in {region}"
        )
        # Home is never given up; what it holds of another partition goes with the region that the partition began in.
        given = {partition.origin for partition in before.partitions if after.partition(partition.name) is None}
        names = sorted(given if region == before.home else {region})
        remedy = (
            "Change it back; the home region cannot be given up."
            if before.home in names
            else "Change it back; what home holds of a partition goes only with all of that partition: take it out of "
            "`partitions`, and name the region that it began in under `retire`."
            if not names
            else f"Change it back, or give {' and '.join(names)} up: `retire: [{', '.join(names)}]`."
        )
        problems.append(f"{cause}: {lead}: {'; '.join(things)}. {remedy}")
    if problems:
        raise Refusal(problems)


def label(phase: Phase) -> str:
    return f"{phase.label} ({phase.value})"
