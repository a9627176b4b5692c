"""The entry on Google Cloud: who answers users at every phase, whatever operations have decided, and what it rests on.

The load balancer is played from the recorded map and backend services alone, so that what stands here holds for what is
registered and not for what was meant.
"""

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any, cast

import pulumi
import pytest

from components.contracts import FoundationArgs, TrafficArgs
from components.gcp import paths
from components.gcp.admission import PLANNED, alone, choices, without
from components.gcp.foundation import Foundation
from components.gcp.machines import PORT_NAME
from components.gcp.replacement import STATEFUL, consequences
from components.gcp.run import READY
from components.gcp.traffic import MAP_IGNORES, Traffic
from engine.recorder import Graph, Registered, record
from engine.values import UNKNOWN
from tests.components.failover import differences
from tests.components.gcp import members
from tests.components.gcp.arguments import check_graph
from tests.components.gcp.failover import CLOUD, MAP, moves
from tests.components.gcp.stacks import recorded, topology
from tests.components.ladder import STEPS, Ladder
from topology import Topology

HOME, SECOND, AMERICA = "europe-west3", "europe-west1", "us-east4"
RUN, MACHINES = MODES = ("cloud-run", "instance-group")
PROJECT = members.PROJECT
BACKEND, RULE = "gcp:compute/backendService:BackendService", "gcp:compute/globalForwardingRule:GlobalForwardingRule"
LADDER = Ladder(stateful=STATEFUL, consequences=consequences, is_revision=lambda _now: False)


def cut(phase: int, mode: str = RUN, **overrides: Any) -> Topology:
    return topology(phase=phase, gcp={**PROJECT, "service": mode}, **overrides)


def entry(planned: Topology, ground: pulumi.Input[str], provider: pulumi.ProviderResource) -> None:
    services = {
        region.name: SimpleNamespace(attachments={"backend_group": pulumi.Output.from_input(f"group-{region.name}")})
        for region in planned.regions_in_use
        if region.has_service
    }
    args = SimpleNamespace(topology=planned, ground=ground, services=services)
    traffic = Traffic(planned.entry.name, cast("TrafficArgs", args), pulumi.ResourceOptions(provider=provider))
    pulumi.export("entry", traffic.entry)
    pulumi.export("levers", traffic.levers)


def graph(planned: Topology, *, dry_run: bool = False) -> Graph:
    """In a dry run, what no input says is unknown and not nothing at all."""

    def program() -> None:
        foundation = Foundation(f"{planned.app}-foundation", FoundationArgs(topology=planned))
        entry(planned, foundation.ground, foundation.provider)

    return record(program, stack="production-gcp", dry_run=dry_run)


@cache
def built(phase: int, mode: str = RUN, *, dry_run: bool = False) -> Graph:
    return graph(cut(phase, mode), dry_run=dry_run)


@cache
def with_members(phase: int) -> Graph:
    """The entry beside the members, which a failover is about."""
    planned = cut(phase)

    def program() -> None:
        provider = next(iter(members.register(planned).values())).instance._provider
        assert provider is not None
        entry(planned, planned.gcp.project if planned.gcp else "", provider)

    return recorded(program)


def of_entry(found: Graph) -> list[Registered]:
    return [one for one in found if one.custom and one.parent.endswith("::meridian-entry")]


def serving(phase: int) -> list[str]:
    return [region.name for region in cut(phase).regions_in_use if region.has_service]


def users(found: Graph) -> Registered:
    return found.named("meridian-entry-map")


def services(found: Graph) -> dict[str, Registered]:
    return {one.name.removeprefix("meridian-entry-"): one for one in found.of_type(BACKEND)}


def behind(service: Registered) -> set[str]:
    return {backend["group"].removeprefix("group-") for backend in service.inputs["backends"]}


# --- the load balancer, played ----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Region:
    """What a health check, or a user's request, finds in a region."""

    ready: bool = True

    def answers(self, path: str) -> bool:
        return self.ready and path == READY


FAILING = Region(ready=False)


def led(service: Registered, world: Mapping[str, Region]) -> set[str]:
    """The regions that users are led to; each gets the nearest of them."""
    regions = behind(service)
    if (check := service.inputs.get("healthChecks")) is not None:
        assert check == "meridian-entry-ready"
        return {region for region in regions if world[region].answers(READY)}
    failing = sorted(region for region in regions if not world[region].ready)
    detection = service.inputs.get("outlierDetection", {})
    # envoyproxy.io: the share that would be passed over is held against the most; without a setting it is a tenth.
    most = int(len(regions) * detection.get("maxEjectionPercent", 10) / 100)
    enforced = detection.get("enforcingConsecutiveGatewayFailure", 0) == 100
    return regions - set(failing[: most if enforced else 0])


def answers(found: Graph, decision: str, world: Mapping[str, Region]) -> set[str]:
    """The regions that answer at the hostname. Also: nobody is led astray while somebody could answer."""
    service = services(found)[decision]
    well = {region for region in behind(service) if world[region].ready}
    if well:
        assert led(service, world) == well
    return well


def after(phase: int, **changed: Region) -> dict[str, Region]:
    places = {"home": HOME, "second": SECOND, "america": AMERICA}
    return {region: Region() for region in serving(phase)} | {places[name]: changed[name] for name in changed}


TABLE: list[tuple[str, int, str, dict[str, Region], set[str]]] = [
    ("one region", 1, PLANNED, after(1), {HOME}),
    ("one region that fails: there is no other", 1, PLANNED, after(1, home=FAILING), set()),
    ("the copy has no service", 2, PLANNED, after(2), {HOME}),
    ("the standby takes no users", 3, PLANNED, after(3), {HOME}),
    ("the standby is ready or not, that is all one", 3, PLANNED, after(3, second=FAILING), {HOME}),
    ("home fails and nobody promoted: the standby takes none", 3, PLANNED, after(3, home=FAILING), set()),
    ("failed over", 3, without(HOME), after(3), {SECOND}),
    ("failed over, home gone", 3, without(HOME), after(3, home=FAILING), {SECOND}),
    ("failed over, and the other fails: home is held out", 3, without(HOME), after(3, second=FAILING), set()),
    ("every region serves, the former standby too", 4, PLANNED, after(4), {HOME, SECOND, AMERICA}),
    ("a failover before the step: home stays out", 4, without(HOME), after(4), {SECOND, AMERICA}),
    ("held out after the step", 4, without(SECOND), after(4), {HOME, AMERICA}),
    ("one fails", 4, PLANNED, after(4, america=FAILING), {HOME, SECOND}),
    ("two fail", 4, PLANNED, after(4, home=FAILING, second=FAILING), {AMERICA}),
    ("all fail", 4, PLANNED, after(4, home=FAILING, second=FAILING, america=FAILING), set()),
    ("one held out and one fails", 4, without(HOME), after(4, second=FAILING), {AMERICA}),
    ("two held out", 4, alone(AMERICA), after(4), {AMERICA}),
    ("every region serves", 5, PLANNED, after(5), {HOME, SECOND, AMERICA}),
    ("held out in phase 3, 4 or 5", 5, without(HOME), after(5), {SECOND, AMERICA}),
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("what", "phase", "decision", "world", "expected"), TABLE, ids=[row[0] for row in TABLE])
def test_who_answers(
    what: str, phase: int, decision: str, world: dict[str, Region], expected: set[str], mode: str
) -> None:
    assert answers(built(phase, mode), decision, world) == expected, what


@pytest.mark.parametrize("phase", range(1, 6))
def test_the_map_is_born_with_the_plan_and_follows_the_policy(phase: int) -> None:
    assert users(built(phase)).inputs["defaultService"] == f"meridian-entry-{PLANNED}"
    nearest = cut(phase).entry.policy == "nearest"
    assert choices(cut(phase))[PLANNED] == (tuple(serving(phase)) if nearest else (HOME,))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("regions", range(1, 6))
def test_a_region_less_is_passed_over_however_many_there_are(regions: int, mode: str) -> None:
    listed = [{"name": name, "slot": slot} for slot, name in enumerate(members.REGIONS[:regions])]
    partitions = [{"name": "americas", "slot": 1, "origin": listed[-1]["name"], "serves": ["US"]}]
    found = graph(cut(4 if regions > 1 else 1, mode, regions=listed, residency={}, partitions=partitions))
    service = services(found)[PLANNED]
    for failing in range(1, regions):
        world = {name: Region(ready=number >= failing) for number, name in enumerate(sorted(behind(service)))}
        assert led(service, world) == {name for name in world if world[name].ready}


# --- what a step and a failover change --------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("low", "high"), STEPS)
def test_climbing_adds_regions_and_replaces_nothing(low: int, high: int, mode: str) -> None:
    before, later = built(low, mode), built(high, mode)
    assert LADDER.faults(before, later) == []
    edited: dict[str, set[str]] = {}
    for was in of_entry(before):
        edited.setdefault(was.type, set()).update(differences(was.inputs, later.resources[was.urn].inputs))
    assert {type_ for type_, paths_ in edited.items() if paths_} <= {BACKEND, MAP}
    assert edited[BACKEND] <= {"backends", "outlierDetection"}
    assert ("backends" in edited[BACKEND]) == (low < 4 <= high)
    assert edited[MAP] <= {"hostRules", "pathMatchers"}


@pytest.mark.parametrize(("low", "high"), STEPS)
def test_a_step_never_puts_a_region_in_that_was_held_out(low: int, high: int) -> None:
    """Wherever operations left the map, the same backend service is there after the step, without that region still."""
    for region in serving(low):
        for choice in (without(region), alone(region)):
            if choice in services(built(low)):
                then = behind(services(built(high))[choice])
                assert (region in then) == (choice == alone(region))


def test_another_order_of_the_regions_changes_nothing() -> None:
    names = [{"name": name, "slot": slot} for slot, name in enumerate((HOME, SECOND, AMERICA))]
    first, second = (graph(cut(4, regions=listed, home=HOME)) for listed in (names, names[::-1]))
    assert {one.urn: one.inputs for one in of_entry(first)} == {one.urn: one.inputs for one in of_entry(second)}


@pytest.mark.parametrize("phase", [3, 4, 5])
def test_up_has_nothing_to_do_after_a_failover(phase: int) -> None:
    before = with_members(phase)
    map_ = users(before)
    for partition, region in moves(before):
        states = CLOUD.after_failover(before, partition, region)
        former = next(name for name in CLOUD.members(before, partition) if name != region)
        assert states[map_.urn]["defaultService"] == f"meridian-entry-{without(former)}"
        assert CLOUD.verdicts(before, states) == []
        for entry_ in MAP_IGNORES:
            off = CLOUD.verdicts(before, states, off=frozenset({(MAP, entry_)}))
            assert {(each.name, each.argument, each.effect) for each in off} == {(map_.name, entry_, "update")}


def test_in_phase_2_a_failover_has_nowhere_to_lead_users() -> None:
    before = with_members(2)
    states = CLOUD.after_failover(before, "main", SECOND)
    assert states[users(before).urn]["defaultService"] == f"meridian-entry-{PLANNED}"
    assert CLOUD.verdicts(before, states) == []


@pytest.mark.parametrize("low", [3, 4])
def test_a_step_after_a_failover_leaves_the_map_where_it_leads(low: int) -> None:
    states = CLOUD.after_failover(with_members(low), "main", SECOND)
    found = [each for each in CLOUD.verdicts(with_members(low + 1), states) if each.type == MAP]
    assert {each.name for each in found} <= {"meridian-entry-regions-map"}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("low", "high"), STEPS)
def test_no_step_updates_the_map_even_when_nobody_refreshed(low: int, high: int, mode: str) -> None:
    """An update would send its default service as the state last knew it, and so take a failover back."""
    assert users(built(low, mode)).inputs == users(built(high, mode)).inputs


# --- the way in -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["entry", "regions"])
@pytest.mark.parametrize("phase", range(1, 6))
def test_an_address_stays_and_what_should_lead_to_it_does(phase: int, part: str) -> None:
    found = built(phase, dry_run=True)
    address = found.named(f"meridian-entry-{part}-address")
    assert address.protect
    assert address.inputs["deletionPolicy"] == "PREVENT"
    assert (address.inputs["addressType"], address.inputs["ipVersion"]) == ("EXTERNAL", "IPV4")
    rules = {rule.inputs["portRange"]: rule for rule in found.of_type(RULE) if address.urn in rule.dependencies}
    assert {port: rule.name for port, rule in rules.items()} == {
        "443": f"meridian-entry-{part}-https",
        "80": f"meridian-entry-{part}-http",
    }
    for rule in rules.values():
        assert rule.inputs["ipAddress"] is UNKNOWN
        assert rule.inputs["loadBalancingScheme"] == "EXTERNAL_MANAGED"
        assert rule.inputs["networkTier"] == "PREMIUM"
        assert built(phase).named(rule.name).inputs["target"] == f"{rule.name}-proxy"
    records = {one.name: one for one in of_entry(found) if one.type == "gcp:dns/recordSet:RecordSet"}
    expected = {"meridian-entry-record": "api.example.com."}
    if part == "regions":
        expected = {f"meridian-entry-{region}-own": f"{region}.api.example.com." for region in serving(phase)}
    assert {name: one.inputs["name"] for name, one in records.items() if address.urn in one.dependencies} == expected
    for name in expected:
        one = records[name]
        assert (one.inputs["type"], one.inputs["managedZone"]) == ("A", "example-com")
        assert one.inputs["rrdatas"] == [UNKNOWN]
        # Not before somebody listens.
        assert {rule.urn for rule in rules.values()} <= one.dependencies


@pytest.mark.parametrize("phase", range(1, 6))
def test_the_entry_is_the_hostname(phase: int) -> None:
    assert built(phase).outputs["entry"] == "https://api.example.com"


@pytest.mark.parametrize("part", ["entry", "regions"])
@pytest.mark.parametrize("phase", range(1, 6))
def test_plain_http_is_sent_to_tls_of_this_decade_with_the_certificates_of_the_foundation(
    phase: int, part: str
) -> None:
    found = built(phase)
    redirect = found.named(found.named(f"meridian-entry-{part}-http-proxy").inputs["urlMap"]).inputs
    assert redirect["defaultUrlRedirect"] == {
        "httpsRedirect": True,
        "redirectResponseCode": "MOVED_PERMANENTLY_DEFAULT",
        "stripQuery": False,
    }
    assert "defaultService" not in redirect
    proxy = found.named(f"meridian-entry-{part}-https-proxy").inputs
    assert proxy["urlMap"] == {"entry": "meridian-entry-map", "regions": "meridian-entry-regions-map"}[part]
    (certificates,) = found.of_type("gcp:certificatemanager/certificateMap:CertificateMap")
    name = proxy["certificateMap"].removeprefix("//certificatemanager.googleapis.com/")
    assert name == paths.certificate_map(cut(phase))
    assert name == f"projects/example-production/locations/global/certificateMaps/{certificates.inputs['name']}"
    tls = found.named(proxy["sslPolicy"]).inputs
    assert (tls["profile"], tls["minTlsVersion"]) == ("MODERN", "TLS_1_2")


@pytest.mark.parametrize("phase", range(1, 6))
def test_a_regions_own_name_leads_to_it_alone_whatever_is_decided(phase: int) -> None:
    map_ = built(phase).named("meridian-entry-regions-map")
    hosts = {rule["hosts"][0]: rule["pathMatcher"] for rule in map_.inputs["hostRules"]}
    matchers = {matcher["name"]: matcher["defaultService"] for matcher in map_.inputs["pathMatchers"]}
    for region in serving(phase):
        choice = matchers[hosts[f"{region}.api.example.com"]].removeprefix("meridian-entry-")
        assert behind(services(built(phase))[choice]) == {region}
    assert len(hosts) == len(matchers) == len(serving(phase))
    assert not map_.ignore_changes
    # Anybody else is not answered past what was decided.
    assert "defaultService" not in map_.inputs
    assert map_.inputs["defaultUrlRedirect"]["hostRedirect"] == "api.example.com"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("phase", range(1, 6))
def test_a_backend_service_says_all_that_is_a_trap_and_nothing_that_is_refused(phase: int, mode: str) -> None:
    found = built(phase, mode)
    several = 0
    for service in services(found).values():
        inputs = service.inputs
        assert inputs["loadBalancingScheme"] == "EXTERNAL_MANAGED"
        assert inputs["securityPolicy"] == "meridian-entry-firewall"
        assert inputs["logConfig"] == {"enable": True, "sampleRate": 1.0}
        assert not service.ignore_changes, "up writes them, and operations lead users to another"
        only_machines = {"portName", "timeoutSec", "connectionDrainingTimeoutSec", "healthChecks"}
        if mode == MACHINES:
            assert inputs["portName"] == PORT_NAME
            assert inputs["protocol"] == "HTTP"
            assert only_machines <= set(inputs)
            assert "outlierDetection" not in inputs
            assert {backend["balancingMode"] for backend in inputs["backends"]} == {"UTILIZATION"}
            continue
        assert not only_machines & set(inputs)
        assert all(set(backend) == {"group"} for backend in inputs["backends"])
        assert ("outlierDetection" in inputs) == (len(inputs["backends"]) > 1)
        if len(inputs["backends"]) > 1:
            several += 1
            detection = inputs["outlierDetection"]
            assert detection["maxEjectionPercent"] >= 50, "by default it is 10, which is nobody of five"
            for measure in ("GatewayFailure", "Errors"):
                assert {f"consecutive{measure}", f"enforcingConsecutive{measure}"} <= set(detection)
            assert detection["consecutiveErrors"] > detection["consecutiveGatewayFailure"]
            assert detection["enforcingSuccessRate"] == 0
    assert several == (0 if mode == MACHINES or phase < 4 else 4)
    checks = found.of_type("gcp:compute/healthCheck:HealthCheck")
    assert len(checks) == (mode == MACHINES)
    for check in checks:
        assert check.inputs["httpHealthCheck"] == {"port": 8000, "requestPath": READY}
        assert check.inputs["checkIntervalSec"] * check.inputs["unhealthyThreshold"] == 30


# --- levers, firewall, logs, arguments --------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", range(1, 6))
def test_operations_find_the_map_and_what_it_may_lead_to(phase: int) -> None:
    levers = dict(built(phase).outputs["levers"])
    assert levers.pop("map") == users(built(phase)).name
    assert levers.pop("planned") == users(built(phase)).inputs["defaultService"]
    kinds = ["alone", "without"] if len(serving(phase)) > 1 else ["alone"]
    assert set(levers) == {f"{kind}/{region}" for kind, region in itertools.product(kinds, serving(phase))}
    for lever, service in levers.items():
        kind, _, region = lever.partition("/")
        others = set(serving(phase)) - {region}
        assert behind(built(phase).named(service)) == ({region} if kind == "alone" else others)
        # The map is the last to come and the first to go, wherever it leads: what it leads to cannot be deleted.
        assert built(phase).named(service).urn in users(built(phase)).dependencies


def verdict(found: Graph, *, attack: str = "", requests: int = 1) -> str:
    """docs: create-security-policy-rules. The rules in their order; a preview only writes what it would have done."""
    rules = sorted(found.named("meridian-entry-firewall").inputs["rules"], key=lambda rule: rule["priority"])
    for rule in rules:
        expression = rule["match"].get("expr", {}).get("expression")
        everybody = rule["match"].get("config", {}).get("srcIpRanges") == ["*"]
        if rule.get("preview") or not (everybody or (attack and f"'{attack}'" in (expression or ""))):
            continue
        if rule["action"] == "throttle":
            limit = rule["rateLimitOptions"]
            assert limit["enforceOnKey"] == "IP"
            assert limit["rateLimitThreshold"]["intervalSec"] == 60
            over = requests > limit["rateLimitThreshold"]["count"]
            return limit["exceedAction"] if over else limit["conformAction"]
        return rule["action"]
    raise AssertionError("a policy has a last rule for everybody")


def test_the_firewall_stops_floods_and_known_attacks_and_only_watches_what_may_be_innocent() -> None:
    found = built(1)
    assert verdict(found) == "allow"
    assert verdict(found, requests=3000) == "allow"
    assert verdict(found, requests=3001) == "deny(429)"
    assert verdict(found, attack="cve-canary") == "deny(403)"
    assert verdict(found, attack="sqli-v33-stable") == "allow"
    options = found.named("meridian-entry-firewall").inputs["advancedOptionsConfig"]
    assert options == {"jsonParsing": "STANDARD", "logLevel": "NORMAL"}
    rules = found.named("meridian-entry-firewall").inputs["rules"]
    assert len({rule["priority"] for rule in rules}) == len(rules) == 4
    assert max(rule["priority"] for rule in rules) == 2147483647
    for rule in rules:
        expression = rule["match"].get("expr", {}).get("expression", "")
        assert len(re.findall("evaluatePreconfiguredWaf", expression)) <= 5
        assert len(expression) <= 2048
        assert len(rule["description"]) <= 64


@pytest.mark.parametrize("phase", range(1, 6))
def test_requests_are_kept_at_home(phase: int) -> None:
    bucket = built(phase).named("meridian-entry-logs")
    retention = cut(phase).retention
    assert retention is not None
    assert bucket.protect
    assert (bucket.inputs["location"], bucket.inputs["retentionDays"]) == (HOME, retention.log_days)
    sink = built(phase).named("meridian-entry-logs-sink").inputs
    assert sink["destination"] == "logging.googleapis.com/meridian-entry-logs"
    for map_ in (users(built(phase)), built(phase).named("meridian-entry-regions-map")):
        assert f'"{map_.inputs["name"]}"' in sink["filter"]


@pytest.mark.parametrize("dry_run", [False, True], ids=["up", "preview"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("phase", range(1, 6))
def test_every_argument_is_one_that_google_takes(phase: int, mode: str, dry_run: bool) -> None:
    assert check_graph(built(phase, mode, dry_run=dry_run)) == []
