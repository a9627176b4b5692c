"""Moving the writer on AWS, against moto, whose requests botocore holds against AWS's own model."""

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from moto import mock_aws

from operations.drivers import managed
from operations.drivers.aws_admission import Admission
from operations.drivers.aws_failover import AwsDriver
from operations.errors import Fault
from tests.operations.clouds import runs, stacks
from tests.operations.clouds.amazon import Amazon, Broken

HOME, OTHER, THIRD = "eu-west-1", "eu-central-1", "us-east-1"
LOST = "Failure: The health checker could not establish a connection within the timeout limit."
HELD = "Failure: HTTP Status Code 202, the response body does not have the search string."


class Setup:
    def __init__(self, phase: str, headless: frozenset[str] = frozenset()) -> None:
        self.stack = stacks.stack("aws", phase)
        self.regions = stacks.regions(self.stack)
        self.amazon = Amazon(regions=self.regions, headless=headless)
        self.amazon.build()
        self.amazon.lag_ms = dict.fromkeys(self.regions, 800.0)  # as a copy; a writer is asked for none
        self.rules = {
            region: self.amazon.rule(region, *(("200", "admitted") if region == HOME else ("202", "standby")))
            for region in self.regions
        }
        traffic = {f"admitted/{region}": rule for region, rule in self.rules.items()}
        traffic |= {f"check/{region}": f"check-{region}" for region in self.regions}
        ids = {f"main-{region}": f"arn:aws:rds:{region}:123456789012:cluster:main-{region}" for region in self.regions}
        levers = {"partitions": {"main": self.amazon.identifier}}
        self.outputs = stacks.outputs(self.stack, ids, levers, traffic)

    @property
    def driver(self) -> AwsDriver:
        """Each one as another process would have it."""
        ground = managed.ground(self.stack, self.outputs, "main", None)
        made = AwsDriver(ground, self.amazon.identifier, self.amazon.client)
        made.pause = lambda _: None
        return made

    def answers(self) -> dict[str, str]:
        return {region: self.amazon.answer(region, rule) for region, rule in self.rules.items()}

    def lose(self, region: str) -> None:
        self.amazon.dead.add(region)
        self.amazon.checkers[f"check-{region}"] = LOST


@pytest.fixture
def setup(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Setup]]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    runs.reached_from_here(monkeypatch, lambda _region: 200)
    with mock_aws():
        yield Setup


def test_what_is_seen_of_a_healthy_partition(setup: Callable[..., Setup]) -> None:
    seen = setup("3").driver.observe()
    assert seen.writer == HOME
    assert seen.members[HOME].accepts_writes
    assert (seen.members[OTHER].role, seen.members[OTHER].following) == ("replica", HOME)
    assert seen.members[OTHER].lag_seconds == 0.8
    assert seen.members[OTHER].can_take_load
    assert seen.admitted == {HOME}
    assert len(seen.vantages) == 4
    assert seen.lease is not None
    assert seen.lease.quorum_reachable


def test_a_region_that_answers_and_is_held_out_is_reached(setup: Callable[..., Setup]) -> None:
    built = setup("3")
    built.amazon.checkers[f"check-{OTHER}"] = HELD
    assert built.driver.observe().members[OTHER].reachable
    built.amazon.checkers[f"check-{OTHER}"] = LOST
    seen = built.driver.observe()
    assert not seen.members[OTHER].reachable
    assert seen.vantages["here"][OTHER]


def test_a_lost_region_is_the_last_writer_and_what_may_be_lost_grows(setup: Callable[..., Setup]) -> None:
    built = setup("3")
    built.lose(HOME)
    seen = built.driver.observe()
    assert seen.writer == HOME
    assert not seen.members[HOME].reachable
    assert not seen.members[HOME].accepts_writes
    found = seen.members[OTHER].lag_seconds
    assert found == pytest.approx(60.8, abs=2.0)


def test_wrong_credentials_are_no_outage(setup: Callable[..., Setup]) -> None:
    def refuse(_region: str, _said: dict[str, Any]) -> Any:
        raise ClientError({"Error": {"Code": "ExpiredToken", "Message": "log in again"}}, "DescribeGlobalClusters")

    built = setup("3")
    built.amazon.stand_ins["DescribeGlobalClusters"] = refuse
    with pytest.raises(Fault, match=r"AWS answered.*log in again"):
        built.driver.observe()


def test_a_member_without_instances_is_no_target(setup: Callable[..., Setup]) -> None:
    built = setup("3", frozenset({OTHER}))
    assert built.driver.observe().members[OTHER].why_not == "it has no instances"
    with pytest.raises(Fault, match=r"no instances.*up --phase active-passive"):
        built.driver.prepare(OTHER, [])


def test_a_switchover_there_and_back(setup: Callable[..., Setup]) -> None:
    built = setup("3")
    for writer, target in ((HOME, OTHER), (OTHER, HOME)):
        runs.carry_on(runs.begun("switchover", built.driver, writer, target), built.driver, built.regions)
        assert built.amazon.writers() == [target]
        assert built.answers() == {target: "200", writer: "503"}
    assert "FailoverGlobalCluster" not in built.amazon.calls
    assert built.amazon.calls.count("SwitchoverGlobalCluster") == 2


def test_a_failover_may_lose_and_says_so_to_aurora_alone(setup: Callable[..., Setup]) -> None:
    built = setup("3")
    built.lose(HOME)
    runs.carry_on(runs.begun("failover", built.driver, HOME, OTHER), built.driver, built.regions)
    (said,) = built.amazon.said
    assert said["AllowDataLoss"] == "true"
    assert "Switchover" not in said
    assert said["TargetDbClusterIdentifier"].endswith(f":cluster:main-{OTHER}")
    built.amazon.dead.clear()
    assert built.answers() == {HOME: "200", OTHER: "200"}  # the lost region could not be told
    built.amazon.checkers.clear()
    runs.carry_on(runs.begun("rejoin", built.driver, OTHER, OTHER, away=HOME), built.driver, built.regions)
    assert built.answers() == {HOME: "503", OTHER: "200"}


@pytest.mark.deep
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("kind", ["switchover", "failover"])
def test_a_run_that_breaks_at_any_call_is_taken_up(setup: Callable[..., Setup], kind: Any, after: bool) -> None:
    """Every eleventh call, to keep it short; each time one writer, one move, and the target admitted."""
    built, call, whole = setup("3"), int(after), False
    while not whole:
        built.amazon.lead(HOME)
        built.amazon.dead.clear()
        built.amazon.said.clear()
        if kind == "failover":
            built.lose(HOME)
        journal = runs.begun(kind, built.driver, HOME, OTHER)
        built.amazon.fuse, built.amazon.after = call, after
        try:
            runs.carry_on(journal, built.driver, built.regions)
            whole, built.amazon.fuse = built.amazon.fuse is not None, None
        except Broken:
            runs.carry_on(journal, built.driver, built.regions)
        assert built.amazon.writers() == [OTHER], call
        assert len(built.amazon.said) == 1, call
        assert ("AllowDataLoss" in built.amazon.said[0]) is (kind == "failover")
        built.amazon.dead.clear()
        assert built.answers()[OTHER] == "200", call
        call += 11
    assert call > 20


def test_a_switchover_that_aurora_takes_back_is_said_and_undone(setup: Callable[..., Setup]) -> None:
    built = setup("3")
    begin = built.amazon.begin

    def cancelled(region: str, said: dict[str, Any]) -> Any:
        found = begin(region, said)
        assert built.amazon.move is not None
        built.amazon.move["cancelled"] = True
        return found

    built.amazon.stand_ins["SwitchoverGlobalCluster"] = cancelled
    journal = runs.begun("switchover", built.driver, HOME, OTHER)
    with pytest.raises(Fault, match=f"{HOME} writes, as before"):
        runs.carry_on(journal, built.driver, built.regions)
    assert built.amazon.writers() == [HOME]
    assert built.answers() == {HOME: "200", OTHER: "202"}


def test_a_move_to_another_region_is_not_joined(setup: Callable[..., Setup]) -> None:
    built = setup("4")
    built.amazon.begin(HOME, {"TargetDbClusterIdentifier": f"arn:aws:rds:{THIRD}:1:cluster:main-{THIRD}"})
    built.amazon.looks = 2
    with pytest.raises(Fault, match=f"moving the writer to {THIRD}"):
        built.driver.promote(OTHER, 1)


def test_from_phase_4_on_an_undecided_region_has_users_already(setup: Callable[..., Setup]) -> None:
    built = setup("4")
    assert built.driver.observe().admitted == {HOME, OTHER, THIRD}
    assert built.driver.admit(OTHER, set()).already
    assert not built.driver.admit(OTHER, {THIRD}).already
    assert built.answers() == {HOME: "200", OTHER: "202", THIRD: "503"}
    assert built.driver.observe().admitted == {HOME, OTHER}


def test_an_accelerators_endpoint_is_weighed_and_keeps_what_else_it_has() -> None:
    client = boto3.client(
        "globalaccelerator", region_name="us-west-2", aws_access_key_id="testing", aws_secret_access_key="testing"
    )
    group = "arn:aws:globalaccelerator::123456789012:accelerator/a/listener/b/endpoint-group/c"
    balancer = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/entry/1"
    has = {"EndpointId": balancer, "Weight": 0, "ClientIPPreservationEnabled": True, "HealthState": "HEALTHY"}
    found = {"EndpointGroup": {"EndpointGroupArn": group, "EndpointDescriptions": [has]}}
    configured = {"EndpointId": balancer, "Weight": 128, "ClientIPPreservationEnabled": True}
    admission = Admission(lambda _service, _region: client, {f"endpoint-group/{HOME}": group}, home_only=True)
    with Stubber(client) as stub:
        stub.add_response("describe_endpoint_group", found, {"EndpointGroupArn": group})
        stub.add_response("describe_endpoint_group", found, {"EndpointGroupArn": group})
        stub.add_response(
            "update_endpoint_group", {}, {"EndpointGroupArn": group, "EndpointConfigurations": [configured]}
        )
        assert admission.let_in(HOME)
        stub.add_response("describe_endpoint_group", found, {"EndpointGroupArn": group})
        assert not admission.hold_out(HOME)
        stub.assert_no_pending_responses()
