"""However a stack is climbed, widened, failed over and back: nothing that holds data goes unless it was given up."""

import json
import re
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

import engine
from components.built import HIGHEST
from operations import project
from operations.changes import lost
from operations.engines.embedded import preview_from
from tests.operations import walks
from tests.operations.exports import export
from tests.operations.walks import Settings, Stack, Walk, changed, cloud_losses, graph, losses
from topology import Target, load, plan

# A walk on a cloud runs its whole program several times, at two seconds and more.
SLOW = settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
QUICK = settings(max_examples=200, deadline=None, derandomize=True, database=None)
CLOUDS: tuple[Target, ...] = tuple(target for target in ("aws", "gcp") if target in HIGHEST)


@pytest.mark.parametrize("target", ["aws", "gcp", "local"])
def test_no_walk_loses_a_member_that_was_not_given_up(target: Target) -> None:
    @QUICK
    @given(walk=walks.walks(target, most=12))
    def hold(walk: Walk) -> None:
        assert losses(walk) == []

    hold()


@pytest.mark.deep
@pytest.mark.parametrize("target", CLOUDS)
def test_no_walk_loses_a_resource_of_a_cloud(target: Target) -> None:
    @SLOW
    @given(walk=walks.walks(target, most=4))
    def hold(walk: Walk) -> None:
        assert losses(walk, cloud_losses) == []

    hold()


@pytest.mark.deep
@pytest.mark.parametrize("target", CLOUDS)
def test_the_whole_ladder_with_a_failover_on_each_rung(target: Target) -> None:
    names = walks.REGIONS[target]
    moves = [move for _ in range(4) for move in (("climb", 1), ("fail over", 1), ("add region", names[2]))]
    first = walks.config(*names[:2], target=target, phase=1)
    first["regions"] = [{"name": name, "slot": slot} for slot, name in enumerate(names[:2])]
    first["partitions"] = [{"name": "far", "slot": 1, "origin": names[1], "serves": ["US"]}]
    assert losses(Walk(first=first, moves=tuple(moves)), cloud_losses) == []


def previewed(stack: Stack, after: Settings) -> list[str]:
    """What the embedded engine's own preview would lose of a local stack; a failover leaves its state alone."""
    if max(after["phase"], stack.settings["phase"]) > HIGHEST["local"]:
        return []
    values = {f"meridian:{key}": value for key, value in {**project_defaults(), **after}.items()}
    program = engine.Program(
        project="meridian",
        stack="walk",
        folder=project.FOLDER,
        config={key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()},
    )
    state = engine.import_(export(graph(stack.settings), "walk"), "")
    given_up = after.get("retire", ())
    changes = preview_from(engine.preview(program, state)).changes
    return [f"{each.name}: {each.op}" for each in lost(changes) if not any(name in each.name for name in given_up)]


def project_defaults() -> dict[str, Any]:
    found = project.defaults(project.FOLDER)
    return {key.removeprefix("meridian:"): value for key, value in found.items()}


def test_no_walk_loses_a_server_of_the_local_target() -> None:
    @settings(SLOW, max_examples=15)
    @given(walk=walks.walks("local", most=5))
    def hold(walk: Walk) -> None:
        assert losses(walk, previewed) == []

    hold()


@pytest.mark.parametrize("target", ["aws", "local"])
def test_a_walk_that_loses_something_is_found_and_shrunk(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `up` that refuses nothing, the smallest walk is one bump and the way back."""
    monkeypatch.setattr(walks, "check", lambda *_: None)
    smallest = find(walks.walks(target), lambda walk: losses(walk) != [], settings=settings(QUICK, max_examples=500))
    assert len(smallest.moves) == 2
    text = repr(smallest)
    pasted = YAML(typ="safe").load(StringIO(re.split(r"# move 1", text)[0]))["config"]
    read = {key.removeprefix("meridian:"): value for key, value in pasted.items()}
    assert plan(load(read, "pasted")).target == target  # as it stands, it can be put into a settings file


@pytest.mark.parametrize("target", CLOUDS)
def test_a_failover_is_seen_by_the_walk(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the ignore lists, the first `up` after a failover would promote, detach or replace."""
    names = walks.REGIONS[target]
    first = walks.config(*names[:2], target=target, phase=3)
    first["regions"] = [{"name": name, "slot": slot} for slot, name in enumerate(names[:2])]
    first["partitions"] = [{"name": "far", "slot": 1, "origin": names[1], "serves": ["US"]}]
    walk = Walk(first=first, moves=(("fail over", 1),))
    assert losses(walk, cloud_losses) == []
    real = walks.known
    monkeypatch.setattr(walks, "known", lambda resource, inputs: replace(real(resource, inputs), ignored=()))
    assert losses(walk, cloud_losses) != []


@given(move=st.integers(1, 4))
def test_a_move_changes_the_settings_it_names(move: int) -> None:
    first = walks.config("eu-central", "us-east", phase=1)
    assert changed(first, ("climb", move), 2)["phase"] == min(1 + move, 5)
    assert changed(first, ("add region", "sa-east"), 2)["regions"][-1] == {"name": "sa-east", "slot": 2}
    assert changed(first, ("fail over", move), 2) == first
