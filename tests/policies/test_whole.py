"""The rules on how a stack stands up, follows, acts, keeps and hangs together, and what all rules refuse together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from components.built import HIGHEST
from operations import pack
from operations.recording import record
from policies.rules import identity, lifecycle, members, replication, resilience, tagging, whole
from policies.rules.resource import UNKNOWN, Resource
from policies.rules.rule import ResourceRule, violations
from policies.rules.settings import Settings
from policies.rules.table import Row
from tests.components import sdk
from tests.policies import mutations
from tests.policies.cases import AWS, BUCKET, CLUSTER, GCP, SQL, Case
from tests.policies.cases_whole import ALARM, CASES, PLAN
from tests.policies.graphs import STACKS, changed, judged, names, refused, resources, settings

THEMES = (resilience, replication, identity, lifecycle, tagging, whole)
BUILT = [case for case in CASES if STACKS[case.stack] in HIGHEST]
CLOUDS = [stack for stack in (AWS, GCP) if STACKS[stack] in HIGHEST]

# Those with a test of their own below: what is wrong with them lies in the settings.
BY_SETTINGS = {"lifecycle-lower-environment", "whole-objectives"}


@pytest.mark.parametrize("case", BUILT, ids=lambda case: f"{case.rule}-{case.stack}-{case.says}")
def test_a_rule_catches_its_case(case: Case) -> None:
    found = judged(case.change(resources(case.stack, case.phase)), settings(case.stack, case.phase))
    caught = [each for each in found if each.rule.name == case.rule]
    assert any(case.says in each.what for each in caught), [each.message for each in found]
    assert all(each.message.endswith(each.rule.mend) for each in caught)


def test_every_rule_of_these_themes_has_a_case() -> None:
    assert {rule.name for theme in THEMES for rule in theme.RULES} == {case.rule for case in CASES} | BY_SETTINGS


def test_lower_environments_hold_no_production_data() -> None:
    restricted = {"data_class": "restricted", "production_classes": ["restricted"]}
    found = changed(resources(AWS, 1), CLUSTER, "tags.data-class", "restricted")
    rule = "lifecycle-lower-environment"
    assert rule in names(found, settings(AWS, 1, **restricted, production=False))
    assert rule not in names(found, settings(AWS, 1, **restricted, production=True))
    assert rule not in names(resources(AWS, 1), settings(AWS, 1, **restricted, production=False))


@pytest.mark.parametrize(
    ("name", "asked", "reachable", "caught"),
    [
        ("rto_seconds", 60, 3600, True),
        ("rto_seconds", 3600, 60, False),
        ("rpo_seconds", 60, None, False),
        ("availability_percent", 99.99, 99.9, True),
        ("availability_percent", 99.9, 99.99, False),
    ],
)
def test_an_objective_out_of_reach_is_told(name: str, asked: float, reachable: float | None, caught: bool) -> None:
    given = settings(AWS, 2, objectives={name: {"asked": asked, "reachable": reachable}})
    found = [each.what for each in judged(resources(AWS, 2), given) if each.rule.name == "whole-objectives"]
    assert bool(found) is caught
    assert all(name in each and "phase 2" in each for each in found)


def test_an_alarm_rings_before_the_objective_that_was_set() -> None:
    def rings(seconds: float, rpo: float | None) -> bool:
        found = changed(resources(AWS, 3), ALARM, "threshold", seconds * 1000, name="signals-main-lag")
        objectives = {} if rpo is None else {"rpo_seconds": {"asked": rpo}}
        return "resilience-lag-alarm" not in names(found, settings(AWS, 3, objectives=objectives))

    assert rings(59.9, 60)
    assert not rings(60, 60)
    assert rings(10**6, None)
    # One of two is enough.
    twice = changed(resources(AWS, 3), ALARM, "threshold", 10**9, name="eu-west-1-signals-main-lag")
    spare = [replace(each, name="spare") for each in resources(AWS, 3) if each.name.endswith("signals-main-lag")]
    assert "resilience-lag-alarm" not in names([*twice, *spare], settings(AWS, 3))


def test_backups_are_kept_for_a_week_once_there_is_a_copy() -> None:
    """The example stacks keep them for longer; who asks for less is refused only where it counts."""
    for stack, days, phase, caught in ((AWS, 1, 1, False), (AWS, 6, 2, True), (AWS, 7, 2, False), (AWS, 7, 5, False)):
        found = changed(resources(stack, phase), PLAN, "rules.0.lifecycle.deleteAfter", days)
        given = settings(stack, phase, backup_days=days)
        assert ("lifecycle-backups" in names(found, given)) is caught, (days, phase)
    found = changed(resources(GCP, 2), BUCKET, "lifecycleRules.0.condition.age", 6)
    assert "lifecycle-backup-bucket" in names(found, settings(GCP, 2, backup_days=1))


@pytest.mark.parametrize(("phase", "short"), [(1, {"rto_seconds", "rpo_seconds"}), (2, {"rto_seconds"}), (3, set())])
def test_what_production_asks_for_is_reached_from_phase_3_on(phase: int, short: set[str]) -> None:
    found = [each.what for each in judged(resources(AWS, phase), settings(AWS, phase))]
    assert {each.split()[0] for each in found} == short


def test_an_origin_that_may_not_be_written_has_no_way_back() -> None:
    partitions = {"main": {"origin": "eu-west-1", "members": ["eu-west-1"], "primary": [], "copies": ["eu-west-1"]}}
    assert "whole-way-back" in names(resources(AWS, 1), settings(AWS, 1, partitions=partitions))


def test_a_copy_that_only_waits_may_be_small() -> None:
    """Before phase 3 it has no instances of its own, and afterwards it must."""
    waiting = resources(AWS, 2)
    assert not [each for each in waiting if each.type == members.INSTANCE and "eu-central-1" in each.name]
    assert refused(judged(waiting, settings(AWS, 2))) == []
    assert {"resilience-database-servers", "lifecycle-selected"} <= names(waiting, settings(AWS, 3))


@pytest.mark.skipif(GCP not in CLOUDS, reason="the target gcp is not built yet")
def test_whichever_member_is_the_writer_there_is_one() -> None:
    """As a refreshed state has it when the other region has become the writer."""
    found = changed(resources(GCP, 3), SQL, "masterInstanceName", "x", name="europe-west3-instance")
    found = changed(found, SQL, "masterInstanceName", None, name="europe-west1-instance")
    assert "whole-one-writer" not in names(found, settings(GCP, 3))


@pytest.mark.parametrize("stack", CLOUDS)
def test_a_preview_of_a_new_stack_raises_no_alarm(stack: str) -> None:
    found = [pack.resource(item) for item in record(stack, phase=5, dry_run=True)]
    mine = [rule for theme in THEMES for rule in theme.RULES]
    assert any(value is UNKNOWN for each in found for value in each.props.values())
    assert [each.message for each in violations(mine, found, settings(stack, 5))] == []


def rows() -> Iterator[Row]:
    for rule in (rule for theme in THEMES for rule in theme.RULES if isinstance(rule, ResourceRule)):
        for cell in rule.check.__closure__ or ():
            if isinstance(cell.cell_contents, Mapping):
                yield from (row for lines in cell.cell_contents.values() for row in lines if isinstance(row, Row))


# A value or two that each kind of line takes, and refuses.
TRIED: tuple[Any, ...] = (
    None, True, False, "", "wrong", 0, 1, 10**9, ["a", "b"], ["a", "b", "c"], ["postgresql"], "/ready", "Enabled",
    "ALL", "MULTI_ZONE", "IAM_AUTH", "ENTERPRISE_PLUS", "ENABLED", "arn:aws:iam::1:role/x", "iam",
    {"cloudwatchMetricsEnabled": True}, [{"action": "throttle"}],
)  # fmt: skip


@pytest.mark.parametrize("row", list(rows()), ids=lambda row: f"{row.type}-{row.path}")
def test_no_line_of_a_table_is_idle(row: Row) -> None:
    given = Settings.of({"target": "aws", "account": "1"})
    assert {bool(row.expect.holds(value, given)) for value in TRIED} == {True, False}


def spoken_of() -> Iterator[tuple[str, str]]:
    """Every type and path that these rules name."""
    yield from ((row.type, row.path) for row in rows())
    for table in (replication.EQUAL, replication.IGNORED):
        yield from ((type_, path) for type_, paths in table.items() for path in paths)
    yield from resilience.SPREAD.items()
    yield from ((type_, path) for type_, probes in resilience.PROBES.items() for probe in probes for path in probe[:2])
    yield from ((type_, "tags") for type_ in tagging.TAGS)
    yield from ((type_, tagging.USER_LABELS.get(type_, "labels")) for type_ in tagging.LABELS)


@pytest.mark.parametrize(("type_", "path"), sorted({each for each in spoken_of() if "dynamic" not in each[0]}))
def test_the_sdk_knows_what_a_rule_speaks_of(type_: str, path: str) -> None:
    assert sdk.is_registered(type_)
    assert sdk.exists(type_, path)


def test_the_sdk_knows_the_types_of_all_rules() -> None:
    types = {
        type_ for theme in THEMES for rule in theme.RULES if isinstance(rule, ResourceRule) for type_ in rule.types
    }
    named = {*types, *identity.LASTING, *members.CACHES, *members.KEYS, *members.SERVICES, *members.ALARMS}
    clouds = {type_ for type_ in named if type_.startswith(("aws:", "gcp:"))}
    assert [type_ for type_ in sorted(clouds) if not sdk.is_registered(type_)] == []


@pytest.mark.parametrize("stack", CLOUDS)
def test_what_is_tagged_is_held_to_it(stack: str) -> None:
    """What a stack labels and no rule asks for could lose its labels unseen: at least what holds data is asked for."""
    holds = {each.type for each in resources(stack, 5) if each.protect and each.labels}
    assert holds <= tagging.TAGS | tagging.LABELS


@pytest.mark.parametrize("mutation", mutations.built(), ids=str)
def test_a_mutation_is_refused(mutation: mutations.Mutation) -> None:
    by = mutations.refusals(mutation)
    assert mutation.refused_by in by or (mutation.refused_by == mutations.NOBODY and not by), sorted(by)


def test_few_mutations_get_through_and_each_with_a_reason() -> None:
    """The limits are the project's own: 150 over both clouds, and 95 of 100 refused."""
    every = mutations.mutations()
    let = [each for each in every if each.refused_by == mutations.NOBODY]
    assert len({str(each) for each in every}) == len(every) >= 150
    for stack in (AWS, GCP):
        assert sum(each.stack == stack for each in every) >= 75
    assert len(let) <= 0.05 * len(every)
    assert all(each.reason.endswith(".") for each in let)
    assert not any(each.reason for each in every if each not in let)


def test_a_mutation_that_changes_nothing_is_no_mutation() -> None:
    idle = mutations.Mutation(
        stack=AWS, type=CLUSTER, name="", argument="storageEncrypted", value="true", refused_by="", reason=""
    )
    with pytest.raises(AssertionError, match="so already"):
        mutations.refusals(idle)


def test_resource_without_region_is_nowhere() -> None:
    assert members.region_of(Resource(urn="u", type="t", name="n", props={})) == ""
