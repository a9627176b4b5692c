"""A region's own Valkey on ElastiCache: serverless, or nodes.

Nothing in it is worth keeping: it is filled from the database, a region that takes over begins with its own, and no two
caches know of each other. So it has no snapshots, whose restored contents would be older than the database beside them.
"""

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from components.aws import names
from components.aws.tags import tags
from components.component import Component
from components.contracts import CacheArgs

USER = "service"
PORT = 6379

# Of users, groups, serverless caches and replication groups: 1 to 40 letters, digits and single hyphens
# (docs.aws.amazon.com/AmazonElastiCache/latest/dg: Clusters.Create.CON, Clusters.RBAC).
NAME_LIMIT = 40

# All keys and channels, but none of the commands that empty, list or reconfigure the cache (valkey.io/topics/acl).
# INFO counts as dangerous too, and clients find the writer with it (valkey-glide).
ACCESS = "on ~* &* +@all -@dangerous +info"

# A rotation sets a new password by API, and a deployment must not put the first one back. The provider never reads
# passwords, so a refresh shows nothing of it (terraform-provider-aws: resourceUserRead in elasticache/user.go).
USER_IGNORES = ["authentication_mode"]

# AWS raises the minor version by itself, and a version lower than the running one replaces the cache (replacement.csv).
NODES_IGNORES = ["engine_version"]

# What an error may cost: a serverless cache is billed by what it holds and does, and has no bound of its own.
MAXIMUM_GB = 50
MAXIMUM_ECPU_PER_SECOND = 100_000

# The family belongs to the parameter group's name: another family makes another group, which must not collide with
# the one in use.
MAJOR, VERSION, FAMILY = "8", "8.2", "valkey8"
NODES = 2  # one takes over when the other's zone is gone; a third would protect what is worth nothing


class Cache(Component):
    """Outputs: `cache_id`, `endpoint` ("host:port", TLS only)."""

    cache_id: pulumi.Output[str]
    endpoint: pulumi.Output[str]

    def __init__(self, name: str, args: CacheArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("aws", name, opts)
        topology, region = args.topology, args.region
        assert topology.aws is not None, "checked with the settings"
        assert args.secrets is not None, "checked with the settings"
        self.args = args
        self.tags = tags(topology, name, region=region.name)
        group = self.users(args.secrets.cache_password)
        if topology.aws.cache_mode == "serverless":
            self.cache_id, self.endpoint = self.serverless(group)
        else:
            self.cache_id, self.endpoint = self.nodes(group, topology.aws.cache_node_type)
        self.expose(cache_id=self.cache_id, endpoint=self.endpoint)

    def physical(self, *parts: str, limit: int = NAME_LIMIT) -> str:
        return names.name(self.args.topology, self.args.region.name, *parts, limit=limit)

    def users(self, password: pulumi.Input[str]) -> pulumi.Output[str]:
        """The group of those who may sign in: `service` alone."""
        service = self.user("service", USER, ACCESS, password)
        # A user of that name is who a client is that signs in without one. Off, with a password all the same: a group
        # for Valkey takes no user who needs none (docs: Clusters.RBAC).
        default = self.user("default", "default", "off ~* -@all", password)
        group = aws.elasticache.UserGroup(
            f"{self.name}-users",
            user_group_id=self.physical("cache"),
            engine="valkey",
            user_ids=[default.user_id, service.user_id],
            tags=self.tags,
            region=self.args.region.name,
            opts=self.child(),
        )
        return group.user_group_id

    def user(self, part: str, name: str, access: str, password: pulumi.Input[str]) -> aws.elasticache.User:
        return aws.elasticache.User(
            f"{self.name}-{part}",
            user_id=self.physical("cache", part),
            user_name=name,
            engine="valkey",
            access_string=access,
            authentication_mode=aws.elasticache.UserAuthenticationModeArgs(type="password", passwords=[password]),
            tags=self.tags,
            region=self.args.region.name,
            opts=self.child(ignore_changes=USER_IGNORES),
        )

    def serverless(self, group: pulumi.Input[str]) -> tuple[pulumi.Output[str], pulumi.Output[str]]:
        limits = aws.elasticache.ServerlessCacheCacheUsageLimitsArgs(
            data_storage=aws.elasticache.ServerlessCacheCacheUsageLimitsDataStorageArgs(unit="GB", maximum=MAXIMUM_GB),
            ecpu_per_seconds=[
                aws.elasticache.ServerlessCacheCacheUsageLimitsEcpuPerSecondArgs(maximum=MAXIMUM_ECPU_PER_SECOND)
            ],
        )
        cache = aws.elasticache.ServerlessCache(
            f"{self.name}-valkey",
            name=self.physical(),
            description=self.name,
            engine="valkey",
            major_engine_version=MAJOR,
            cache_usage_limits=limits,
            kms_key_id=self.args.key_ids["cache"],
            security_group_ids=[self.args.network.group_ids["cache"]],
            # The cache itself spans the region's zones; these are where it can be reached. A change replaces it, so a
            # zone that joins the region later is none of them.
            subnet_ids=self.args.network.subnet_ids["isolated"][:3],
            user_group_id=group,
            snapshot_retention_limit=0,
            tags=self.tags,
            region=self.args.region.name,
            opts=self.child(),
        )
        return cache.id, cache.endpoints.apply(address)

    def nodes(self, group: pulumi.Input[str], node_type: str) -> tuple[pulumi.Output[str], pulumi.Output[str]]:
        region = self.args.region.name
        subnets = aws.elasticache.SubnetGroup(
            f"{self.name}-subnets",
            name=self.physical("cache", limit=255),  # API CreateCacheSubnetGroup
            description=self.name,
            subnet_ids=self.args.network.subnet_ids["isolated"],
            tags=self.tags,
            region=region,
            opts=self.child(),
        )
        parameters = aws.elasticache.ParameterGroup(
            f"{self.name}-parameters",
            name=self.physical("cache", FAMILY, limit=255),  # API CreateCacheParameterGroup
            description=self.name,
            family=FAMILY,
            parameters=[
                # The default, volatile-lru, refuses writes once it is full of keys that never expire.
                aws.elasticache.ParameterGroupParameterArgs(name="maxmemory-policy", value="allkeys-lru")
            ],
            tags=self.tags,
            region=region,
            opts=self.child(),
        )
        cache = aws.elasticache.ReplicationGroup(
            f"{self.name}-nodes",
            replication_group_id=self.physical(),
            description=self.name,
            engine="valkey",
            engine_version=VERSION,
            auto_minor_version_upgrade=True,
            node_type=node_type,
            num_cache_clusters=NODES,
            cluster_mode="disabled",
            multi_az_enabled=True,
            automatic_failover_enabled=True,
            port=PORT,
            parameter_group_name=parameters.name,
            subnet_group_name=subnets.name,
            security_group_ids=[self.args.network.group_ids["cache"]],
            at_rest_encryption_enabled=True,
            kms_key_id=self.args.key_ids["cache"],
            transit_encryption_enabled=True,
            transit_encryption_mode="required",
            user_group_ids=[group],
            snapshot_retention_limit=0,
            tags=self.tags,
            region=region,
            opts=self.child(ignore_changes=NODES_IGNORES),
        )
        return cache.id, pulumi.Output.format("{0}:{1}", cache.primary_endpoint_address, PORT)


def address(endpoints: Sequence[aws.elasticache.outputs.ServerlessCacheEndpoint] | None) -> str:
    """A serverless cache has one endpoint for reads and writes; only a recorder knows of none."""
    return next((f"{endpoint.address}:{endpoint.port}" for endpoint in endpoints or ()), "")
