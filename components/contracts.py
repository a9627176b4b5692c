"""The arguments and outputs that a component has on every target.

A component takes one frozen arguments object and exposes typed outputs. What was decided comes in as a plan (plain
values); what exists only after a deployment (ids, endpoints) comes in as `pulumi.Input`. No component reads
configuration or the environment.

Ids are opaque to the caller: what an id means is a matter of the target (a VPC, a network, an Envoy), and whoever
takes one only passes it on, which also gives the order of creation.
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
    credentials: Mapping[str, pulumi.Output[str]]  # passwords by role, secret


@dataclass(frozen=True, kw_only=True)
class KeysArgs:
    """A region's own keys; fixed from phase 1, shared with no other region."""

    topology: Topology
    region: RegionPlan
    ground: pulumi.Input[str]


class KeysOutputs(Protocol):
    key_ids: Mapping[str, pulumi.Output[str]]  # by use


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """A region's network and its paths to the other regions in use."""

    topology: Topology
    region: RegionPlan
    links: Sequence[LinkPlan]  # outgoing, to the other regions in use
    ground: pulumi.Input[str]
    transit: pulumi.Input[str]
    key_ids: Mapping[str, pulumi.Input[str]]


class NetworkOutputs(Protocol):
    network_id: pulumi.Output[str]


@dataclass(frozen=True, kw_only=True)
class DatabaseArgs:
    """One member. Nothing here says who is writer."""

    topology: Topology
    member: MemberPlan
    ground: pulumi.Input[str]
    network_id: pulumi.Input[str]
    key_ids: Mapping[str, pulumi.Input[str]]
    credentials: Mapping[str, pulumi.Input[str]]
    source: pulumi.Input[str] | None  # used at creation only: the member that the copy is taken from


class DatabaseOutputs(Protocol):
    member_id: pulumi.Output[str]
    endpoint: pulumi.Output[str]  # "host:port", answers reads; writes too while this member is the writer


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
class CacheArgs:
    """A region's own cache. Never a system of record."""

    topology: Topology
    region: RegionPlan
    ground: pulumi.Input[str]
    network_id: pulumi.Input[str]
    key_ids: Mapping[str, pulumi.Input[str]]
    credentials: Mapping[str, pulumi.Input[str]]


class CacheOutputs(Protocol):
    cache_id: pulumi.Output[str]
    endpoint: pulumi.Output[str]


@dataclass(frozen=True, kw_only=True)
class ServiceArgs:
    """A region's instance of the service."""

    topology: Topology
    region: RegionPlan
    ground: pulumi.Input[str]
    network_id: pulumi.Input[str]
    member_ids: Mapping[str, pulumi.Input[str]]  # this region's members, by partition
    cache_id: pulumi.Input[str] | None
    credentials: Mapping[str, pulumi.Input[str]]


class ServiceOutputs(Protocol):
    service_id: pulumi.Output[str]
    endpoint: pulumi.Output[str]


@dataclass(frozen=True, kw_only=True)
class TrafficArgs:
    """The one global entry."""

    topology: Topology
    ground: pulumi.Input[str]
    transit: pulumi.Input[str]
    network_ids: Mapping[str, pulumi.Input[str]]  # by region in use
    service_ids: Mapping[str, pulumi.Input[str]]  # by region that has a service
    member_ids: Mapping[str, pulumi.Input[str]]  # by member name


class TrafficOutputs(Protocol):
    entry: pulumi.Output[str]  # the URL users call
