"""What users write: the keys of a stack's settings file, `Pulumi.<stack>.yaml`, under `meridian:`.

pydantic stands here, at the border; behind it everything is a frozen dataclass. Each key says once what it means and
what is allowed: the messages and docs/settings.md both come from here.
"""

from ipaddress import IPv4Network
from typing import Annotated

from pydantic import BeforeValidator, Field

from topology.addressing import SUPERNET
from topology.model import Durability, Phase, Target
from topology.nearest import nearest
from topology.schema_aws import AwsSetting
from topology.schema_clouds import AlarmsSetting, OwnershipSetting, RetentionSetting
from topology.schema_gcp import GcpSetting
from topology.section import HOSTNAME, Fraction, Number, Section, setting

# Part of every name, so short, and what a DNS label and all clouds' names allow.
NAME = r"^[a-z]([a-z0-9-]{0,18}[a-z0-9])?$"
NAME_ALLOWED = "1 to 20 lower-case letters, digits and hyphens, a letter first, no hyphen last"
PLACE = r"^[A-Z]{2}$"
PLACES_ALLOWED = "a list of two-letter codes in capitals: EU, US, DE, …"
Places = tuple[Annotated[str, Field(pattern=PLACE)], ...]
IMAGE = r"^[a-z0-9][a-z0-9._/:-]*(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}|@sha256:[a-f0-9]{64})$"

PHASES = ", ".join(f"{phase.label} ({phase.value})" for phase in Phase)


def parse_phase(value: object) -> Phase:
    """A phase by name or by number; Pulumi hands numbers over as text."""
    if isinstance(value, Phase):
        return value
    text = str(value).strip()
    for phase in Phase:
        if text in (phase.label, str(phase.value)):
            return phase
    raise ValueError(nearest(text, [phase.label for phase in Phase]))


class RegionSetting(Section):
    name: str = setting(
        allowed="a region of the target's catalogue",
        meaning="The region. List every region you plan to use, from day one: ranges and names are reserved once.",
    )
    slot: Number | None = setting(
        None,
        allowed="a whole number from 0 that no other region has; on the local target up to 15",
        meaning="The region's number, from which its addresses come. It never changes and is never reused. "
        "Left out: the catalogue's own number for the region.",
        ge=0,
        le=255,
    )
    cidr: IPv4Network | None = setting(
        None,
        allowed="a private IPv4 range, /16 to /20, that no other region's touches",
        meaning="The region's own range, where the one that follows from the slot does not suit.",
    )
    zones: tuple[str, ...] | None = setting(
        None,
        allowed="two or more of the region's zones in the catalogue",
        meaning="The zones to use. Left out: all zones of the catalogue.",
        min_length=2,
    )


class NetworkSetting(Section):
    supernet: IPv4Network = setting(
        SUPERNET,
        allowed="a private IPv4 range, /16 or larger, with room for a /16 for every slot in use",
        meaning="The range that the regions' ranges are cut from: slot 0 has its first /16, slot 1 the next.",
    )


class DatabaseSetting(Section):
    durability: Durability = setting(
        "async",
        allowed="async; quorum on the target local alone",
        meaning="`quorum`: a commit waits until one other member of the partition has it. Takes effect from phase 4 "
        "on, and needs three members; below phase 4 writes are replicated asynchronously, and between a cloud's "
        "regions always.",
    )


class ServiceSetting(Section):
    standby_capacity: Fraction = setting(
        0.25,
        allowed="a number above 0, up to 1",
        meaning="The fraction of full capacity that the standby of phase 3 keeps warm.",
        gt=0,
        le=1,
    )
    image: str | None = setting(
        None,
        allowed="a container image with its tag or digest; needed on aws and gcp",
        meaning="What the service runs on a cloud.",
        pattern=IMAGE,
        max_length=512,
    )
    port: Number = setting(
        8000, allowed="a port, 1024 to 65535", meaning="The port that the image listens on.", ge=1024, le=65535
    )
    cpu: Fraction = setting(
        1.0,
        allowed="on aws 0.25, 0.5, 1, 2, 4, 8, 16, 32; on gcp 1, 2, 4, 6, 8 for Cloud Run",
        meaning="Virtual processors of one instance of the service on a cloud.",
        gt=0,
        le=32,
    )
    memory_mib: Number = setting(
        2048,
        allowed="a whole number above 0 that goes with `service.cpu` on the target",
        meaning="Memory of one instance of the service on a cloud, in MiB.",
        gt=0,
    )
    minimum: Number = setting(
        3, allowed="a whole number from 2", meaning="Instances in a region at full capacity while idle.", ge=2
    )
    maximum: Number = setting(
        30, allowed="a whole number, `service.minimum` or more", meaning="Instances in a region at most.", ge=2
    )


class ResidencySetting(Section):
    primary: Places | None = setting(
        None,
        allowed=PLACES_ALLOWED,
        meaning="Jurisdictions or countries where the partition's writer may be. Left out: anywhere.",
        min_length=1,
    )
    copies: Places | None = setting(
        None,
        allowed=PLACES_ALLOWED,
        meaning="Jurisdictions or countries where a copy may be held. Left out: anywhere.",
        min_length=1,
    )


class PartitionSetting(Section):
    name: str = setting(
        allowed=NAME_ALLOWED + "; not `main`, which is always there",
        meaning="The partition. Its members are named after it.",
        pattern=NAME,
    )
    slot: Number = setting(
        allowed="a whole number from 1 to 15 that no other partition has",
        meaning="The partition's number, from which its ports come. It never changes and is never reused.",
        ge=1,
        le=15,
    )
    origin: str = setting(
        allowed="one of the listed regions",
        meaning="The region that the partition's first member is created in. It never changes.",
    )
    serves: Places = setting(
        allowed=PLACES_ALLOWED,
        meaning="Jurisdictions or countries whose customers belong to this partition. Everyone else belongs to `main`.",
        min_length=1,
    )
    residency: ResidencySetting = setting(
        ResidencySetting(), allowed="primary, copies", meaning="Where this partition's data may be."
    )
    durability: Durability | None = setting(
        None,
        allowed="async; quorum on the target local alone",
        meaning="As `database.durability`, which holds where this is left out.",
    )


class ConflictSetting(Section):
    model: str | None = setting(
        None,
        allowed="home-partition",
        meaning="What settles two writes to the same thing; phase 5 needs it. `home-partition`: each customer has one "
        "home partition with one writer, so that there are none.",
    )


class ObjectivesSetting(Section):
    rto_seconds: Number | None = setting(
        None, allowed="a whole number above 0", meaning="How long a region's loss may stop writes.", gt=0
    )
    rpo_seconds: Number | None = setting(
        None, allowed="a whole number from 0", meaning="How many seconds of writes a region's loss may cost.", ge=0
    )
    availability_percent: Fraction | None = setting(
        None, allowed="a number above 0, below 100", meaning="The share of requests that must succeed.", gt=0, lt=100
    )
    read_p99_ms: Number | None = setting(
        None, allowed="a whole number above 0", meaning="The 99th percentile of reads, in milliseconds.", gt=0
    )
    write_p99_ms: Number | None = setting(
        None, allowed="a whole number above 0", meaning="The 99th percentile of writes, in milliseconds.", gt=0
    )


class FailoverSetting(Section):
    automatic: bool = setting(
        False,
        allowed="true, false; true only with keepers: on the target local, from phase 3 on, with three regions listed",
        meaning="Whether `./meridian watch` moves the writer by itself when its region is lost, within "
        "`objectives.rpo_seconds`, which has to be above 0 with asynchronous durability. Else it alarms, and a person "
        "decides.",
    )


class LocalSetting(Section):
    latency: bool = setting(
        True,
        allowed="true, false",
        meaning="Whether links between regions carry the delay of the real distance.",
    )
    postgres_folder: str | None = setting(
        None,
        allowed="an absolute path",
        meaning="The folder of an installed PostgreSQL 18, with `postgres` or `bin/postgres` in it. "
        "Left out: the one from PyPI.",
        pattern="^/",
    )
    valkey_folder: str | None = setting(
        None,
        allowed="an absolute path",
        meaning="The folder of an installed Valkey, with `valkey-server` in it. Left out: the one from PyPI.",
        pattern="^/",
    )
    envoy_folder: str | None = setting(
        None,
        allowed="an absolute path",
        meaning="The folder of an installed Envoy, with `envoy` in it. Left out: the one from PyPI.",
        pattern="^/",
    )


class Settings(Section):
    """One stack's settings, sound in themselves. Whether they can be planned is for `plan` to say."""

    phase: Annotated[Phase, BeforeValidator(parse_phase)] = setting(
        Phase.SINGLE_REGION,
        allowed=PHASES,
        meaning="How far up the ladder the stack is. Raise it, and the stack grows in place.",
    )
    target: Target = setting(allowed="aws, gcp, local", meaning="Where the stack is built. It never changes.")
    app: str = setting(
        "meridian",
        allowed=NAME_ALLOWED,
        meaning="The name that every resource carries. It never changes.",
        pattern=NAME,
    )
    regions: tuple[RegionSetting, ...] = setting(
        allowed="a list of one or more regions",
        meaning="Every planned region. The phase decides how many are used, in this order after home.",
        min_length=1,
    )
    home: str | None = setting(
        None,
        allowed="one of the listed regions",
        meaning="The region that `main` is created in and that phase 1 uses. It never changes. "
        "Left out: the first region.",
    )
    hostname: str | None = setting(
        None,
        allowed="a DNS name; needed on aws and gcp, left out on local",
        meaning="The one address that users call. It is there from phase 1 and never changes.",
        pattern=HOSTNAME,
        max_length=253,
    )
    network: NetworkSetting = setting(NetworkSetting(), allowed="supernet", meaning="Addresses.")
    database: DatabaseSetting = setting(DatabaseSetting(), allowed="durability", meaning="The database of `main`.")
    service: ServiceSetting = setting(
        ServiceSetting(),
        allowed="standby_capacity, image, port, cpu, memory_mib, minimum, maximum",
        meaning="The regional service.",
    )
    residency: ResidencySetting = setting(
        ResidencySetting(), allowed="primary, copies", meaning="Where the data of `main` may be."
    )
    partitions: tuple[PartitionSetting, ...] = setting(
        (),
        allowed="a list of partitions",
        meaning="The partitions beside `main`, which is always the first. Used by phase 5, which needs at least one.",
    )
    conflicts: ConflictSetting = setting(
        ConflictSetting(), allowed="model", meaning="How conflicting writes are settled."
    )
    objectives: ObjectivesSetting = setting(
        ObjectivesSetting(),
        allowed="rto_seconds, rpo_seconds, availability_percent, read_p99_ms, write_p99_ms",
        meaning="What the stack's owner asks of it.",
    )
    failover: FailoverSetting = setting(
        FailoverSetting(), allowed="automatic", meaning="What happens when a writer is lost."
    )
    retire: tuple[str, ...] = setting(
        (),
        allowed="a list of region names",
        meaning="Regions whose data may be given up when the phase goes down or the region is dropped.",
    )
    ownership: OwnershipSetting = setting(
        OwnershipSetting(),
        allowed="owner, cost_center, data_class",
        meaning="Who answers for the stack; every resource of a cloud carries it.",
    )
    retention: RetentionSetting = setting(
        RetentionSetting(),
        allowed="point_in_time_days, backup_days, log_days",
        meaning="How long things are kept on a cloud.",
    )
    alarms: AlarmsSetting = setting(AlarmsSetting(), allowed="emails", meaning="Who is told of an alarm on a cloud.")
    aws: AwsSetting = setting(
        AwsSetting(),
        allowed="account_id, zone, nat, entry, database, cache",
        meaning="What only the target aws has.",
    )
    gcp: GcpSetting = setting(
        GcpSetting(),
        allowed="project, project_number, zone, service, database, cache",
        meaning="What only the target gcp has.",
    )
    local: LocalSetting = setting(
        LocalSetting(),
        allowed="latency, postgres_folder, valkey_folder, envoy_folder",
        meaning="What only the local target has.",
    )
    # Not a key: the stack's name, which Pulumi knows.
    environment: str = Field(default="", exclude=True)

    @property
    def home_region(self) -> str:
        return self.home if self.home is not None else self.regions[0].name


KEYS = tuple(name for name in Settings.model_fields if name != "environment")

# The keys that hold one word; Pulumi hands every other over as the JSON text of an object or an array.
WORDS = ("phase", "target", "app", "home", "hostname")
