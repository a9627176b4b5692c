"""Many rounds: what is recorded of one that fails, when no other is begun, and how long it takes."""

from dataclasses import replace

import pytest

from operations.cli import parser
from operations.commands.drill import rounds
from operations.drill.campaign import Campaign, timed
from operations.drill.checks import judged
from operations.drill.result import Result
from operations.drill.scenario import Scenario, known
from tests.operations.drill.test_checks import GOOD, MOVE

PLAN = [(known()["lost-region"], 3), (known()["lost-cache"], 2)]


class Stack:
    """Rounds that end as told: well, or with a fault after which the stack is whole or broken."""

    def __init__(self, *faults: int, broken: str | None = None, interrupted: int = 0) -> None:
        self.faults, self.why, self.interrupted = faults, broken, interrupted
        self.said: list[str] = []
        self.rounds: list[tuple[str, int]] = []
        self.asked = 0
        self.campaign = Campaign(plan=PLAN, drill=self.drill, broken=self.broken, tell=self.said.append)

    def drill(self, each: Scenario, number: int) -> Result:
        self.rounds.append((each.name, number))
        if len(self.rounds) == self.interrupted:
            raise KeyboardInterrupt
        faults = ("the load ended by itself",) if len(self.rounds) in self.faults else ()
        moves = (MOVE,) if each.expect.moved else ()
        found = replace(GOOD, scenario=each.name, moves=moves, reigns=(), round=number, faults=faults, took=20.0)
        return judged(
            found, replace(each, expect=replace(each.expect, read_gap_seconds=0, write_gap_seconds=0)), rto=9, rpo=9
        )

    def broken(self) -> str | None:
        self.asked += 1
        return self.why

    @property
    def text(self) -> str:
        return "\n".join(self.said)


def test_every_round_is_done_and_what_is_left_is_told() -> None:
    stack = Stack()
    stack.campaign.seconds["lost-region"] = [40.0]  # of an earlier campaign
    assert stack.campaign.left() == 5 * 40
    stack.campaign.run()
    assert stack.rounds == [("lost-region", n) for n in (1, 2, 3)] + [("lost-cache", n) for n in (1, 2)]
    assert (stack.campaign.passed, stack.asked, stack.campaign.left()) == (True, 0, 0)
    assert "lost-region, round 2 of 3; 1 of 5 done, about 2 min left" in stack.text
    assert "lost-cache, round 2 of 2; 4 of 5 done, about 20 s left" in stack.text
    assert "pause next to its floor, median: 1.25" in stack.text


def test_a_round_that_fails_is_recorded_and_a_whole_stack_goes_on() -> None:
    stack = Stack(2)
    stack.campaign.run()
    assert [each.verdict for each in stack.campaign.results] == ["passed", "failed", "passed", "passed", "passed"]
    assert (len(stack.rounds), stack.asked, stack.campaign.passed) == (5, 1, False)
    assert "the load ended by itself" in stack.text


def test_a_stack_that_is_not_whole_is_left_alone() -> None:
    stack = Stack(2, broken="operation 007 did not come to its end")
    stack.campaign.run()
    assert len(stack.rounds) == 2
    assert stack.campaign.stopped == "operation 007 did not come to its end"
    assert not stack.campaign.passed
    assert stack.campaign.stopped in stack.text


def test_an_interrupt_keeps_what_there_is() -> None:
    stack = Stack(interrupted=4)
    with pytest.raises(KeyboardInterrupt):
        stack.campaign.run()
    assert len(stack.campaign.results) == 3
    assert "interrupted" in stack.text


def test_rounds_that_went_wrong_say_nothing_of_the_time() -> None:
    records = [
        replace(GOOD, took=took, faults=faults).as_json() for took, faults in ((20.0, ()), (300.0, ("it hung",)))
    ]
    assert timed(records) == {"lost-region": [20.0]}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("lost-region",), 1),
        (("--all",), 3),
        (("--all", "--rounds", "7"), 7),
        (("--all", "--proof"), 20),
        (("lost-region", "--proof"), 20),
    ],
)
def test_how_many_rounds(words: tuple[str, ...], expected: int) -> None:
    assert rounds(known()["lost-region"], parser().parse_args(["drill", *words])) == expected


def test_the_proof_has_what_was_promised() -> None:
    found = known()
    assert found["switchover"].proof >= 20
    assert found["lost-region"].proof >= 20
    assert found["isolated-writer"].proof >= 1
    # A killed switchover is killed there and back; a few end before they are.
    assert 2 * found["killed-switchover"].proof + found["killed-failover"].proof >= 50
    for phase in (1, 2, 3, 4):
        assert any(phase in each.phases and (each.event or each.answer.command == "restore") for each in found.values())
