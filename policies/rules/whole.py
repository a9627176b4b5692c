"""What no resource shows alone: one writer, a way back, members where users are sent, objectives within reach."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from .members import CLUSTER, POSTGRES, SERVICES, SQL, databases, is_source, region_of, regions_with, text
from .resource import UNKNOWN, Resource, is_empty, is_list
from .rule import stack_rule
from .settings import Settings

VPC = "aws:ec2/vpc:Vpc"
ROUTE = "aws:ec2/route:Route"
RECORD = "aws:route53/record:Record"
ENDPOINTS = "aws:globalaccelerator/endpointGroup:EndpointGroup"
GROUP = "gcp:compute/regionNetworkEndpointGroup:RegionNetworkEndpointGroup"
MANAGERS = "gcp:compute/regionInstanceGroupManager:RegionInstanceGroupManager"
BACKEND = "gcp:compute/backendService:BackendService"
NAME = "gcp:dns/recordSet:RecordSet"
ASSOCIATION = "aws:ec2/routeTableAssociation:RouteTableAssociation"
SUBNETS = "aws:rds/subnetGroup:SubnetGroup"
TABLE = "aws:ec2/routeTable:RouteTable"
LINK = "pulumi-python:dynamic/local:Link"
ROUTES = "pulumi-python:dynamic/local:Routes"

# Of these more is better; of all others, less.
MORE = frozenset(("availability_percent",))
UNITS = {"seconds": "s", "ms": "ms", "percent": "%"}


def one_writer(resources: Sequence[Resource], settings: Settings) -> Iterator[tuple[Resource | None, str]]:
    """A partition has one member that copies from none, whichever it is now; on AWS, where the global cluster says who
    writes, none at all.
    """
    for partition, held in databases(resources).items():
        sources = {region: each for region, each in held.items() if is_source(each)}
        allowed = 0 if any(each.type == CLUSTER for each in held.values()) else 1
        if len(sources) > allowed:
            where = ", ".join(sorted(sources))
            for region, each in sources.items():
                asked = settings.partitions.get(partition)
                if allowed and asked is not None and region == asked.origin:
                    continue
                yield each, f"it copies from no other member, so {partition} has writers in {where}"
        if allowed and not sources and not any(is_unclear(each) for each in held.values()):
            yield None, f"{partition} has no writer: each of its members copies from another"


def is_unclear(database: Resource) -> bool:
    return database.at("masterInstanceName") is UNKNOWN or database.at("origin") is UNKNOWN


def way_back(resources: Sequence[Resource], settings: Settings) -> Iterator[tuple[Resource | None, str]]:
    """Between each two regions that hold a partition, there is a way in both directions, for the writer may move."""
    yield from routes_both_ways(resources)
    yield from links_both_ways(resources)
    yield from database_subnets_answer(resources)
    yield from names_of_members(resources)
    for name, partition in settings.partitions.items():
        abroad = [region for region in partition.members if region not in partition.primary]
        # The first may always be it, and whoever asks for a failover must have somewhere to go and to come back to.
        if partition.origin and partition.origin in abroad:
            yield None, f"{name} may not be written in {partition.origin}, where it comes from and would go back to"


def routes_both_ways(resources: Sequence[Resource]) -> Iterator[tuple[Resource | None, str]]:
    ranges = {region_of(each): each.at("cidrBlock") for each in resources if each.type == VPC}
    ways = {
        (region_of(each), each.at("destinationCidrBlock"))
        for each in resources
        if each.type == ROUTE
        and each.at("destinationCidrBlock") is not UNKNOWN
        and (each.at("vpcPeeringConnectionId") is UNKNOWN or not is_empty(each.at("vpcPeeringConnectionId")))
    }
    for partition, held in databases(resources).items():
        for here, each in held.items() if ranges else ():
            for there in held:
                goal = ranges.get(there)
                if there != here and goal is not UNKNOWN and (here, goal) not in ways:
                    yield each, f"{here} has no route to {there}, which holds {partition} too"


def database_subnets_answer(resources: Sequence[Resource]) -> Iterator[tuple[Resource | None, str]]:
    """The tables of the subnets that databases are in lead back to wherever another one leads here."""
    subnets = [
        subnet
        for each in resources
        if each.type == SUBNETS and is_list(found := each.at("subnetIds"))
        for subnet in found
        if isinstance(subnet, str)
    ]
    tables = {
        table
        for each in resources
        if each.type == ASSOCIATION and (subnet := each.at("subnetId")) is not UNKNOWN and subnet in subnets
        if isinstance(table := each.at("routeTableId"), str)
    }
    led: dict[str, set[str]] = {}
    for each in resources:
        if each.type == ROUTE and isinstance(table := each.at("routeTableId"), str):
            led.setdefault(table, set()).add(text(each.at("destinationCidrBlock")))
    ranges = {region_of(each): text(each.at("cidrBlock")) for each in resources if each.type == VPC}
    holders = {region for held in databases(resources).values() if len(held) > 1 for region in held}
    for each in resources:
        if each.type != TABLE or (each.name not in tables and text(each.at("id")) not in tables):
            continue
        here = region_of(each)
        known = led.get(each.name, set()) | led.get(text(each.at("id")), set())
        for there in sorted(holders - {here}) if here in holders else ():
            if ranges.get(there) and ranges[there] not in known:
                yield each, f"databases in {here} have no route to {there}, and cannot answer it"


def links_both_ways(resources: Sequence[Resource]) -> Iterator[tuple[Resource | None, str]]:
    ways = {(each.at("source"), each.at("target")) for each in resources if each.type == LINK}
    for partition, held in databases(resources).items():
        for here, each in held.items():
            for there in held:
                if each.type == POSTGRES and there != here and (here, there) not in ways:
                    yield each, f"{here} has no link to {there}, which holds {partition} too"


def names_of_members(resources: Sequence[Resource]) -> Iterator[tuple[Resource | None, str]]:
    """On Google Cloud a failover points the partition's name at the member's."""
    known = {text(each.at("name")).split(".")[0] for each in resources if each.type == NAME}
    for partition, held in databases(resources).items():
        for region, each in held.items():
            if each.type == SQL and f"{partition}-{region}" not in known:
                yield each, f"there is no record {partition}-{region}, which the name of {partition} could point to"
        if any(each.type == SQL for each in held.values()) and partition not in known:
            yield None, f"there is no record that stands for the writer of {partition}"


def sends_users_to_members(resources: Sequence[Resource], _: Settings) -> Iterator[tuple[Resource | None, str]]:
    holds = {region for held in databases(resources).values() for region in held}
    serves = regions_with(resources, SERVICES)
    groups = {
        name: region_of(each)
        for each in resources
        if each.type in (GROUP, MANAGERS)
        for name in (each.name, each.at("name"))
        if isinstance(name, str)
    }
    for each in resources:
        for region in sent_to(each, groups):
            if region not in holds:
                yield each, f"it sends users to {region}, which holds no member"
            elif region not in serves:
                yield each, f"it sends users to {region}, which has no service"


def sent_to(resource: Resource, groups: dict[str, str]) -> Iterator[str]:
    """The regions that an entry sends users to, as far as they are known before a deployment."""
    found: list[Any] = []
    if resource.type == RECORD and any(
        not is_empty(resource.at(policy)) for policy in ("latencyRoutingPolicies", "failoverRoutingPolicies")
    ):
        found = [*resource.values("latencyRoutingPolicies.region"), resource.at("setIdentifier")]
    elif resource.type == ENDPOINTS:
        found = [resource.at("endpointGroupRegion")]
    elif resource.type == ROUTES:
        serving = resource.at("serving")
        found = list(serving) if is_list(serving) else []
    elif resource.type == BACKEND:
        # A group's id ends with its name, and is an address that a deployment gives out.
        for group in resource.values("backends.group"):
            if isinstance(group, str):
                found.append(groups.get(group.rsplit("/", 1)[-1], region_in_path(group)))
    yield from sorted({each for each in found if isinstance(each, str) and each})


def region_in_path(path: str) -> str:
    """Of `projects/p/regions/r/networkEndpointGroups/n`."""
    _, _, rest = path.partition("/regions/")
    return rest.split("/")[0]


def objectives_are_in_reach(_: Sequence[Resource], settings: Settings) -> Iterator[tuple[Resource | None, str]]:
    for name, objective in settings.objectives.items():
        asked, reachable = objective.asked, objective.reachable
        if asked is None or reachable is None:
            continue
        if reachable < asked if name in MORE else reachable > asked:
            unit = UNITS.get(name.rsplit("_", 1)[-1], "")
            yield None, f"{name} is {asked:g} {unit}, and phase {settings.phase} reaches {reachable:g} {unit}"


RULES = (
    stack_rule(
        "whole-one-writer",
        one_writer,
        "Two writers of one partition take different orders under one number, and no merge undoes that.",
        "Make all members but the origin from a copy, and leave the rest to `./meridian failover`.",
    ),
    stack_rule(
        "whole-way-back",
        way_back,
        "Whoever fails over wants to come back, and finds out then that there is no way.",
        "Connect the regions in both directions, and name every member.",
    ),
    stack_rule(
        "whole-entry",
        sends_users_to_members,
        "A region without a member answers users with errors, or with another region's delay.",
        "Send users only to regions that hold a member and serve.",
    ),
    stack_rule(
        "whole-objectives",
        objectives_are_in_reach,
        "An objective that the phase cannot meet is a promise that breaks with the first outage.",
        "Raise `phase`, or ask for what this one reaches (`./meridian preview` shows it).",
        "advisory",  # the early phases of a stack ask for what the later ones reach
    ),
)
