"""The arguments and outputs that a component has on every target.

A component takes one frozen arguments object and exposes typed outputs. What was decided comes in as a plan (plain
values); what exists only after a deployment (ids, endpoints) comes in as `pulumi.Input`. No component reads
configuration or the environment.

Ids are opaque to the caller: what an id means is a matter of the target (a VPC, a network, an Envoy), and whoever
takes one only passes it on, which also gives the order of creation. Where a mapping's keys depend on the target, a
target that has nothing to say leaves it empty.

Secrets, Vault, Backup and Signals exist on the clouds only: the local target keeps passwords in files, and is watched
by `status`. Replication, Keeper, Lease and Homes exist on the local target only: on a cloud the managed database
replicates and fences by itself, and an image brings its own partition map.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import pulumi

from topology import LinkPlan, MemberPlan, PartitionPlan, RegionPlan, Topology


@dataclass(frozen=True, kw_only=True)
class FoundationArgs:
    """What a stack has once, before any region."""

    topology: Topology


class FoundationOutputs(Protocol):
    ground: pulumi.Output[str]  # what every later component stands on; local: the stack's address block
    transit: pulumi.Output[str]  # what paths between regions stand on
    credentials: Mapping[str, pulumi.Output[str]]  # secret; local: by role, clouds: the administrator's, by partition
    partition_ids: Mapping[str, pulumi.Output[str]]  # what a partition's members belong to; aws: the global cluster
    write_endpoints: Mapping[str, pulumi.Output[str]]  # by partition: the name that always leads to the writer
    certificate_ids: Mapping[str, pulumi.Output[str]]  # by region: the certificate of the entry's hostname
    # Not registered as outputs: the one explicit provider that every resource of a cloud comes from, and the key under
    # which customers of other partitions are known to `main`, one for the stack; local: one of the credentials.
    provider: pulumi.ProviderResource | None
    directory_key: pulumi.Output[str] | None


@dataclass(frozen=True, kw_only=True)
class KeysArgs:
    """A region's own keys; fixed from phase 1, shared with no other region."""

    topology: Topology
    region: RegionPlan
    ground: pulumi.Input[str]


class KeysOutputs(Protocol):
    key_ids: Mapping[str, pulumi.Output[str]]  # by use; aws, gcp: database, cache, storage, logs, secrets


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """A region's network and its paths to the other regions in use."""

    topology: Topology
    region: RegionPlan
    links: Sequence[LinkPlan]  # outgoing, to the other regions in use
    ground: pulumi.Input[str]
    transit: pulumi.Input[str]
    key_ids: Mapping[str, pulumi.Input[str]]
    # The networks in use that have a lower slot, by region: a path between two belongs to the later of them, so that
    # a new region brings its paths along and changes nobody else's.
    peers: Mapping[str, "NetworkOutputs"]


class NetworkOutputs(Protocol):
    network_id: pulumi.Output[str]
    subnet_ids: Mapping[str, Sequence[pulumi.Output[str]]]  # by tier: public, private, isolated; in the zones' order
    group_ids: Mapping[str, pulumi.Output[str]]  # by use: entry, service, database, cache, endpoints
    route_table_ids: Mapping[str, pulumi.Output[str]]  # by name, for the paths that later networks bring


@dataclass(frozen=True, kw_only=True)
class SecretsArgs:
    """A region's own copy of what its service and its operators must know."""

    topology: Topology
    region: RegionPlan
    ground: pulumi.Input[str]
    key_ids: Mapping[str, pulumi.Input[str]]
    credentials: Mapping[str, pulumi.Input[str]]
    directory_key: pulumi.Input[str]


class SecretsOutputs(Protocol):
    secret_ids: Mapping[str, pulumi.Output[str]]  # by use: database-<partition>, directory, cache
    cache_password: pulumi.Output[str]  # secret; the region's own, shared with no other


@dataclass(frozen=True, kw_only=True)
class DatabaseArgs:
    """One member. Nothing here says who is writer."""

    topology: Topology
    member: MemberPlan
    ground: pulumi.Input[str]
    network: NetworkOutputs
    key_ids: Mapping[str, pulumi.Input[str]]
    credentials: Mapping[str, pulumi.Input[str]]
    partition_id: pulumi.Input[str] | None  # what the member belongs to, where the target has such a thing
    source: pulumi.Input[str] | None  # used at creation only: the member that the copy is taken from


class DatabaseOutputs(Protocol):
    member_id: pulumi.Output[str]
    endpoint: pulumi.Output[str]  # "host:port", answers reads; writes too while this member is the writer
    access_id: pulumi.Output[str]  # what a policy names to let the service connect; aws: the ARN of the database user


@dataclass(frozen=True, kw_only=True)
class ReplicationArgs:
    """What needs all members of a partition: how long a commit waits for the others."""

    topology: Topology
    partition: PartitionPlan
    ground: pulumi.Input[str]
    member_ids: Mapping[str, pulumi.Input[str]]  # by member name


class ReplicationOutputs(Protocol):
    replication_id: pulumi.Output[str]


@dataclass(frozen=True, kw_only=True)
class KeeperArgs:
    """A region's voter for the leases of all partitions, and holder for its own members; it may have none."""

    topology: Topology
    region: RegionPlan
    ground: pulumi.Input[str]
    transit: pulumi.Input[str]
    key_ids: Mapping[str, pulumi.Input[str]]


class KeeperOutputs(Protocol):
    keeper_id: pulumi.Output[str]


@dataclass(frozen=True, kw_only=True)
class LeaseArgs:
    """That a partition is written only by whoever holds its lease."""

    topology: Topology
    partition: PartitionPlan
    ground: pulumi.Input[str]
    member_ids: Mapping[str, pulumi.Input[str]]  # by member name
    keeper_ids: Mapping[str, pulumi.Input[str]]  # by region


class LeaseOutputs(Protocol):
    lease_id: pulumi.Output[str]


@dataclass(frozen=True, kw_only=True)
class HomesArgs:
    """Which partition new customers belong to, once all that serves them is there."""

    topology: Topology
    ground: pulumi.Input[str]
    member_ids: Mapping[str, pulumi.Input[str]]  # by member name
    service_ids: Mapping[str, pulumi.Input[str]]  # by region that has a service
    lease_ids: Mapping[str, pulumi.Input[str]]  # by partition that has a lease


class HomesOutputs(Protocol):
    homes_id: pulumi.Output[str]


@dataclass(frozen=True, kw_only=True)
class CacheArgs:
    """A region's own cache. Never a system of record."""

    topology: Topology
    region: RegionPlan
    ground: pulumi.Input[str]
    network: NetworkOutputs
    key_ids: Mapping[str, pulumi.Input[str]]
    secrets: SecretsOutputs | None


class CacheOutputs(Protocol):
    cache_id: pulumi.Output[str]
    endpoint: pulumi.Output[str]


@dataclass(frozen=True, kw_only=True)
class ServiceArgs:
    """A region's instance of the service."""

    topology: Topology
    region: RegionPlan
    ground: pulumi.Input[str]
    network: NetworkOutputs
    key_ids: Mapping[str, pulumi.Input[str]]
    databases: Mapping[str, DatabaseOutputs]  # every member, by name; the region's own are in `region.members`
    write_endpoints: Mapping[str, pulumi.Input[str]]
    cache: CacheOutputs | None
    secrets: SecretsOutputs | None
    certificate_id: pulumi.Input[str] | None


class ServiceOutputs(Protocol):
    service_id: pulumi.Output[str]
    endpoint: pulumi.Output[str]
    attachments: Mapping[str, pulumi.Output[str]]  # what the entry and the signals take hold of, by target


@dataclass(frozen=True, kw_only=True)
class TrafficArgs:
    """The one global entry."""

    topology: Topology
    ground: pulumi.Input[str]
    transit: pulumi.Input[str]
    key_ids: Mapping[str, Mapping[str, pulumi.Input[str]]]  # by region in use, then by use
    networks: Mapping[str, NetworkOutputs]  # by region in use
    services: Mapping[str, ServiceOutputs]  # by region that has a service
    member_ids: Mapping[str, pulumi.Input[str]]  # by member name


class TrafficOutputs(Protocol):
    entry: pulumi.Output[str]  # the URL users call
    levers: Mapping[str, pulumi.Output[str]]  # what operations move to admit a region or to hold it out


@dataclass(frozen=True, kw_only=True)
class VaultArgs:
    """Where a region keeps backups: of its own members, and copies that another region sends."""

    topology: Topology
    region: RegionPlan
    ground: pulumi.Input[str]
    key_ids: Mapping[str, pulumi.Input[str]]


class VaultOutputs(Protocol):
    vault_id: pulumi.Output[str]


@dataclass(frozen=True, kw_only=True)
class BackupArgs:
    """When a region's members are backed up, and where to. Apart from the vaults, because two regions copy to each
    other.
    """

    topology: Topology
    region: RegionPlan
    ground: pulumi.Input[str]
    members: Mapping[str, DatabaseOutputs]  # this region's, by name
    vault_id: pulumi.Input[str]
    copy_vault_id: pulumi.Input[str] | None  # where copies go, if residency allows one elsewhere


class BackupOutputs(Protocol):
    backup_id: pulumi.Output[str]


@dataclass(frozen=True, kw_only=True)
class SignalsArgs:
    """What wakes somebody: a region's alarms and where they go."""

    topology: Topology
    region: RegionPlan
    ground: pulumi.Input[str]
    key_ids: Mapping[str, pulumi.Input[str]]
    members: Mapping[str, DatabaseOutputs]  # this region's, by name
    cache: CacheOutputs | None
    service: ServiceOutputs | None
    certificate_id: pulumi.Input[str] | None
    vault_id: pulumi.Input[str] | None


class SignalsOutputs(Protocol):
    channel_id: pulumi.Output[str]  # where alarms are sent
