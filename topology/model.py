"""What a plan is made of: frozen, plain values that every target, test, picture and runbook reads.

A decision stands here exactly once. What exists only after a deployment (addresses that a cloud hands out,
resource ids, who is writer now) is no part of a plan.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from ipaddress import IPv4Network
from typing import Literal, TypeAlias

Target: TypeAlias = Literal["aws", "gcp", "local"]
Durability: TypeAlias = Literal["async", "quorum"]
DataClass: TypeAlias = Literal["public", "internal", "confidential", "restricted"]


class Phase(IntEnum):
    """A rung of the ladder. Ordered: a higher phase only adds."""

    SINGLE_REGION = 1
    ASYNC_REPLICA = 2
    ACTIVE_PASSIVE = 3
    MULTI_REGION_READS = 4
    ACTIVE_ACTIVE = 5

    @property
    def label(self) -> str:
        """The name users write: `multi-region-reads`."""
        return self.name.lower().replace("_", "-")


class Serving(StrEnum):
    """What a region does for users."""

    NONE = "none"
    STANDBY = "standby"  # up and warm, takes no users until it is promoted
    READS = "reads"  # answers reads itself, passes writes on to the writer
    FULL = "full"


@dataclass(frozen=True, kw_only=True)
class RegionFacts:
    """What is true of a region whoever uses it: one row of the catalogue."""

    name: str
    target: Target
    place: str  # "Frankfurt"
    country: str  # ISO 3166-1 alpha-2
    continent: str  # "Europe", "North America", "South America", "Asia", "Oceania", "Africa"
    jurisdiction: str  # the bloc or country whose law binds data held here: "EU", "US", "JP", ...
    latitude: float
    longitude: float
    zones: tuple[str, ...]  # stable zone ids where the cloud has them
    slot: int  # fixed number in the catalogue, unique within the target


@dataclass(frozen=True, kw_only=True)
class ZonePlan:
    """One zone's subnets, carved from the region's range by the zone's position in the catalogue's fixed list."""

    name: str
    public: IPv4Network
    private: IPv4Network
    isolated: IPv4Network


@dataclass(frozen=True, kw_only=True)
class MemberPlan:
    """One partition's database in one region. Members are symmetric; who is writer is not part of the plan."""

    name: str  # "<partition>-<region>"
    partition: str
    region: str
    is_origin: bool  # the partition's first member; the others are created from a copy
    multi_zone: bool  # never on the local target, which has one server per member
    instances: int  # 0: storage replicates but nothing serves (only where the target can)
    size: Literal["minimal", "full"]  # equal within a partition from phase 3 on


@dataclass(frozen=True, kw_only=True)
class RegionPlan:
    """A planned region. `in_use` says whether this phase builds anything there."""

    name: str
    slot: int
    facts: RegionFacts
    cidr: IPv4Network
    zones: tuple[ZonePlan, ...]
    in_use: bool
    serving: Serving
    capacity: float  # fraction of full service capacity, 0.0 to 1.0
    has_cache: bool
    members: tuple[str, ...]  # names of the members held here

    @property
    def has_service(self) -> bool:
        return self.serving is not Serving.NONE


@dataclass(frozen=True, kw_only=True)
class PartitionPlan:
    """A set of data with one writer region at a time."""

    name: str
    slot: int  # fixed number, 0 for `main`; ports and the like come from it
    origin: str  # the region its first member was created in; never changes
    members: tuple[str, ...]  # member names, origin first, then by region slot
    primary_jurisdictions: tuple[str, ...] | None  # where a writer may live; None: anywhere
    copy_jurisdictions: tuple[str, ...] | None  # where a copy may be held; None: anywhere
    serves: tuple[str, ...]  # jurisdictions or countries whose customers belong here; empty: everyone else
    durability: Durability


@dataclass(frozen=True, kw_only=True)
class LinkPlan:
    """A directed path between two planned regions."""

    source: str
    target: str
    rtt_ms: float
    estimated: bool  # True: from great-circle distance; False: from the cited measurement
    provenance: str

    @property
    def one_way_ms(self) -> float:
        return self.rtt_ms / 2


@dataclass(frozen=True, kw_only=True)
class EntryPlan:
    """The one global address. It exists from phase 1 and never changes."""

    name: str
    hostname: str | None  # None on the local target
    policy: Literal["home", "nearest"]
    # For users in each planned region: the serving regions in order of preference. A standby comes last and
    # is held out until operations promote it.
    preference: dict[str, tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class Objectives:
    """What the stack's owner asks for; None where nothing was asked."""

    rto_seconds: int | None
    rpo_seconds: int | None
    availability_percent: float | None
    read_p99_ms: int | None
    write_p99_ms: int | None


@dataclass(frozen=True, kw_only=True)
class LocalPlan:
    """What only the local target has: folders of installed servers; None where the wheels' own are used."""

    postgres_folder: str | None
    valkey_folder: str | None
    envoy_folder: str | None


@dataclass(frozen=True, kw_only=True)
class BackupPlan:
    """A region that has a vault: its own members' backups, and copies of another region's."""

    region: str
    copy_to: str | None  # the region that this one's backups are copied to; None where residency allows none


@dataclass(frozen=True, kw_only=True)
class ServicePlan:
    """How the service runs on a cloud; the same in every region, times the region's capacity."""

    image: str  # a container image with its digest or tag
    port: int
    cpu: float  # vCPU of one instance
    memory_mib: int
    minimum: int  # instances at full capacity when idle
    maximum: int  # instances at most, in one region


@dataclass(frozen=True, kw_only=True)
class Ownership:
    """Who answers for the stack, and what kind of data it holds: every resource carries it as tags."""

    owner: str
    cost_center: str
    data_class: DataClass


@dataclass(frozen=True, kw_only=True)
class Retention:
    """How long things are kept, in days."""

    point_in_time_days: int  # the database's own continuous backup
    backup_days: int  # snapshots in the vault
    log_days: int


@dataclass(frozen=True, kw_only=True)
class AwsPlan:
    """What only the target aws has."""

    account_id: str
    zone_id: str  # the hosted zone that the entry's hostname is in
    zone_name: str
    nat: Literal["per-zone", "single", "regional"]
    entry: Literal["route53", "global-accelerator"]
    engine_version: str  # of Aurora PostgreSQL
    instance_class: str  # db.serverless for Serverless v2
    minimum_acu: float  # Serverless v2 capacity units; unused for other classes
    maximum_acu: float
    rpo_seconds: int | None  # managed RPO: commits wait while every other region is further behind; None: never
    cache_mode: Literal["serverless", "nodes"]
    cache_node_type: str  # unused for serverless


@dataclass(frozen=True, kw_only=True)
class GcpPlan:
    """What only the target gcp has."""

    project: str
    project_number: str  # part of the names of Google's own service agents
    zone_name: str  # the managed zone that the entry's hostname is in
    zone_dns_name: str  # without the dot at its end
    service: Literal["cloud-run", "instance-group"]
    database_version: str  # POSTGRES_17
    tier: str  # of Cloud SQL Enterprise Plus
    disk_gib: int  # at birth
    cache_node_type: str
    cache_shards: int


@dataclass(frozen=True, kw_only=True)
class Topology:
    """Everything that was decided for one stack at one phase."""

    app: str
    environment: str  # the stack's name
    target: Target
    phase: Phase
    home: str
    regions: tuple[RegionPlan, ...]  # all planned regions, home first, then as listed
    partitions: tuple[PartitionPlan, ...]
    members: tuple[MemberPlan, ...]  # origin members first
    links: tuple[LinkPlan, ...]  # every ordered pair of planned regions
    entry: EntryPlan
    objectives: Objectives
    automatic_failover: bool  # whether the watcher may act; only where there are keepers
    local: LocalPlan | None  # None on the clouds
    # What follows is None or empty on the local target.
    backups: tuple[BackupPlan, ...]
    service: ServicePlan | None
    ownership: Ownership | None
    retention: Retention | None
    alarm_emails: tuple[str, ...]
    aws: AwsPlan | None  # None on the other targets
    gcp: GcpPlan | None

    @property
    def regions_in_use(self) -> tuple[RegionPlan, ...]:
        return tuple(region for region in self.regions if region.in_use)

    def region(self, name: str) -> RegionPlan:
        return next(region for region in self.regions if region.name == name)

    def member(self, name: str) -> MemberPlan:
        return next(member for member in self.members if member.name == name)

    def partition(self, name: str) -> PartitionPlan:
        return next(partition for partition in self.partitions if partition.name == name)

    def link(self, source: str, target: str) -> LinkPlan:
        return next(link for link in self.links if (link.source, link.target) == (source, target))
