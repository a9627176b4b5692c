"""Steps come in a safe order, and nothing that holds data goes unless it was given up."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.topology.plans import AMERICAS, THREE, at, configurations, topology
from topology import Phase, Refusal, SettingsError, Step, Summary, Topology, check, from_summary, steps, to_summary
from topology.summary import summarise

COMING = ("network", "vault", "member", "size", "durability", "keeper", "cache", "service", "partition", "traffic")


def exported(planned: Topology) -> Summary:
    """A topology as the next `up` knows it: through the state's JSON."""
    return from_summary(json.loads(json.dumps(to_summary(planned))))


def refused(old: Topology, new: Topology, *retire: str) -> tuple[str, ...]:
    with pytest.raises(Refusal) as caught:
        check(exported(old), new, retire)
    return caught.value.problems


def brief(found: tuple[Step, ...]) -> list[str]:
    return [f"{'-' if step.removes else '+'}{step.kind} {step.subject}" for step in found]


@given(configurations(), st.sampled_from(list(Phase)))
def test_a_summary_comes_back_as_it_went(given_config: dict[str, Any], phase: Phase) -> None:
    planned = at(given_config, phase)
    assert exported(planned) == summarise(planned)
    assert len(json.dumps(to_summary(planned))) < 6000
    assert steps(exported(planned), planned) == ()
    check(exported(planned), planned, ())


@pytest.mark.parametrize("damage", [{"version": 2}, {"regions": None}, {"phase": "x"}, {"partitions": [{}]}])
def test_a_damaged_summary_is_told_plainly(damage: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="output `topology`"):
        from_summary({**to_summary(topology(2)), **damage})
    with pytest.raises(SettingsError, match="cannot be read"):
        from_summary(None)


def test_the_walk_up_the_ladder() -> None:
    walk = [topology(phase, database={"durability": "quorum"}) for phase in Phase]
    assert brief(steps(None, walk[0])) == [
        "+network eu-central",
        "+member main-eu-central",
        "+cache eu-central",
        "+service eu-central",
        "+traffic meridian-entry",
    ]
    assert [brief(steps(exported(low), high)) for low, high in pairwise(walk)] == [
        ["+network us-east", "+member main-us-east"],
        [
            "+size main-us-east",
            "+keeper eu-central",
            "+keeper us-east",
            "+keeper ap-northeast",
            "+cache us-east",
            "+service us-east",
            "+traffic us-east",
        ],
        [
            "+network ap-northeast",
            "+member main-ap-northeast",
            "+durability main",
            "+cache ap-northeast",
            "+service us-east",
            "+service ap-northeast",
            "+traffic ap-northeast",
            "+traffic us-east",
        ],
        [
            "+member americas-us-east",
            "+member americas-eu-central",
            "+member americas-ap-northeast",
            "+durability americas",
            "+service us-east",
            "+service ap-northeast",
            "+partition americas",
        ],
    ]


@given(configurations(), st.sampled_from(list(Phase)), st.sampled_from(list(Phase)))
def test_steps_come_in_a_safe_order(given_config: dict[str, Any], low: Phase, high: Phase) -> None:
    old, new = at(given_config, low), at(given_config, high)
    found = steps(exported(old), new)
    assert found == steps(old, new)
    assert all(step.text.endswith(".") for step in found)
    if low <= high:
        for step in found:
            assert not step.removes or step.text.startswith("Stop copying the backups of"), step
    going = [step for step in found if step.removes]
    assert list(found) == [step for step in found if not step.removes] + going, "what goes comes after what comes"
    for one, other in pairwise(step for step in found if not step.removes):
        assert COMING.index(one.kind) <= COMING.index(other.kind) or {one.kind, other.kind} == {"member", "size"}
    for one, other in pairwise(going):
        order = (
            "traffic",
            "service",
            "cache",
            "partition",
            "durability",
            "keeper",
            "member",
            "size",
            "vault",
            "network",
        )
        assert order.index(one.kind) <= order.index(other.kind) or {one.kind, other.kind} == {"member", "size"}


@given(configurations(), st.sampled_from(list(Phase)), st.sampled_from(list(Phase)))
def test_climbing_is_never_refused_and_going_down_always(
    given_config: dict[str, Any], one: Phase, other: Phase
) -> None:
    low, high = at(given_config, min(one, other)), at(given_config, max(one, other))
    check(exported(low), high, ())
    if one != other and steps(high, low):
        assert refused(high, low)


def test_going_down_lists_what_would_be_lost() -> None:
    (said,) = refused(topology(2), topology(1))
    assert said == (
        "phase: going from async-replica (2) down to single-region (1) would lose, in us-east: "
        "the database main-us-east. Change it back, or give us-east up: `retire: [us-east]`."
    )
    check(exported(topology(2)), topology(1), ["us-east"])
    (said,) = refused(topology(3), topology(2))
    assert "its cache" in said
    assert "could no longer take over" in said


def test_each_region_is_given_up_by_name() -> None:
    said = refused(topology(4), topology(1), "us-east")
    assert len(said) == 1
    assert "main-ap-northeast" in said[0]
    check(exported(topology(4)), topology(1), ["us-east", "ap-northeast"])


def test_a_partition_goes_with_the_region_it_began_in() -> None:
    said = refused(topology(5), topology(4))
    assert any("in eu-central: the database americas-eu-central" in line for line in said)
    assert all("retire: [us-east]" in line or "in ap-northeast" in line for line in said)
    check(exported(topology(5)), topology(4), ["us-east", "ap-northeast"])


def test_dropping_a_region_that_holds_data_asks() -> None:
    old = topology(4)
    new = topology(4, "eu-central", "us-east")
    (said,) = refused(old, new)
    assert said == (
        "regions: dropping ap-northeast would lose: the database main-ap-northeast; its cache; its service. "
        "Change it back, or give ap-northeast up: `retire: [ap-northeast]`."
    )
    check(exported(old), new, ["ap-northeast"])
    check(exported(topology(1)), topology(1, "eu-central"), ())


def test_another_second_region_would_lose_the_first() -> None:
    old = topology(2, *THREE)
    new = topology(2, "eu-central", "ap-northeast", "us-east")
    assert "main-us-east" in refused(old, new)[0]


def test_replacing_a_region_adds_before_it_removes() -> None:
    old, new = topology(4), topology(4, "eu-central", "us-east", "eu-west")
    found = brief(steps(exported(old), new))
    assert found.index("+traffic eu-west") < found.index("-traffic ap-northeast")
    assert found[-2:] == ["-member main-ap-northeast", "-network ap-northeast"]


def test_going_down_frees_commits_before_members_go() -> None:
    found = brief(steps(topology(4, database={"durability": "quorum"}), topology(3)))
    assert found.index("-durability main") < found.index("-member main-ap-northeast")


PARTITION = {**AMERICAS, "slot": 2}


@pytest.mark.parametrize(
    ("new", "words"),
    [
        ({"home": "us-east"}, ["home:", '"eu-central"', "never changes"]),
        ({"app": "shop"}, ["app:", '"meridian"']),
        ({"regions": [{"name": "eu-central"}, {"name": "us-east", "slot": 7}, {"name": "ap-northeast"}]}, ["slot: 1"]),
        ({"network": {"supernet": "10.0.0.0/10"}}, ["10.64.0.0/16", "replace its network"]),
        (
            {"regions": [{"name": "eu-central"}, {"name": "us-east"}, {"name": "eu-west", "slot": 2}]},
            ["eu-west has slot 2, which ap-northeast had"],
        ),
        ({"partitions": [PARTITION]}, ["americas has slot 2", "slot: 1"]),
        (
            {"partitions": [{**AMERICAS, "origin": "eu-central"}]},
            ["americas has the origin eu-central", "origin: us-east"],
        ),
        ({"partitions": [{**AMERICAS, "name": "west"}]}, ["west has slot 1, which americas had"]),
    ],
)
def test_what_never_changes(new: dict[str, Any], words: list[str]) -> None:
    said = "\n".join(refused(topology(5), topology(5, **{"partitions": [AMERICAS], **new})))
    for word in words:
        assert word in said


def test_home_is_given_up_only_by_name_and_where_nothing_is_made_for_being_there() -> None:
    old = topology(4)
    left = {"home": "us-east", "regions": [{"name": "us-east", "slot": 1}, {"name": "ap-northeast", "slot": 2}]}
    assert any("home:" in line for line in refused(old, topology(4, **left)))
    check(old, topology(4, **left), ("eu-central",))
    # A region that stays is no home that was lost.
    assert any("home:" in line for line in refused(old, topology(4, home="us-east"), "eu-central"))


THREE_ON_AWS = ("eu-west-1", "eu-central-1", "us-east-1")
ON_AWS = {"target": "aws", "partitions": [{**AMERICAS, "origin": "us-east-1"}]}


def test_the_walk_up_the_ladder_on_a_cloud() -> None:
    walk = [topology(phase, *THREE_ON_AWS, **ON_AWS) for phase in Phase]
    assert brief(steps(None, walk[0])) == [
        "+network eu-west-1",
        "+vault eu-west-1",
        "+vault eu-central-1",
        "+member main-eu-west-1",
        "+cache eu-west-1",
        "+service eu-west-1",
        "+traffic meridian-entry",
    ]
    assert [brief(steps(exported(low), high)) for low, high in pairwise(walk)] == [
        ["+network eu-central-1", "+vault eu-central-1", "+member main-eu-central-1"],
        ["+size main-eu-central-1", "+cache eu-central-1", "+service eu-central-1", "+traffic eu-central-1"],
        [
            "+network us-east-1",
            "+vault us-east-1",
            "+member main-us-east-1",
            "+cache us-east-1",
            "+service eu-central-1",
            "+service us-east-1",
            "+traffic eu-central-1",
            "+traffic us-east-1",
        ],
        [
            "+member americas-us-east-1",
            "+member americas-eu-central-1",
            "+member americas-eu-west-1",
            "+service eu-central-1",
            "+service us-east-1",
            "+partition americas",
        ],
    ]
    said = {step.subject: step.text for step in steps(None, walk[0]) if step.kind == "vault"}
    assert said == {
        "eu-west-1": "Create the vault of eu-west-1 for its own backups, which are copied to eu-central-1. "
        "Users notice nothing.",
        "eu-central-1": "Create the vault of eu-central-1 for copies of the backups of eu-west-1. "
        "Users notice nothing.",
    }
    (said,) = (step.text for step in steps(walk[0], walk[1]) if step.kind == "vault")
    assert said == "Copy the backups of eu-central-1 to eu-west-1. Users notice nothing."


def test_a_vault_that_only_receives_is_not_dropped_unasked() -> None:
    old, new = topology(1, *THREE_ON_AWS, target="aws"), topology(1, "eu-west-1", "us-east-1", target="aws")
    assert brief(steps(exported(old), new)) == ["+vault eu-west-1", "+vault us-east-1", "-vault eu-central-1"]
    (said,) = refused(old, new)
    assert said == (
        "regions: dropping eu-central-1 would lose: its vault with the backups in it. "
        "Change it back, or give eu-central-1 up: `retire: [eu-central-1]`."
    )
    check(exported(old), new, ["eu-central-1"])
    moved = next(step.text for step in steps(old, new) if step.subject == "eu-west-1")
    assert moved == (
        "Copy the backups of eu-west-1 to us-east-1 and no longer to eu-central-1; the copies that are there stay "
        "until they expire. Users notice nothing."
    )


# As the first releases wrote it, before there were vaults.
FIRST = {
    "version": 1,
    "phase": "single-region",
    "target": "local",
    "app": "meridian",
    "home": "eu-central",
    "policy": "home",
    "regions": [
        {
            "name": "eu-central",
            "slot": 0,
            "cidr": "10.64.0.0/16",
            "in_use": True,
            "serving": "full",
            "has_cache": True,
            "members": ["main-eu-central"],
        }
    ],
    "partitions": [
        {
            "name": "main",
            "slot": 0,
            "origin": "eu-central",
            "durability": "async",
            "members": {"main-eu-central": "full"},
        }
    ],
}


def test_what_the_first_releases_exported_stays_readable() -> None:
    found = from_summary(FIRST)
    assert found.backups == {}
    assert steps(found, topology(1, "eu-central")) == ()
    check(found, topology(1), ())


def test_another_target_is_another_stack() -> None:
    new = topology(1, "eu-west-1", target="aws")
    assert any(line.startswith("target:") for line in refused(topology(1), new))
