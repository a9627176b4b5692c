"""Every prefix of every run, killed and carried on with, against a cluster on paper where writes never stop coming."""

from collections.abc import Collection
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operations.failover import protocol
from operations.failover.decision import Kind
from operations.failover.driver import Observation, Verification
from operations.failover.loss import NOTHING, Limit, Loss
from operations.failover.protocol import Broken, Step
from tests.operations.failover.cluster import Cluster, Killed
from tests.operations.failover.runs import Fault, Refused, Run, request

LONG = 400  # more points of death than any run has


def set_out(kind: Kind, *, quorum: bool, leases: bool) -> tuple[Cluster, Run]:
    """A cluster that has run for a while, in the state in which the command is called for."""
    cluster = Cluster(quorum=quorum, leases=leases)
    cluster.tick(20)
    if kind == "failover":
        cluster.kill("a")
        cluster.tick(5)
    if kind in ("rejoin", "failback"):
        cluster.kill("a")
        cluster.tick(5)
        Run(cluster, request("failover", to="b", old_writer_is_fenced=not leases)).begin()
        cluster.revive("a")
        # Without a lease nothing but a server that stays down keeps the old writer from writing.
        cluster.members["a"].up = leases
        cluster.tick(5)
    cluster.vantage = "c" if kind in ("rejoin", "failback") else "b"
    to = {"switchover": "b", "failover": "b", "rejoin": "a", "failback": "a"}[kind]
    return cluster, Run(cluster, request(kind, to=to, old_writer_is_fenced=kind == "failover" and not leases))


def hold(cluster: Cluster, kind: Kind, lost_before: set[int]) -> None:
    """What is true after every run that came to its end."""
    assert cluster.broken == []
    # One writer; a member that was never told is the old one of a failover, which is dead.
    expected = {"switchover": "b", "failover": "b", "rejoin": "b", "failback": "a"}[kind]
    writer = cluster.writer()
    assert writer == expected or kind == "failover"
    assert [region for region in cluster.regions if cluster.accepts(region)] == [writer]
    dead = {"a"} if kind == "failover" else set()
    assert {cluster.pointers[region] for region in set(cluster.regions) - dead} == {writer}
    cluster.tick(10)
    log = cluster.members[writer].log
    for region in set(cluster.regions) - dead:
        assert cluster.members[region].log == log, region
    lost = set(cluster.lost())
    if kind != "failover":
        # Nothing of what was there before, and what only the old writer had was kept before it was rewound.
        assert lost <= lost_before
        assert lost_before <= {number for tail in cluster.tails.values() for number in tail} or kind == "switchover"


KINDS: list[Kind] = ["switchover", "failover", "rejoin", "failback"]


@pytest.mark.parametrize("leases", [True, False], ids=["leases", "no-leases"])
@pytest.mark.parametrize("quorum", [False, True], ids=["async", "quorum"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_run_ends_well_wherever_it_is_killed(kind: Kind, quorum: bool, leases: bool) -> None:
    points = 0
    for fuse in range(LONG):
        cluster, run = set_out(kind, quorum=quorum, leases=leases)
        lost_before = set(cluster.lost())
        cluster.fuse = fuse
        try:
            run.begin()
        except Killed:
            points += 1
            cluster.tick(fuse % 50)  # until somebody comes and resumes
            state = run.resume()
            assert not state.undoing
        else:
            hold(cluster, kind, lost_before)
            break
        hold(cluster, kind, lost_before)
    assert 15 < points < LONG - 1


@pytest.mark.parametrize("kind", ["switchover", "failback"])
def test_every_planned_run_can_be_undone_until_writes_are_pointed(kind: Kind) -> None:
    undone = 0
    for fuse in range(LONG):
        cluster, run = set_out(kind, quorum=False, leases=True)
        lost_before, writer = set(cluster.lost()), cluster.writer()
        cluster.fuse = fuse
        try:
            run.begin()
            break
        except Killed:
            cluster.tick(fuse % 50)
            state = run.resume(undo=True)
        assert cluster.broken == []
        cluster.tick(10)
        assert set(cluster.lost()) <= lost_before
        expected = writer if state.undoing else state.target
        assert [region for region in cluster.regions if cluster.accepts(region)] == [expected]
        assert {cluster.pointers[region] for region in cluster.regions if region != "a"} == {expected}
        undone += state.undoing
    assert undone > 20


@given(st.lists(st.integers(0, 60), max_size=5), st.sampled_from(KINDS), st.booleans())
@settings(max_examples=120, deadline=None)
def test_runs_that_are_killed_again_and_again_end_well(fuses: list[int], kind: Kind, quorum: bool) -> None:
    cluster, run = set_out(kind, quorum=quorum, leases=True)
    lost_before = set(cluster.lost())
    again = run.begin
    for fuse in fuses:
        cluster.fuse = fuse
        try:
            again()
            break
        except Killed:
            again = run.resume if run.journal is not None else run.begin
    cluster.fuse = None
    if run.journal is None or run.journal.kept[1] is None:
        again()
    hold(cluster, kind, lost_before)


# --- the world changes while a run goes on -------------------------------------------------------------------------


TROUBLE = st.tuples(
    st.integers(1, 60),
    st.sampled_from(["kill", "cut", "revive", "heal"]),
    st.sampled_from("abc"),
    st.sampled_from("abc"),
)


def cause(cluster: Cluster, what: str, region: str, other: str) -> None:
    # The operator's own region stays: a person whose region goes stops, which is what being killed tests.
    if what == "kill" and region != cluster.vantage:
        cluster.kill(region)
    elif what == "cut" and region != other:
        cluster.cut.add(frozenset((region, other)))
    elif what == "revive":
        cluster.revive(region)
    elif what == "heal":
        cluster.heal()


@given(st.lists(TROUBLE, max_size=4), st.sampled_from(["switchover", "failover"]), st.booleans(), st.integers(0, 120))
@settings(max_examples=300, deadline=None)
def test_no_trouble_makes_two_writers_or_loses_more_than_was_said(
    troubles: list[tuple[int, str, str, str]], kind: Kind, quorum: bool, fuse: int
) -> None:
    cluster, run = set_out(kind, quorum=quorum, leases=True)
    due = sorted(troubles)
    points = 0

    def happen(world: Cluster) -> None:
        nonlocal points
        points += 1
        while due and due[0][0] <= points:
            cause(world, *due.pop(0)[1:])

    cluster.on_point = happen
    cluster.fuse = fuse
    state, ends = None, list[str]()
    for attempt in range(8):
        try:
            state = run.begin() if run.journal is None else run.resume()
            break
        except (Killed, Fault, Refused) as end:
            assert cluster.broken == []
            ends.append(str(end))
            if run.journal is not None and run.journal.kept[1] is not None:
                state = run.journal.state
                break
            if attempt > 1:
                cluster.on_point = lambda _: None
                cluster.heal()
                if kind == "failover":
                    cluster.kill("a")
                cluster.tick(40)
    assert cluster.broken == []
    assert not any("stopped, nothing more was done" in end for end in ends)
    if run.journal is None:  # refused, and nothing done
        return
    assert state is not None, "healed, and still not at its end"
    cluster.on_point = lambda _: None
    cluster.heal()
    cluster.tick(5)
    lost = cluster.lost()
    if kind == "switchover" or state.undoing or state.loss.nothing:
        assert not lost
    else:
        assert state.loss.seconds is not None
        silent = max(cluster.acked[number] for number in lost) if lost else 0.0
        assert all(silent - at <= state.loss.seconds for at in lost.values())
        assert state.loss.bytes is not None
        assert len(lost) * 100 <= state.loss.bytes


def test_an_isolated_writer_is_silent_before_another_is_promoted() -> None:
    """The cut that the lease is for: the old writer lives, and half of the clients still reach it."""
    cluster, run = set_out("switchover", quorum=False, leases=True)
    cluster.cut = {frozenset("ab"), frozenset("ac")}
    cluster.tick(3)
    assert cluster.accepts("a")  # its lease still runs: two would write if b were promoted now
    run.request = request("failover", to="b")
    state = run.begin()
    assert cluster.broken == []
    assert cluster.writer() in ("b", "c")
    assert not cluster.accepts("a")
    lost = cluster.lost()
    assert lost  # what it acknowledged alone, announced beforehand
    assert state.loss.seconds is not None
    assert max(lost.values()) - min(lost.values()) <= state.loss.seconds
    # It comes back: its tail is kept, and it follows.
    cluster.heal()
    cluster.vantage = cluster.writer()
    Run(cluster, request("rejoin", to="a")).begin()
    cluster.tick(10)
    assert set(lost) <= set(cluster.tails["a"])
    assert cluster.members["a"].log == cluster.members[cluster.writer()].log


def test_with_a_quorum_the_member_with_the_most_is_promoted_whoever_was_asked_for() -> None:
    cluster, run = set_out("switchover", quorum=True, leases=True)
    cluster.cut = {frozenset("ab")}
    cluster.tick(10)  # only c has these
    cluster.kill("a")
    run.request = request("failover", to="b", limit=Limit(seconds=0.0))
    state = run.begin()
    assert (state.target, cluster.lost()) == ("c", {})
    assert state.loss == NOTHING


def test_a_target_that_is_lost_before_its_promotion_is_replaced() -> None:
    cluster, run = set_out("failover", quorum=False, leases=True)
    cluster.vantage = "c"
    cluster.on_point = lambda world: world.kill("b") if world.calls[-1:] == ["await_fenced"] else None
    # Two of three keepers are gone: it has to wait for one.
    with pytest.raises(Fault, match="--resume"):
        run.begin()
    cluster.on_point = lambda _: None
    cluster.revive("a")
    cluster.members["a"].up = False
    state = run.resume()
    assert (state.target, cluster.writer(), cluster.broken) == ("c", "c", [])


def test_a_switchover_whose_target_goes_is_undone_by_itself() -> None:
    cluster, run = set_out("switchover", quorum=False, leases=True)
    cluster.vantage = "c"
    cluster.on_point = lambda world: world.kill("b") if world.calls[-1:] == ["catch_up b"] else None
    with pytest.raises(Fault, match="undone: a writes, as before"):
        run.begin()
    cluster.tick(10)
    assert cluster.accepts("a")
    assert (cluster.lost(), cluster.broken) == ({}, [])
    assert cluster.members["c"].log == cluster.members["a"].log


def test_a_target_lost_in_its_promotion_is_fenced_before_the_old_writer_is_let_back() -> None:
    cluster, run = set_out("switchover", quorum=False, leases=True)
    cluster.vantage = "c"
    cluster.on_point = lambda world: world.kill("b") if world.members["b"].role == "writer" else None
    with pytest.raises(Fault, match="undone"):
        run.begin()
    cluster.on_point = lambda _: None
    assert cluster.calls.index("promote b") < cluster.calls.index("await_fenced") < cluster.calls.index("reinstate a")
    cluster.revive("b")  # promoted, of an older term: it must not write
    cluster.tick(10)
    assert not cluster.accepts("b")
    assert cluster.accepts("a")
    assert cluster.broken == []


def test_the_invariants_can_fail() -> None:
    cluster, run = set_out("switchover", quorum=False, leases=True)
    run.begin()
    assert run.journal is not None
    state, now = run.journal.state, cluster.observe()
    fresh = replace(state, done=(), begun=(), fenced=None, moved=False)
    both = {region: replace(facts, accepts_writes=True) for region, facts in now.members.items()}
    for broken, step, seen in (
        (state, Step(action="refresh"), replace(now, members=both)),
        (fresh, Step(action="promote", region="b"), now),
        (replace(fresh, fenced=state.fenced), Step(action="promote", region="b"), now),
        (fresh, Step(action="point", region="b"), now),
        (state, Step(action="reinstate", region="a"), now),
        (
            replace(state, loss=Loss(seconds=9.0, bytes=1), limit=Limit(seconds=1.0)),
            Step(action="promote", region="b"),
            now,
        ),
    ):
        with pytest.raises(Broken):
            protocol.check(broken, step, seen)
    protocol.check(state, Step(action="refresh"), now)
    # To stop the one that came back is what ends it.
    protocol.check(replace(state, target="b"), Step(action="stop_writer", region="a"), replace(now, members=both))


def test_what_is_kept_of_a_run_is_all_there_is() -> None:
    _, run = set_out("failover", quorum=False, leases=True)
    state = run.begin()
    assert protocol.from_json(protocol.to_json(state)) == state
    assert state.fenced is not None
    assert state.limit is not None


# --- members that cannot follow the new writer -----------------------------------------------------------------------


def ahead(*, quorum: bool) -> tuple[Cluster, Run]:
    """The writer's server is gone, and so, for now, is the region of the member that alone has its last writes."""
    cluster, run = set_out("switchover", quorum=quorum, leases=True)
    cluster.cut = {frozenset("ab")}
    cluster.tick(10)
    cluster.members["a"].up = False  # its keeper lives
    cluster.kill("c")
    cluster.cut.clear()
    cluster.tick(40)
    run.request = request("failover", to="b")
    return cluster, run


def test_a_survivor_that_has_more_than_the_target_is_rejoined_before_its_vote_is_asked_for() -> None:
    cluster, run = ahead(quorum=True)
    with pytest.raises(Fault, match=r"write failed.*--resume"):
        run.begin()
    cluster.revive("c")
    cluster.tick(5)
    more = set(cluster.members["c"].log) - set(cluster.members["b"].log)
    assert more
    state = run.resume()
    assert (state.target, state.astray, cluster.broken) == ("b", ("c",), [])
    assert more <= set(cluster.tails["c"])
    cluster.tick(5)
    assert cluster.members["c"].log == cluster.members["b"].log
    assert "rejoin a" not in cluster.calls  # c's vote is enough


def test_a_run_that_rejoins_a_survivor_can_be_killed_anywhere() -> None:
    points = 0
    for fuse in range(LONG):
        cluster, run = ahead(quorum=True)
        cluster.on_point = lambda world: world.revive("c") if world.calls[-1:] == ["admit b"] else None
        cluster.fuse = fuse
        try:
            run.begin()
        except Killed:
            points += 1
            cluster.tick(fuse % 50)
            cluster.revive("c")
            run.resume()
            cluster.fuse = LONG
        assert cluster.broken == []
        assert cluster.accepts("b") or cluster.accepts("c")  # resumed early, c itself is the better target
        assert set(cluster.lost()) <= set(cluster.tails.get("c", ()))
        cluster.tick(5)
        assert cluster.members["c"].log == cluster.members["b"].log
        if cluster.fuse is not None and cluster.fuse < LONG:
            break
    assert 30 < points < LONG - 1


def test_without_a_quorum_too_a_survivor_that_left_the_history_is_rejoined() -> None:
    cluster, run = ahead(quorum=False)
    cluster.on_point = lambda world: world.revive("c") if world.calls[-1:] == ["admit b"] else None
    state = run.begin()
    assert state.astray == ("c",)
    assert set(cluster.lost()) <= set(cluster.tails["c"])


def test_a_rejoin_that_fails_keeps_no_failover_from_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, run = ahead(quorum=False)
    cluster.on_point = lambda world: world.revive("c") if world.calls[-1:] == ["admit b"] else None

    def no(region: str, writer: str) -> None:
        raise Fault(f"{region} has no room for a copy of {writer}")

    monkeypatch.setattr(cluster, "rejoin", no)
    state = run.begin()
    assert run.journal is not None
    assert (state.astray, run.journal.outcome) == ((), "done")
    assert any("no room" in event.get("detail", "") for event in run.journal.events)


def test_a_rejoin_that_fails_is_tried_again_where_its_vote_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, run = ahead(quorum=True)
    cluster.on_point = lambda world: world.revive("c") if world.calls[-1:] == ["admit b"] else None
    rejoin, tried = cluster.rejoin, list[str]()

    def at_the_second(region: str, writer: str) -> object:
        tried.append(region)
        if len(tried) == 1:
            cluster.members[region].up = False  # stopped by the rejoin itself: it answers nobody now
            raise Fault("not yet")
        return rejoin(region, writer)

    monkeypatch.setattr(cluster, "rejoin", at_the_second)
    assert run.begin().target == "b"
    assert tried == ["c", "c"]


def test_where_nobody_else_can_vote_the_old_writer_is_brought_back() -> None:
    cluster, run = ahead(quorum=True)
    with pytest.raises(Fault, match="write failed"):
        run.begin()
    cluster.members["a"].up = True  # as a writer, of an older term; c never comes back
    cluster.tick(5)
    state = run.resume()
    assert (state.astray, state.returned, cluster.broken) == (("a",), ("a",), [])
    assert cluster.calls.index("stop_writer a") < cluster.calls.index("save_tail a") < cluster.calls.index("rejoin a")
    cluster.tick(5)
    assert cluster.members["a"].log == cluster.members["b"].log


def test_an_old_writer_that_the_run_stopped_itself_can_be_the_one_to_vote() -> None:
    cluster, run = set_out("switchover", quorum=True, leases=False)
    cluster.kill("c")
    cluster.members["a"].held = True
    cluster.tick(5)
    run.request = request("failover", to="b", old_writer_is_fenced=True)
    assert run.begin().astray == ("a",)
    assert cluster.accepts("b")


def test_an_old_writer_is_left_alone_while_another_votes() -> None:
    cluster, run = set_out("failover", quorum=True, leases=True)
    cluster.on_point = lambda world: world.revive("a") if world.calls[-1:] == ["admit b"] else None
    assert run.begin().astray == ()
    assert not {"stop_writer a", "save_tail a", "rejoin a"} & set(cluster.calls)


def test_a_follower_that_needs_a_moment_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, run = set_out("failover", quorum=False, leases=True)
    since: list[float] = []
    observation = cluster.observation

    def late(among: object = None) -> object:
        now = observation(among)  # type: ignore[arg-type]
        if cluster.calls[-1:] != ["follow b"]:
            return now
        since.append(now.at)
        old = now.at < since[0] + 3.0
        return replace(now, members={**now.members, "c": replace(now.members["c"], timeline=1)}) if old else now

    monkeypatch.setattr(cluster, "observation", late)
    assert run.begin().astray == ()
    assert since[-1] - since[0] >= 3.0


@pytest.mark.parametrize("kind", ["switchover", "failback"])
def test_a_planned_move_needs_no_third_member_to_vote(kind: Kind) -> None:
    cluster, run = set_out(kind, quorum=True, leases=True)
    cluster.vantage = "b"
    cluster.kill("c")
    cluster.tick(5)
    state = run.begin()
    assert cluster.accepts(state.target)
    assert cluster.broken == []


# --- a person who thought for long -----------------------------------------------------------------------------------


def cut_off() -> tuple[Cluster, Run]:
    """The writer is not seen from here and writes on: what its replica here lacks grows while somebody thinks."""
    cluster, run = set_out("switchover", quorum=False, leases=True)
    cluster.members["c"].up = False  # its keeper lives, and renews the lease
    cluster.cut = {frozenset("ab")}
    cluster.tick(5)
    run.request = request("failover", to="b", limit=None, yes=False)
    run.thinking = 100
    return cluster, run


def test_more_than_was_announced_is_not_lost_without_another_yes() -> None:
    cluster, run = cut_off()
    with pytest.raises(Refused, match=r"this may now lose .* was announced\. Repeat with --resume"):
        run.begin()
    assert cluster.members["b"].role == "replica"
    asked: list[str] = []
    run.agree = lambda question: asked.append(question) is None
    state = run.resume()
    assert len(asked) == 1
    assert "This may now lose" in asked[0]
    assert str(state.loss) in asked[0]
    assert state.loss.seconds is not None
    assert cluster.writer() == "b"
    assert max(cluster.lost().values()) - min(cluster.lost().values()) <= state.loss.seconds


def test_what_was_announced_is_not_asked_again() -> None:
    _, run = set_out("failover", quorum=False, leases=True)
    run.request = request("failover", to="b", limit=None, yes=False)
    run.thinking = 100
    run.agree = lambda question: pytest.fail(question)
    assert run.begin().target == "b"


def test_a_little_more_than_was_announced_is_more() -> None:
    """What is shown is a bound: nothing above it passes, however little."""
    for thinking, asks in ((0, False), (3, True)):
        cluster, run = cut_off()
        cluster.tick(100)
        run.thinking = thinking
        asked: list[str] = []
        run.agree = lambda question, asked=asked: asked.append(question) is None
        state = run.begin()
        assert bool(asked) is asks, thinking
        assert state.loss.seconds is not None
        assert max(cluster.lost().values()) - min(cluster.lost().values()) <= state.loss.seconds


def test_two_looks_that_differ_a_little_ask_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, run = set_out("failover", quorum=False, leases=True)
    run.request = request("failover", to="b", limit=None, yes=False)
    run.agree = lambda question: pytest.fail(question)
    observation, looks = cluster.observation, list[float]()

    def skewed(among: Collection[str] | None = None) -> Observation:
        """The first look is a round trip younger than all others."""
        looks.append(0.0 if not looks else 0.25)
        found = observation(among)
        members = {
            region: replace(facts, lag_seconds=facts.lag_seconds + looks[-1]) if facts.lag_seconds else facts
            for region, facts in found.members.items()
        }
        return replace(found, members=members)

    monkeypatch.setattr(cluster, "observation", skewed)
    assert run.begin().target == "b"


# --- what does not end by itself -------------------------------------------------------------------------------------


def test_a_second_writer_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the proof wrote and read: who else accepts writes is a fault, and so is a target that does not."""
    for writers in (("b", "c"), ("c",), ()):
        cluster, run = set_out("failover", quorum=False, leases=True)
        found = Verification(write=True, read=True, writers=writers)
        with monkeypatch.context() as context:
            context.setattr(cluster, "verify", lambda _, found=found: found)
            with pytest.raises(Fault, match=f"members that accept writes: {', '.join(writers) or 'none'}"):
                run.begin()
        assert run.journal is not None
        assert run.journal.outcome is None
        assert run.resume().target == "b"
        assert run.journal.outcome == "done"


def four() -> Cluster:
    """The writer's server is gone and its keeper is not; b alone has the last writes."""
    cluster = Cluster(regions=("a", "b", "c", "d"), vantage="d")
    cluster.tick(20)
    cluster.cut = {frozenset("ac"), frozenset("ad")}
    cluster.tick(10)
    cluster.members["a"].up = False
    cluster.cut.clear()
    cluster.tick(40)
    return cluster


def test_a_target_that_was_given_up_is_not_taken_again() -> None:
    """It may have been promoted before it was lost, whatever it says of itself and however much it has."""
    cluster = four()
    run = Run(cluster, request("failover", to="b"))
    cluster.on_point = lambda world: world.kill("b") if world.calls[-1:] == ["promote b"] else None
    with pytest.raises(Refused, match="b may have been promoted"):
        run.begin()
    cluster.on_point = lambda _: None
    assert run.journal is not None
    lost = run.journal.state
    assert (lost.target, lost.moved) == ("b", True)
    again = protocol.anew(lost, cluster.observe(), by_hand=False)
    assert again.suspects == ("b",)
    assert protocol.anew(replace(again, target="c"), cluster.observe(), by_hand=False).suspects == ("b", "c")
    run.journal.turned("--resume", replace(again, target="c"))
    cluster.revive("b")
    assert len(cluster.members["b"].log) >= len(cluster.members["c"].log)
    state = run.resume()
    assert state.target in ("c", "d")
    assert cluster.accepts(state.target)
    assert cluster.broken == []


def test_members_that_come_and_go_are_not_chosen_for_ever() -> None:
    cluster = four()
    cluster.members["d"].up = False

    def swap(world: Cluster) -> None:
        """Whoever is asked to lead is gone, and the other one is back."""
        assert len(world.calls) < 200, "no end"
        last, _, region = world.calls[-1].partition(" ") if world.calls else ("", "", "")
        if last == "prepare":
            world.kill(region)
            world.revive("c" if region == "b" else "b")

    cluster.on_point = swap
    run = Run(cluster, request("failover"))
    with pytest.raises(Fault, match=r"8 choices were made and none of them held.*--resume"):
        run.begin()
    cluster.on_point = lambda _: None
    cluster.heal()
    assert cluster.accepts(run.resume().target)
    assert cluster.broken == []


def test_a_loss_that_grows_while_it_is_asked_about_is_not_asked_for_ever() -> None:
    cluster, run = cut_off()
    asked: list[str] = []

    def grows(question: str) -> bool:
        asked.append(question)
        assert len(asked) < 50, "no end"
        cluster.members["b"].full_at -= 5.0
        return True

    run.agree = grows
    with pytest.raises(Fault, match="none of them held"):
        run.begin()
    assert len(asked) == 2 * len(cluster.regions)
    assert cluster.members["b"].role == "replica"


# --- the steps' own ends ---------------------------------------------------------------------------------------------


def test_a_choice_made_before_the_old_writer_is_silent_is_made_again() -> None:
    _, run = set_out("failover", quorum=False, leases=True)
    state = run.begin()
    choice = Step(action="decide")
    before = replace(state, fenced=None, fenced_at=None, done=("fence",))
    assert protocol.end(before, choice, at=1.0).done == ("fence",)
    assert protocol.end(replace(before, fenced=state.fenced), choice, at=1.0).done == ("fence", "decide")


def test_a_proof_that_fails_points_and_looks_again() -> None:
    _, run = set_out("failover", quorum=False, leases=True)
    state = run.begin()
    again = protocol.failed(state, Step(action="verify", region=state.target))
    assert set(state.done) - set(again.done) == {f"point {state.target}", f"muster {state.target}"}
    assert protocol.failed(state, Step(action="admit", region=state.target)) == state


def test_what_may_be_lost_ends_with_the_fence_however_long_the_run_takes() -> None:
    cluster, run = set_out("failover", quorum=False, leases=False)
    run.request = request("failover", to="b", limit=None, yes=False, old_writer_is_fenced=True)
    run.thinking = 100
    run.agree = lambda question: pytest.fail(question)
    assert run.begin().target == cluster.writer() == "b"
