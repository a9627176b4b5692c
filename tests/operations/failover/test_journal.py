"""A run's file: what is on disk is what a later process goes on with, and it keeps everybody else out."""

from pathlib import Path
from typing import Any, cast

import pytest

from operations import lock
from operations.errors import Fault, Refused
from operations.failover import journal, protocol
from operations.failover.decision import decide
from operations.failover.protocol import State, Step
from operations.stack import Stack
from tests.operations.failover.cluster import Cluster
from tests.operations.failover.runs import ground, request


def state() -> State:
    cluster = Cluster()
    cluster.tick(20)
    now = cluster.observe()
    asked = request("switchover", to="b")
    return protocol.start(decide(ground(cluster), asked, now), asked, now, partition="main")


class AStack:
    name = "dev"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def command(self, *words: str) -> str:
        return " ".join(["./meridian", *words])


def stack(folder: Path) -> Stack:
    return cast("Any", AStack(folder))


def test_what_begins_is_on_disk_first_with_all_that_ended(tmp_path: Path) -> None:
    made = journal.new(tmp_path, "switchover --to b", state())
    step = Step(action="prepare", region="b")
    begun = protocol.begin(made.state, step)
    made.begun(step, begun)
    assert journal.read(made.path).state == begun
    ended = protocol.end(begun, step, at=1.0)
    made.ended(step, ended, seconds=0.5, detail="two slots", already=False)
    assert journal.read(made.path).state == begun  # written with the next one's beginning
    again = protocol.begin(ended, Step(action="follow", region="b"))
    made.begun(Step(action="follow", region="b"), again)
    found = journal.read(made.path)
    assert found.state == again
    assert [event["what"] for event in found.events] == ["begun", "ended", "begun"]
    assert journal.unfinished(tmp_path) == found
    found.close("done")
    assert journal.unfinished(tmp_path) is None
    assert journal.last(tmp_path, "main") is not None
    assert journal.last(tmp_path, "americas") is None
    assert journal.new(tmp_path, "switchover", state()).number == "002"


def test_an_unfinished_run_keeps_up_out_and_says_who_and_since_when(tmp_path: Path) -> None:
    journal.refuse_unfinished(stack(tmp_path), "up")
    made = journal.new(tmp_path, "switchover --to b", state())
    with pytest.raises(Refused) as refusal:
        journal.refuse_unfinished(stack(tmp_path), "up")
    for word in ("operation 001", "switchover --to b", made.by, "since 20", "./meridian switchover --resume"):
        assert word in str(refusal.value)
    made.close("undone")
    journal.refuse_unfinished(stack(tmp_path), "up")


def test_one_operation_at_a_time_beside_the_lock_of_up(tmp_path: Path) -> None:
    with lock.held(tmp_path, "up"), journal.held(tmp_path, "failover --to b"):
        with pytest.raises(Fault, match="failover --to b"), journal.held(tmp_path, "switchover"):
            pass
        with pytest.raises(Refused, match="failover --to b"):
            journal.refuse_unfinished(stack(tmp_path), "up")
    journal.refuse_unfinished(stack(tmp_path), "up")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 1}', '{"version": 9}'])
def test_a_damaged_journal_is_never_taken_for_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "operations").mkdir()
    (tmp_path / "operations" / "001.json").write_text(content)
    with pytest.raises(Fault, match=r"001\.json"):
        journal.unfinished(tmp_path)
