"""A topology as a stack's output keeps it: small, plain JSON, enough to tell what a change would do.

The next `up` reads it back from the stack's state, so old forms must stay readable: `version` says which one it is.
"""

from dataclasses import asdict, dataclass
from typing import Any, cast, get_args

from topology.errors import SettingsError
from topology.model import Phase, Serving, Target, Topology
from topology.residency import Residency

VERSION = 1


@dataclass(frozen=True, kw_only=True)
class RegionSummary:
    name: str
    slot: int
    cidr: str
    in_use: bool
    serving: Serving
    has_cache: bool
    members: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class PartitionSummary:
    name: str
    slot: int
    origin: str
    durability: str
    members: dict[str, str]  # size by member name
    serves: tuple[str, ...]
    residency: Residency | None  # None: not known, because an earlier release exported it


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What is remembered of a topology; also the view of it that transitions are computed from."""

    phase: Phase
    target: Target
    app: str
    home: str
    policy: str
    regions: tuple[RegionSummary, ...]
    partitions: tuple[PartitionSummary, ...]
    backups: dict[str, str | None]  # by region with a vault, the one that its backups are copied to

    def region(self, name: str) -> RegionSummary | None:
        return next((region for region in self.regions if region.name == name), None)

    def partition(self, name: str) -> PartitionSummary | None:
        return next((partition for partition in self.partitions if partition.name == name), None)


def summarise(topology: Topology) -> Summary:
    return Summary(
        phase=topology.phase,
        target=topology.target,
        app=topology.app,
        home=topology.home,
        policy=topology.entry.policy,
        regions=tuple(
            RegionSummary(
                name=region.name,
                slot=region.slot,
                cidr=str(region.cidr),
                in_use=region.in_use,
                serving=region.serving,
                has_cache=region.has_cache,
                members=region.members,
            )
            for region in topology.regions
        ),
        partitions=tuple(
            PartitionSummary(
                name=partition.name,
                slot=partition.slot,
                origin=partition.origin,
                durability=partition.durability,
                members={name: topology.member(name).size for name in partition.members},
                serves=tuple(sorted(partition.serves)),
                residency=Residency(
                    primary=in_order(partition.primary_jurisdictions), copies=in_order(partition.copy_jurisdictions)
                ),
            )
            for partition in topology.partitions
        ),
        backups={backup.region: backup.copy_to for backup in topology.backups},
    )


def in_order(places: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Places in another order are no other rule."""
    return None if places is None else tuple(sorted(places))


def to_summary(topology: Topology) -> dict[str, Any]:
    """The JSON object that a stack exports as its output `topology`."""
    view = summarise(topology)
    return {
        "version": VERSION,
        "phase": view.phase.label,
        "target": view.target,
        "app": view.app,
        "home": view.home,
        "policy": view.policy,
        "regions": [
            {
                "name": region.name,
                "slot": region.slot,
                "cidr": region.cidr,
                "in_use": region.in_use,
                "serving": region.serving.value,
                "has_cache": region.has_cache,
                "members": list(region.members),
            }
            for region in view.regions
        ],
        "partitions": [
            {
                "name": partition.name,
                "slot": partition.slot,
                "origin": partition.origin,
                "durability": partition.durability,
                "members": dict(partition.members),
                "serves": list(partition.serves),
                "residency": asdict(partition.residency) if partition.residency else None,
            }
            for partition in view.partitions
        ],
        "backups": view.backups,
    }


def residency(record: dict[str, Any] | None) -> Residency | None:
    if record is None:
        return None
    primary, copies = (record[key] for key in ("primary", "copies"))
    return Residency(
        primary=None if primary is None else tuple(map(str, primary)),
        copies=None if copies is None else tuple(map(str, copies)),
    )


def from_summary(data: object) -> Summary:
    """What a stack exported, read back. Raises `SettingsError` where it is damaged or from a newer version."""
    try:
        record = cast("dict[str, Any]", data)
        version = int(record["version"])
        if version != VERSION:
            raise SettingsError(
                (
                    f"the stack's output `topology` has version {version}, and this version of the project reads "
                    f"{VERSION}. Use the version that deployed the stack last, or a newer one.",
                )
            )
        return Summary(
            phase=next(phase for phase in Phase if phase.label == record["phase"]),
            target=next(target for target in get_args(Target) if target == record["target"]),
            app=str(record["app"]),
            home=str(record["home"]),
            policy=str(record["policy"]),
            regions=tuple(
                RegionSummary(
                    name=str(region["name"]),
                    slot=int(region["slot"]),
                    cidr=str(region["cidr"]),
                    in_use=bool(region["in_use"]),
                    serving=Serving(region["serving"]),
                    has_cache=bool(region["has_cache"]),
                    members=tuple(map(str, region["members"])),
                )
                for region in record["regions"]
            ),
            partitions=tuple(
                PartitionSummary(
                    name=str(partition["name"]),
                    slot=int(partition["slot"]),
                    origin=str(partition["origin"]),
                    durability=str(partition["durability"]),
                    members={str(name): str(size) for name, size in partition["members"].items()},
                    serves=tuple(map(str, partition.get("serves", ()))),
                    residency=residency(partition.get("residency")),
                )
                for partition in record["partitions"]
            ),
            # Left out by the first releases, which knew the local target alone: it has no vaults.
            backups={
                str(region): str(target) if target is not None else None
                for region, target in record.get("backups", {}).items()
            },
        )
    except (KeyError, TypeError, ValueError, AttributeError, StopIteration) as error:
        raise SettingsError(
            (
                f"the stack's output `topology` cannot be read ({type(error).__name__}: {error}). It is written by "
                f"every `up`: restore the stack's state from its backup, or from an earlier `pulumi stack export`.",
            )
        ) from None
