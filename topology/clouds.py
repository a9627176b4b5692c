"""What a plan has on a cloud alone: backups, the service's sizes, who answers for it, and what only one of them has."""

from collections.abc import Sequence

from topology.ladder import LADDER, Rung
from topology.model import AwsPlan, BackupPlan, GcpPlan, Ownership, Phase, RegionFacts, Retention, ServicePlan
from topology.places import Place, copy_regions, places
from topology.schema import Settings


def kept_in(region: str, rung: Rung, partitions: Sequence[Place], planned: Sequence[RegionFacts]) -> list[Place]:
    """The partitions that a region holds a copy of."""
    return [place for place in partitions if region in copy_regions(place, rung, planned)]


def copy_target(region: str, kept: Sequence[Place], planned: Sequence[RegionFacts]) -> str | None:
    """The first other planned region that may hold a copy of everything in the vault, which is copied as a whole."""
    return next(
        (
            other.name
            for other in planned
            if other.name != region and all(place.residency.allows_copy(other) for place in kept)
        ),
        None,
    )


def backups(settings: Settings, rung: Rung, planned: Sequence[RegionFacts]) -> tuple[BackupPlan, ...]:
    """The regions that have a vault: those with members, and those that their backups are copied to.

    A backup that lies only where the data lies is lost with the region, so each is copied from phase 1 on. The target
    suits what the region will hold at the top of the ladder, so that climbing does not move it; where nothing suits all
    of that, what it holds now decides, and the copies stop at the phase that brings the rest. A partition that is
    listed later can still move a target, when its residency forbids the old one.
    """
    if settings.target == "local":
        return ()
    top = LADDER[Phase.ACTIVE_ACTIVE]
    copies: dict[str, str | None] = {}
    for region in planned:
        now = kept_in(region.name, rung, places(settings, rung), planned)
        if now:
            later = kept_in(region.name, top, places(settings, top), planned)
            copies[region.name] = copy_target(region.name, later, planned) or copy_target(region.name, now, planned)
    receives_only = {name for name in copies.values() if name is not None} - set(copies)
    return tuple(
        BackupPlan(region=region.name, copy_to=copies.get(region.name))
        for region in planned
        if region.name in copies or region.name in receives_only
    )


def service_plan(settings: Settings) -> ServicePlan | None:
    chosen = settings.service
    if settings.target == "local" or chosen.image is None:
        return None
    return ServicePlan(
        image=chosen.image,
        port=chosen.port,
        cpu=chosen.cpu,
        memory_mib=chosen.memory_mib,
        minimum=chosen.minimum,
        maximum=chosen.maximum,
    )


def ownership(settings: Settings) -> Ownership | None:
    chosen = settings.ownership
    if settings.target == "local" or chosen.owner is None or chosen.cost_center is None:
        return None
    return Ownership(owner=chosen.owner, cost_center=chosen.cost_center, data_class=chosen.data_class)


def retention(settings: Settings) -> Retention | None:
    chosen = settings.retention
    if settings.target == "local":
        return None
    return Retention(
        point_in_time_days=chosen.point_in_time_days, backup_days=chosen.backup_days, log_days=chosen.log_days
    )


def aws_plan(settings: Settings) -> AwsPlan | None:
    chosen = settings.aws
    if settings.target != "aws" or chosen.account_id is None or chosen.zone is None:
        return None
    return AwsPlan(
        account_id=chosen.account_id,
        zone_id=chosen.zone.id,
        zone_name=chosen.zone.name,
        nat=chosen.nat,
        entry=chosen.entry,
        engine_version=chosen.database.engine_version,
        instance_class=chosen.database.instance_class,
        minimum_acu=chosen.database.minimum_acu,
        maximum_acu=chosen.database.maximum_acu,
        rpo_seconds=chosen.database.rpo_seconds,
        cache_mode=chosen.cache.mode,
        cache_node_type=chosen.cache.node_type,
    )


def gcp_plan(settings: Settings) -> GcpPlan | None:
    chosen = settings.gcp
    if settings.target != "gcp" or chosen.project is None or chosen.project_number is None or chosen.zone is None:
        return None
    return GcpPlan(
        project=chosen.project,
        project_number=chosen.project_number,
        zone_name=chosen.zone.name,
        zone_dns_name=chosen.zone.dns_name,
        service=chosen.service,
        database_version=chosen.database.version,
        tier=chosen.database.tier,
        disk_gib=chosen.database.disk_gib,
        cache_node_type=chosen.cache.node_type,
        cache_shards=chosen.cache.shards,
    )
