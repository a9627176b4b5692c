"""Fail over to B, drop A, add C, `up` from an unmodified checkout: C is copied from B, no data is replaced."""

from collections.abc import Mapping
from typing import Any

import pytest

from components.deploy import parse_writers, writing_members
from engine.recorder import Graph
from operations.recording import record
from tests.components.aws import failover as aws
from tests.components.aws import stacks as aws_stacks
from tests.components.gcp import failover as gcp
from tests.components.gcp import stacks as gcp_stacks
from topology import SettingsError

# The home region, and then the writer's (B), the dropped one (A), and the new one (C).
REGIONS = {
    "aws": ("eu-west-1", "eu-central-1", "us-east-1", "eu-north-1"),
    "gcp": ("europe-west3", "europe-west1", "us-east4", "europe-north1"),
}
FAILOVER: dict[str, Any] = {"aws": aws, "gcp": gcp.CLOUD}
CONFIG = {"aws": aws_stacks.config, "gcp": gcp_stacks.config}
CLUSTER = {"aws": "aws:rds/cluster:Cluster", "gcp": gcp.INSTANCE}


def stack(target: str, *listed: str, retire: tuple[str, ...] = ()) -> Graph:
    known = REGIONS[target]
    more: dict[str, Any] = {"retire": list(retire)} if retire else {}
    config = CONFIG[target](
        phase=4,
        regions=[{"name": name, "slot": known.index(name)} for name in listed],
        partitions=[],
        residency={},
        **more,
    )
    return record(config, stack=f"production-{target}")


@pytest.mark.parametrize("target", ["aws", "gcp"])
def test_fail_over_to_b_drop_a_add_c(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    home, b, a, c = REGIONS[target]
    before = stack(target, home, b, a)
    cloud = FAILOVER[target]
    found_after = cloud.after_failover(before, "main", b)

    monkeypatch.setenv("MERIDIAN_WRITERS", f"main={b}")
    after = stack(target, home, b, c, retire=(a,))

    # What stands already is not replaced, promoted or detached, whoever the program says writes; no database changes.
    kept = {urn: state for urn, state in found_after.items() if urn in after.resources}
    assert len([urn for urn in kept if f"::{CLUSTER[target]}::" in urn or f"${CLUSTER[target]}::" in urn]) == 2
    said = cloud.verdicts(after, kept)
    assert {each.effect for each in said} <= {"update"}
    assert CLUSTER[target] not in {each.type for each in said}
    # Nothing with data goes, but what A had.
    gone = {before.resources[urn].name for urn in set(before.resources) - set(after.resources)}
    assert all(a in before.resources[urn].name for urn in set(before.resources) - set(after.resources)), gone
    assert new_source(target, after, c) == f"main-{b}"


@pytest.mark.parametrize("target", ["aws", "gcp"])
def test_without_a_word_about_the_writer_a_new_member_is_copied_from_the_origin(target: str) -> None:
    home, b, _, c = REGIONS[target]
    assert new_source(target, stack(target, home, b, c), c) == f"main-{home}"


def new_source(target: str, graph: Graph, region: str) -> str:
    """The member that a new one is made from: by its argument, and on AWS, which finds it itself, by the order."""
    made = next(each for each in graph.of_type(CLUSTER[target]) if each.name.startswith(f"main-{region}"))
    others = [each for each in graph.of_type(CLUSTER[target]) if each is not made]
    if target == "gcp":
        (source,) = [each for each in others if each.inputs["name"] == made.inputs["masterInstanceName"]]
    else:
        (source,) = [each for each in others if each.urn in made.dependencies]
    return source.name.rpartition("-")[0]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("main=eu-west-1", {"main": "eu-west-1"}),
        (" main = eu-west-1 , americas=us-east-1,", {"main": "eu-west-1", "americas": "us-east-1"}),
    ],
)
def test_writers_are_read_from_one_line(text: str, found: Mapping[str, str]) -> None:
    assert parse_writers(text) == found


@pytest.mark.parametrize("writers", [{"main": "eu-north-1"}, {"nothing": "eu-west-1"}, {"main": ""}])
def test_a_writer_that_is_no_member_is_refused(writers: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=r"MERIDIAN_WRITERS.*Members: main=eu-west-1"):
        writing_members(aws_stacks.topology(phase=3), writers)
