"""What the rules stand on: values that are not known yet, paths through lists, the configuration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from engine import values as engine_values
from operations import pack
from operations.recording import record
from policies.rules import table
from policies.rules.resource import UNKNOWN, NotKnownError, Resource
from policies.rules.rule import ResourceRule, StackRule, violations
from policies.rules.settings import LISTS, NESTED, SCHEMA, Settings
from tests.policies.graphs import AWS, config, judged, refused, settings

SETTINGS = Settings.of({"target": "aws"})


def a(**props: Any) -> Resource:
    return Resource(urn="urn", type="t", name="thing", props=props)


def resource_rule(check: Any) -> ResourceRule:
    return ResourceRule(name="r", theme="t", level="mandatory", reason="Why.", mend="Mend it.", check=check)


@pytest.mark.parametrize(
    "use",
    [
        bool,
        len,
        list,
        str,
        lambda value: value == 1,
        lambda value: value != 1,
        lambda value: value < 1,
        lambda value: 1 in value,
        lambda value: value["key"],
        lambda value: value.startswith("x"),
        lambda value: f"{value}",
        lambda value: {value},
    ],
)
def test_an_unknown_value_answers_nothing(use: Any) -> None:
    with pytest.raises(NotKnownError):
        use(UNKNOWN)


def test_a_rule_that_meets_an_unknown_value_keeps_what_it_found_before() -> None:
    def check(resource: Resource, _: Settings) -> Iterator[str]:
        if resource.props["known"] == 1:
            yield "known is 1"
        if resource.props["late"] == 2:
            yield "never"

    found = violations([resource_rule(check)], [a(known=1, late=UNKNOWN)], SETTINGS)
    assert [each.what for each in found] == ["known is 1"]


def test_another_fault_of_a_rule_is_not_swallowed() -> None:
    def check(_: Resource, __: Settings) -> Iterator[str]:
        raise KeyError("late")
        yield ""

    with pytest.raises(KeyError):
        violations([resource_rule(check)], [a()], SETTINGS)


def test_a_stack_rule_may_speak_of_no_resource() -> None:
    def check(resources: Sequence[Resource], _: Settings) -> Iterator[tuple[Resource | None, str]]:
        yield None, f"{len(resources)} resources"

    rule = StackRule(name="s", theme="t", level="advisory", reason="Why.", mend="Mend it.", check=check)
    assert [each.message for each in violations([rule], [a(), a()], SETTINGS)] == ["the stack: 2 resources. Mend it."]


def test_a_path_goes_through_lists_and_names_what_is_missing() -> None:
    found = a(rules=[{"copy": [{"to": "a"}, {"to": "b"}]}, {}, UNKNOWN], empty=[], deep={"list": [1, 2]})
    assert found.values("rules.copy.to")[:3] == ["a", "b", None]
    assert found.values("rules.copy.to")[3] is UNKNOWN
    assert found.values("empty.to") == [None]
    assert found.values("gone.to") == [None]
    assert found.values("deep.list") == [[1, 2]]


def test_a_line_of_a_table_passes_over_what_is_not_known() -> None:
    line = table.row("t", "inner.flag", table.TRUE)
    assert list(line.faults(a(inner={"flag": UNKNOWN}), SETTINGS)) == []
    assert list(line.faults(a(inner=UNKNOWN), SETTINGS)) == []
    assert list(line.faults(a(inner={}), SETTINGS)) == ["inner.flag is not given, and must be true"]


@pytest.mark.parametrize("phase", [1, 5])
def test_a_preview_of_a_new_stack_passes(phase: int) -> None:
    """Ids, addresses and passwords are not known there, and are in half of the arguments."""
    found = [pack.resource(item) for item in record(AWS, phase=phase, dry_run=True)]
    assert any(value is UNKNOWN for each in found for value in each.props.values())
    assert refused(judged(found, settings(AWS, phase))) == []


def test_an_engine_s_values_become_plain() -> None:
    secret = engine_values.Secret({"days": 7.0, "late": engine_values.UNKNOWN})
    found = pack.known({"inner": secret, "half": 0.5, "text": engine_values.UNKNOWN_TEXT})
    assert found["inner"]["days"] == 7
    assert isinstance(found["inner"]["days"], int)
    assert found["inner"]["late"] is UNKNOWN
    assert found["half"] == 0.5
    assert found["text"] is UNKNOWN


def test_settings_keep_what_the_configuration_says() -> None:
    given = settings(AWS, 5)
    assert given.given
    assert given.target == "aws"
    assert given.partitions["main"].copies == ("eu-west-1", "eu-central-1", "us-east-1")
    assert given.partitions["americas"].origin == "us-east-1"
    assert given.regions["eu-west-1"].backup_copy == "eu-central-1"
    assert given.objectives["rto_seconds"].asked == 900
    assert given.allowed_regions == {"confidential": ("eu-west-1", "eu-central-1", "us-east-1")}
    assert not Settings.of({}).given


def test_the_schema_has_every_key_that_is_written() -> None:
    assert set(config(AWS, 5)) <= set(SCHEMA)
    assert set(config("dev", 1)) <= set(SCHEMA)
    assert set(SCHEMA) <= set(Settings.__dataclass_fields__)
    assert set(SCHEMA) >= LISTS | NESTED
    written = config(AWS, 5)
    for key in ("regions", "partitions", "objectives"):
        allowed = set(SCHEMA[key]["additionalProperties"]["properties"])
        assert all(set(value) <= allowed for value in written[key].values()), key
