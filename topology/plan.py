"""From settings to topology: every decision that a stack at a phase rests on."""

from collections.abc import Mapping, Sequence

from topology.addressing import ZONES, zone_plans
from topology.catalogue import catalogue
from topology.checks import MODELS_ADR, ranges, slot_of
from topology.clouds import aws_plan, backups, gcp_plan, ownership, retention, service_plan
from topology.distances import link
from topology.errors import SettingsError
from topology.ladder import LADDER, Rung
from topology.model import (
    EntryPlan,
    LinkPlan,
    LocalPlan,
    MemberPlan,
    Objectives,
    PartitionPlan,
    Phase,
    RegionFacts,
    RegionPlan,
    Serving,
    Target,
    Topology,
)
from topology.naming import entry_name, member_name
from topology.places import Place, copy_regions, places
from topology.residency import check_origin, check_replicas
from topology.schema import Settings
from topology.witnesses import LEAST, keepers

# How many servers a member of each size is. Aurora can replicate storage without a server (a headless secondary)
# and survives a zone with two instances; a Cloud SQL instance is one resource whose standby Google keeps; the local
# target has one server per member.
INSTANCES: dict[Target, dict[str, int]] = {
    "aws": {"minimal": 0, "full": 2},
    "gcp": {"minimal": 1, "full": 1},
    "local": {"minimal": 1, "full": 1},
}

# A quorum of one beside the writer stops all writes when that one is gone; with two the writer can lose either.
QUORUM_MEMBERS = 3

# A primary and ten secondaries: docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide
# /aurora-global-database.configuration.requirements.html.
MOST_MEMBERS: dict[Target, int] = {"aws": 11}


def check(settings: Settings, rung: Rung, partitions: Sequence[Place], planned: Sequence[RegionFacts]) -> list[str]:
    """Why a phase cannot be planned from these settings; empty where it can."""
    label = settings.phase.label
    if len(planned) < rung.least_regions:
        return [
            f"phase: {label} needs {rung.least_regions} regions, and {len(planned)} is listed. "
            f"Add one to `regions`, or stay at {Phase.SINGLE_REGION.label}."
        ]
    facts = {region.name: region for region in planned}
    problems: list[str] = []
    for place in partitions:
        illegal = check_origin(place.path, place.name, place.residency, facts[place.origin])
        problems += illegal
        if not illegal and rung.reach != "home":
            others = [region for region in planned if region.name != place.origin]
            problems += check_replicas(place.path, place.name, place.residency, label, others)
        members = len(copy_regions(place, rung, planned))
        if rung.quorum and place.durability == "quorum" and members < QUORUM_MEMBERS and not illegal:
            problems.append(
                f'{place.durability_path}: "quorum" needs {QUORUM_MEMBERS} members of {place.name}, and '
                f"{settings.phase.label} gives it {members}: with fewer, every write stops when one member is gone. "
                f"List more regions that may hold a copy, or choose async."
            )
        most = MOST_MEMBERS.get(settings.target, members)
        if members > most:
            problems.append(
                f"regions: {label} gives {place.name} {members} members, and on the target {settings.target} a "
                f"partition has {most} at most. List fewer regions, or let `{place.path}.copies` allow fewer."
            )
    if rung.partitions and not settings.partitions:
        problems.append(
            f"partitions: {label} needs at least one beside main, or all writes would still go to one region. "
            f"List one with `name`, `slot`, `origin` and `serves`, or stay at {Phase.MULTI_REGION_READS.label}."
        )
    if rung.partitions and settings.conflicts.model is None:
        problems.append(
            f"conflicts.model: is missing, and {label} needs a declared conflict model. Allowed: home-partition, where "
            f"each customer's data has one writer; {MODELS_ADR} says why no other. "
            f"Write `conflicts: {{model: home-partition}}`, or stay at {Phase.MULTI_REGION_READS.label}."
        )
    return problems


def plan_members(
    settings: Settings,
    rung: Rung,
    partitions: Sequence[Place],
    planned: Sequence[RegionFacts],
    slots: Mapping[str, int],
) -> dict[str, tuple[MemberPlan, ...]]:
    """The members of each partition, its origin first, then by slot."""
    members: dict[str, tuple[MemberPlan, ...]] = {}
    for place in partitions:
        origin, *others = copy_regions(place, rung, planned)
        plans: list[MemberPlan] = []
        for region in (origin, *sorted(others, key=lambda name: slots[name])):
            size = "full" if region == origin or rung.replicas is None else rung.replicas
            plans.append(
                MemberPlan(
                    name=member_name(place.name, region),
                    partition=place.name,
                    region=region,
                    is_origin=region == origin,
                    multi_zone=size == "full" and settings.target != "local",
                    instances=INSTANCES[settings.target][size],
                    size=size,
                )
            )
        members[place.name] = tuple(plans)
    return members


def serving_of(region: str, home: str, rung: Rung, *, in_use: bool) -> Serving:
    if not in_use:
        return Serving.NONE
    return Serving.FULL if region == home else rung.beyond_home


def capacity_of(serving: Serving, settings: Settings) -> float:
    if serving is Serving.NONE:
        return 0.0
    return settings.service.standby_capacity if serving is Serving.STANDBY else 1.0


def preference(
    user: str, home: str, regions: Sequence[RegionPlan], rung: Rung, distance: Mapping[tuple[str, str], float]
) -> tuple[str, ...]:
    """Where the entry sends a region's users, best first. A standby comes last."""
    serving = [region.name for region in regions if region.has_service]
    if rung.policy == "home":
        return home, *(name for name in serving if name != home)
    return tuple(sorted(serving, key=lambda name: (distance.get((user, name), 0.0), name)))


def plan(settings: Settings) -> Topology:
    """Decide everything. Raises `SettingsError` with every reason why these settings cannot be planned."""
    known, rung, home = catalogue(settings.target), LADDER[settings.phase], settings.home_region
    listed = sorted(settings.regions, key=lambda region: region.name != home)  # stable: home first, then as listed
    planned = [known[region.name] for region in listed]
    partitions = places(settings, rung)
    problems = check(settings, rung, partitions, planned)
    if problems:
        raise SettingsError(problems)

    slots = {region.name: slot_of(settings, region) for region in listed}
    cidrs = ranges(settings)
    members = plan_members(settings, rung, partitions, planned, slots)
    holds = {
        region.name: tuple(m.name for group in members.values() for m in group if m.region == region.name)
        for region in planned
    }
    regions: list[RegionPlan] = []
    for setting, facts in zip(listed, planned, strict=True):
        in_use = bool(holds[facts.name])  # a region where no copy may be held would cache what it may not hold
        serving = serving_of(facts.name, home, rung, in_use=in_use)
        regions.append(
            RegionPlan(
                name=facts.name,
                slot=slots[facts.name],
                facts=facts,
                cidr=cidrs[facts.name],
                zones=zone_plans(cidrs[facts.name], facts.zones, setting.zones or facts.zones[:ZONES]),
                in_use=in_use,
                serving=serving,
                capacity=capacity_of(serving, settings),
                has_cache=in_use and (facts.name == home or rung.cache_beyond_home),
                members=holds[facts.name],
            )
        )
    links = [link(source, target) for source in planned for target in planned if source is not target]
    distance = {(path.source, path.target): path.rtt_ms for path in links}
    made = Topology(
        app=settings.app,
        environment=settings.environment,
        target=settings.target,
        phase=settings.phase,
        home=home,
        regions=tuple(regions),
        partitions=tuple(
            PartitionPlan(
                name=place.name,
                slot=place.slot,
                origin=place.origin,
                members=tuple(member.name for member in members[place.name]),
                primary_jurisdictions=place.residency.primary,
                copy_jurisdictions=place.residency.copies,
                serves=place.serves,
                durability=place.durability if rung.quorum else "async",
            )
            for place in partitions
        ),
        members=tuple(
            sorted((m for group in members.values() for m in group), key=lambda member: not member.is_origin)
        ),
        links=tuple(links) if settings.local.latency else tuple(without_delay(path) for path in links),
        entry=EntryPlan(
            name=entry_name(settings.app),
            hostname=settings.hostname,
            policy=rung.policy,
            preference={region.name: preference(region.name, home, regions, rung, distance) for region in regions},
        ),
        objectives=Objectives(
            rto_seconds=settings.objectives.rto_seconds,
            rpo_seconds=settings.objectives.rpo_seconds,
            availability_percent=settings.objectives.availability_percent,
            read_p99_ms=settings.objectives.read_p99_ms,
            write_p99_ms=settings.objectives.write_p99_ms,
        ),
        automatic_failover=settings.failover.automatic,
        local=local_plan(settings),
        backups=backups(settings, rung, planned),
        service=service_plan(settings),
        ownership=ownership(settings),
        retention=retention(settings),
        alarm_emails=settings.alarms.emails if settings.target != "local" else (),
        aws=aws_plan(settings),
        gcp=gcp_plan(settings),
    )
    if made.automatic_failover and not keepers(made):
        raise SettingsError([without_keepers(settings)])
    return made


def without_keepers(settings: Settings) -> str:
    """Why nothing may move the writer by itself: it could not tell a writer that is lost from one that it is cut off
    from, and there would be two."""
    if settings.target != "local":
        why = f"the target {settings.target} has no keepers; its managed database fences, and a person decides"
        remedy = "Leave it out; the alarms of each region tell of an outage."
    else:
        why = f"{settings.phase.label} with {len(settings.regions)} listed has no keepers, who hold the writer's lease"
        remedy = f"Climb to {Phase.ACTIVE_PASSIVE.label} with {LEAST} regions listed, or set false."
    return f"failover.automatic: true is not allowed: {why}. {remedy}"


def without_delay(path: LinkPlan) -> LinkPlan:
    return LinkPlan(
        source=path.source, target=path.target, rtt_ms=0.0, estimated=False, provenance="turned off by local.latency"
    )


def local_plan(settings: Settings) -> LocalPlan | None:
    if settings.target != "local":
        return None
    return LocalPlan(
        postgres_folder=settings.local.postgres_folder,
        valkey_folder=settings.local.valkey_folder,
        envoy_folder=settings.local.envoy_folder,
    )
