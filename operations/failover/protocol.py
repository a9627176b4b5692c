"""How a partition's writer is moved: a state machine without any I/O.

A run is a list of steps (`script`), each of which can be made again. `next_step` says what comes next, from what is
recorded of the run and what is seen of the partition; it is the same question after an interruption as without one.

The invariants, which `check` holds before every step:

1. Never do two members accept writes.
2. Nothing is promoted before the old writer is fenced (a majority of the keepers let its lease run out and grants it no
   other, or the managed service, or a person, answers for it) or was stopped and has nothing left that starts it.
3. A run points writes at nobody who is not promoted. (A region that was cut off may still point at a writer of before,
   which refuses them: it has no lease, or is a replica.)
4. What an unplanned failover may lose was announced, and is at most what was allowed.

Why the steps stand in this order:

- Whatever can be done while users still write is done then: the target's slots, and the other members following it. A
  member that follows the target before its promotion goes over to the new timeline by itself; one that is pointed at
  it afterwards keeps a quorum waiting (about a second between continents). In an unplanned move with a quorum that is
  done while the lease runs out: the old writer then acknowledges less, and loses nothing. Without a quorum its members
  are left to it as long as it may write, for what it still ships is not lost, and nobody waits for them afterwards.
- A planned move stops the writer before anything else is changed, and promotes only a target that has replayed the
  writer's shutdown checkpoint: it can lose nothing, and until the promotion everything can be undone (`reinstate`).
  The old lease is given back with the hold, and the target asks for the next one while the writer stops: round trips
  between continents would else make the pause longer.
- An unplanned one asks for the fence early, because the lease takes its time to run out, and decides on the target
  again once it has: the old writer may have written until then, and with a quorum only the member with the most has
  surely every acknowledged write.
- Replication is pointed before requests, and users are let in after both.
- Whoever could give a write its vote is there before the proof. In a planned move that may be the old writer alone; in
  an unplanned one it may be a member that had more log than the target and was away as that was promoted. Such a member
  has left the target's history and can follow nobody until it is rejoined, so with a quorum every write would wait.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypeAlias, cast

from operations.failover.decision import Decision, Kind, Request
from operations.failover.driver import Fenced, Observation
from operations.failover.loss import Limit, Loss

Action: TypeAlias = Literal[
    "prepare",
    "turn",
    "follow",
    "hold_writes",
    "stop_writer",
    "catch_up",
    "claim",
    "fence",
    "await_fenced",
    "decide",
    "promote",
    "point",
    "admit",
    "muster",
    "verify",
    "save_tail",
    "rejoin",
    "settle",
    "reinstate",
    "refresh",
]

TEXT: dict[Action, str] = {
    "prepare": "make {region} ready to be the writer",
    "turn": "turn the other members to {region}",
    "follow": "let the other members follow {region}",
    "hold_writes": "hold new writes, and let those in flight end",
    "stop_writer": "stop {region}",
    "catch_up": "wait until {region} has everything",
    "claim": "let {region} ask for the lease",
    "fence": "raise the term, so that no older lease is renewed",
    "await_fenced": "wait until {region} surely acknowledges nothing",
    "decide": "choose the member that has received most",
    "promote": "promote {region}",
    "point": "point replication and writes at {region}",
    "admit": "let users into {region}",
    "muster": "see that the other members follow {region}, and rejoin those that cannot",
    "verify": "write and read through the entry, and look for a second writer",
    "save_tail": "keep what only {region} has",
    "rejoin": "make {region} a replica",
    "settle": "wait until {region} has caught up",
    "reinstate": "let {region} write again",
    "refresh": "read the members anew into the stack's state",
}


@dataclass(frozen=True, kw_only=True)
class Step:
    action: Action
    region: str = ""

    @property
    def key(self) -> str:
        return f"{self.action} {self.region}".strip()

    def __str__(self) -> str:
        return TEXT[self.action].format(region=self.region)


@dataclass(frozen=True, kw_only=True)
class Ended:
    """The run is over. `undone`: nobody was promoted, and the writer of before writes again."""

    how: Literal["done", "undone"]


@dataclass(frozen=True, kw_only=True)
class Stuck:
    """Nothing can be done now; the words say what would help."""

    why: str


@dataclass(frozen=True, kw_only=True)
class State:
    """All that is known of a run: what was decided, and what was begun and ended. It is what the journal keeps."""

    kind: Kind
    partition: str
    writer: str
    target: str
    away: str | None
    term: int | None
    loss: Loss  # as far as it is known by now
    announced: Loss  # before anything was done
    limit: Limit | None  # None: a person was asked
    received: int | None  # what the target had as it was decided on
    hold_out: tuple[str, ...]
    by_hand: bool  # a person answers for the old writer's silence
    stop_first: bool  # the old writer, or the region that comes back, runs as a writer that takes no writes
    quorum: bool = False  # commits wait for another member
    undoing: bool = False
    begun: tuple[str, ...] = ()
    done: tuple[str, ...] = ()
    fenced: Fenced | None = None
    fenced_at: float | None = None
    moved: bool = False  # the promotion was begun: there is no way back to the old writer
    suspects: tuple[str, ...] = ()  # earlier targets that may have been promoted before they were lost
    astray: tuple[str, ...] = ()  # members that do not follow the new writer, and are rejoined
    returned: tuple[str, ...] = ()  # of those, the ones that run as a writer of before

    @property
    def promotes(self) -> bool:
        return self.kind != "rejoin"

    @property
    def planned(self) -> bool:
        return self.kind != "failover"


class Broken(Exception):  # noqa: N818
    """An invariant does not hold: the program is wrong, or somebody else moved the writer. Nothing more is done."""


def start(decision: Decision, request: Request, now: Observation, *, partition: str) -> State:
    by_hand = request.old_writer_is_fenced
    suspect = decision.away if decision.kind in ("rejoin", "failback") else decision.writer
    facts = now.members.get(suspect or "")
    stop_first = facts is not None and facts.reachable and facts.role == "writer"
    return State(
        kind=decision.kind,
        partition=partition,
        writer=decision.writer,
        target=decision.target,
        away=decision.away,
        term=decision.term,
        loss=decision.loss,
        announced=decision.loss,
        limit=request.limit,
        received=now.members[decision.target].received_lsn,
        hold_out=tuple(sorted(decision.hold_out)),
        by_hand=by_hand,
        stop_first=stop_first and decision.kind != "switchover",
        quorum=bool(now.quorum),
        fenced=Fenced(how="operator", detail="--old-writer-is-fenced") if by_hand else None,
        fenced_at=now.at if by_hand else None,
    )


def script(state: State) -> tuple[Step, ...]:
    return tuple(_script(state))


def _script(state: State) -> Iterator[Step]:
    if state.undoing:
        yield from _undo(state)
        return
    if state.away is not None:
        if state.stop_first:
            yield Step(action="stop_writer", region=state.away)
        yield Step(action="save_tail", region=state.away)
        yield Step(action="rejoin", region=state.away)
        yield Step(action="settle", region=state.away)
    if state.kind in ("switchover", "failback"):
        yield from _planned(state)
    elif state.kind == "failover":
        yield from _unplanned(state)
    yield Step(action="refresh")


def _planned(state: State) -> Iterator[Step]:
    yield Step(action="prepare", region=state.target)
    yield Step(action="follow", region=state.target)
    yield Step(action="hold_writes", region=state.writer)
    if state.term is not None:
        yield Step(action="claim", region=state.target)
    yield Step(action="stop_writer", region=state.writer)
    yield Step(action="catch_up", region=state.target)
    yield from _take_over(state)
    yield Step(action="rejoin", region=state.writer)
    yield Step(action="verify", region=state.target)


def _unplanned(state: State) -> Iterator[Step]:
    if state.stop_first:
        yield Step(action="stop_writer", region=state.writer)
    if state.term is not None and not state.quorum:
        yield Step(action="fence")  # at once: until then a writer that is only cut off acknowledges what will be lost
    yield Step(action="prepare", region=state.target)
    if state.quorum:
        yield Step(action="turn", region=state.target)
        if state.term is not None:
            yield Step(action="fence")
    if state.term is not None:
        yield Step(action="await_fenced", region=state.writer)
    yield Step(action="decide")
    if state.quorum:
        yield Step(action="follow", region=state.target)
    yield from _take_over(state)
    yield Step(action="follow", region=state.target)
    yield Step(action="muster", region=state.target)
    yield from _mending(state)
    yield Step(action="verify", region=state.target)


def _take_over(state: State) -> Iterator[Step]:
    for action in ("promote", "point", "admit"):
        yield Step(action=cast("Action", action), region=state.target)


def _mending(state: State) -> Iterator[Step]:
    for region in state.astray:
        if region in state.returned:
            yield Step(action="stop_writer", region=region)
        yield Step(action="save_tail", region=region)
        yield Step(action="rejoin", region=region)


def _undo(state: State) -> Iterator[Step]:
    """Back to the old writer. A target that may have the lease is fenced first, as a writer would be."""
    if _claimed(state):
        yield Step(action="fence")
        yield Step(action="await_fenced", region=state.target)
    if any(key.split()[0] in TOUCHES or key == f"stop_writer {state.writer}" for key in state.begun):
        yield Step(action="reinstate", region=state.writer)


def _claimed(state: State) -> bool:
    """Whether the target may have been granted the run's term."""
    return state.term is not None and (state.moved or f"claim {state.target}" in state.begun)


# What the old writer, or those that follow it, would notice.
TOUCHES = ("turn", "follow", "hold_writes", "fence", "promote")


def next_step(state: State, now: Observation) -> Step | Ended | Stuck:
    """What comes next. `now` need not be newer than the last interruption, or the last step that failed."""
    for step in script(state):
        if step.key in state.done:
            continue
        if (instead := _instead(state, step, now)) is not None:
            return instead
        return step
    return Ended(how="undone" if state.undoing else "done")


def _instead(state: State, step: Step, now: Observation) -> Step | Stuck | None:
    """What a step gives way to, because of what is seen."""
    target = now.members.get(state.target)
    gone = target is None or not target.reachable
    if state.undoing or not gone or _is_past(state) or step.action in ("stop_writer", "save_tail", "rejoin", "settle"):
        return None
    if state.kind == "failover":
        if not state.moved:
            # The fence comes first in any case, and the choice after it.
            return Step(action="decide") if step.action in ("prepare", "turn", "follow", "promote") else None
        return Stuck(why=f"{state.target} may have been promoted, and cannot be reached.")
    return Stuck(why=f"{state.target} cannot be reached.")


def _is_past(state: State) -> bool:
    """Whether the writes are moved: from there on a lost target is a new outage, and the run has only to end."""
    return f"point {state.target}" in state.begun


def can_undo(state: State) -> bool:
    """Whether the old writer can be let back: until writes may have reached another."""
    lost = state.kind == "failover" and state.moved
    return not state.undoing and not lost and f"point {state.target}" not in state.begun


def undo(state: State) -> State:
    """The run turned round. Where the target may have the lease, a new term shuts it out first."""
    term = state.term + 1 if state.term is not None and _claimed(state) else state.term
    again = tuple(key for key in state.done if key.split()[0] not in ("fence", "await_fenced"))
    return replace(state, undoing=True, term=term, done=again)


def begin(state: State, step: Step) -> State:
    """Before a step: it may have happened from now on."""
    begun = state.begun if step.key in state.begun else (*state.begun, step.key)
    return replace(state, begun=begun, moved=state.moved or step.action == "promote")


def end(state: State, step: Step, *, at: float, fenced: Fenced | None = None) -> State:
    if step.key in state.done:
        return state
    proof = fenced
    if step.action == "stop_writer" and step.region == state.writer:
        proof = Fenced(how="stopped", detail=f"{step.region} was stopped")
    # A choice made before the old writer is silent is not the last one.
    early = step.action == "decide" and state.fenced is None
    found = state if early else replace(state, done=(*state.done, step.key))
    # The first proof counts: nothing was acknowledged since.
    return found if proof is None or state.fenced is not None else replace(found, fenced=proof, fenced_at=at)


def failed(state: State, step: Step) -> State:
    """After a step that did not end. A region that came back too late is told, or rejoined, before the next proof: with
    a quorum it may be the one whose vote is missing."""
    if may_fail(state, step):
        return replace(state, astray=tuple(region for region in state.astray if region != step.region))
    if step.action != "verify":
        return state
    again = (f"point {state.target}", f"muster {state.target}")
    return replace(state, done=tuple(key for key in state.done if key not in again))


def may_fail(state: State, step: Step) -> bool:
    """Whether the run goes on without the step: a member that cannot be rejoined now is not what a failover is for.
    Where its vote is needed, the proof fails, and it is tried again."""
    return f"muster {state.target}" in state.done and step in _mending(state)


def follows(now: Observation, region: str, target: str) -> bool:
    """On the target's timeline: a connection to a writer that is gone looks like one for seconds."""
    facts = now.members[region]
    return facts.reachable and facts.following == target and facts.timeline == now.members[target].timeline


def astray(state: State, now: Observation) -> tuple[str, ...]:
    """Who does not follow the target and can be made to. A service that moves its copies along tells no timelines.

    Writers of before are left to `failback`, unless a quorum has nobody else to vote. A member that this run itself has
    stopped answers nobody, and still counts.
    """
    head = now.members[state.target]
    if not head.reachable or head.timeline is None:
        return ()
    others = [region for region in now.members if region != state.target]
    voted = not now.quorum or any(follows(now, region, state.target) for region in others)
    found: list[str] = []
    for region in others:
        facts = now.members[region]
        if not facts.reachable:
            wanted = _is_begun(state, "save_tail", region) or (not voted and _is_begun(state, "stop_writer", region))
        elif facts.role == "replica":
            wanted = not follows(now, region, state.target)
        else:
            wanted = not voted
        if wanted:
            found.append(region)
    return tuple(found)


def _is_begun(state: State, action: Action, region: str) -> bool:
    return f"{action} {region}" in state.begun and f"rejoin {region}" not in state.done


def muster(state: State, now: Observation, found: tuple[str, ...]) -> State:
    again = {f"{action} {region}" for action in ("stop_writer", "save_tail", "rejoin") for region in found}
    returned = tuple(region for region in found if now.members[region].role == "writer")
    return replace(state, astray=found, returned=returned, done=tuple(key for key in state.done if key not in again))


def choose(state: State, target: str, now: Observation, found: Loss) -> State:
    """The target, once the old writer is silent, and what is lost by the fence as it fell. What was announced does not
    hold any more where time passed before the fence: a writer that was only cut off renewed its lease meanwhile."""
    return replace(state, target=target, received=now.members[target].received_lsn, loss=found)


def anew(state: State, now: Observation, *, by_hand: bool) -> State:
    """A failover whose target was lost when it may have been promoted: everything again, under a higher term."""
    term = None if state.term is None else max(state.term, now.lease.term if now.lease else 0) + 1
    return replace(
        state,
        term=term,
        begun=(),
        done=(),
        moved=False,
        by_hand=by_hand,
        stop_first=False,
        suspects=(*state.suspects, state.target),
        astray=(),
        returned=(),
        fenced=Fenced(how="operator", detail="--old-writer-is-fenced") if by_hand else None,
        fenced_at=now.at if by_hand else None,
    )


def check(state: State, step: Step, now: Observation) -> None:
    """Raises `Broken` where the step, or what is seen, breaks an invariant."""
    writing = [region for region, facts in now.members.items() if facts.accepts_writes]
    # A stack without a lease may have two after its old writer came back; stopping that one is what ends it.
    ends_it = step.action == "stop_writer" and step.region in writing and step.region != state.target
    if len(writing) > 1 and not ends_it:
        raise Broken(f"{' and '.join(writing)} both accept writes")
    if step.action == "promote":
        if state.fenced is None:
            raise Broken(f"{step.region} would be promoted, and nothing shows that {state.writer} is silent")
        if state.planned and f"catch_up {state.target}" not in state.done:
            raise Broken(f"{step.region} would be promoted before it has everything")
        if state.limit is not None and not state.limit.allows(state.loss):
            raise Broken(f"promoting {step.region} may lose {state.loss}, above {state.limit}")
    if step.action in ("point", "admit") and f"promote {step.region}" not in state.done:
        raise Broken(f"writes would go to {step.region}, which is not promoted")
    if step.action == "reinstate" and f"point {state.target}" in state.begun:
        raise Broken(f"{step.region} would write again though {state.target} may have taken writes")


def to_json(state: State) -> dict[str, Any]:
    return asdict(state)


def from_json(record: dict[str, Any]) -> State:
    fields = {key: tuple(value) if isinstance(value, list) else value for key, value in record.items()}
    fenced, limit = record["fenced"], record["limit"]
    return State(
        **{
            **fields,
            "loss": Loss(**record["loss"]),
            "announced": Loss(**record["announced"]),
            "limit": Limit(**limit) if limit else None,
            "fenced": Fenced(**fenced) if fenced else None,
        }
    )
