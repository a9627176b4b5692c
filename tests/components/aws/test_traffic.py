"""The entry on AWS: whom Route 53 answers with at every phase, whatever operations have decided, and what it rests on.

Route 53 is played from the recorded records and health checks alone, so that what stands here holds for what is
registered and not for what was meant.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from types import SimpleNamespace
from typing import Any, cast

import pulumi
import pytest

from components.aws.admission import ADMITTED, HELD_OUT, PATH, STANDBY, Answer, at_birth
from components.aws.foundation import Foundation
from components.aws.load_balancer import READY, LoadBalancer
from components.aws.replacement import consequences
from components.aws.traffic import Traffic
from components.component import Component
from components.contracts import FoundationArgs, ServiceArgs, TrafficArgs
from engine.recorder import Graph, Registered
from tests.components.aws.arguments import check_graph
from tests.components.aws.stacks import recorded, topology
from topology import Topology

HOME, SECOND, AMERICA = "eu-west-1", "eu-central-1", "us-east-1"
ACCOUNT = {"account_id": "123456789012", "zone": {"id": "Z0123456789ABCDEFGHIJ", "name": "example.com"}}
RECORD, CHECK = "aws:route53/record:Record", "aws:route53/healthCheck:HealthCheck"
GROUP = "aws:globalaccelerator/endpointGroup:EndpointGroup"
MODES = ("route53", "global-accelerator")


def outputs(**values: str) -> dict[str, pulumi.Output[str]]:
    return {key: pulumi.Output.from_input(value) for key, value in values.items()}


def service(region: str) -> SimpleNamespace:
    balancer = f"arn:aws:elasticloadbalancing:{region}:123456789012:loadbalancer/app/meridian-{region}/50dc6c495c0c9188"
    return SimpleNamespace(
        attachments=outputs(
            load_balancer_arn=balancer,
            load_balancer_dns=f"meridian-{region}-1234567890.{region}.elb.amazonaws.com",
            load_balancer_zone="Z32O12XQLNTSW2",
            admitted_rule_arn=f"rule-{region}",
        )
    )


def cut(phase: int, mode: str = "route53", **overrides: Any) -> Topology:
    return topology(phase=phase, aws={**ACCOUNT, "entry": mode}, **overrides)


def graph(planned: Topology) -> Graph:
    def program() -> None:
        foundation = Foundation(f"{planned.app}-foundation", FoundationArgs(topology=planned))
        serving = [region.name for region in planned.regions_in_use if region.has_service]
        key = "arn:aws:kms:{}:123456789012:key/logs"
        args = SimpleNamespace(
            topology=planned,
            services={region: service(region) for region in serving},
            key_ids={region: outputs(logs=key.format(region)) for region in serving},
        )
        traffic = Traffic(
            planned.entry.name, cast("TrafficArgs", args), pulumi.ResourceOptions(provider=foundation.provider)
        )
        pulumi.export("entry", traffic.entry)
        pulumi.export("levers", traffic.levers)

    return recorded(program)


@cache
def built(phase: int, mode: str = "route53") -> Graph:
    return graph(cut(phase, mode))


def of_entry(found: Graph) -> list[Registered]:
    return [one for one in found if one.custom and one.parent.endswith("::meridian-entry")]


def latency(found: Graph) -> dict[str, Registered]:
    return {
        one.inputs["setIdentifier"]: one
        for one in found.of_type(RECORD)
        if one.inputs["name"] == "api.example.com" and one.inputs["type"] == "A"
    }


# --- Route 53, played -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Region:
    """What a checker finds in a region."""

    admission: Answer
    ready: bool = True
    reachable: bool = True

    def get(self, path: str) -> Answer | None:
        if not self.reachable:
            return None
        known = {PATH: self.admission, READY: Answer(status="200" if self.ready else "503", body="")}
        return known[path]


World = Mapping[str, Region]


def healthy(found: Graph, check: str, world: World) -> bool:
    """docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-determining-health-of-endpoints.html"""
    inputs = found.named(check).inputs
    assert "disabled" not in inputs
    assert not inputs.get("invertHealthcheck")
    if inputs["type"] == "CALCULATED":
        well = [healthy(found, child, world) for child in inputs["childHealthchecks"]]
        return sum(well) >= inputs["childHealthThreshold"]
    region = inputs["fqdn"].removesuffix(".api.example.com")
    answer = world[region].get(inputs["resourcePath"])
    if answer is None or answer.status[0] not in "23":
        return False
    return inputs["type"] == "HTTPS" or inputs["searchString"] in answer.body


def answers(found: Graph, world: World) -> set[str]:
    """The regions that the hostname may lead to; a user gets the nearest of them. None healthy: all of them."""
    records = latency(found)
    for record in records.values():
        (alias,) = record.inputs["aliases"]
        assert alias["evaluateTargetHealth"] is False, "or a region whose tasks fail would be out, whoever is admitted"
    well = {region for region, record in records.items() if healthy(found, record.inputs["healthCheckId"], world)}
    return well or set(records)


def born(phase: int) -> dict[str, Region]:
    return {
        region.name: Region(admission=at_birth(region.serving)) for region in cut(phase).regions if region.has_service
    }


def after(phase: int, **changed: dict[str, Any]) -> dict[str, Region]:
    """The regions as they are born at a phase, and what has happened to some of them since."""
    world = born(phase)
    for name, changes in changed.items():
        region = {"home": HOME, "second": SECOND, "america": AMERICA}[name]
        world[region] = replace(world[region], **changes)
    return world


DEAD, UNREADY = {"reachable": False}, {"ready": False}
IN, OUT = {"admission": ADMITTED}, {"admission": HELD_OUT}
# Born in phase 3, and nobody has decided about it since.
FORMER = {"admission": born(3)[SECOND].admission}

TABLE: list[tuple[str, int, World, set[str]]] = [
    ("one region", 1, after(1), {HOME}),
    ("one region that fails is still the answer", 1, after(1, home=DEAD), {HOME}),
    ("held out, and nobody else: Route 53 fails open", 1, after(1, home=OUT), {HOME}),
    ("the copy has no service", 2, after(2), {HOME}),
    ("the standby takes no users", 3, after(3), {HOME}),
    ("home's tasks fail: still home, nobody was promoted", 3, after(3, home=UNREADY), {HOME}),
    ("the standby is ready or not, that is all one", 3, after(3, second=UNREADY), {HOME}),
    ("home is gone and nobody promoted: fails open", 3, after(3, home=DEAD), {HOME, SECOND}),
    ("home is fenced and nobody promoted: fails open", 3, after(3, home=OUT), {HOME, SECOND}),
    ("failed over, home fenced", 3, after(3, home=OUT, second=IN), {SECOND}),
    ("failed over, home gone and never told", 3, after(3, home=DEAD, second=IN), {SECOND}),
    ("failed back, and the standby stands by again", 3, after(3, home=IN, second=FORMER), {HOME}),
    ("every region serves, the former standby too", 4, after(4, second=FORMER), {HOME, SECOND, AMERICA}),
    ("a failover before the step: home stays out", 4, after(4, home=OUT, second=IN), {SECOND, AMERICA}),
    ("held out after the step", 4, after(4, second=OUT), {HOME, AMERICA}),
    ("not ready", 4, after(4, america=UNREADY, second=FORMER), {HOME, SECOND}),
    ("gone", 4, after(4, home=DEAD, second=FORMER), {SECOND, AMERICA}),
    ("all gone: fails open", 4, after(4, home=DEAD, second=DEAD, america=DEAD), {HOME, SECOND, AMERICA}),
    ("one held out and one gone", 4, after(4, home=OUT, second=DEAD), {AMERICA}),
    ("one held out, the others gone: fails open", 4, after(4, home=OUT, second=DEAD, america=DEAD), set(after(4))),
    ("every region serves", 5, after(5, second=FORMER), {HOME, SECOND, AMERICA}),
    ("held out in phase 3, 4 or 5", 5, after(5, home=OUT, second=IN), {SECOND, AMERICA}),
]


@pytest.mark.parametrize(("what", "phase", "world", "expected"), TABLE, ids=[row[0] for row in TABLE])
def test_whom_the_hostname_leads_to(what: str, phase: int, world: World, expected: set[str]) -> None:
    assert answers(built(phase), world) == expected, what


def test_the_load_balancer_is_born_with_the_answer_that_the_checks_expect() -> None:
    """The other side of the table: what `components/aws/load_balancer.py` registers."""
    for phase, region in ((1, HOME), (3, HOME), (3, SECOND), (4, SECOND), (5, AMERICA)):
        planned = cut(phase)

        def program(planned: Topology = planned, region: str = region) -> None:
            network = SimpleNamespace(
                network_id="vpc", subnet_ids={"public": ["a", "b"]}, group_ids=outputs(entry="sg-entry")
            )
            args = SimpleNamespace(
                topology=planned, region=planned.region(region), network=network, certificate_id="certificate"
            )
            LoadBalancer(Component("aws", "service"), cast("ServiceArgs", args))

        (rule,) = recorded(program).of_type("aws:lb/listenerRule:ListenerRule")
        (action,) = rule.inputs["actions"]
        answer = at_birth(planned.region(region).serving)
        assert action["fixedResponse"]["statusCode"] == answer.status, (phase, region)
        assert action["fixedResponse"]["messageBody"] == answer.body
        assert rule.inputs["conditions"] == [{"pathPattern": {"values": [PATH]}}]
        assert "actions" in rule.ignore_changes


def test_no_answer_is_taken_for_another() -> None:
    assert ADMITTED.body not in STANDBY.body + HELD_OUT.body
    assert [answer.status[0] for answer in (ADMITTED, STANDBY, HELD_OUT)] == ["2", "2", "5"]


# --- records ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("phase", range(1, 6))
def test_every_region_that_serves_has_a_latency_record_and_a_name_of_its_own(phase: int, mode: str) -> None:
    found = built(phase, mode)
    serving = [region.name for region in cut(phase).regions_in_use if region.has_service]
    assert sorted(latency(found)) == sorted(serving)
    for region, record in latency(found).items():
        assert record.name == f"meridian-entry-{region}"
        assert record.inputs["latencyRoutingPolicies"] == [{"region": region}]
        own = found.named(f"meridian-entry-{region}-own")
        assert own.inputs["name"] == f"{region}.api.example.com"
        assert not any(key.endswith("RoutingPolicies") or key == "setIdentifier" for key in own.inputs)
        assert own.inputs["aliases"][0]["name"] == f"meridian-{region}-1234567890.{region}.elb.amazonaws.com"
        assert own.urn in record.dependencies
    assert found.outputs["entry"] == "https://api.example.com"


@pytest.mark.parametrize("phase", range(1, 6))
def test_a_hostname_that_is_the_zone_itself_is_an_alias_too(phase: int) -> None:
    found = graph(cut(phase, hostname="example.com"))
    names = {record.inputs["name"] for record in found.of_type(RECORD) if record.inputs["type"] == "A"}
    assert {"example.com", f"{HOME}.example.com"} <= names
    assert all("aliases" in record.inputs for record in found.of_type(RECORD) if record.inputs["type"] == "A")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("low", "high"), [*itertools.combinations(range(1, 6), 2)])
def test_climbing_takes_nothing_away_and_edits_only_the_check_behind_a_record(low: int, high: int, mode: str) -> None:
    before, later = built(low, mode), built(high, mode)
    edited: set[str] = set()
    for was in of_entry(before):
        now = later.resources[was.urn]
        assert not consequences(was.type, dict(was.inputs), dict(now.inputs), now.ignore_changes)
        keys = {key for key in {*was.inputs, *now.inputs} if was.inputs.get(key) != now.inputs.get(key)}
        edited |= {f"{was.type} {key}" for key in keys - camel(now.ignore_changes)}
    assert edited == ({f"{RECORD} healthCheckId"} if mode == "route53" and low < 4 <= high else set())


def camel(names: tuple[str, ...]) -> set[str]:
    return {names_[0] + "".join(part.title() for part in names_[1:]) for names_ in (name.split("_") for name in names)}


def test_every_check_is_there_before_a_step_needs_it() -> None:
    """A new one counts as healthy until it knows better, also for a region that is held out."""
    needed = {latency(built(4))[region].inputs["healthCheckId"] for region in (HOME, SECOND)}
    assert needed <= {check.name for check in built(3).of_type(CHECK)}


@pytest.mark.parametrize("phase", range(1, 6))
def test_a_check_asks_the_region_itself_and_lasts_longer_than_a_blip(phase: int) -> None:
    for check in built(phase).of_type(CHECK):
        if check.inputs["type"] == "CALCULATED":
            assert check.inputs["childHealthThreshold"] == len(check.inputs["childHealthchecks"])
            continue
        region = check.inputs["fqdn"].removesuffix(".api.example.com")
        assert check.inputs["enableSni"] is True
        assert check.inputs["port"] == 443
        assert check.inputs["measureLatency"] is True
        assert check.inputs["requestInterval"] * check.inputs["failureThreshold"] == 30
        assert len(check.inputs["regions"]) >= 3
        # The name exists first: resolvers keep for minutes that one does not.
        assert built(phase).named(f"meridian-entry-{region}-own").urn in check.dependencies


# --- Global Accelerator -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", range(1, 6))
def test_an_accelerator_says_all_that_is_a_trap_when_left_out(phase: int) -> None:
    found = built(phase, "global-accelerator")
    groups = found.of_type(GROUP)
    planned = cut(phase)
    assert {group.inputs["endpointGroupRegion"] for group in groups} == set(born(phase))
    for group in groups:
        region = group.inputs["endpointGroupRegion"]
        assert group.name == f"meridian-entry-{region}-group"
        (endpoint,) = group.inputs["endpointConfigurations"]
        assert endpoint["endpointId"].split(":")[3] == region
        assert endpoint["clientIpPreservationEnabled"] is True
        assert endpoint["weight"] == (0 if planned.region(region).serving == "standby" else 128)
        assert group.inputs["trafficDialPercentage"] == 100, "a dial of zero still takes users when another fails"
        assert {"endpointConfigurations", "trafficDialPercentage"} <= camel(group.ignore_changes)
    (accelerator,) = found.of_type("aws:globalaccelerator/accelerator:Accelerator")
    assert accelerator.protect, "its addresses stand in other people's firewalls"
    (listener,) = found.of_type("aws:globalaccelerator/listener:Listener")
    assert {(ports["fromPort"], ports["toPort"]) for ports in listener.inputs["portRanges"]} == {(80, 80), (443, 443)}
    assert not found.of_type(CHECK)
    assert all("healthCheckId" not in record.inputs for record in latency(found).values())
    assert set(found.outputs["levers"]) == {f"endpoint-group/{region}" for region in born(phase)}


@pytest.mark.parametrize("phase", range(1, 6))
@pytest.mark.parametrize(("old", "new"), [MODES, MODES[::-1]])
def test_the_other_entry_keeps_every_record_and_takes_away_nothing_that_holds_data(
    phase: int, old: str, new: str
) -> None:
    before, later = built(phase, old), built(phase, new)
    gone = {was.type for was in of_entry(before) if was.urn not in later.resources}
    only_accelerated = {
        "aws:globalaccelerator/accelerator:Accelerator",
        "aws:globalaccelerator/listener:Listener",
        GROUP,
    }
    assert gone == ({CHECK} if old == "route53" else only_accelerated)
    for region, was in latency(before).items():
        now = latency(later)[region]
        changed = {key for key in {*was.inputs, *now.inputs} if was.inputs.get(key) != now.inputs.get(key)}
        assert changed == {"aliases", "healthCheckId"}


# --- levers, firewall, arguments --------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", range(1, 6))
def test_operations_find_what_admits_a_region_and_the_check_that_shows_it(phase: int) -> None:
    levers = built(phase).outputs["levers"]
    assert set(levers) == {f"{kind}/{region}" for kind in ("admitted", "check") for region in born(phase)}
    for region, record in latency(built(phase)).items():
        assert levers[f"admitted/{region}"] == f"rule-{region}"
        assert levers[f"check/{region}"] == record.inputs["healthCheckId"]


@pytest.mark.parametrize("phase", range(1, 6))
def test_a_firewall_stands_before_every_load_balancer_that_has_a_name(phase: int) -> None:
    found = built(phase)
    for region in born(phase):
        association = found.named(f"meridian-entry-{region}-firewall-association")
        assert association.inputs["resourceArn"].split(":")[3] == region
        assert association.urn in found.named(f"meridian-entry-{region}-own").dependencies
        acl = found.named(f"meridian-entry-{region}-firewall").inputs
        assert (acl["scope"], acl["region"]) == ("REGIONAL", region)
        rules = {rule["name"]: rule for rule in acl["rules"]}
        assert len({rule["priority"] for rule in rules.values()}) == len(rules)
        limit = rules.pop("requests-per-address")
        rate = limit["statement"]["rateBasedStatement"]
        assert limit["action"] == {"block": {"customResponse": {"responseCode": 429}}}
        assert (rate["aggregateKeyType"], rate["evaluationWindowSec"]) == ("IP", 60)
        # All checkers of a region that share an address stay far below it.
        assert rate["limit"] > 60 * len(found.of_type(CHECK))
        assert {name for name, rule in rules.items() if "count" in rule["overrideAction"]} == {
            "AWSManagedRulesCommonRuleSet"
        }
        group = found.named(f"meridian-entry-{region}-firewall-logs")
        assert group.protect
        assert group.inputs["name"].startswith("aws-waf-logs-")
        assert region in group.inputs["kmsKeyId"]
        logging = found.named(f"meridian-entry-{region}-firewall-logging").inputs
        assert logging["logDestinationConfigs"] == [
            f"arn:aws:logs:{region}:123456789012:log-group:{group.inputs['name']}"
        ]
        redacted = {field["singleHeader"]["name"] for field in logging["redactedFields"]}
        assert redacted == {"authorization", "cookie"}
        assert logging["loggingFilter"]["defaultBehavior"] == "DROP"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("phase", range(1, 6))
def test_every_argument_is_one_that_aws_takes(phase: int, mode: str) -> None:
    assert check_graph(built(phase, mode)) == []
