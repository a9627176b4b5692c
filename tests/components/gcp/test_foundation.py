"""The foundation on Google Cloud: one provider, one network and what holds in it, passwords, the certificate."""

from dataclasses import replace
from ipaddress import IPv4Network
from itertools import combinations, pairwise
from typing import Any

import pulumi
import pulumi_gcp as gcp
import pulumi_random as random
import pytest

from components.contracts import FoundationArgs
from components.gcp import accounts, paths, ranges
from components.gcp.certificates import first
from components.gcp.foundation import Foundation
from components.gcp.ordering import after
from components.gcp.replacement import STATEFUL, consequences
from engine.recorder import Graph, Registered, record
from tests.components.gcp.ground import PROJECT, REGIONS, built, changed, ground, of_component, planned
from tests.components.gcp.stacks import recorded, topology
from topology import Topology

ADDRESS = "gcp:compute/globalAddress:GlobalAddress"
CONNECTION = "gcp:servicenetworking/connection:Connection"
PASSWORD = "random:index/randomPassword:RandomPassword"
ACCOUNT = "gcp:serviceaccount/account:Account"
RULE = "gcp:compute/networkFirewallPolicyRule:NetworkFirewallPolicyRule"
ZONE = "gcp:dns/managedZone:ManagedZone"
# What is not the project's, or is known by what it belongs to.
WITHOUT_PROJECT = {CONNECTION, PASSWORD, "pulumi:providers:gcp"}


def foundation(of: Topology, seen: dict[str, Any] | None = None) -> Graph:
    """`seen` takes up the component's attributes: what is known of each, and its keys."""
    found: dict[str, Any] = {} if seen is None else seen

    def program() -> None:
        made = Foundation(f"{of.app}-foundation", FoundationArgs(topology=of))
        for name in ("ground", "transit"):
            output = getattr(made, name)
            output.apply(lambda value, name=name: found.update({name: value}))
            # What somebody waits for who takes it.
            random.RandomPassword(f"after-{name}", length=8, keepers={"of": output})
        for name in ("partition_ids", "write_endpoints", "certificate_ids", "credentials"):
            found[name] = set(getattr(made, name))
            pulumi.Output.all(**getattr(made, name)).apply(
                lambda values, name=name: found.update({f"{name} known": values})
            )

    return recorded(program)


def rule(graph: Graph, part: str) -> Registered:
    return graph.named(f"meridian-foundation-firewall-{part}")


@pytest.mark.parametrize("phase", range(1, 6))
def test_everything_comes_from_one_provider_and_names_its_project(phase: int) -> None:
    graph = built(phase)
    (provider,) = graph.of_type("pulumi:providers:gcp")
    assert (provider.inputs["project"], provider.inputs["region"]) == (PROJECT, REGIONS[0])
    # Labels come from one function, and a provider's own would show in no inputs.
    assert provider.inputs["addPulumiAttributionLabel"] == "false"
    assert "defaultLabels" not in provider.inputs
    resources = [one for one in graph if one.type.startswith("gcp:")]
    assert {one.provider.split("::")[-2] for one in resources} == {provider.name}
    for one in of_component(graph, "Foundation"):
        if one.type not in WITHOUT_PROJECT:
            assert one.inputs["project"] == PROJECT, one.name
        if "labels" in one.inputs:
            assert {"app", "environment", "owner", "cost-center", "data-class"} <= set(one.inputs["labels"])
    # A password is nobody's in Google Cloud, and its provider knows no such type.
    assert {one.provider for one in graph.of_type(PASSWORD)} == {""}


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_a_phase_changes_nothing_and_adds_only_passwords(count: int) -> None:
    highest = 1 if count == 1 else 5
    graphs = [foundation(planned(phase, REGIONS[:count])) for phase in range(1, highest + 1)]
    for low, high in pairwise(graphs):
        assert changed(low, high) == []
        added = {one.type for urn, one in high.resources.items() if urn not in low.resources}
        assert added <= {PASSWORD}


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_climbing_changes_nothing_that_is_there(count: int) -> None:
    highest = 1 if count == 1 else 5
    graphs = [built(phase, REGIONS[:count]) for phase in range(1, highest + 1)]
    for low, high in combinations(graphs, 2):
        assert changed(low, high) == []


def test_the_comparison_can_fail() -> None:
    assert changed(built(4), built(2)) != []
    assert changed(built(3), built(3, project="another-project")) != []


def test_the_order_of_the_list_changes_nothing() -> None:
    for order in (REGIONS[2::-1], (*REGIONS[1:3], REGIONS[0])):
        # The partition `americas` is born in the last region, and no phase below 5 knows it.
        assert changed(built(4), built(4, order)) == []


def test_another_planned_region_replaces_nothing() -> None:
    """It adds a range and an account, lets its subnets through the firewall, and enlarges the connection, all in place.
    Whoever waits for the accounts waits for one more.
    """
    before, after_ = built(4, REGIONS[:3]), built(4, REGIONS[:4])
    for was in before:
        now = after_.resources[was.urn]
        assert was.dependencies <= now.dependencies
        now = replace(now, dependencies=was.dependencies)
        assert was == now or was.type in (CONNECTION, RULE)
        if was != now:
            assert consequences(was.type, was.inputs, now.inputs) == ()


@pytest.mark.parametrize("phase", [1, 5])
def test_every_planned_region_has_its_range_for_databases_from_day_one(phase: int) -> None:
    of, graph = planned(phase, REGIONS), built(phase, REGIONS)
    reserved = {one.inputs["name"]: one.inputs for one in graph.of_type(ADDRESS)}
    assert set(reserved) == {paths.services_range(of, region.name) for region in of.regions}
    for region in of.regions:
        found = reserved[paths.services_range(of, region.name)]
        assert (found["addressType"], found["purpose"]) == ("INTERNAL", "VPC_PEERING")
        taken = IPv4Network(f"{found['address']}/{found['prefixLength']}")
        kept_free = list(region.cidr.subnets(3))[-1]
        assert taken.subnet_of(kept_free)
        others = [cidr for zone in region.zones for cidr in (zone.private, zone.isolated, zone.public)]
        assert not any(taken.overlaps(other) for other in (*others, ranges.private(region), ranges.isolated(region)))
    (connection,) = graph.of_type(CONNECTION)
    assert set(connection.inputs["reservedPeeringRanges"]) == set(reserved)
    for one in graph.of_type(ADDRESS):
        assert one.protect
        assert one.inputs["deletionPolicy"] == "PREVENT"


@pytest.mark.parametrize("prefix", [16, 18, 20])
def test_ranges_are_large_enough_in_every_size_of_region(prefix: int) -> None:
    of = topology(phase=1, regions=[{"name": REGIONS[0], "cidr": f"10.64.0.0/{prefix}"}], residency={}, partitions=[])
    (region,) = of.regions
    parts = [ranges.private(region), ranges.isolated(region), ranges.services(region)]
    assert all(part.subnet_of(region.cidr) for part in parts)
    assert not any(one.overlaps(other) for one, other in combinations(parts, 2))
    assert ranges.private(region).prefixlen <= 26  # direct VPC egress
    assert ranges.services(region).prefixlen <= 24  # Cloud SQL


def test_the_network_is_one_without_subnets_of_its_own() -> None:
    graph = built(5)
    (network,) = graph.of_type("gcp:compute/network:Network")
    assert network.inputs["autoCreateSubnetworks"] is False
    assert network.inputs["networkFirewallPolicyEnforcementOrder"] == "BEFORE_CLASSIC_FIREWALL"
    assert paths.network(planned(5)).endswith(f"/{network.inputs['name']}")
    assert graph.of_type("gcp:compute/firewall:Firewall") == []


@pytest.mark.parametrize("service", ["cloud-run", "instance-group"])
def test_what_no_rule_allows_is_denied_and_recorded(service: str) -> None:
    graph = built(3, service=service)
    rules = graph.of_type(RULE)
    assert len({one.inputs["priority"] for one in rules}) == len(rules)
    allowed = [one.inputs["priority"] for one in rules if one.inputs["action"] == "allow"]
    denials = {one.inputs["direction"]: one.inputs for one in rules if one.inputs["action"] == "deny"}
    assert set(denials) == {"INGRESS", "EGRESS"}
    for direction, side in (("INGRESS", "srcIpRanges"), ("EGRESS", "destIpRanges")):
        assert denials[direction]["match"] == {side: ["0.0.0.0/0"], "layer4Configs": [{"ipProtocol": "all"}]}
        assert denials[direction]["enableLogging"] is True
        assert max(allowed) < denials[direction]["priority"] < 2147483644
    (association,) = graph.of_type("gcp:compute/networkFirewallPolicyAssociation:NetworkFirewallPolicyAssociation")
    assert association.inputs["attachmentTarget"] == "meridian-foundation-network"
    # It takes hold when it is complete, not before.
    assert {one.urn for one in rules} <= association.dependencies


def test_services_reach_every_regions_databases_and_nothing_but_https_outside() -> None:
    of, graph = planned(1, REGIONS), built(1, REGIONS)
    private = [str(ranges.private(region)) for region in of.regions]
    for part, destinations, ports in (
        ("databases", [str(ranges.services(region)) for region in of.regions], ["5432", "3307"]),
        ("caches", [str(ranges.isolated(region)) for region in of.regions], ["6379", "11000-13047"]),
        ("google-apis", ["199.36.153.4/30"], ["443"]),
        ("internet", ["0.0.0.0/0"], ["443"]),
    ):
        one = rule(graph, part).inputs
        assert (one["direction"], one["action"]) == ("EGRESS", "allow")
        assert one["match"]["srcIpRanges"] == private
        assert one["match"]["destIpRanges"] == destinations
        assert one["match"]["layer4Configs"] == [{"ipProtocol": "tcp", "ports": ports}]


def test_only_health_checks_come_in_and_only_to_machines() -> None:
    for service, expected in (("cloud-run", []), ("instance-group", ["health-checks"])):
        graph = built(3, service=service)
        inward = [one.inputs for one in graph.of_type(RULE) if one.inputs["direction"] == "INGRESS"]
        assert [one["ruleName"] for one in inward if one["action"] == "allow"] == expected
    of = planned(3)
    assert of.service is not None
    match = rule(built(3, service="instance-group"), "health-checks").inputs["match"]
    assert match["srcIpRanges"] == ["35.191.0.0/16", "130.211.0.0/22"]
    assert match["layer4Configs"] == [{"ipProtocol": "tcp", "ports": [str(of.service.port)]}]
    # Another way to run the service touches nothing that stays: the policy's association only waits for one rule more.
    one, other = built(3), built(3, service="instance-group")
    assert all(was.inputs == other.resources[was.urn].inputs for was in one)


@pytest.mark.parametrize(("phase", "expected"), [(1, {"main"}), (4, {"main"}), (5, {"main", "americas"})])
def test_a_password_and_a_write_endpoint_per_partition(phase: int, expected: set[str]) -> None:
    seen: dict[str, Any] = {}
    graph = foundation(planned(phase), seen)
    assert seen["write_endpoints"] == seen["credentials"] == expected
    assert seen["partition_ids"] == set()
    passwords = [one for one in graph.of_type(PASSWORD) if one.name.startswith("meridian-")]
    assert {one.name for one in passwords} == {
        "meridian-foundation-directory-key",
        *(f"meridian-foundation-{partition}-password" for partition in expected),
    }
    assert all(one.protect for one in passwords)
    (zone,) = graph.of_type(ZONE)
    for partition in expected:
        host, port = seen["write_endpoints known"][partition].rsplit(":", 1)
        assert port == "5432"
        # The record that the origin makes is in the zone.
        assert f"{host}." == f"{partition}.{zone.inputs['dnsName']}"


@pytest.mark.parametrize("phase", [1, 5])
def test_every_planned_region_has_its_account_from_day_one(phase: int) -> None:
    """The databases' users are made with the origin, which may be a replica when a later region begins."""
    of, graph = planned(phase, REGIONS), built(phase, REGIONS)
    made = {f"{one.inputs['accountId']}@{PROJECT}.iam.gserviceaccount.com" for one in graph.of_type(ACCOUNT)}
    assert made == {accounts.email(of, region.name) for region in of.regions}
    assert len(made) == len(REGIONS)
    for one in graph.of_type(ACCOUNT):
        assert one.urn in graph.named("meridian-europe-west3-keys-ring").dependencies


def test_the_zone_of_the_writers_is_private_to_the_network_and_guarded() -> None:
    (zone,) = built(1).of_type(ZONE)
    assert zone.inputs["visibility"] == "private"
    assert zone.inputs["privateVisibilityConfig"] == {"networks": [{"networkUrl": "meridian-foundation-network"}]}
    assert zone.protect
    assert zone.inputs["deletionPolicy"] == "PREVENT"
    assert zone.inputs["name"] == paths.zone(planned(1))


def test_what_stands_on_the_foundation_waits_for_it() -> None:
    """For the agents, the accounts and the zone, and for the way to the databases and the firewall."""
    seen: dict[str, Any] = {}
    graph = foundation(planned(1), seen)
    assert (seen["ground"], seen["transit"]) == (PROJECT, "meridian-foundation-network")
    waits = {name: graph.named(f"after-{name}").dependencies for name in ("ground", "transit")}
    agents = graph.of_type("gcp:projects/serviceIdentity:ServiceIdentity")
    assert {one.inputs["service"].removesuffix(".googleapis.com") for one in agents} == {
        "memorystore",
        "run",
        "secretmanager",
        "sqladmin",
    }
    assert {one.urn for one in (*agents, *graph.of_type(ACCOUNT), *graph.of_type(ZONE))} <= waits["ground"]
    held = (CONNECTION, "gcp:compute/networkFirewallPolicyAssociation:NetworkFirewallPolicyAssociation")
    assert {one.urn for type_ in held for one in graph.of_type(type_)} <= waits["transit"]


def test_a_value_stays_known_while_what_it_waits_for_is_new() -> None:
    """As in a preview of a later version that brings another grant."""
    known: dict[str, bool] = {}

    def program() -> None:
        new = random.RandomPassword("new", length=8)
        for name, output in {"all": pulumi.Output.all("key", new.id), "after": after("key", new)}.items():

            async def ask(name: str = name, output: pulumi.Output[Any] = output) -> None:
                known[name] = await output.is_known()

            pulumi.Output.from_input(ask()).apply(lambda _: None)
        random.RandomPassword("user", length=8, keepers={"key": after("key", new)})

    graph = record(program, ids={"new": ""}, dry_run=True)
    assert known == {"all": False, "after": True}
    assert graph.named("user").dependencies == {graph.named("new").urn}


def test_a_secret_stays_one() -> None:
    told: list[bool] = []

    def program() -> None:
        async def ask() -> None:
            told.append(await after(pulumi.Output.secret("x"), random.RandomPassword("p", length=8)).is_secret())

        pulumi.Output.from_input(ask()).apply(lambda _: None)

    record(program)
    assert told == [True]


@pytest.mark.parametrize(
    ("phase", "expected"), [(1, REGIONS[:1]), (2, REGIONS[:1]), (3, REGIONS[:2]), (4, REGIONS[:3])]
)
def test_every_region_with_a_service_is_told_of_the_one_certificate_map(phase: int, expected: tuple[str, ...]) -> None:
    seen: dict[str, Any] = {}
    foundation(planned(phase), seen)
    assert seen["certificate_ids"] == set(expected)
    assert set(seen["certificate_ids known"].values()) == {"meridian-foundation-certificates"}


def test_the_certificate_is_proved_by_dns_and_covers_the_hostname() -> None:
    graph = built(1)
    (certificate,) = graph.of_type("gcp:certificatemanager/certificate:Certificate")
    (record_,) = graph.of_type("gcp:dns/recordSet:RecordSet")
    assert certificate.inputs["managed"] == {
        "domains": ["api.example.com", "*.api.example.com"],
        "dnsAuthorizations": ["meridian-foundation-authorization"],
    }
    assert record_.urn in certificate.dependencies
    assert (record_.inputs["managedZone"], record_.inputs["type"]) == ("example-com", "CNAME")
    entries = graph.of_type("gcp:certificatemanager/certificateMapEntry:CertificateMapEntry")
    assert {one.inputs["hostname"] for one in entries} == {"api.example.com", "*.api.example.com"}
    (certificate_map,) = graph.of_type("gcp:certificatemanager/certificateMap:CertificateMap")
    # By name: the provider puts it into a path itself.
    assert {one.inputs["map"] for one in entries} == {certificate_map.inputs["name"]}
    assert paths.certificate_map(planned(1)).endswith(f"/{certificate_map.inputs['name']}")


def test_the_record_is_the_one_that_google_asks_for() -> None:
    records: Any = [
        gcp.certificatemanager.outputs.DnsAuthorizationDnsResourceRecord(name="_a.", data="b.", type="CNAME")
    ]
    assert (first(records, "name"), first(records, "data"), first(None, "name")) == ("_a.", "b.", "")


@pytest.mark.parametrize("phase", range(1, 6))
def test_what_holds_data_is_protected(phase: int) -> None:
    held = [one for one in built(phase) if one.type in STATEFUL]
    assert {ADDRESS, ZONE} <= {one.type for one in held}
    assert [one.name for one in held if not one.protect] == []


def test_physical_names_fit_with_the_longest_settings() -> None:
    of = topology(phase=2, app="a" * 20)
    object.__setattr__(of, "environment", "e" * 100)
    graph = ground(of)
    limits = {"secretId": 255, "bucketId": 100}
    for one in graph:
        if not one.custom or one.type in ("gcp:dns/recordSet:RecordSet", PASSWORD):
            continue
        for key in ("name", "secretId", "bucketId"):
            limit = 100 if one.type.startswith("gcp:logging/") else limits.get(key, 63)
            assert len(one.inputs.get(key, "")) <= limit, one.name
    for label in paths.write_host(of, "p" * 20).split("."):
        assert len(label) <= 63
    for type_ in {one.type for one in graph if "name" in one.inputs and one.type != "gcp:kms/cryptoKey:CryptoKey"}:
        names = [(one.inputs.get("region"), one.inputs["name"]) for one in graph.of_type(type_)]
        assert len(set(names)) == len(names)


def test_the_directorys_key_is_one_for_the_stack_from_the_first_phase_on() -> None:
    """Under another key no customer would be found again."""
    first, last = (foundation(planned(phase)).named("meridian-foundation-directory-key") for phase in (1, 5))
    assert first.inputs == last.inputs
    assert first.protect
    # 62 signs: log2(62) * 43 = 256 bits.
    assert (first.inputs["length"], first.inputs["special"]) == (43, False)
