"""Where the rules are applied without the Pulumi CLI's own pack: every preview, whichever engine makes it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

import policies.rules
from operations import pack
from operations.cli import main
from operations.engines.embedded import preview_of
from operations.stack import Stack
from policies.rules import RULES
from policies.rules.resource import UNKNOWN, Resource
from policies.rules.rule import Level, ResourceRule
from policies.rules.settings import Settings

POSTGRES = "pulumi-python:dynamic/local:Postgres"


def planted(level: Level) -> ResourceRule:
    def check(resource: Resource, settings: Settings) -> Iterator[str]:
        assert settings.target == "local"
        yield f"slot is {resource.at('slot')}"

    return ResourceRule(
        name="planted",
        theme="planted",
        level=level,
        reason="Why.",
        mend="Mend it.",
        types=frozenset((POSTGRES,)),
        check=check,
    )


def test_a_preview_passes_and_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert preview_of(Stack.open("dev", "1"), None).problems == ()
    assert capsys.readouterr().err == ""


def test_what_is_mandatory_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies.rules, "RULES", (planted("mandatory"),))
    preview = preview_of(Stack.open("dev", "2"), None)
    assert preview.problems == (
        "policy planted: main-eu-central-postgres: slot is 0. Mend it.",
        "policy planted: main-us-east-postgres: slot is 1. Mend it.",
    )


def test_what_is_advisory_is_only_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(policies.rules, "RULES", (planted("advisory"),))
    assert preview_of(Stack.open("dev", "1"), None).problems == ()
    assert "advice (planted): main-eu-central-postgres: slot is 0. Mend it." in capsys.readouterr().err


def step(op: str, name: str, *, deleted: bool = False, **state: Any) -> dict[str, Any]:
    urn = f"urn:pulumi:dev::meridian::a:b:C$aws:rds/cluster:Cluster::{name}"
    own = {"urn": urn, "type": "aws:rds/cluster:Cluster", "inputs": {"region": "eu-west-1"}, **state}
    return {"op": op, "urn": urn, "newState": {**own, "delete": True} if deleted else own}


def test_the_cli_s_preview_is_read_once_for_each_resource() -> None:
    text = json.dumps(
        {
            "steps": [
                step("create-replacement", "one", protect=True, ignoreChanges=["engineVersion"], parent="urn:p"),
                step("replace", "one", protect=True, ignoreChanges=["engineVersion"], parent="urn:p"),
                step("delete-replaced", "one", deleted=True),
                {"op": "delete", "urn": "urn:gone", "oldState": {"urn": "urn:gone", "type": "t"}},
                step("same", "two", inputs={"late": "04da6b54-80e4-46f7-96ec-b56ff0331ba9"}),
                {"op": "same", "urn": "urn:stack", "newState": {"urn": "urn:stack", "type": "pulumi:pulumi:Stack"}},
            ]
        }
    )
    one, two = pack.previewed(f"warning: words before it\n{text}")
    assert (one.name, one.protect, one.ignore_changes, one.parent) == ("one", True, ("engineVersion",), "urn:p")
    assert two.props["late"] is UNKNOWN


def test_the_command_writes_a_configuration_for_every_rule(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policies", "--stack", "production-aws", "--phase", "5"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert set(shown) == {rule.name for rule in RULES}
    assert shown["residency-region"]["phase"] == 5
    assert main(["policies", "--stack", "production-aws", "--phase", "5", "--file", str(tmp_path / "p.json")]) == 0
    assert json.loads((tmp_path / "p.json").read_text()) == shown
    assert main(["policies", "--stack", "production-aws", "--phase", "9"]) == 2


@pytest.mark.parametrize(
    ("stack", "production", "classes"), [("production-aws", True, ["confidential"]), ("dev", False, None)]
)
def test_the_configuration_says_what_the_stack_is(stack: str, production: bool, classes: list[str] | None) -> None:
    found = pack.configuration(Stack.open(stack, "1").topology)
    assert found["production"] is production
    assert (list(found["allowed_regions"]) if "allowed_regions" in found else None) == classes


def test_residency_shuts_a_planned_region_out() -> None:
    """Only what some partition may be copied to is open to the data class."""
    stack = Stack.open("production-aws", "3")
    found = pack.configuration(stack.topology)
    assert found["partitions"]["main"]["primary"] == ["eu-west-1", "eu-central-1"]
    assert "us-east-1" in found["partitions"]["main"]["copies"]
