"""Every fault in settings gets one message that says which setting, what it is, what is allowed, and how to mend it."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.topology.plans import AMERICAS, THREE, config, problems, settings
from topology import Phase, SettingsError, load, plan
from topology.document import DOCS
from topology.schema import KEYS, WORDS


@pytest.mark.parametrize("written", ["active-passive", "3", 3, " 3 "])
def test_a_phase_by_name_or_number(written: object) -> None:
    assert settings(phase=written).phase is Phase.ACTIVE_PASSIVE


def test_objects_and_arrays_as_the_json_text_that_pulumi_hands_over() -> None:
    plain = config(*THREE, phase="4", partitions=[AMERICAS], retire=["us-east"], local={"latency": False})
    text = {key: value if key in WORDS else json.dumps(value) for key, value in plain.items()}
    assert load(text, "test") == load(plain, "test")


def test_what_is_left_out_has_a_default() -> None:
    found = load({"target": "local", "regions": [{"name": "eu-central"}]}, "dev")
    assert (found.phase, found.app, found.home_region, found.environment) == (1, "meridian", "eu-central", "dev")


def test_pulumis_defaults_are_the_models() -> None:
    declared = yaml.safe_load((DOCS.parent / "Pulumi.yaml").read_text())["config"]
    assert set(declared) == set(KEYS)
    defaults = {key: entry["default"] for key, entry in declared.items() if "default" in entry}
    needed = {"target": "local", "regions": [{"name": "eu-central"}]}
    assert set(declared) - set(defaults) == set(needed)
    handed_over = {key: value if key in WORDS else json.dumps(value) for key, value in defaults.items()}
    assert load({**handed_over, **needed}, "dev").model_dump() == load(needed, "dev").model_dump()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"phase": "activ-passive"},
            ["phase:", '"activ-passive"', "Did you mean active-passive?", "single-region (1)"],
        ),
        ({"phase": "9"}, ["phase:", '"9"', "active-active (5)"]),
        ({"phase": True}, ["phase:", "True"]),
        ({"target": "azure"}, ["target:", '"azure"', "aws, gcp, local"]),
        ({"target": "lcoal"}, ["target:", "Did you mean local?"]),
        ({"target": None}, ["target:"]),
        ({"app": "Shop_1"}, ["app:", '"Shop_1"', "lower-case"]),
        ({"app": "a" * 21}, ["app:", "1 to 20"]),
        ({"phaze": "3"}, ["phaze: no such key", "Did you mean phase?", "Known:"]),
        ({"environment": "x"}, ["environment: no such key"]),
        ({"regions": []}, ["regions: [] is not allowed", "one or more"]),
        ({"regions": "[1"}, ["regions:", "neither a list nor an object"]),
        (
            {"regions": [{"name": "eu-centrl"}]},
            ["regions[0].name:", '"eu-centrl"', "Did you mean eu-central?", "Allowed:"],
        ),
        ({"regions": [{"name": "us-east"}, {"name": "us-east"}]}, ['"us-east" is listed twice', "Remove one"]),
        ({"regions": [{"slot": 1}]}, ["regions[0].name: is missing"]),
        ({"regions": [{"name": "us-east", "slott": 1}]}, ["regions[0].slott: no such key", "Did you mean slot?"]),
        ({"regions": [{"name": "us-east", "slot": -1}]}, ["regions[0].slot: -1"]),
        ({"regions": [{"name": "us-east", "slot": True}]}, ["regions[0].slot: True"]),
        ({"regions": [{"name": "us-east", "slot": 16}]}, ["regions[0].slot: 16", "0 to 15"]),
        ({"regions": [{"name": "us-east", "slot": 0}, {"name": "eu-central"}]}, ["same slot, 0", "not deployed yet"]),
        ({"regions": [{"name": "us-east", "zones": ["us-east-a", "us-east-x"]}]}, ['"us-east-x"', "us-east-c"]),
        ({"regions": [{"name": "us-east", "zones": ["us-east-a", "us-east-a"]}]}, ["zones", "listed twice"]),
        ({"regions": [{"name": "us-east", "zones": ["us-east-a"]}]}, ["regions[0].zones", "two or more"]),
        ({"regions": [{"name": "us-east", "cidr": "10.0.0.0/21"}]}, ["regions[0].cidr: 10.0.0.0/21 is too small"]),
        ({"regions": [{"name": "us-east", "cidr": "10.0.0.0/12"}]}, ["regions[0].cidr: 10.0.0.0/12 is too large"]),
        ({"regions": [{"name": "us-east", "cidr": "8.8.0.0/16"}]}, ["regions[0].cidr: 8.8.0.0/16 is not private"]),
        ({"regions": [{"name": "us-east", "cidr": "10.0.0.1/16"}]}, ["regions[0].cidr:", "10.0.0.1/16"]),
        ({"home": "us-eest"}, ["home:", '"us-eest"', "Did you mean us-east?"]),
        ({"hostname": "api.example.com"}, ["hostname:", "local", "Leave it out"]),
        ({"network": {"supernet": "10.0.0.0/20"}}, ["network.supernet: 10.0.0.0/20 is too small"]),
        ({"network": {"supernet": "8.0.0.0/8"}}, ["network.supernet: 8.0.0.0/8 is not private"]),
        ({"network": []}, ["network:"]),
        ({"database": {"durability": "sync"}}, ["database.durability:", '"sync"', "async; quorum"]),
        ({"service": {"standby_capacity": 0}}, ["service.standby_capacity: 0", "up to 1"]),
        ({"service": {"standby_capacity": float("nan")}}, ["service.standby_capacity: nan"]),
        ({"residency": {"primary": ["Europe"]}}, ["residency.primary[0]:", '"Europe"', "two-letter"]),
        ({"residency": {"copies": ["XX"]}}, ["residency.copies:", '"XX"', "EU"]),
        ({"partitions": [{**AMERICAS, "name": "main"}]}, ["partitions[0].name: main is always there", "residency"]),
        ({"partitions": [{**AMERICAS, "origin": "us-eest"}]}, ["partitions[0].origin:", "Did you mean us-east?"]),
        ({"partitions": [{**AMERICAS, "slot": 0}]}, ["partitions[0].slot: 0", "1 to 15"]),
        ({"partitions": [AMERICAS, AMERICAS]}, ['"americas" is listed twice', "slot 1", '"US" is served twice']),
        ({"partitions": [{**AMERICAS, "residency": {"copies": ["XX"]}}]}, ["partitions[0].residency.copies"]),
        ({"conflicts": {"model": "last-writer-wins"}}, ["conflicts.model:", "drops one of two", "home-partition"]),
        ({"conflicts": {"model": "consensus"}}, ["conflicts.model:", "another database", "home-partition"]),
        ({"conflicts": {"model": "home-partitions"}}, ["Did you mean home-partition?"]),
        ({"objectives": {"availability_percent": 100}}, ["objectives.availability_percent: 100"]),
        ({"retire": ["us-eest"]}, ["retire:", '"us-eest"', "Did you mean us-east or us-west?"]),
        ({"retire": ["eu-central"]}, ["retire:", "home region"]),
        ({"local": {"latency": "maybe"}}, ["local.latency:", '"maybe"', "true, false"]),
        ({"local": {"envoy_folder": "bin"}}, ["local.envoy_folder:", '"bin"', "absolute"]),
        ({"target": "aws", "regions": [{"name": "eu-west-1"}]}, ["hostname: is missing", "aws", "api.example.com"]),
        (
            {
                "target": "aws",
                "regions": [{"name": "eu-west-1"}],
                "hostname": "a.example.com",
                "local": {"latency": True},
            },
            ["local.latency: means nothing", "aws"],
        ),
    ],
)
def test_one_clear_message(change: dict[str, Any], words: list[str]) -> None:
    said = "\n".join(problems({**config(), **change}))
    for word in words:
        assert word in said
    assert "Traceback" not in said
    assert "pydantic" not in said


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"regions": [{"name": "us-east"}], "phase": 2}, ["phase: async-replica needs 2 regions, and 1 is listed"]),
        ({"phase": 2, "residency": {"copies": ["EU"]}}, ["residency: leaves main no legal replica", "us-east (US)"]),
        ({"phase": 1, "residency": {"primary": ["US"]}}, ["residency:", "may not be written in eu-central"]),
        (
            {"phase": 5, "partitions": [{**AMERICAS, "residency": {"copies": ["US"]}}]},
            ["partitions[0].residency: leaves americas no legal replica"],
        ),
        (
            {"phase": 5, "partitions": [{**AMERICAS, "residency": {"primary": ["EU"]}}]},
            ["partitions[0].residency: the data of americas may not be written in us-east"],
        ),
        ({"phase": 5, "partitions": []}, ["partitions: active-active needs at least one beside main"]),
        (
            {"phase": 5, "partitions": [AMERICAS], "conflicts": {}},
            ["conflicts.model: is missing", "active-active needs a declared"],
        ),
        (
            {"phase": 4, "regions": [{"name": "us-east"}, {"name": "eu-west"}], "database": {"durability": "quorum"}},
            ["database.durability:", "needs 3 members of main", "gives it 2", "async"],
        ),
    ],
)
def test_settings_that_no_plan_can_follow(more: dict[str, Any], words: list[str]) -> None:
    said = problems({**config(), **more})
    assert len(said) == 1
    for word in words:
        assert word in said[0]


def test_every_fault_at_once() -> None:
    said = problems(
        {**config(), "phase": "x", "app": "X", "home": "y", "nope": 1, "retire": ["z"], "database": {"a": 1}}
    )
    assert {line.split(":")[0] for line in said} == {"phase", "app", "home", "nope", "retire", "database.a"}


def test_every_reason_against_a_plan_at_once() -> None:
    said = problems(config(phase=5, residency={"primary": ["US"]}, conflicts={}))
    assert {line.split(":")[0] for line in said} == {"residency", "partitions", "conflicts.model"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 300) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.sampled_from([config(), config("eu-west-1", target="aws"), config("us-east4", target="gcp")]),
    st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=6), json_values, max_size=5),
)
def test_whatever_is_written_gets_settings_or_messages(given_config: dict[str, Any], change: dict[str, Any]) -> None:
    said: tuple[str, ...] | None = None
    try:
        load({**given_config, **change}, "test")
    except SettingsError as error:  # no other exception is right
        said = error.problems
    assert said is None or (said and all(problem.strip() for problem in said))


@pytest.mark.parametrize(
    ("regions", "phase", "words"),
    [
        (THREE, "async-replica", ["async-replica with 3 listed has no keepers", "active-passive", "set false"]),
        (THREE[:2], "active-passive", ["active-passive with 2 listed has no keepers", "3 regions listed"]),
    ],
)
def test_nothing_fails_over_by_itself_without_keepers(regions: tuple[str, ...], phase: str, words: list[str]) -> None:
    (told,) = problems(config(*regions, phase=phase, failover={"automatic": True}))
    assert told.startswith("failover.automatic: true is not allowed")
    for word in words:
        assert word in told
    given = {"failover": {"automatic": True}, "objectives": {"rpo_seconds": 10}}
    assert plan(settings(*THREE, phase="active-passive", **given)).automatic_failover


AUTOMATIC: dict[str, Any] = {"failover": {"automatic": True}}
QUORUM: dict[str, Any] = {"database": {"durability": "quorum"}}
PARTITION: dict[str, Any] = {**AMERICAS, "durability": "async"}


@pytest.mark.parametrize(
    ("phase", "given", "words"),
    [
        (
            3,
            {},
            ["rpo_seconds: is missing", "replication of main is", "whole number above 0", "`failover.automatic` to"],
        ),
        (3, {"objectives": {"rpo_seconds": 0}}, ["rpo_seconds: 0 is not allowed", "replication of main is"]),
        (3, QUORUM, ["rpo_seconds: is missing", "from multi-region-reads on"]),  # takes effect from phase 4 on
        (4, {}, ["replication of main is asynchronous"]),
        (5, {**QUORUM, "partitions": [PARTITION]}, ["replication of americas is asynchronous"]),
        (5, {"partitions": [AMERICAS]}, ["replication of main, americas is"]),
    ],
)
def test_what_fails_over_by_itself_is_told_how_much_may_be_lost(
    phase: int, given: dict[str, Any], words: list[str]
) -> None:
    (told,) = problems(config(**{**AUTOMATIC, **given, "phase": phase}))
    assert told.startswith("objectives.rpo_seconds: ")
    for word in words:
        assert word in told
    limited = {**given, "objectives": {"rpo_seconds": 1}}
    assert plan(settings(**{**AUTOMATIC, **limited, "phase": phase})).automatic_failover
    by_hand = {**given, "failover": {"automatic": False}}
    assert not plan(settings(**{**by_hand, "phase": phase})).automatic_failover


def test_with_a_quorum_nothing_needs_to_be_allowed() -> None:
    assert plan(settings(**AUTOMATIC, **QUORUM, phase=4)).automatic_failover
    assert plan(settings(**AUTOMATIC, **QUORUM, phase=5, partitions=[AMERICAS])).automatic_failover
    async_later = {**QUORUM, "partitions": [PARTITION]}  # not there before phase 5
    assert plan(settings(**AUTOMATIC, **async_later, phase=4)).automatic_failover
