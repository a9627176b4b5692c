"""Scenarios as files: what is read, and what is refused with the nearest name."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from operations.drill import faults
from operations.drill.places import Cast, unfit
from operations.drill.scenario import FOLDER, known, read
from operations.errors import Refused
from operations.failover.driver import Observation
from topology import from_summary, load, plan, to_summary

WHOLE = """
title = "A region is lost"
shows = "Something."
phases = [4]

[[action]]
do = "kill"
where = "writer"

[answer]
by = "watcher"
command = "failover"
"""

CAST = Cast(
    regions=("eu-central", "us-east", "ap-northeast"),
    members=("eu-central", "us-east", "ap-northeast"),
    used=("eu-central", "us-east", "ap-northeast"),
    writer="us-east",
)


def written(folder: Path, text: str, name: str = "mine") -> Path:
    path = folder / f"{name}.toml"
    path.write_text(text)
    return path


def test_who_has_a_member_writes_next() -> None:
    bound = replace(CAST, members=("us-east", "ap-northeast"))
    assert CAST.others == ("eu-central", "ap-northeast")
    assert bound.others == ("ap-northeast", "eu-central")
    assert bound.one("next") == "ap-northeast"


def test_the_projects_own_are_sound_and_say_what_they_show() -> None:
    found = known()
    assert set(found) == {path.stem for path in FOLDER.glob("*.toml")}
    issue = {"lost-region", "lost-writer", "lost-cache", "lost-gateway", "slow-region", "cut", "full-disk"}
    assert issue | {"killed-failover", "bad-deploy", "isolated-writer", "switchover", "dropped-table"} <= set(found)
    assert all(each.shows.endswith(".") for each in found.values())


def test_a_teams_own_come_beside_and_in_place_of_them(tmp_path: Path) -> None:
    written(tmp_path, WHOLE, "cut")
    written(tmp_path, WHOLE, "ours")
    found = known(tmp_path)
    assert found["ours"].actions[0].what == "region"
    assert found["cut"].title == "A region is lost"
    with pytest.raises(Refused, match="no folder"):
        known(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("phases = [4]", "phase = [4]", ("phase: no such key", "Did you mean phases?")),
        ("phases = [4]", "phases = [6]", ("from 1 to 5",)),
        ("phases = [4]", 'phases = ["4"]', ("phases", "list of whole number")),
        ("phases = [4]", "", ("phases is missing",)),
        ('do = "kill"', 'do = "kil"', ("action 1: do: 'kil'", "Did you mean kill?")),
        ('do = "kill"', "", ("do is missing",)),
        ('do = "kill"', 'do = "kill"\nseconds = true', ("seconds: True is no number",)),
        ('do = "kill"', 'do = "slow"', ("milliseconds",)),
        ('where = "writer"', 'wher = "writer"', ("Did you mean where?",)),
        ('command = "failover"', 'command = "switchover"', ("watcher", "failover")),
        ('command = "failover"', "", ("needs a command",)),
        ('command = "failover"', 'command = "partition mov"', ("Did you mean partition move?",)),
        ('where = "writer"', 'where = "either"', ("`either` needs a move",)),
        ('where = "writer"', 'during = "move"', ("`during` says when a region is killed",)),
        ('by = "watcher"\ncommand = "failover"', 'by = "operator"\ncommand = "partition move"', ("breaks `during`",)),
        ("[[action]]", "[action]", ("[[action]]",)),
        ("title =", "title", ("cannot be read",)),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, words: tuple[str, ...]) -> None:
    assert old in WHOLE
    with pytest.raises(Refused) as refused:
        read(written(tmp_path, WHOLE.replace(old, new)))
    for word in words:
        assert word in str(refused.value)


def test_a_move_loses_its_command_or_a_region(tmp_path: Path) -> None:
    moving = WHOLE.replace('where = "writer"', 'where = "either"\nduring = "move"')
    moving = moving.replace('by = "watcher"\ncommand = "failover"', 'by = "operator"\ncommand = "partition move"')
    assert read(written(tmp_path, moving)).actions[0].during == "move"
    with pytest.raises(Refused, match="not both"):
        read(written(tmp_path, moving + 'killed = "at-random"\n'))


def test_places_are_what_regions_are_as_the_drill_begins() -> None:
    assert CAST.one("writer") == "us-east"
    assert CAST.one("next") == "eu-central"
    assert CAST.one("other") == "ap-northeast"
    assert CAST.find("every") == CAST.used
    assert CAST.one("ap-northeast") == "ap-northeast"
    with pytest.raises(Refused, match="Did you mean us-east"):
        CAST.find("us-eest")
    with pytest.raises(Refused, match="3 regions"):
        CAST.one("every")


def test_a_scenario_says_why_a_stack_cannot_be_drilled_in_it() -> None:
    lost, cut = known()["lost-region"], known()["cut"]
    assert unfit(lost, CAST, target="local", phase=4, keepers=True) is None
    assert "on aws" in (unfit(lost, CAST, target="aws", phase=4, keepers=True) or "")
    assert "at 2" in (unfit(lost, CAST, target="local", phase=2, keepers=True) or "")
    assert "lease" in (unfit(lost, CAST, target="local", phase=4, keepers=False) or "")
    alone = Cast(regions=("a",), members=("a",), used=("a",), writer="a")
    assert "one member" in (unfit(lost, alone, target="local", phase=4, keepers=True) or "")
    mid = known()["lost-region-mid-move"]
    assert unfit(mid, CAST, target="local", phase=5, keepers=True) is None
    assert unfit(mid, CAST, target="local", phase=5, keepers=True, alone="residency forbids") == "residency forbids"
    assert unfit(lost, CAST, target="local", phase=5, keepers=True, alone="residency forbids") is None
    assert "`next`" in (unfit(cut, alone, target="local", phase=4, keepers=True) or "")


def test_the_cast_is_of_what_runs_and_of_who_writes_now() -> None:
    regions = [{"name": name} for name in CAST.regions]
    topology = plan(load({"target": "local", "phase": "active-passive", "regions": regions}, "dev"))
    seen: dict[str, Any] = {"at": 0.0, "members": {"us-east": None, "eu-central": None}, "vantages": {}, "lease": None}
    running = from_summary(to_summary(topology))
    cast = Cast.of(running, Observation(writer="us-east", admitted=frozenset(), **seen))
    assert cast == Cast(regions=CAST.regions, members=CAST.regions[:2], used=CAST.regions[:2], writer="us-east")
    with pytest.raises(Refused, match="nobody writes"):
        Cast.of(running, Observation(writer=None, admitted=frozenset(), **seen))


def test_a_small_disk_is_asked_of_the_machine_only_where_one_is_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    full, lost = known()["full-disk"].actions, known()["lost-region"].actions
    monkeypatch.setattr(faults, "can_mount", lambda: False)
    assert "user namespaces" in (faults.unable(full) or "")
    assert faults.unable(lost) is None
    monkeypatch.setattr(faults, "can_mount", lambda: True)
    assert faults.unable(full) is None
