"""The lease's one promise, held against everything that may come between: two holders never have it at once."""

import itertools
import random
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.local.servers.keeper_lease import (
    LENGTH,
    MARGIN,
    RENEWAL,
    Claim,
    Hold,
    Promise,
    Quorums,
    Vote,
    first_term,
    silent,
)

FIRST = ("a", "b", "c")
SETS = (FIRST, ("a", "b", "c", "d", "e"), ("b", "c", "d"), ("a", "d", "e"))


@dataclass
class Keeper:
    """A keeper as the process is: what is on its disk, and what a restart forgets."""

    name: str
    rate: float
    offset: float
    quorums: Quorums
    vote: Vote = field(default_factory=lambda: Vote(promise=Promise(), until=0.0))
    hold: Hold = field(default_factory=lambda: Hold(claim=Claim()))
    starts: int = 0

    def clock(self, time: float) -> float:
        return self.offset + self.rate * time


class Cluster:
    """Messages are lost, delayed and repeated; keepers are stopped for a while, restarted, told of other voters."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.time = 0.0
        self.term = 0
        self.target = frozenset(FIRST)
        self.late: list[tuple[Any, ...]] = []
        self.said: list[dict[str, Quorums]] = []
        self.settled = self.target
        self.changes: set[tuple[frozenset[str], frozenset[str]]] = set()  # that came to their end
        self.leases = self.freed = self.silences = 0
        self.last_held = 0.0
        self.keepers: dict[str, Keeper] = {}
        for name in self.target:
            self.join(name)
        new = {name: keeper.quorums for name, keeper in self.keepers.items()}
        for keeper in self.keepers.values():
            keeper.quorums = keeper.quorums.heard(new, 0.0)

    def join(self, name: str) -> None:
        keeper = Keeper(
            name=name,
            rate=self.random.choice((1.0, 1.004, 1.01)),
            offset=1000.0 * ord(name),
            quorums=Quorums(voters=self.target),
        )
        keeper.vote = Vote.at_start(Promise(), keeper.clock(self.time))
        self.keepers[name] = keeper

    def any(self) -> Keeper:
        return self.keepers[self.random.choice(sorted(self.keepers))]

    def step(self) -> None:
        actions = (self.wait, self.ask, self.arrive, self.take, self.fence, self.release, self.restart)
        changes = (self.plan_other_voters, self.tell, self.hear)
        weights = (22, 40, 8, 7, 2, 3, 5, 3, 16, 30)
        self.random.choices((*actions, *changes), weights)[0]()
        holding = [name for name, keeper in self.keepers.items() if keeper.hold.left(keeper.clock(self.time)) > 0]
        assert len(holding) <= 1, f"{holding} hold the lease at once"
        for keeper in self.keepers.values():
            end = (keeper.hold.until - keeper.offset) / keeper.rate
            self.last_held = max(self.last_held, min(end, self.time))
        self.look()

    def look(self) -> None:
        """What an operator concludes from those that happen to answer, while nobody joins or leaves."""
        counted = {keeper.quorums.counted for keeper in self.keepers.values()}
        if self.keepers.keys() != self.target or counted != {frozenset({self.target})}:
            return
        asked = self.random.sample(sorted(self.keepers), self.random.randint(0, len(self.keepers)))
        ended = [self.keepers[name].vote.ended(self.keepers[name].clock(self.time)) for name in asked]
        found = silent(ended, len(self.keepers) // 2 + 1)
        self.silences += found > 0
        assert found <= (self.time - self.last_held) * 1.01 + 1e-6  # the fastest clock

    def wait(self) -> None:
        about = self.random.choice((0.0, 0.1, RENEWAL, LENGTH / 2, LENGTH - MARGIN, LENGTH, LENGTH))
        self.time += max(0.0, about + self.random.uniform(-0.05, 0.05))

    def take(self) -> None:
        """By an operator, or by two at once who agree on nothing."""
        self.term += self.random.random() < 0.8
        keeper = self.any()
        keeper.hold, _ = keeper.hold.take(max(1, self.term))

    def ask(self) -> None:
        """Some voters get the question at once and some answers come back at once; the rest is late, or lost."""
        keeper = self.any()
        if not keeper.hold.claim.term:
            return
        before = keeper.hold.until
        keeper.hold = keeper.hold.ask(keeper.clock(self.time))
        counted = keeper.quorums.counted
        for voter in sorted(frozenset().union(*counted) & self.keepers.keys()):
            question = ("ask", keeper.name, voter, keeper.hold.claim.term, keeper.hold.round, keeper.starts, counted)
            fate = self.random.choices(("at once", "late", "late answer", "lost"), (70, 8, 8, 14))[0]
            if fate == "late":
                self.late.append(question)
            elif fate != "lost":
                self.deliver(question, at_once=fate == "at once")
        self.leases += keeper.hold.until > before

    def deliver(self, message: tuple[Any, ...], *, at_once: bool) -> None:
        match message:
            case ("ask", holder, voter, term, round_, starts, counted):
                there = self.keepers[voter]
                if not there.quorums.admits(counted):
                    return
                there.vote, granted = there.vote.grant(term, holder, there.clock(self.time))
                answer = ("granted", holder, voter, round_, starts)
                if granted and at_once:
                    self.deliver(answer, at_once=True)
                elif granted:
                    self.late.append(answer)
            case ("granted", holder, voter, round_, starts):
                there = self.keepers[holder]
                if starts == there.starts:  # its connections ended with it
                    there.hold = there.hold.answered(round_, voter, there.quorums)
            case ("release", voter, term, holder):
                there = self.keepers[voter]
                now, before = there.clock(self.time), there.vote
                there.vote = before.release(term, holder, now)
                self.freed += before.promise.term > term and before.left(now) > there.vote.left(now)

    def arrive(self) -> None:
        """What is late arrives, perhaps not for the last time."""
        if self.late:
            message = self.random.choice(self.late)
            if self.random.random() < 0.7:
                self.late.remove(message)
            self.deliver(message, at_once=True)

    def fence(self) -> None:
        self.term += 1
        for keeper in self.keepers.values():
            if self.random.random() < 0.7:
                keeper.vote = keeper.vote.fence(self.term)

    def release(self) -> None:
        keeper = self.any()
        term = keeper.hold.claim.term
        if term:
            keeper.hold, _ = keeper.hold.release(term)
            for voter in self.keepers:
                message = ("release", voter, term, keeper.name)
                if self.random.random() < 0.6:
                    self.deliver(message, at_once=True)
                else:
                    self.late.append(message)

    def restart(self) -> None:
        """Only what is on disk is left: the promise, the claim, the settled set, and what it was told."""
        for keeper in (self.any() for _ in range(self.random.choice((1, 2, 3)))):
            keeper.vote = Vote.at_start(keeper.vote.promise, keeper.clock(self.time))
            keeper.hold = Hold(claim=keeper.hold.claim)
            keeper.quorums = Quorums(voters=keeper.quorums.voters, settled=keeper.quorums.settled)
            keeper.starts += 1

    def plan_other_voters(self) -> None:
        """The next change begins when the last one has settled, and whoever left by that is gone with its folder."""
        now = {name: keeper.quorums.settled for name, keeper in self.keepers.items()}
        if all(now.get(name) == self.target for name in self.target):
            if self.settled != self.target:
                self.changes.add((self.settled, self.target))
            self.settled = self.target
            self.keepers = {name: self.keepers[name] for name in sorted(self.target)}
            self.said.clear()
            self.late.clear()
            self.target = frozenset(self.random.choice(SETS))

    def tell(self) -> None:
        """Those that leave too: where most of the old ones do, only they can make up its majority."""
        name = self.random.choice(sorted(self.target | self.keepers.keys()))
        if name not in self.keepers:
            self.join(name)
        self.keepers[name].quorums = self.keepers[name].quorums.told(self.target)

    def hear(self) -> None:
        keeper = self.any()
        others = [name for name in self.keepers if self.random.random() < 0.8]
        self.said.append({name: self.keepers[name].quorums for name in others})
        said = self.random.choice(self.said) if self.random.random() < 0.2 else self.said[-1]
        keeper.quorums = keeper.quorums.heard({**said, keeper.name: keeper.quorums}, keeper.clock(self.time))


@settings(max_examples=250, deadline=None)
@given(seed=st.integers(0, 2**32), steps=st.integers(200, 1200))
def test_two_holders_never_have_the_lease_at_once(seed: int, steps: int) -> None:
    cluster = Cluster(seed)
    for _ in range(steps):
        cluster.step()


def test_the_storm_above_does_let_leases_be_held_and_voters_change() -> None:
    """Else it would prove nothing. Every change of voters comes to its end, also where one of three stays."""
    leases, freed, silences = 0, 0, 0
    sets, changes = set[frozenset[str]](), set[tuple[frozenset[str], frozenset[str]]]()
    for seed in range(40):
        cluster = Cluster(seed)
        for _ in range(1000):
            cluster.step()
            sets |= {keeper.quorums.settled for keeper in cluster.keepers.values() if keeper.quorums.settled}
        leases, freed, changes = leases + cluster.leases, freed + cluster.freed, changes | cluster.changes
        silences += cluster.silences
    assert leases > 300
    assert freed > 5
    assert silences > 100
    assert sets == set(map(frozenset, SETS))
    assert changes == set(itertools.permutations(map(frozenset, SETS), 2))


ALL = Quorums(voters=frozenset(FIRST), settled=frozenset(FIRST))


def held(hold: Hold, now: float, votes: dict[str, Vote]) -> tuple[Hold, dict[str, Vote]]:
    """One round in which every message arrives at once."""
    hold = hold.ask(now)
    for name in votes:
        votes[name], granted = votes[name].grant(hold.claim.term, "a", now)
        if granted:
            hold = hold.answered(hold.round, name, ALL)
    return hold, votes


def test_a_holder_that_renews_keeps_the_lease_for_ever() -> None:
    hold, _ = Hold(claim=Claim()).take(1)
    votes = {name: Vote.at_start(Promise(), 0.0) for name in FIRST}
    now = 0.0
    for _ in range(100):
        hold, votes = held(hold, now, votes)
        assert hold.left(now) == pytest.approx(LENGTH - MARGIN)
        now += RENEWAL
        assert hold.left(now) > 0


def test_a_holder_without_a_majority_ends_before_another_can_begin() -> None:
    hold, _ = Hold(claim=Claim()).take(1)
    hold, votes = held(hold, 0.0, {name: Vote.at_start(Promise(), 0.0) for name in FIRST})
    end = 0.0
    while not votes["b"].grant(2, "b", end)[1]:
        end += 0.01
    assert LENGTH <= end <= LENGTH + 0.02
    assert hold.left(end - MARGIN) == 0 < hold.left(end - MARGIN - 0.02)


def test_a_voter_that_was_restarted_renews_what_it_promised_and_grants_nothing_new() -> None:
    vote, _ = Vote.at_start(Promise(), 0.0).grant(1, "a", 0.0)
    vote = Vote.at_start(vote.promise, 10.0)
    assert vote.grant(1, "a", 10.0)[1]
    assert not vote.grant(2, "b", 10.0 + LENGTH - 0.01)[1]
    assert vote.grant(2, "b", 10.0 + LENGTH)[1]


def test_what_is_fenced_is_not_renewed_and_lasts_no_longer_than_it_did() -> None:
    vote, _ = Vote.at_start(Promise(), 0.0).grant(1, "a", 0.0)
    vote = vote.fence(2)
    assert vote.left(1.0) == pytest.approx(LENGTH - 1.0)
    assert not vote.grant(1, "a", 1.0)[1]
    assert vote.fence(1) == vote


def test_a_term_belongs_to_the_first_who_asks() -> None:
    vote, _ = Vote.at_start(Promise(), 0.0).fence(4).grant(4, "b", 0.0)
    assert not vote.grant(4, "c", 99.0)[1]
    assert vote.grant(4, "b", 99.0)[1]


def test_a_release_lets_the_next_holder_in_at_once_and_the_last_one_never_again() -> None:
    hold, _ = Hold(claim=Claim()).take(3)
    hold = hold.ask(0.0)
    vote, _ = Vote.at_start(Promise(), 0.0).grant(3, "a", 0.0)
    hold, done = hold.release(3)
    assert done
    assert hold.answered(hold.round - 1, "a", ALL).answered(hold.round - 1, "b", ALL).left(0.0) == 0
    assert hold.take(3) == (hold, False)
    vote = vote.release(3, "a", 0.1)
    assert not vote.grant(3, "a", 0.1)[1]
    assert vote.grant(4, "b", 0.1)[1]


def test_a_release_below_a_fence_ends_the_wait_and_takes_nothing_of_the_fence_back() -> None:
    vote, _ = Vote.at_start(Promise(), 0.0).grant(1, "a", 0.0)
    fenced = vote.fence(5)
    assert fenced.release(1, "b", 0.1).left(0.1) > 2  # it never had it
    assert fenced.release(2, "a", 0.1).left(0.1) > 2
    freed = fenced.release(1, "a", 0.1)
    assert (freed.promise, freed.left(0.1)) == (Promise(term=5), 0)
    assert not freed.grant(4, "b", 0.1)[1]
    after, granted = freed.grant(5, "b", 0.1)
    assert granted
    assert after.release(1, "a", 0.2) == after  # repeated, it takes nothing from who came next
    # A voter that has forgotten whose the lease was waits for its end.
    restarted = Vote.at_start(fenced.promise, 0.1)
    assert restarted.release(1, "a", 0.1).left(0.1) == restarted.left(0.1) > 2


def test_a_release_of_a_term_that_somebody_else_has_is_nothing() -> None:
    vote, _ = Vote.at_start(Promise(), 0.0).grant(3, "a", 0.0)
    assert vote.release(3, "b", 0.1) == vote
    assert vote.release(2, "b", 0.1) == vote


def test_answers_to_an_earlier_round_count_for_nothing() -> None:
    hold, _ = Hold(claim=Claim()).take(1)
    hold = hold.ask(0.0).ask(2.0)
    late = hold.answered(hold.round - 1, "a", ALL).answered(hold.round - 1, "b", ALL)
    assert late.left(2.0) == 0


def test_the_first_term_needs_a_majority_that_knows_of_none() -> None:
    none = Promise()
    assert first_term({"a": none}, "a", ALL) is None
    assert first_term({"a": none, "b": none}, "a", ALL) == 1
    assert first_term({"a": none, "b": Promise(term=2, holder="b")}, "a", ALL) is None
    # Its own folder was lost, and the voters know that the term was its.
    assert first_term({"b": Promise(term=2, holder="a"), "c": none}, "a", ALL) == 2
    assert first_term({"b": Promise(term=3), "c": Promise(term=2, holder="a")}, "a", ALL) is None


def test_keepers_of_a_new_stack_settle_when_all_have_spoken() -> None:
    new = Quorums(voters=frozenset(FIRST))
    assert not new.reached(FIRST)
    assert new.heard({"a": new, "b": new}, 0.0) == new
    assert new.heard({"a": new, "b": new, "c": new}, 0.0).reached(("a", "b"))


def test_more_voters_need_both_majorities_until_the_old_one_can_no_longer_be_used() -> None:
    both = ALL.told("abcde")
    assert not both.reached("ab")
    assert not both.reached("cde")
    assert both.reached("abd")
    said = {"a": both, "b": both, "d": Quorums(voters=both.voters)}
    waiting = both.heard(said, 10.0)
    assert waiting.settled == ALL.settled
    assert waiting.heard(said, 10.0 + LENGTH).settled == ALL.settled
    assert waiting.heard(said, 10.0 + LENGTH + MARGIN).reached("cde")
    # A voter that was told of the new set has nothing for a holder that knows the old one only.
    assert not both.admits(ALL.counted)
    assert ALL.admits(both.counted)


def test_a_new_keeper_believes_those_who_have_settled() -> None:
    new = Quorums(voters=frozenset("abcd"))
    settled = replace(new, settled=new.voters)
    assert new.heard({"a": ALL.told("abcd"), "b": ALL.told("abcd"), "c": ALL.told("abcd"), "d": new}, 0.0) == new
    assert new.heard({"b": settled, "d": new}, 0.0) == settled
