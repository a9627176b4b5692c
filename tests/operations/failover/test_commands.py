"""The commands from the first word to the last, on a stack whose servers are on paper."""

import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from operations import cli, lock, project
from operations.changes import Preview
from operations.commands import watch as watch_command
from operations.errors import Exit, Refused
from operations.failover import drivers, journal
from operations.partitions import journal as moves
from operations.partitions.move import State
from operations.stack import Stack
from tests.operations.failover.cluster import Cluster, Killed
from topology import load, plan, to_summary

REGIONS = ("eu-central", "us-east", "ap-northeast")


class Engine:
    """Holds a stack that is up, and goes no further."""

    def require_able(self) -> None: ...

    def protected(self) -> None:
        raise Refused("an engine on paper gives nothing up")

    def outputs(self) -> dict[str, Any]:
        return {
            "topology": to_summary(
                plan(
                    load(
                        {
                            "target": "local",
                            "phase": "multi-region-reads",
                            "regions": [{"name": name} for name in REGIONS],
                        },
                        "dev",
                    )
                )
            ),
            "ground": "127.20",
            "entry": "http://127.20.0.1:8080",
        }


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setenv("MERIDIAN_HOME", str(tmp_path))
    monkeypatch.delenv("MERIDIAN_STACK", raising=False)
    made = Cluster(regions=REGIONS, vantage="us-east", time=time.time())
    made.tick(20)
    monkeypatch.setattr("operations.engines.choice.holding", lambda _: Engine())

    def open_driver(*words: Any) -> Cluster:
        made.vantage = words[3] or "us-east"
        return made

    monkeypatch.setattr(drivers, "open_driver", open_driver)
    return made


def test_a_switchover_shows_its_plan_and_says_what_it_did(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["switchover", "--to", "us-east", "--yes", "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert (found["from"], found["to"], found["outcome"], found["fenced"]) == (
        "eu-central",
        "us-east",
        "done",
        "stopped",
    )
    assert [step["step"] for step in found["steps"]][-1] == "refresh"
    assert "It loses nothing." in err
    assert "becomes the writer" in err
    assert cluster.writer() == "us-east"
    assert cli.main(["switchover", "--to", "us-east", "--yes"]) == Exit.REFUSED
    assert "us-east writes main already" in capsys.readouterr().err


def test_without_a_yes_nothing_is_done(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["switchover", "--to", "us-east"]) == Exit.REFUSED
    assert "--yes" in capsys.readouterr().err
    assert cluster.calls == []
    assert journal.last(Stack.open("dev").folder, "main") is None


def test_a_failover_announces_its_loss_and_holds_it_against_the_limit(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.kill("eu-central")
    cluster.tick(5)
    assert cli.main(["failover", "--yes", "--max-loss", "100ms"]) == Exit.REFUSED
    assert "may lose acknowledged writes of the last" in capsys.readouterr().err
    assert cluster.calls == []
    assert cli.main(["failover", "--yes", "--max-loss", "10s"]) == 0
    assert "may lose" in capsys.readouterr().err
    # It comes back, and takes over again.
    cluster.revive("eu-central")
    cluster.tick(5)
    assert cli.main(["failback", "--yes"]) == 0
    assert cluster.writer() == "eu-central"
    assert cluster.broken == []


def test_a_killed_run_keeps_others_out_until_it_is_resumed(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.fuse = 12
    with pytest.raises(Killed):
        cli.main(["switchover", "--to", "us-east", "--yes"])
    for words in (["switchover", "--yes"], ["failover", "--yes"], ["failback", "--yes"], ["up", "--yes"]):
        assert cli.main(words) == Exit.REFUSED
        told = capsys.readouterr().err
        assert "operation 001" in told
        assert "./meridian switchover --resume" in told
    assert cli.main(["failback", "--resume", "--yes"]) == Exit.REFUSED
    assert "is no failback" in capsys.readouterr().err
    assert cli.main(["switchover", "--resume", "--yes"]) == 0
    assert (cluster.writer(), cluster.broken, cluster.lost()) == ("us-east", [], {})
    assert cli.main(["switchover", "--resume", "--yes"]) == Exit.REFUSED
    assert "no unfinished operation" in capsys.readouterr().err


def test_a_killed_switchover_can_be_undone(cluster: Cluster) -> None:
    cluster.fuse = 12
    with pytest.raises(Killed):
        cli.main(["switchover", "--to", "us-east", "--yes"])
    assert cli.main(["switchover", "--undo", "--yes"]) == 0
    cluster.tick(5)
    assert cluster.accepts("eu-central")
    assert (cluster.broken, cluster.lost()) == ([], {})


def test_a_failover_takes_the_place_of_a_switchover_whose_writer_died(cluster: Cluster) -> None:
    cluster.fuse = 11
    with pytest.raises(Killed):
        cli.main(["switchover", "--to", "us-east", "--yes"])
    cluster.kill("eu-central")
    cluster.tick(40)
    assert cli.main(["failover", "--resume", "--yes", "--max-loss", "any"]) == 0
    assert cluster.writer() in ("us-east", "ap-northeast")
    assert cluster.broken == []
    folder = Stack.open("dev").folder
    assert journal.read(folder / "operations" / "001.json").outcome == "superseded"
    assert journal.read(folder / "operations" / "002.json").outcome == "done"


def test_a_failover_whose_target_is_lost_after_its_promotion_goes_on_with_another(cluster: Cluster) -> None:
    cluster.kill("eu-central")
    cluster.tick(5)
    cluster.on_point = lambda world: world.kill("us-east") if world.calls[-1:] == ["admit us-east"] else None
    assert cli.main(["failover", "--yes", "--to", "us-east", "--max-loss", "any"]) == Exit.FAULT
    cluster.on_point = lambda _: None
    cluster.revive("eu-central")  # a keeper again; its member is down
    cluster.members["eu-central"].up = False
    words = ["failover", "--resume", "--yes", "--max-loss", "any", "--from", "ap-northeast"]
    assert cli.main(words) == 0
    assert cluster.writer() == "ap-northeast"
    cluster.revive("us-east")
    cluster.tick(5)
    assert not cluster.accepts("us-east")
    assert cluster.broken == []


def test_the_watcher_tells_a_blip_from_an_outage(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    began = cluster.time - 2.0

    def sleep(_: float) -> None:
        cluster.tick(4)
        if cluster.time > began + 4:
            cluster.kill("eu-central")
        elif cluster.time > began + 3:
            cluster.revive("eu-central")
        elif cluster.time > began + 2.5:
            cluster.kill("eu-central")

    status = watch_command.watching(
        cluster, "us-east", once=True, act=lambda _: None, clock=lambda: cluster.time, sleep=sleep
    )
    told = capsys.readouterr().err
    assert status == Exit.FAULT
    assert told.index("that was a blip") < told.index("ALARM: eu-central is lost")


def test_a_server_that_is_down_in_a_region_that_answers_is_an_outage(cluster: Cluster) -> None:
    cluster.members["eu-central"].up = False
    assert set(watch_command.reached(cluster.observe(), "eu-central", "us-east").values()) == {False}
    cluster.members["eu-central"].up = True
    cluster.cut = {frozenset(("us-east", "eu-central"))}  # it is here that is cut off
    assert watch_command.reached(cluster.observe(), "eu-central", "us-east")["ap-northeast"]


class Terminal:
    """A person who thinks for ten seconds before the first answer."""

    def __init__(self, cluster: Cluster, *answers: str) -> None:
        self.cluster, self.answers, self.first = cluster, list(answers), True

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        if self.first:
            self.cluster.tick(100)
        self.first = False
        return f"{self.answers.pop(0)}\n"


def test_a_person_who_thought_for_long_is_asked_again(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.members["ap-northeast"].up = False
    cluster.cut = {frozenset(("eu-central", "us-east"))}
    cluster.tick(5)
    monkeypatch.setattr("sys.stdin", Terminal(cluster, "y", "n"))
    assert cli.main(["failover", "--to", "us-east"]) == Exit.REFUSED
    told = capsys.readouterr().err
    assert told.index("It may lose") < told.index("This may now lose") < told.index("Repeat with --resume")
    # A yes to everything is none to what nobody has announced.
    monkeypatch.setattr("sys.stdin", Terminal(cluster))
    assert cli.main(["failover", "--resume", "--yes"]) == Exit.REFUSED
    assert cluster.members["us-east"].role == "replica"
    monkeypatch.setattr("sys.stdin", Terminal(cluster, "y"))
    assert cli.main(["failover", "--resume"]) == 0
    assert cluster.writer() == "us-east"
    assert cluster.broken == []


# --- what `up` does about a writer -----------------------------------------------------------------------------------


@pytest.fixture
def drop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From when it is called the settings give up us-east."""
    monkeypatch.setattr("operations.commands.up.choose", lambda *_: Engine())
    monkeypatch.setattr("operations.drivers.local.check_programs", lambda _: None)
    settings = {
        "target": "local",
        "phase": "multi-region-reads",
        "regions": [{"name": "eu-central", "slot": 0}, {"name": "ap-northeast", "slot": 2}],
        "retire": ["us-east"],
    }
    written = {"config": {f"meridian:{key}": value for key, value in settings.items()}}
    (tmp_path / "Pulumi.dev.yaml").write_text(json.dumps(written))
    (tmp_path / "Pulumi.yaml").write_text((project.FOLDER / "Pulumi.yaml").read_text())
    return lambda: monkeypatch.setattr("operations.project.FOLDER", tmp_path)


def test_up_does_not_drop_the_member_that_writes_now(
    cluster: Cluster, drop: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """No partition map says so here: the cluster on paper has none."""
    assert cli.main(["switchover", "--to", "us-east", "--yes"]) == 0
    drop()
    capsys.readouterr()
    assert cli.main(["up", "--yes"]) == Exit.REFUSED
    told = capsys.readouterr().err
    assert "main-us-east writes main now, and would be dropped" in told
    assert "switchover --partition main --to" in told
    # Once it is moved, `up` goes on.
    assert cli.main(["switchover", "--to", "eu-central", "--yes"]) == 0
    assert cli.main(["up", "--yes"]) == Exit.REFUSED
    assert "an engine on paper" in capsys.readouterr().err


def test_the_preview_says_the_refusal_of_up(
    cluster: Cluster, drop: Callable[[], None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Looking(Engine):
        name = "pulumi"

        def has_stack(self) -> bool:
            return True

        def preview(self, **_: Any) -> Preview:
            return Preview(changes=())

    monkeypatch.setattr("operations.commands.preview.choose", lambda *_: Looking())
    monkeypatch.setattr("operations.commands.preview._show", lambda *_: None)
    assert cli.main(["switchover", "--to", "us-east", "--yes"]) == 0
    drop()
    capsys.readouterr()
    assert cli.main(["preview"]) == Exit.REFUSED
    told = capsys.readouterr().err
    assert "main-us-east writes main now, and would be dropped" in told
    assert cli.main(["switchover", "--to", "eu-central", "--yes"]) == 0
    capsys.readouterr()
    assert cli.main(["preview"]) == Exit.REFUSED
    assert "an engine on paper" in capsys.readouterr().err


def test_up_waits_for_an_unfinished_failover_before_it_asks_who_writes(
    cluster: Cluster, drop: Callable[[], None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the promotion and the pointing, the map is stale."""
    cluster.kill("eu-central")
    cluster.tick(5)

    def die(world: Cluster) -> None:
        if world.calls[-1:] == ["point us-east"]:
            raise Killed

    cluster.on_point = die
    with pytest.raises(Killed):
        cli.main(["failover", "--yes", "--to", "us-east", "--max-loss", "any"])
    assert cluster.members["us-east"].role == "writer"
    drop()
    capsys.readouterr()
    monkeypatch.setattr("operations.drivers.local.require_writers_kept", lambda *_: pytest.fail("asked too early"))
    assert cli.main(["up", "--yes"]) == Exit.REFUSED
    told = capsys.readouterr().err
    assert "operation 001" in told
    assert "./meridian failover --resume" in told


def test_up_takes_nothing_from_under_an_unfinished_move_and_starts_what_should_run(
    cluster: Cluster, drop: Callable[[], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A move that lost a region cannot end before an `up` has brought its servers back."""
    state = State(name="move_001", first="00/us-east/", last="00/us-east0", source="main", target="americas")
    record = moves.new(Stack.open("dev").folder, state)
    drop()
    assert cli.main(["up", "--yes"]) == Exit.REFUSED
    told = capsys.readouterr().err
    assert "move_001" in told
    assert "./meridian partition move --resume" in told
    settings = tmp_path / "Pulumi.dev.yaml"
    written = json.loads(settings.read_text())
    written["config"]["meridian:regions"] = [{"name": name, "slot": slot} for slot, name in enumerate(REGIONS)]
    del written["config"]["meridian:retire"]
    settings.write_text(json.dumps(written))
    assert cli.main(["up", "--yes"]) == Exit.REFUSED
    assert "an engine on paper" in capsys.readouterr().err
    record.close("undone")


@pytest.mark.parametrize("moved", [True, False], ids=["who moves it", "who fails"])
def test_a_second_watch_waits_for_the_first_one_and_looks_again(
    cluster: Cluster, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, moved: bool
) -> None:
    cluster.kill("eu-central")
    cluster.tick(5)
    stack, seen = Stack.open("dev"), cluster.observe()
    with ExitStack() as first:
        first.enter_context(lock.held(stack.folder, "failover of the first watch", lock.OPERATION))

        def wait(_: float) -> None:
            """The first one comes to its end meanwhile."""
            first.close()
            if moved:
                assert cli.main(["failover", "--yes", "--max-loss", "any"]) == 0

        monkeypatch.setattr(watch_command.time, "sleep", wait)
        options = cli.parser().parse_args(["watch", "--from", "us-east"])
        watch_command._act(stack, options, cluster, seen)
    told = capsys.readouterr().err
    assert len([line for line in told.splitlines() if "acts already; this watch waits" in line]) == 1
    assert "failover of the first watch" in told
    assert ("ALARM: not moved: this may lose" in told) == (not moved), "it acts where the first one did not"
