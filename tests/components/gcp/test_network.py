"""A region's network on Google Cloud, for every phase."""

from dataclasses import replace
from itertools import combinations
from typing import Any

import pulumi
import pytest

from components.component import Component
from components.gcp import ranges
from components.gcp.flow_logs import selection
from components.gcp.replacement import consequences
from engine.recorder import Graph, Registered
from tests.components.gcp.ground import PROJECT, REGIONS, built, changed, ground, of_component, planned

HOME = REGIONS[0]
SUBNET, NAT = "gcp:compute/subnetwork:Subnetwork", "gcp:compute/routerNat:RouterNat"
ROUTER, ADDRESS = "gcp:compute/router:Router", "gcp:compute/address:Address"
POLICY = "gcp:networkconnectivity/serviceConnectionPolicy:ServiceConnectionPolicy"
BUCKET, SINK = "gcp:logging/projectBucketConfig:ProjectBucketConfig", "gcp:logging/projectSink:ProjectSink"


def in_region(graph: Graph, type_: str, region: str = HOME) -> list[Registered]:
    return [one for one in graph.of_type(type_) if one.inputs.get("region", one.inputs.get("location")) == region]


@pytest.mark.parametrize("phase", range(1, 6))
def test_everything_names_its_region_and_project_and_comes_from_the_explicit_provider(phase: int) -> None:
    graph = built(phase)
    used = {region.name for region in planned(phase).regions_in_use}
    assert {one.inputs["region"] for one in graph.of_type(SUBNET)} == used
    for one in of_component(graph, "Network"):
        assert one.provider.endswith("::meridian-foundation-provider::meridian-foundation-provider")
        assert one.inputs["project"] == PROJECT
        # A sink is the project's; where it leads to is the region's.
        region = one.inputs.get("region", one.inputs.get("location")) or one.inputs["destination"].split("-network")[0]
        assert one.name.startswith(f"meridian-{region.removeprefix('logging.googleapis.com/meridian-')}-network-")
        if "labels" in one.inputs:
            assert one.inputs["labels"]["region"] == region


@pytest.mark.parametrize("phase", [1, 5])
def test_a_region_has_a_private_and_an_isolated_subnet(phase: int) -> None:
    of, graph = planned(phase), built(phase)
    for region in of.regions_in_use:
        found = {one.name.rsplit("-", 1)[1]: one for one in in_region(graph, SUBNET, region.name)}
        assert {tier: one.inputs["ipCidrRange"] for tier, one in found.items()} == {
            "private": str(ranges.private(region)),
            "isolated": str(ranges.isolated(region)),
        }
        for one in found.values():
            assert one.inputs["network"] == "meridian-foundation-network"
            assert one.inputs["privateIpGoogleAccess"] is True
            assert one.inputs["logConfig"]["flowSampling"] == 1


def test_no_two_ranges_of_the_network_overlap() -> None:
    of = planned(4, REGIONS)
    found = [cut(region) for region in of.regions for cut in (ranges.private, ranges.isolated, ranges.services)]
    assert not any(one.overlaps(other) for one, other in combinations(found, 2))


def test_another_zone_changes_no_subnet() -> None:
    def with_zones(*zones: str) -> Graph:
        of = planned(1)
        region = of.region(HOME)
        kept = tuple(zone for zone in region.zones if zone.name in zones)
        assert len(kept) == len(zones)
        object.__setattr__(region, "zones", kept)
        return ground(of)

    first, second, third = (zone.name for zone in planned(1).region(HOME).zones)
    assert changed(with_zones(first, third), with_zones(first, second, third)) == []


def test_subnets_wait_for_the_firewall_and_the_databases_network() -> None:
    graph = built(4)
    held = {
        graph.named("meridian-foundation-firewall-network").urn,
        graph.named("meridian-foundation-services").urn,
    }
    for one in graph.of_type(SUBNET):
        assert held <= one.dependencies


@pytest.mark.parametrize("phase", range(1, 6))
def test_private_subnets_leave_through_nat_where_there_is_a_service(phase: int) -> None:
    """Phase 2 keeps data in the second region and nothing else."""
    of, graph = planned(phase), built(phase)
    served = {region.name for region in of.regions_in_use if region.has_service}
    for type_ in (NAT, ROUTER, ADDRESS):
        assert {one.inputs["region"] for one in graph.of_type(type_)} == served
    for region in served:
        (nat,), (router,), (address,) = (in_region(graph, type_, region) for type_ in (NAT, ROUTER, ADDRESS))
        assert nat.inputs["router"] == router.inputs["name"]
        assert nat.inputs["natIpAllocateOption"] == "MANUAL_ONLY"
        assert nat.inputs["natIps"] == [address.name]
        assert nat.inputs["sourceSubnetworkIpRangesToNat"] == "LIST_OF_SUBNETWORKS"
        assert [subnet["name"] for subnet in nat.inputs["subnetworks"]] == [f"meridian-{region}-network-private"]
        ports = (nat.inputs["minPortsPerVm"], nat.inputs["maxPortsPerVm"])
        assert all(count >= 32 and count.bit_count() == 1 for count in map(int, ports))
        assert ports[0] < ports[1]


def test_the_address_that_others_let_in_is_static_and_guarded() -> None:
    for one in built(4).of_type(ADDRESS):
        assert (one.inputs["addressType"], one.inputs["networkTier"]) == ("EXTERNAL", "PREMIUM")
        assert one.protect
        assert one.inputs["deletionPolicy"] == "PREVENT"
        assert "address" not in one.inputs
    (nat,) = in_region(built(4), NAT)
    assert consequences(NAT, nat.inputs, {**nat.inputs, "natIps": [*nat.inputs["natIps"], "another"]}) == ()


def test_the_caches_endpoints_are_in_the_isolated_subnet() -> None:
    graph = built(4)
    for region in REGIONS[:3]:
        (policy,) = in_region(graph, POLICY, region)
        assert policy.inputs["serviceClass"] == "gcp-memorystore"
        assert policy.inputs["network"] == "meridian-foundation-network"
        assert policy.inputs["pscConfig"] == {"subnetworks": [f"meridian-{region}-network-isolated"]}


def test_flow_logs_are_kept_in_the_region_and_guarded() -> None:
    graph = built(4)
    for region in REGIONS[:3]:
        (bucket,) = in_region(graph, BUCKET, region)
        assert bucket.protect
        assert bucket.inputs["deletionPolicy"] == "PREVENT"
        assert bucket.inputs["retentionDays"] == 90
        sink = graph.named(f"meridian-{region}-network-flow-logs-sink")
        assert sink.inputs["destination"] == f"logging.googleapis.com/{bucket.name}"
        # It takes what is of this region and of this stack, and leaves the others'.
        for one in graph.of_type(SUBNET):
            assert (f'"{one.inputs["name"]}"' in sink.inputs["filter"]) is (one.inputs["region"] == region)
        for one in graph.of_type(NAT):
            assert (f'"{one.inputs["name"]}"' in sink.inputs["filter"]) is (one.inputs["region"] == region)


def test_the_selection_takes_flows_and_denials_and_what_nat_dropped() -> None:
    assert selection(["a", "b"], "nat") == (
        '(resource.type="gce_subnetwork" AND resource.labels.subnetwork_name=("a" OR "b") AND '
        '(log_id("compute.googleapis.com/vpc_flows") OR log_id("compute.googleapis.com/firewall"))) OR '
        '(resource.type="nat_gateway" AND resource.labels.gateway_name="nat")'
    )


@pytest.mark.parametrize("left_out", REGIONS[1:])
def test_a_region_changes_no_other_regions_network(left_out: str) -> None:
    """Also one with a lower slot than those that are there. All wait for the accounts, of which there is one more."""
    fewer = tuple(region for region in REGIONS if region != left_out)
    before, after = built(4, fewer), built(4, REGIONS)
    there = of_component(before, "Network")
    assert there
    for was in there:
        now = after.resources[was.urn]
        assert replace(now, dependencies=was.dependencies) == was
        assert {urn.rsplit("::")[-1] for urn in now.dependencies - was.dependencies} <= {
            f"meridian-foundation-{left_out}-account"
        }


def test_a_region_stands_alone() -> None:
    """Nothing in it waits for another region's."""
    graph = built(5, REGIONS)
    for one in of_component(graph, "Network"):
        for urn in one.dependencies:
            others = [region for region in REGIONS if f"meridian-{region}-" in urn.rsplit("::", 1)[1]]
            assert all(f"meridian-{region}-" in one.name for region in others)


def test_outputs_are_the_subnets_and_wait_for_the_policy() -> None:
    seen: dict[str, Any] = {}
    waits: dict[str, set[str]] = {}
    expose = Component.expose

    def watched(self: Component, **outputs: Any) -> None:
        if self.name == f"meridian-{HOME}-network":
            seen.update(
                {name: {key: len(of) for key, of in outputs[name].items()} for name in outputs if name != "network_id"}
            )
            for name, output in {
                "network": outputs["network_id"],
                "isolated": outputs["subnet_ids"]["isolated"][0],
            }.items():

                async def ask(name: str = name, output: pulumi.Output[str] = output) -> None:
                    seen[name] = await output.future()
                    waits[name] = {str(one._name) for one in await output.resources()}

                pulumi.Output.from_input(ask()).apply(lambda _: None)
        expose(self, **outputs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Component, "expose", watched)
        ground(planned(1))
    assert seen == {
        "subnet_ids": {"public": 0, "private": 1, "isolated": 1},
        "group_ids": {},
        "route_table_ids": {},
        "network": f"meridian-{HOME}-network-private",
        "isolated": f"meridian-{HOME}-network-isolated",
    }
    for name in ("network", "isolated"):
        assert f"meridian-{HOME}-network-cache-policy" in waits[name]
