"""What users write for the target aws alone: the keys under `aws`."""

from typing import Literal

from topology.section import HOSTNAME, Fraction, Number, Section, setting


class AwsZoneSetting(Section):
    id: str = setting(
        allowed="a hosted zone's id, such as Z0123456789ABCDEFGHIJ",
        meaning="The public Route 53 hosted zone that `hostname` is in.",
        pattern=r"^Z[A-Z0-9]{5,31}$",
    )
    name: str = setting(
        allowed="the hosted zone's DNS name, which `hostname` ends with",
        meaning="The hosted zone's name.",
        pattern=HOSTNAME,
    )


class AwsDatabaseSetting(Section):
    engine_version: str = setting(
        # A minor version with long-term support, kept for three years and not for one (docs.aws.amazon.com/AmazonRDS
        # /latest/AuroraUserGuide/AuroraPostgreSQL.Updates.LTS.html).
        "17.7",
        allowed="a version of Aurora PostgreSQL in topology/offers_aws.csv, in quotes",
        meaning="The version that members are created with; a later change upgrades the global cluster in place.",
        pattern=r"^\d{2}\.\d{1,2}$",
    )
    instance_class: str = setting(
        "db.serverless",
        allowed="db.serverless, or a memory-optimised class that all listed regions offer",
        meaning="The class of every instance of every member, so that any of them can take over.",
        pattern=r"^db\.[a-z0-9-]+(\.[a-z0-9-]+)?$",
    )
    minimum_acu: Fraction = setting(
        8.0,
        allowed="0.5 to 256 in steps of 0.5",
        # 8 is what AWS recommends for a global database's primary, and any member may become that (docs.aws.amazon.com
        # /AmazonRDS/latest/AuroraUserGuide/aurora-global-database.configuration.requirements.html). Not 0: an instance
        # that pauses would keep commits waiting for seconds.
        meaning="Capacity units that an instance of Serverless v2 keeps; AWS recommends 8 or more.",
        ge=0.5,
        le=256,
        multiple_of=0.5,
    )
    maximum_acu: Fraction = setting(
        64.0,
        allowed="1 to 256 in steps of 0.5, `minimum_acu` or more",
        meaning="Capacity units that an instance of Serverless v2 grows to.",
        ge=1,
        le=256,
        multiple_of=0.5,
    )
    rpo_seconds: Number | None = setting(
        None,
        allowed="a whole number from 20 to 2147483647, or left out",
        meaning="Managed RPO (`rds.global_db_rpo`), in seconds: commits wait while every other region is further "
        "behind than this. It takes effect for partitions of three or more members, which is normally from phase 4 "
        "on: with two, the loss of one would stop all writes. Left out: they never wait.",
        ge=20,
        le=2147483647,  # an integer parameter of PostgreSQL has 32 bits
    )


class AwsCacheSetting(Section):
    mode: Literal["serverless", "nodes"] = setting(
        "serverless",
        allowed="serverless, nodes",
        meaning="ElastiCache Serverless, or nodes of a class. It never changes.",
    )
    node_type: str = setting(
        "cache.r7g.large",
        allowed="a node type that all listed regions offer",
        meaning="The type of each node; unused for serverless.",
        pattern=r"^cache\.[a-z0-9-]+\.[a-z0-9-]+$",
    )


class AwsSetting(Section):
    account_id: str | None = setting(
        None,
        allowed="12 digits, in quotes; needed on aws",
        meaning="The account that the stack is built in; any other is refused before anything is done.",
        pattern=r"^\d{12}$",
    )
    zone: AwsZoneSetting | None = setting(
        None, allowed="id, name; needed on aws", meaning="The hosted zone that `hostname` is in."
    )
    nat: Literal["per-zone", "single", "regional"] = setting(
        "per-zone",
        allowed="per-zone, single, regional",
        meaning="How private subnets reach the internet. A change gives the region other public addresses.",
    )
    entry: Literal["route53", "global-accelerator"] = setting(
        "route53",
        allowed="route53, global-accelerator",
        meaning="What leads users to a region: latency records, or two fixed addresses that are the same everywhere.",
    )
    database: AwsDatabaseSetting = setting(
        AwsDatabaseSetting(),
        allowed="engine_version, instance_class, minimum_acu, maximum_acu, rpo_seconds",
        meaning="Aurora.",
    )
    cache: AwsCacheSetting = setting(AwsCacheSetting(), allowed="mode, node_type", meaning="ElastiCache.")
