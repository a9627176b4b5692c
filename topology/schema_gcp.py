"""What users write for the target gcp alone: the keys under `gcp`."""

from typing import Literal

from topology.section import HOSTNAME, Number, Section, setting


class GcpZoneSetting(Section):
    name: str = setting(
        allowed="a managed zone's name in Cloud DNS, such as example-com",
        meaning="The public managed zone that `hostname` is in.",
        pattern=r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$",
    )
    dns_name: str = setting(
        allowed="the managed zone's DNS name without the dot at its end, which `hostname` ends with",
        meaning="The managed zone's DNS name.",
        pattern=HOSTNAME,
    )


class GcpDatabaseSetting(Section):
    version: Literal["POSTGRES_14", "POSTGRES_15", "POSTGRES_16", "POSTGRES_17", "POSTGRES_18"] = setting(
        "POSTGRES_17",
        allowed="POSTGRES_14, POSTGRES_15, POSTGRES_16, POSTGRES_17, POSTGRES_18",
        meaning="The version that members are created with; a later change upgrades each instance in place, "
        "and it is down meanwhile.",
    )
    # The N2 machines of Enterprise Plus (cloud.google.com/sql/docs/postgres/machine-series-overview). The C4A ones keep
    # their data on Hyperdisk, which members are not built with, and are not in every region.
    tier: Literal[
        "db-perf-optimized-N-2",
        "db-perf-optimized-N-4",
        "db-perf-optimized-N-8",
        "db-perf-optimized-N-16",
        "db-perf-optimized-N-32",
        "db-perf-optimized-N-48",
        "db-perf-optimized-N-64",
        "db-perf-optimized-N-80",
        "db-perf-optimized-N-96",
        "db-perf-optimized-N-128",
    ] = setting(
        "db-perf-optimized-N-4",
        allowed="a machine of Enterprise Plus: db-perf-optimized-N-2, -4, -8, -16, -32, -48, -64, -80, -96 or -128",
        meaning="The machine of every member, so that any of them can take over.",
    )
    disk_gib: Number = setting(
        100,
        allowed="a whole number from 10 to 65536",
        meaning="Storage at birth, in GiB. It grows by itself, and a later change is for members that come later.",
        ge=10,
        le=65536,
    )


class GcpCacheSetting(Section):
    node_type: Literal["SHARED_CORE_NANO", "STANDARD_SMALL", "HIGHMEM_MEDIUM", "HIGHMEM_XLARGE"] = setting(
        "STANDARD_SMALL",
        allowed="SHARED_CORE_NANO, STANDARD_SMALL, HIGHMEM_MEDIUM, HIGHMEM_XLARGE",
        # cloud.google.com/memorystore/docs/valkey/instance-node-specification.
        meaning="The type of each node of the cache; Google gives no service level for SHARED_CORE_NANO.",
    )
    shards: Number = setting(
        1,
        allowed="a whole number from 1 to 125",
        meaning="Shards of the cache.",
        ge=1,
        # 250 nodes an instance, and each shard has a replica (cloud.google.com/memorystore/docs/valkey/quotas).
        le=125,
    )


class GcpSetting(Section):
    project: str | None = setting(
        None,
        allowed="a project's id: 6 to 30 lower-case letters, digits and hyphens; needed on gcp",
        meaning="The project that the stack is built in. It never changes.",
        pattern=r"^[a-z][a-z0-9-]{4,28}[a-z0-9]$",
    )
    project_number: str | None = setting(
        None,
        allowed="the project's number, 6 to 19 digits, in quotes; needed on gcp",
        meaning="The project's number, which the names of Google's own service agents are made of. It never changes.",
        pattern=r"^\d{6,19}$",
    )
    zone: GcpZoneSetting | None = setting(
        None,
        allowed="name, dns_name; needed on gcp",
        meaning="The managed zone that `hostname` is in. It never changes: its records would be made anew.",
    )
    service: Literal["cloud-run", "instance-group"] = setting(
        "cloud-run",
        allowed="cloud-run, instance-group",
        meaning="What runs the service: Cloud Run, or machines behind active health checks. "
        "A change makes the service of every region anew.",
    )
    database: GcpDatabaseSetting = setting(
        GcpDatabaseSetting(), allowed="version, tier, disk_gib", meaning="Cloud SQL Enterprise Plus."
    )
    cache: GcpCacheSetting = setting(GcpCacheSetting(), allowed="node_type, shards", meaning="Memorystore for Valkey.")
