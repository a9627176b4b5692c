"""The runner against a driver that fails where it is told to: what is recorded, what is turned round."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from operations.errors import Fault, Refused
from operations.partitions import journal, move, runner
from operations.partitions.journal import Journal
from operations.partitions.move import Action, State
from tests.operations.failover.test_journal import stack

MOVE = State(name="move_001", first="00/us-east/", last="00/us-east0", source="main", target="americas")


@dataclass
class Driver:
    fails: dict[str, int] = field(default_factory=dict)  # by step, how often it fails
    alive: list[bool] = field(default_factory=list)  # what is answered, then always yes
    done: list[str] = field(default_factory=list)
    surveyed: bool = False

    def is_surveyed(self) -> bool:
        return self.surveyed

    def is_alive(self, state: State) -> bool:
        return self.alive.pop(0) if self.alive else True

    def do(self, state: State, action: Action) -> str | None:
        if self.fails.get(action, 0) > 0:
            self.fails[action] -= 1
            raise Fault("it is broken")
        self.done.append(action)
        self.surveyed = self.surveyed or action == "survey"
        return "0/AB" if action == "close" else None


def carried_out(folder: Path, driver: Driver, record: Journal | None = None) -> Journal:
    found = record or journal.new(folder, MOVE)
    runner.Runner(driver, found, lambda _: None).run()
    return found


def test_a_move_is_recorded_step_by_step_and_ends(tmp_path: Path) -> None:
    driver = Driver()
    record = carried_out(tmp_path, driver)
    assert driver.done == list(move.FORWARD)
    assert journal.read(record.path).outcome == "done"
    assert journal.read(record.path).state.mark == "0/AB"
    assert journal.unfinished(tmp_path) is None
    assert journal.next_name(tmp_path) == "move_002"
    pause, floor = runner.pause(record), runner.floor(record)
    assert pause is not None
    assert floor is not None
    assert 0 <= floor <= pause


@pytest.mark.parametrize("step", runner.WAITING)
def test_a_fault_while_users_wait_lets_them_back_at_once(tmp_path: Path, step: str) -> None:
    driver = Driver(fails={step: 1})
    with pytest.raises(Fault, match="It was undone: main writes these homes"):
        carried_out(tmp_path, driver)
    assert driver.done[-2:] == ["reopen", "clear"]
    assert "open" not in driver.done
    assert journal.unfinished(tmp_path) is None


@pytest.mark.parametrize("step", ["clear", "mark", "copy", "spread", "open", "announce", "clean_up"])
def test_a_fault_elsewhere_is_carried_on_with(tmp_path: Path, step: str) -> None:
    driver = Driver(fails={step: 1})
    with pytest.raises(Fault, match="--resume"):
        carried_out(tmp_path, driver)
    record = journal.unfinished(tmp_path)
    assert record is not None
    carried_out(tmp_path, driver, record)
    assert driver.done == list(move.FORWARD)


def test_a_copy_that_is_lost_is_begun_again(tmp_path: Path) -> None:
    driver = Driver(alive=[True, True, False])
    record = carried_out(tmp_path, driver)
    assert record.state.attempt == 2
    assert driver.done.count("clear") == driver.done.count("copy") == 2
    assert driver.done.count("close") == driver.done.count("open") == 1


def test_a_survey_that_ended_with_its_process_is_made_again_before_users_wait(tmp_path: Path) -> None:
    driver = Driver(fails={"close": 1})
    with pytest.raises(Fault, match="undone"):
        carried_out(tmp_path, driver)
    state = MOVE
    for action in move.FORWARD[: move.FORWARD.index("close")]:
        state = move.end(move.begin(state, action), action)
    later = Driver()
    carried_out(tmp_path, later, journal.new(tmp_path, state))
    assert later.done[:2] == ["survey", "close"]
    # Who waits already is not made to wait for that too: the comparison then reads all rows.
    latest = Driver()
    carried_out(tmp_path, latest, journal.new(tmp_path, move.begin(state, "close")))
    assert latest.done[0] == "close"
    assert "survey" not in latest.done


def test_a_damaged_record_is_never_taken_for_none(tmp_path: Path) -> None:
    record = journal.new(tmp_path, MOVE)
    record.path.write_text("{")
    with pytest.raises(Fault, match="cannot be read"):
        journal.unfinished(tmp_path)


def test_an_unfinished_move_keeps_changes_out_and_so_does_one_that_runs(tmp_path: Path) -> None:
    journal.refuse_unfinished(stack(tmp_path), "drill")
    with (
        journal.held(tmp_path, "partition move"),
        pytest.raises(Refused, match=r"drill waits for the move of .*partition"),
    ):
        journal.refuse_unfinished(stack(tmp_path), "drill")
    record = journal.new(tmp_path, MOVE)
    with pytest.raises(Refused) as refusal:
        journal.refuse_unfinished(stack(tmp_path), "drill")
    for word in ("move_001", "from main to americas", "./meridian partition move --resume"):
        assert word in str(refusal.value)
    record.close("undone")
    journal.refuse_unfinished(stack(tmp_path), "drill")
