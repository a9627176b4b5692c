"""Every move, interrupted anywhere, resumed, turned round, and with the source's writer lost in the middle."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operations.partitions import move
from operations.partitions.move import FORWARD, Action, Broken, Ended, State

MOVE = State(name="move_001", first="00/us-east/", last="00/us-east0", source="main", target="americas")


class Interrupted(Exception):  # noqa: N818
    pass


class Differs(Exception):  # noqa: N818
    pass


class Unlike(Exception):  # noqa: N818
    """The rows differ before anybody waits: a person undoes the move, or mends what differs."""


class Lacking(Exception):  # noqa: N818
    """The target lost what it had received; a person has to see to it, and nothing is taken away at the source."""


@dataclass
class Database:
    """A partition's writer, and the member that would be promoted, which is behind by what was not spread."""

    owned: bool
    rows: list[int] = field(default_factory=list)
    marked: int | None = None  # the timeline that may write, while a move is under way
    timeline: int = 1
    slot: bool = False
    behind: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.replicate()

    @property
    def writes(self) -> bool:
        return self.owned and self.marked in (None, self.timeline)

    def replicate(self) -> None:
        self.behind = {"owned": self.owned, "rows": [*self.rows], "marked": self.marked}

    def fail_over(self) -> list[int]:
        """What was lost with the old writer."""
        lost = [row for row in self.rows if row not in self.behind["rows"]]
        self.owned, self.rows, self.marked = self.behind["owned"], [*self.behind["rows"]], self.behind["marked"]
        self.timeline += 1
        self.slot = False
        return lost


@dataclass
class World:
    source: Database = field(default_factory=lambda: Database(owned=True, rows=[1, 2, 3]))
    target: Database = field(default_factory=lambda: Database(owned=False))
    subscribed: bool = False
    gap: set[int] = field(default_factory=set)  # what the target lost and confirmed before: it is not sent again
    acknowledged: set[int] = field(default_factory=lambda: {1, 2, 3})  # less what a failover lost
    ever: set[int] = field(default_factory=lambda: {1, 2, 3})
    told: str = "main"
    number: int = 3
    survey: tuple[int, int] | None = None  # the timelines of the writers whose rows were compared
    waited_for_all: int = 0  # how often all rows were read while users waited

    def write(self) -> None:
        writing = [each for each in (self.source, self.target) if each.writes]
        assert len(writing) <= 1, "two databases write the same home"
        if writing:
            self.number += 1
            writing[0].rows.append(self.number)
            self.acknowledged.add(self.number)
            self.ever.add(self.number)

    def is_surveyed(self) -> bool:
        return self.survey == (self.source.timeline, self.target.timeline)

    def do(self, action: Action) -> str | None:
        source, target = self.source, self.target
        match action:
            case "clear":
                assert not target.owned, "rows that are written are taken away"
                self.subscribed = source.slot = False
                target.rows.clear()
                target.replicate()  # or a member that is promoted would have rows that are copied again
                self.gap.clear()
            case "mark":
                source.owned, source.marked = True, source.timeline
            case "publish":
                source.slot = True
            case "copy":
                if not self.subscribed:
                    self.subscribed, target.rows = True, [*source.rows]
            case "catch_up" | "ship":
                if self.subscribed and source.slot:
                    target.rows = [row for row in source.rows if row not in self.gap]
            case "spread":
                source.owned, source.marked = True, source.timeline
                source.replicate()
                target.replicate()
            case "survey":
                if self.subscribed and source.slot:
                    target.rows = [row for row in source.rows if row not in self.gap]
                if target.rows != source.rows:
                    raise Unlike
                self.survey = (source.timeline, target.timeline)
            case "close":
                if source.marked != source.timeline:
                    raise Differs
                source.owned = False
                return "0/1"
            case "compare":
                self.waited_for_all += not self.is_surveyed()
                if target.rows != source.rows:
                    raise Differs
            case "open":
                target.owned = True
            case "hand_over":
                source.owned, source.marked = False, None
            case "announce":
                self.told = "americas"
            case "detach":
                self.subscribed = source.slot = False
            case "clean_up":
                # A writer that was lost may have taken the last word with it, so it is said again.
                source.owned, source.marked, target.owned = False, None, True
                target.replicate()
                if not set(source.rows) <= set(target.rows):
                    raise Lacking
                assert set(source.rows) <= set(target.rows), "rows are taken away that are nowhere else"
                source.rows.clear()
                source.replicate()  # or a member that is promoted then would have the rows again
            case "reopen":
                if source.marked is not None:
                    source.owned, source.marked = True, None
                    source.replicate()
        return None


def carry_on(world: World, state: State, chaos: "Chaos") -> State:
    """As the runner does; the state after the end, or `Interrupted` with what the journal has."""
    while True:
        if move.needs_copy(state) and not world.source.slot and "publish" in state.done:
            state = move.restart(state)
        if move.needs_survey(state) and not world.is_surveyed():
            state = move.survey_again(state)
        action = move.next_step(state)
        if isinstance(action, Ended):
            return state
        move.check(state, action)
        state = chaos.record(move.begin(state, action))
        chaos.strike(world)
        try:
            mark = world.do(action)
        except Differs:  # a fault while users wait
            state = chaos.record(move.undo(state))
            continue
        world.write()
        chaos.strike(world)
        state = chaos.record(move.end(state, action, mark=mark))


@dataclass
class Chaos:
    strokes: dict[int, str]  # at the how manieth moment what happens
    journal: State = MOVE
    moment: int = 0

    def record(self, state: State) -> State:
        self.journal = state
        return state

    def strike(self, world: World) -> None:
        stroke = self.strokes.get(self.moment)
        self.moment += 1
        if stroke == "fail over":
            world.acknowledged -= set(world.source.fail_over())
        if stroke == "target fails over":
            lost = set(world.target.fail_over())
            world.gap |= lost
            world.acknowledged -= lost - set(world.source.rows)
        world.write()
        if stroke == "kill":
            raise Interrupted


# A move has two moments a step. A few strokes, or hardly any move would come to its second half.
strokes = st.dictionaries(st.integers(0, 60), st.sampled_from(["kill", "fail over", "target fails over"]), max_size=4)


@settings(max_examples=500)
@given(strokes, st.sets(st.integers(0, 12)))
def test_however_often_it_is_interrupted_every_order_is_in_one_place(
    chances: dict[int, str], undo_at: set[int]
) -> None:
    world, chaos, tries = World(), Chaos(chances), 0
    while True:
        state = chaos.journal
        if tries in undo_at and move.can_undo(state):
            state = chaos.record(move.undo(state))
        tries += 1
        try:
            state = carry_on(world, state, chaos)
            break
        except Interrupted:
            world.survey = None
        except Unlike:
            if world.source.slot:  # else it is copied again
                chaos.record(move.undo(chaos.journal))
        except Lacking:
            world.write()
            assert world.acknowledged <= {*world.source.rows, *world.target.rows}, "nothing was taken away"
            return
    world.write()
    here, there = (world.target, world.source) if not state.undoing else (world.source, world.target)
    # A failover of the source may lose what the target has received already.
    assert world.acknowledged <= set(here.rows) <= world.ever
    assert len(here.rows) == len(set(here.rows))
    assert not there.rows
    assert (here.writes, there.writes) == (True, False)
    assert world.told == ("main" if state.undoing else "americas")
    assert not world.subscribed
    assert not world.source.slot


@pytest.mark.parametrize("moment", range(5, 12))
def test_a_source_that_lost_its_writer_while_it_was_copied_is_copied_again(moment: int) -> None:
    world, chaos = World(), Chaos({moment: "fail over"})
    state = carry_on(world, MOVE, chaos)
    assert not state.undoing
    assert state.attempt == 2
    assert world.target.writes


@pytest.mark.parametrize("moment", [22, 23, 24, 25, 26, 27, 28])
def test_a_source_that_lost_its_writer_after_the_opening_has_the_last_word_all_the_same(moment: int) -> None:
    world, chaos = World(), Chaos({moment: "fail over"})
    carry_on(world, MOVE, chaos)
    assert (world.source.owned, world.source.rows, world.target.writes) == (False, [], True)


CLOSE = FORWARD.index("close")


@pytest.mark.parametrize("stroke", ["kill", "fail over", "target fails over"])
@pytest.mark.parametrize("moment", range(2 * CLOSE))
def test_users_never_wait_for_all_rows_to_be_read_where_the_survey_was_lost_before(moment: int, stroke: str) -> None:
    world, chaos = World(), Chaos({moment: stroke})
    try:
        carry_on(world, MOVE, chaos)
    except (Interrupted, Unlike) as ended:
        if isinstance(ended, Unlike):
            assert "close" not in chaos.journal.begun, "nobody waits for what is found then"
            if stroke == "target fails over":  # it lacks what it had confirmed: the move is undone by a person
                return
        world.survey = None
        carry_on(world, chaos.journal, chaos)
    except Lacking:
        assert stroke == "target fails over"
    assert world.waited_for_all == 0
    assert world.target.writes


@pytest.mark.parametrize("prefix", range(len(FORWARD)))
def test_the_same_comes_next_after_an_interruption_as_without_one(prefix: int) -> None:
    state = MOVE
    for action in FORWARD[:prefix]:
        state = move.end(move.begin(state, action), action, mark="0/1" if action == "close" else None)
    assert move.next_step(state) == FORWARD[prefix]
    assert move.needs_survey(state) == (FORWARD[prefix] == "close")
    assert not move.needs_survey(move.begin(state, "close"))
    assert move.next_step(move.begin(state, FORWARD[prefix])) == FORWARD[prefix]
    assert move.from_json(move.to_json(state)) == state


def test_users_may_be_let_back_until_the_target_was_opened_and_not_after() -> None:
    state = MOVE
    for action in FORWARD:
        assert move.can_undo(state) == (FORWARD.index(action) <= FORWARD.index("open"))
        state = move.end(move.begin(state, action), action)
    with pytest.raises(Broken):
        move.undo(state)
    with pytest.raises(Broken):
        move.restart(state)


def broken(*done: Action, step: Action, begun: tuple[Action, ...] = ()) -> bool:
    state = State(name="m", first="a", last="b", source="s", target="t", done=done, begun=(*done, *begun), mark="0/1")
    try:
        move.check(state, step)
    except Broken:
        return True
    return False


def test_the_invariants_are_held() -> None:
    assert broken("mark", step="close"), "a member that does not know of the move could be promoted"
    assert broken("mark", "spread", step="close"), "users would wait until all rows are compared"
    assert broken("close", "ship", step="open"), "not compared"
    assert broken("ship", "compare", step="open"), "not closed"
    assert broken("hand_over", "detach", step="clean_up"), "not told"
    assert broken(step="clear", begun=("open",))
    assert broken(step="reopen", begun=("open",))
    assert not broken("mark", "spread", "survey", step="close")
    assert not broken("close", "ship", "compare", step="open")
