"""A region's own Valkey on Memorystore.

Nothing in it is worth keeping: it is filled from the database, a region that takes over begins with its own, and no two
caches know of each other. So it writes nothing to disk and is not backed up: restored contents would be older than the
database beside them.
"""

from collections.abc import Sequence
from typing import cast

import pulumi
import pulumi_gcp as gcp
from pulumi_gcp.memorystore import outputs

from components.component import Component
from components.contracts import CacheArgs
from components.gcp import names, paths, windows
from components.gcp.labels import labels

# Who a client is that signs in with a token of IAM; which service account it is, IAM tells from the token
# (cloud.google.com/memorystore/docs/valkey/manage-iam-auth).
USER = "default"

PORT = 6379

# 4 to 63 lower-case letters, digits and hyphens, unique within the region (SDK: instance_id).
NAME_LIMIT = 63

VERSION = "VALKEY_8_0"
REPLICAS = 1  # of each shard: it takes over when the other's zone is gone; a second would protect what is worth nothing

DAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")

# Made once, by the network's service connection policy. Google answers with endpoints of its own making, and another
# list than the one at birth replaces the cache (replacement.csv; GoogleChrome/webstatus.dev #1554).
CACHE_IGNORES = ["desiredAutoCreatedEndpoints"]


class Cache(Component):
    """Outputs: `cache_id` (the instance's full name), `endpoint` ("host:port", TLS only)."""

    cache_id: pulumi.Output[str]
    endpoint: pulumi.Output[str]
    # Not registered: the certificates that a client must trust, PEM, because every cache has an authority of its own.
    authorities: pulumi.Output[str]

    def __init__(self, name: str, args: CacheArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gcp", name, opts)
        self.args = args
        cache = self.instance()
        # Put together, so that a preview knows it.
        self.cache_id = pulumi.Output.format(
            "projects/{0}/locations/{1}/instances/{2}", args.ground, args.region.name, cache.instance_id
        )
        self.endpoint = cache.endpoints.apply(address)
        self.authorities = cache.managed_server_cas.apply(certificates)
        self.expose(cache_id=self.cache_id, endpoint=self.endpoint)

    def instance(self) -> gcp.memorystore.Instance:
        topology, region = self.args.topology, self.args.region
        assert topology.gcp is not None, "checked with the settings"
        return gcp.memorystore.Instance(
            f"{self.name}-valkey",
            instance_id=names.name(topology, region.name, limit=NAME_LIMIT),
            location=region.name,
            project=self.args.ground,
            engine_version=VERSION,
            node_type=topology.gcp.cache_node_type,
            # Grows in place, which only this mode does; a change of the mode replaces the cache (replacement.csv).
            mode="CLUSTER",
            shard_count=topology.gcp.cache_shards,
            replica_count=REPLICAS,
            zone_distribution_config=gcp.memorystore.InstanceZoneDistributionConfigArgs(mode="MULTI_ZONE"),
            # The default, volatile-lru, refuses writes once it is full of keys that never expire.
            engine_configs={"maxmemory-policy": "allkeys-lru"},
            persistence_config=gcp.memorystore.InstancePersistenceConfigArgs(mode="DISABLED"),
            # These four are for ever (replacement.csv).
            authorization_mode="IAM_AUTH",
            transit_encryption_mode="SERVER_AUTHENTICATION",
            server_ca_mode="GOOGLE_MANAGED_PER_INSTANCE_CA",
            kms_key=self.args.key_ids["cache"],
            desired_auto_created_endpoints=[
                gcp.memorystore.InstanceDesiredAutoCreatedEndpointArgs(
                    network=paths.network(topology), project_id=self.args.ground
                )
            ],
            maintenance_policy=self.window(),
            deletion_protection_enabled=True,
            labels=labels(topology, region=region.name),
            opts=self.child(ignore_changes=CACHE_IGNORES, depends_on=[self.network_first()]),
        )

    def network_first(self) -> pulumi.Input[pulumi.Resource]:
        """The network is named, so that a preview knows it; its service connection policy must be there."""
        waited = self.args.network.subnet_ids["isolated"][0].apply(lambda _: None)
        return cast("pulumi.Input[pulumi.Resource]", waited)  # no resource, but those that the output comes from

    def window(self) -> gcp.memorystore.InstanceMaintenancePolicyArgs:
        day, hour = windows.maintenance(self.args.region)
        return gcp.memorystore.InstanceMaintenancePolicyArgs(
            weekly_maintenance_windows=[
                gcp.memorystore.InstanceMaintenancePolicyWeeklyMaintenanceWindowArgs(
                    day=DAYS[day - 1],
                    start_time=gcp.memorystore.InstanceMaintenancePolicyWeeklyMaintenanceWindowStartTimeArgs(
                        hours=hour, minutes=0, seconds=0, nanos=0
                    ),
                )
            ]
        )


def address(endpoints: Sequence[outputs.InstanceEndpoint] | None) -> str:
    """Where a client asks for the shards; only a recorder knows of no endpoint."""
    for endpoint in endpoints or ():
        for connection in endpoint.connections or ():
            found = connection.psc_auto_connection
            if found is not None and found.connection_type == "CONNECTION_TYPE_DISCOVERY":
                return f"{found.ip_address}:{found.port or PORT}"
    return ""


def certificates(authorities: Sequence[outputs.InstanceManagedServerCa] | None) -> str:
    """There is more than one while an authority is being replaced, which Google does years before it ends."""
    return "\n".join(
        certificate.strip()
        for authority in authorities or ()
        for chain in authority.ca_certs or ()
        for certificate in chain.certificates or ()
    )
