"""What `up` and `preview` read of the writer before they run the program, and `status` of a stack on a cloud."""

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from operations import writers
from operations.commands import status_cloud
from operations.drivers import state
from operations.errors import Fault, Refused
from operations.failover import drivers
from operations.failover.driver import MemberFacts, Observation
from tests.operations.clouds import stacks
from topology import from_summary

HOME, OTHER, THIRD = "europe-west3", "europe-west1", "us-east4"


def facts(role: Any, **more: Any) -> MemberFacts:
    known: dict[str, Any] = {
        "reachable": True,
        "accepts_writes": role == "writer",
        "received_lsn": None,
        "replayed_lsn": None,
        "lag_bytes": None,
        "lag_seconds": 0.5,
        "can_take_load": True,
    }
    return MemberFacts(role=role, **{**known, **more})


SEEN = Observation(
    at=0.0,
    writer=OTHER,
    members={HOME: facts("replica", can_take_load=False, why_not="it has no service"), OTHER: facts("writer")},
    vantages={},
    lease=None,
    admitted=frozenset({OTHER}),
)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The partitions that were asked about; the answer is `SEEN`."""
    found: list[str] = []

    def open_driver(_stack: Any, _outputs: Any, partition: str, _vantage: Any) -> Any:
        found.append(partition)
        return SimpleNamespace(observe=lambda: SEEN)

    monkeypatch.setattr(drivers, "open_driver", open_driver)
    monkeypatch.setenv(writers.VARIABLE, "")
    return found


def outputs(phase: str) -> Mapping[str, Any]:
    stack = stacks.stack("gcp", phase)
    return stacks.outputs(stack, {}, {}, {})


def told(before: str, after: str) -> str | None:
    old = outputs(before)
    return writers.tell_program(stacks.stack("gcp", after), from_summary(old["topology"]), old)


def test_the_program_is_told_who_writes_where_a_member_comes(asked: list[str]) -> None:
    assert told("3", "4") is None
    assert os.environ[writers.VARIABLE] == f"main={OTHER}"
    assert asked == ["main"]


def test_nobody_is_asked_where_no_member_comes_or_goes(asked: list[str]) -> None:
    assert told("2", "3") is None
    assert asked == []


def test_who_set_the_variable_is_believed(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(writers.VARIABLE, f"main={THIRD}")
    assert told("3", "4") is None
    assert asked == []


def test_a_writer_is_not_dropped(asked: list[str]) -> None:
    with pytest.raises(Refused, match=f"^{OTHER} writes main now") as refusal:
        told("3", "1")
    said = str(refusal.value)
    assert f"switchover --partition main --to {HOME} --stack production-gcp" in said


@pytest.mark.parametrize("seen", [replace(SEEN, writer=None), Fault("no answer")])
def test_a_writer_that_is_not_known_is_asked_for(seen: Any, asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def observe() -> Observation:
        if isinstance(seen, Fault):
            raise seen
        return seen

    monkeypatch.setattr(drivers, "open_driver", lambda *_: SimpleNamespace(observe=observe))
    said = told("3", "4")
    assert said is not None
    assert f"export {writers.VARIABLE}=main=REGION" in said
    assert not os.environ[writers.VARIABLE]
    assert asked == []


def test_status_of_a_cloud_says_what_the_driver_sees(asked: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    stack = stacks.stack("gcp", "3")
    status_cloud.run(stack, outputs("3"), None, as_json=False)
    text = capsys.readouterr().out
    assert f"main: written by {OTHER}" in text
    assert f"{HOME} could not take over as it is: it has no service" in text
    status_cloud.run(stack, outputs("3"), None, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["partitions"][0]["writer"] == OTHER
    assert found["partitions"][0]["members"][HOME]["role"] == "replica"
    assert found["partitions"][0]["admitted"] == [OTHER]
    assert asked == ["main", "main"]


def test_what_is_refreshed_is_the_members_own() -> None:
    urn = "urn:pulumi:production-gcp::meridian::meridian:gcp:Database"
    resources = [
        {
            "urn": f"{urn}$i::main-a-instance",
            "type": "gcp:sql/databaseInstance:DatabaseInstance",
            "parent": f"{urn}::main-a",
        },
        {
            "urn": f"{urn}$i::main-b-instance",
            "type": "gcp:sql/databaseInstance:DatabaseInstance",
            "parent": f"{urn}::main-b",
        },
        {"urn": f"{urn}$u::main-a-user", "type": "gcp:sql/user:User", "parent": f"{urn}::main-a"},
        {"urn": "urn:pulumi:production-gcp::meridian::pulumi:pulumi:Stack::s", "type": "pulumi:pulumi:Stack"},
    ]
    assert state.targets(resources, ["main-a"]) == [f"{urn}$i::main-a-instance"]
