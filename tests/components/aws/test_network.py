"""A region's network on AWS, for every phase and setting, and the paths between regions."""

import json
from collections import Counter
from ipaddress import IPv4Network
from itertools import combinations
from typing import Any

import pulumi
import pytest

from components.aws.replacement import STATEFUL, consequences
from components.component import Component
from engine.recorder import Graph, Registered
from tests.components.aws.ground import ACCOUNT, REGIONS, built, changed, ground, of_component, planned
from tests.components.aws.stacks import topology
from topology import Topology

HOME = "eu-west-1"
SUBNET, TABLE, ROUTE = "aws:ec2/subnet:Subnet", "aws:ec2/routeTable:RouteTable", "aws:ec2/route:Route"
NAT, EIP = "aws:ec2/natGateway:NatGateway", "aws:ec2/eip:Eip"
ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
PEERING = "aws:ec2/vpcPeeringConnection:VpcPeeringConnection"
ACCEPTER = "aws:ec2/vpcPeeringConnectionAccepter:VpcPeeringConnectionAccepter"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
# IAM is global: roles carry their region in their name.
GLOBAL = {"aws:iam/role:Role", "aws:iam/rolePolicy:RolePolicy"}


def in_region(graph: Graph, type_: str, region: str = HOME) -> list[Registered]:
    return [one for one in graph.of_type(type_) if one.inputs["region"] == region]


def routes(graph: Graph, region: str, table: str) -> dict[str, str]:
    """Where a table leads, by destination."""
    name = f"meridian-{region}-network-{table}"
    targets = ("gatewayId", "natGatewayId", "vpcPeeringConnectionId")
    found: dict[str, str] = {}
    for one in graph.of_type(ROUTE):
        if one.inputs["routeTableId"] == name:
            assert one.inputs["region"] == region
            assert one.inputs["destinationCidrBlock"] not in found, "one destination, one route"
            (found[one.inputs["destinationCidrBlock"]],) = (one.inputs[key] for key in targets if key in one.inputs)
    return found


def rules(graph: Graph, type_: str, region: str, use: str) -> set[tuple[int, int, str]]:
    """A group's rules: ports, and the group or range at the other end."""
    return {
        (
            one.inputs["fromPort"],
            one.inputs["toPort"],
            one.inputs.get("cidrIpv4") or one.inputs["referencedSecurityGroupId"].rsplit("-", 1)[1],
        )
        for one in in_region(graph, type_, region)
        if one.inputs["securityGroupId"] == f"meridian-{region}-network-{use}"
    }


@pytest.mark.parametrize("phase", range(1, 6))
@pytest.mark.parametrize("nat", ["per-zone", "single", "regional"])
def test_everything_names_its_region_and_comes_from_the_explicit_provider(phase: int, nat: str) -> None:
    graph = built(phase, nat=nat)
    used = {region.name for region in planned(phase).regions_in_use}
    assert {one.inputs["region"] for one in graph.of_type("aws:ec2/vpc:Vpc")} == used
    for one in of_component(graph, "Network"):
        assert one.provider.endswith("::meridian-foundation-provider::meridian-foundation-provider")
        assert one.type in GLOBAL or one.inputs["region"] in used
        if "tags" in one.inputs:
            assert {"Name", "owner", "cost-center", "data-class", "environment"} <= set(one.inputs["tags"])
            assert one.type in GLOBAL or one.inputs["tags"]["region"] == one.inputs["region"]


@pytest.mark.parametrize("zones", [("euw1-az1", "euw1-az2", "euw1-az3"), ("euw1-az1", "euw1-az3")])
def test_subnets_are_known_by_zone_id(zones: tuple[str, ...]) -> None:
    of = with_zones(1, zones)
    found = {
        (one.name.split("-network-")[1], one.inputs["availabilityZoneId"], one.inputs["cidrBlock"])
        for one in ground(of).of_type(SUBNET)
    }
    assert found == {
        (f"{tier}-{zone.name}", zone.name, str(getattr(zone, tier)))
        for zone in of.region(HOME).zones
        for tier in ("public", "private", "isolated")
    }
    assert {zone for _, zone, _ in found} == set(zones)


def with_zones(phase: int, zones: tuple[str, ...]) -> Topology:
    return topology(
        phase=phase,
        regions=[{"name": HOME, "slot": 0, "zones": list(zones)}, {"name": "eu-central-1", "slot": 1}],
        residency={},
        partitions=[],
    )


def test_another_zone_moves_no_subnet() -> None:
    """Zones that come in the middle of the list are the ones that break programs which count."""
    before = ground(with_zones(3, ("euw1-az1", "euw1-az3")))
    after = ground(with_zones(3, ("euw1-az1", "euw1-az2", "euw1-az3")))
    # The endpoints take the new zone in.
    assert {line.split()[0] for line in changed(before, after)} == {ENDPOINT}
    for was in before.of_type(ENDPOINT):
        assert consequences(ENDPOINT, was.inputs, after.resources[was.urn].inputs) == ()


def test_every_subnet_has_one_table_and_no_address_by_itself() -> None:
    graph = built(4)
    associated = Counter(
        one.inputs["subnetId"] for one in graph.of_type("aws:ec2/routeTableAssociation:RouteTableAssociation")
    )
    assert associated == {one.name: 1 for one in graph.of_type(SUBNET)}
    assert not any(one.inputs["mapPublicIpOnLaunch"] for one in graph.of_type(SUBNET))
    for one in graph.of_type("aws:ec2/routeTableAssociation:RouteTableAssociation"):
        tier, zone = one.inputs["subnetId"].split("-network-")[1].split("-", 1)
        table = f"private-{zone}" if tier == "private" else tier
        assert one.inputs["routeTableId"].endswith(f"-network-{table}")


@pytest.mark.parametrize(
    ("nat", "gateways"),
    [
        ("per-zone", ["nat-euw1-az1", "nat-euw1-az2", "nat-euw1-az3"]),
        ("single", ["nat-euw1-az1"] * 3),
        ("regional", ["nat"] * 3),
    ],
)
def test_private_subnets_leave_through_nat_and_isolated_ones_do_not(nat: str, gateways: list[str]) -> None:
    graph = built(1, nat=nat)
    prefix = f"meridian-{HOME}-network-"
    assert routes(graph, HOME, "public") == {"0.0.0.0/0": f"{prefix}internet"}
    assert routes(graph, HOME, "isolated") == {}
    assert [routes(graph, HOME, f"private-euw1-az{zone}") for zone in (1, 2, 3)] == [
        {"0.0.0.0/0": f"{prefix}{gateway}"} for gateway in gateways
    ]
    assert sorted(one.name for one in graph.of_type(NAT)) == sorted({f"{prefix}{gateway}" for gateway in gateways})
    for one in graph.of_type(NAT):
        if nat == "regional":
            assert one.inputs["availabilityMode"] == "regional"
            assert one.inputs["vpcId"] == f"{prefix}vpc"
            assert not {"subnetId", "allocationId", "availabilityZoneAddresses"} & set(one.inputs)
        else:
            zone = one.name.split("-nat-")[1]
            assert one.inputs["subnetId"] == f"{prefix}public-{zone}"
            assert one.inputs["allocationId"] == f"{one.name}-address"
    assert len(graph.of_type(EIP)) == (0 if nat == "regional" else len(set(gateways)))


@pytest.mark.parametrize("one", ["per-zone", "single", "regional"])
@pytest.mark.parametrize("other", ["per-zone", "single", "regional"])
def test_another_way_out_changes_routes_in_place(one: str, other: str) -> None:
    before, after = built(1, nat=one), built(1, nat=other)
    for was in before:
        now = after.resources.get(was.urn)
        if now is None:
            assert was.type in (NAT, EIP)
        elif was.custom and was.type.startswith("aws:"):
            assert consequences(was.type, was.inputs, now.inputs) == ()
            assert was == now or was.type == ROUTE


def test_a_region_without_a_service_pays_for_no_way_out() -> None:
    """Phase 2 keeps data in the second region and nothing else."""
    graph = built(2)
    assert in_region(graph, NAT, "eu-central-1") == []
    assert {one.inputs["vpcEndpointType"] for one in in_region(graph, ENDPOINT, "eu-central-1")} == {"Gateway"}
    assert len(in_region(built(3), NAT, "eu-central-1")) == 3


def test_endpoints_keep_traffic_to_aws_inside() -> None:
    graph = built(1)
    found = {one.inputs["serviceName"].removeprefix(f"com.amazonaws.{HOME}."): one for one in graph.of_type(ENDPOINT)}
    assert set(found) == {"s3", "dynamodb", "ecr.api", "ecr.dkr", "logs", "secretsmanager", "kms", "sts"}
    zones = [f"euw1-az{zone}" for zone in (1, 2, 3)]
    for service, one in found.items():
        assert one.inputs["vpcId"] == f"meridian-{HOME}-network-vpc"
        if service in ("s3", "dynamodb"):
            assert one.inputs["vpcEndpointType"] == "Gateway"
            assert one.inputs["routeTableIds"] == [f"meridian-{HOME}-network-private-{zone}" for zone in zones]
        else:
            assert one.inputs["vpcEndpointType"] == "Interface"
            assert one.inputs["privateDnsEnabled"] is True
            assert one.inputs["subnetIds"] == [f"meridian-{HOME}-network-private-{zone}" for zone in zones]
            assert one.inputs["securityGroupIds"] == [f"meridian-{HOME}-network-endpoints"]
    # What private names need.
    (vpc,) = graph.of_type("aws:ec2/vpc:Vpc")
    assert vpc.inputs["enableDnsSupport"] is True
    assert vpc.inputs["enableDnsHostnames"] is True


def test_only_the_own_account_takes_the_endpoints_but_for_the_layers_of_images() -> None:
    for one in built(4).of_type(ENDPOINT):
        statements = json.loads(one.inputs["policy"])["Statement"]
        own, layers = statements[0], statements[1:]
        assert own["Condition"] == {"StringEquals": {"aws:PrincipalAccount": ACCOUNT}}
        region = one.inputs["region"]
        expected = [f"arn:aws:s3:::prod-{region}-starport-layer-bucket/*"] * one.inputs["serviceName"].endswith(".s3")
        assert [each["Resource"] for each in layers] == expected
        assert all(each["Action"] == "s3:GetObject" for each in layers)


def test_the_default_group_lets_nothing_through() -> None:
    for one in built(4).of_type("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"):
        assert (one.inputs["ingress"], one.inputs["egress"]) == ([], [])
    assert not any(
        {"ingress", "egress"} & set(one.inputs) for one in built(4).of_type("aws:ec2/securityGroup:SecurityGroup")
    )


@pytest.mark.parametrize(("mode", "last"), [("serverless", 6380), ("nodes", 6379)])
def test_groups_open_what_their_use_needs_and_no_more(mode: str, last: int) -> None:
    of = topology(
        phase=1,
        aws={
            "account_id": ACCOUNT,
            "zone": {"id": "Z0123456789ABCDEFGHIJ", "name": "example.com"},
            "cache": {"mode": mode},
        },
    )
    graph = ground(of)
    assert {
        use: rules(graph, INGRESS, HOME, use) for use in ("entry", "service", "database", "cache", "endpoints")
    } == {
        "entry": {(80, 80, "0.0.0.0/0"), (443, 443, "0.0.0.0/0")},
        "service": {(8000, 8000, "entry")},
        "database": {(5432, 5432, "service")},
        "cache": {(6379, last, "service")},
        "endpoints": {(443, 443, "10.64.0.0/16")},
    }
    assert {use: rules(graph, EGRESS, HOME, use) for use in ("entry", "service", "database", "cache", "endpoints")} == {
        "entry": {(8000, 8000, "service")},
        "service": {(5432, 5432, "database"), (6379, last, "cache"), (443, 443, "0.0.0.0/0")},
        "database": set(),
        "cache": set(),
        "endpoints": set(),
    }
    assert {one.inputs["ipProtocol"] for one in (*graph.of_type(INGRESS), *graph.of_type(EGRESS))} == {"tcp"}


@pytest.mark.parametrize("regions", [REGIONS[:2], REGIONS[:3], REGIONS])
@pytest.mark.parametrize("phase", range(1, 6))
def test_each_pair_of_regions_in_use_is_peered_once(phase: int, regions: tuple[str, ...]) -> None:
    of, graph = planned(phase, regions), built(phase, regions)
    used = sorted((region for region in of.regions_in_use), key=lambda region: region.slot)
    pairs = {(later.name, earlier.name) for earlier, later in combinations(used, 2)}
    asked = [(one.inputs["region"], one.inputs["peerRegion"]) for one in graph.of_type(PEERING)]
    assert len(asked) == len(pairs)
    assert set(asked) == pairs
    accepters = {one.inputs["vpcPeeringConnectionId"]: one for one in graph.of_type(ACCEPTER)}
    assert len(accepters) == len(pairs)
    for one in graph.of_type(PEERING):
        here, there = one.inputs["region"], one.inputs["peerRegion"]
        assert one.inputs["autoAccept"] is False
        assert one.inputs["vpcId"] == f"meridian-{here}-network-vpc"
        assert one.inputs["peerVpcId"] == f"meridian-{there}-network-vpc"
        assert accepters[one.name].inputs["region"] == there
        assert accepters[one.name].inputs["autoAccept"] is True


@pytest.mark.parametrize("phase", [2, 3, 4, 5])
def test_routes_lead_both_ways_once_the_path_is_accepted(phase: int) -> None:
    of, graph = planned(phase, REGIONS), built(phase, REGIONS)
    accepters = {one.name for one in graph.of_type(ACCEPTER)}
    for here in of.regions_in_use:
        others = {str(there.cidr) for there in of.regions_in_use if there is not here}
        for table in ("isolated", *(f"private-{zone.name}" for zone in here.zones)):
            found = routes(graph, here.name, table)
            assert set(found) - {"0.0.0.0/0"} == others
            assert {found[cidr] for cidr in others} <= accepters
        assert set(routes(graph, here.name, "public")) == {"0.0.0.0/0"}
    for one in graph.of_type(ROUTE):
        if "vpcPeeringConnectionId" in one.inputs:
            ends = {
                one.inputs["region"],
                next(r.name for r in of.regions if str(r.cidr) == one.inputs["destinationCidrBlock"]),
            }
            assert all(end in one.inputs["vpcPeeringConnectionId"] for end in ends)


@pytest.mark.parametrize("phase", [2, 3, 4, 5])
def test_services_reach_databases_of_other_regions_by_range(phase: int) -> None:
    """Groups of another region cannot be named, so the two ends must agree on ranges."""
    of, graph = planned(phase, REGIONS), built(phase, REGIONS)
    for here in of.regions_in_use:
        others = [there for there in of.regions_in_use if there is not here]
        services = {(5432, 5432, str(zone.private)) for there in others for zone in there.zones}
        databases = {(5432, 5432, str(zone.isolated)) for there in others for zone in there.zones}
        assert rules(graph, INGRESS, here.name, "database") == services | {(5432, 5432, "service")}
        assert databases <= rules(graph, EGRESS, here.name, "service")
        for use in ("entry", "cache", "endpoints"):
            ranges = {other for *_, other in rules(graph, INGRESS, here.name, use) if "/" in other}
            assert not any(
                IPv4Network(cidr).overlaps(there.cidr) for cidr in ranges - {"0.0.0.0/0"} for there in others
            )
    # AWS allows 60 rules of a kind in a group (docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html).
    groups = Counter((one.type, one.inputs["securityGroupId"]) for one in graph if one.type in (INGRESS, EGRESS))
    assert max(groups.values()) <= 60


def test_the_order_of_the_list_changes_nothing() -> None:
    first = built(4)
    for order in (REGIONS[2::-1], (*REGIONS[1:3], REGIONS[0])):
        assert changed(first, built(4, order)) == []


@pytest.mark.parametrize("left_out", REGIONS[1:])
def test_a_region_brings_its_paths_along_and_changes_nobody_elses(left_out: str) -> None:
    """Also one with a lower slot than those that are there."""
    fewer = tuple(region for region in REGIONS if region != left_out)
    before, after = built(4, fewer), built(4, REGIONS)
    assert changed(before, after) == []
    added = [one for urn, one in after.resources.items() if urn not in before.resources]
    assert len([one for one in added if one.type == PEERING]) == len(fewer)
    assert all(left_out in one.name for one in added if one.type == PEERING)


def test_a_paths_resources_lie_below_the_later_region() -> None:
    for one in built(4, REGIONS).of_type(ACCEPTER):
        owner = one.parent.rsplit("::", 1)[1]
        later = owner.removeprefix("meridian-").removesuffix("-network")
        assert REGIONS.index(later) > REGIONS.index(one.inputs["region"])


def test_flow_logs_are_kept_encrypted_and_written_by_a_role_of_the_region() -> None:
    graph = built(4)
    for region in REGIONS[:3]:
        (group,) = in_region(graph, "aws:cloudwatch/logGroup:LogGroup", region)
        assert group.protect
        assert group.inputs["deletionProtectionEnabled"] is True
        assert group.inputs["retentionInDays"] == 90
        assert group.inputs["kmsKeyId"] == f"arn:aws:kms:{region}:{ACCOUNT}:key/meridian-{region}-keys-logs"
        (log,) = in_region(graph, "aws:ec2/flowLog:FlowLog", region)
        assert log.inputs["vpcId"] == f"meridian-{region}-network-vpc"
        assert log.inputs["trafficType"] == "ALL"
        role = graph.named(f"meridian-{region}-network-flow-logs-role")
        trust = json.loads(role.inputs["assumeRolePolicy"])["Statement"][0]
        assert trust["Principal"] == {"Service": "vpc-flow-logs.amazonaws.com"}
        assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": ACCOUNT}
        policy = graph.named(f"meridian-{region}-network-flow-logs-policy")
        assert policy.urn in log.dependencies
        writes, lists = json.loads(policy.inputs["policy"])["Statement"]
        named = f"arn:aws:logs:{region}:{ACCOUNT}:log-group:{group.inputs['name']}"
        assert writes["Resource"] == [named, f"{named}:*"]
        assert lists["Action"] == ["logs:DescribeLogGroups"]
    names = [one.inputs["name"] for one in graph.of_type("aws:iam/role:Role")]
    assert len(set(names)) == 3


@pytest.mark.parametrize("phase", range(1, 6))
def test_what_holds_data_is_protected(phase: int) -> None:
    held = [one for one in built(phase) if one.type in STATEFUL]
    assert held
    assert [one.name for one in held if not one.protect] == []


def test_physical_names_fit_with_the_longest_settings() -> None:
    of = topology(phase=2, app="a" * 20)
    object.__setattr__(of, "environment", "e" * 100)
    limits = {
        "aws:ec2/securityGroup:SecurityGroup": 255,
        "aws:cloudwatch/logGroup:LogGroup": 512,
        "aws:iam/role:Role": 64,
        "aws:kms/alias:Alias": 256,
        "aws:secretsmanager/secret:Secret": 512,
    }
    graph = ground(of)
    for type_, limit in limits.items():
        found = [one.inputs["name"] for one in graph.of_type(type_)]
        assert max(map(len, found)) <= limit
        assert len({(one.inputs.get("region"), one.inputs["name"]) for one in graph.of_type(type_)}) == len(found)
    for one in graph.of_type("aws:rds/globalCluster:GlobalCluster"):
        assert len(one.inputs["globalClusterIdentifier"]) <= 63


def test_outputs_are_in_the_order_of_the_zones() -> None:
    seen: dict[str, Any] = {}
    of, expose = planned(1), Component.expose

    def watched(self: Component, **outputs: Any) -> None:
        if self.name.endswith("-network"):
            seen.update({name: set(value) for name, value in outputs.items() if name != "network_id"})
            pulumi.Output.all(**outputs["subnet_ids"]).apply(lambda ids: seen.update(ids))
        expose(self, **outputs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Component, "expose", watched)
        ground(of)
    zones = [zone.name for zone in of.region(HOME).zones]
    assert seen["subnet_ids"] == {"public", "private", "isolated"}
    for tier in seen["subnet_ids"]:
        assert seen[tier] == [f"meridian-{HOME}-network-{tier}-{zone}" for zone in zones]
    assert seen["group_ids"] == {"entry", "service", "database", "cache", "endpoints"}
    assert seen["route_table_ids"] == {"isolated", *(f"private-{zone}" for zone in zones)}
