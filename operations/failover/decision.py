"""Before anything is done: who writes, how the others are, and which of them can take over. Pure."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from operations.errors import Refused
from operations.failover.driver import MemberFacts, Observation
from operations.failover.loss import NOTHING, Limit, Loss, announced

Kind: TypeAlias = Literal["switchover", "failover", "rejoin", "failback"]

# A planned move waits with writes held until the target has everything, so it begins only with a target that is close:
# this much is replayed within a second or two.
CLOSE_BYTES = 16 * 2**20
CLOSE_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What the plan says of the partition: who may hold its writer, and how its traffic goes."""

    partition: str
    origin: str
    regions: tuple[str, ...]  # that have a member, in the plan's order
    legal: frozenset[str]  # of those, where residency allows the writer
    rules: str  # residency, in words
    home_only: bool  # one region takes all users: the others are held out
    rpo_seconds: int | None = None


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the operator asked for."""

    kind: Kind
    to: str | None = None
    limit: Limit | None = None
    old_writer_is_fenced: bool = False
    despite_capacity: bool = False  # also a target that is too small, or has no service
    yes: bool = False


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What is going to be done, and to whom."""

    kind: Kind
    writer: str  # who writes as it begins, or wrote last
    target: str  # who writes in the end
    away: str | None  # the region that comes back as a replica first
    term: int | None  # None where there is no lease
    loss: Loss
    notes: tuple[str, ...] = ()
    hold_out: frozenset[str] = field(default_factory=frozenset)


def decide(ground: Ground, request: Request, now: Observation) -> Decision:
    """Raises `Refused` with every reason, in words that say what would help."""
    if request.to is not None and request.to not in ground.regions:
        raise Refused(
            f"--to: {request.to!r} has no member of {ground.partition}. Allowed: {', '.join(ground.regions)}."
        )
    if now.writer is None:
        raise Refused(
            f"no member of {ground.partition} can be reached that writes, or that knows who wrote last. Reached from "
            f"here: {', '.join(_reachable(now)) or 'none'}. Stand in another region with --from, or bring one back."
        )
    if request.kind == "failover":
        return _failover(ground, request, now, now.writer)
    if request.kind == "switchover":
        return _switchover(ground, request, now, now.writer)
    return _back(ground, request, now, now.writer)


# --- planned ---------------------------------------------------------------------------------------------------------


def _switchover(ground: Ground, request: Request, now: Observation, writer: str) -> Decision:
    if request.to == writer:
        raise Refused(f"--to: {writer} writes {ground.partition} already. Nothing was changed.")
    refuse(_writer_faults(now, writer))
    candidates = [request.to] if request.to else [region for region in ground.regions if region != writer]
    faults = {region: list(_target_faults(ground, request, now, region, writer)) for region in candidates}
    fit = [region for region in candidates if not faults[region]]
    if not fit:
        raise Refused("\n".join(fault for region in candidates for fault in faults[region]))
    # The origin first: it is where the partition was meant to be written.
    target = min(fit, key=lambda region: (region != ground.origin, -(now.members[region].received_lsn or 0)))
    return Decision(
        kind="switchover",
        writer=writer,
        target=target,
        away=None,
        term=next_term(now),
        loss=NOTHING,
        hold_out=_held_out(ground, writer),
    )


def _back(ground: Ground, request: Request, now: Observation, writer: str) -> Decision:
    away = request.to or ground.origin
    verb = "back" if request.kind == "failback" else "as a replica"
    if away == writer:
        others = [region for region in ground.regions if region != writer]
        way = f"`--to` names another: {', '.join(others)}." if others else ""
        raise Refused(f"{away} writes {ground.partition}: there is nothing to bring {verb}. {way}".strip())
    refuse(_writer_faults(now, writer))
    if away not in now.members:
        raise Refused(f"{away} has no member of {ground.partition} now. Climb, or list the region again, with `up`.")
    if request.kind == "failback" and away not in ground.legal:
        raise Refused(_illegal(ground, away))
    return Decision(
        kind=request.kind,
        writer=writer,
        target=away if request.kind == "failback" else writer,
        away=away,
        term=next_term(now),
        loss=NOTHING,
        hold_out=_held_out(ground, writer) if request.kind == "failback" else frozenset(),
    )


def _writer_faults(now: Observation, writer: str) -> Iterator[str]:
    facts = now.members[writer]
    if not facts.reachable or facts.role != "writer":
        yield (
            f"the writer, {writer}, cannot be reached, so nothing can be moved from it in order. `failover` moves the "
            "writer without it, and says first what that may lose."
        )
    elif now.lease is not None and not now.lease.quorum_reachable:
        yield "no majority of the keepers can be reached, so nobody could be given the lease. Bring one more back."
    elif not facts.accepts_writes:
        yield (
            f"{writer} says that it is the writer and takes no writes: an operation holds it (`--resume`), or it has "
            "no lease. `failover` replaces it."
        )


def _target_faults(ground: Ground, request: Request, now: Observation, region: str, writer: str) -> Iterator[str]:
    yield from _unfit(ground, request, now, region)
    facts = now.members.get(region)
    if facts is None or not facts.reachable:
        return
    if not close(facts):
        behind = "an unknown number of" if facts.lag_bytes is None else f"{facts.lag_bytes:,}"
        yield (
            f"{region} is {behind} bytes and {facts.lag_seconds or 0:.0f} s behind {writer}: writes would stand still "
            f"until it has them. Allowed: {CLOSE_BYTES:,} bytes and {CLOSE_SECONDS:.0f} s; wait until it has caught up."
        )


def close(facts: MemberFacts) -> bool:
    """Near enough to the writer. A cloud tells no positions, and seconds in their place."""
    if facts.lag_bytes is None and (facts.received_lsn is not None or facts.lag_seconds is None):
        return False
    return (facts.lag_bytes or 0) <= CLOSE_BYTES and (facts.lag_seconds or 0) <= CLOSE_SECONDS


# --- unplanned -------------------------------------------------------------------------------------------------------


def _failover(ground: Ground, request: Request, now: Observation, writer: str) -> Decision:
    refuse(_too_healthy(now, writer))
    fence_fault = can_fence(now, writer, by_hand=request.old_writer_is_fenced)
    if fence_fault:
        raise Refused(fence_fault)
    target, notes = best(ground, request, now, without={writer})
    found = announced(now, target)
    check_loss(found, request)
    return Decision(
        kind="failover",
        writer=writer,
        target=target,
        away=None,
        term=next_term(now),
        loss=found,
        notes=notes,
        hold_out=_held_out(ground, writer),
    )


def best(ground: Ground, request: Request, now: Observation, without: Collection[str]) -> tuple[str, tuple[str, ...]]:
    """The member that has received most, whichever was asked for: with a quorum it alone surely has every write.

    Patroni and pg_auto_failover choose in the same way, among those that may be promoted.
    """
    candidates = [region for region in ground.regions if region not in without]
    faults = {region: list(_unfit(ground, request, now, region)) for region in candidates}
    fit = [region for region in candidates if not faults[region]]
    if not fit:
        raise Refused(
            "no member can take over:\n" + "\n".join(fault for region in candidates for fault in faults[region])
        )
    target = max(
        fit,
        key=lambda region: (*most(now.members[region]), region == request.to, -fit.index(region)),
    )
    notes = [fault for region in candidates if region != target for fault in faults[region]]
    if request.to is not None and request.to != target and request.to in fit:
        more = (now.members[target].received_lsn or 0) - (now.members[request.to].received_lsn or 0)
        notes.append(
            f"{target} instead of {request.to}: it has {more:,} bytes of log more. `switchover --to {request.to}` "
            "moves on from there."
        )
    return target, tuple(notes)


def most(facts: MemberFacts) -> tuple[int, float]:
    """How much a member has: its position, or, where a cloud does not tell, the whole seconds that it is behind."""
    if facts.received_lsn is not None:
        return facts.received_lsn, 0.0
    return 0, -round(facts.lag_seconds) if facts.lag_seconds is not None else float("-inf")


def check_loss(found: Loss, request: Request) -> None:
    """The loss is announced and held against the limit before anything is done."""
    if request.limit is None:
        if request.yes and not found.nothing:
            raise Refused(
                f"this may lose {found}, and nobody said how much may be lost. Say it with --max-loss, or in the "
                "setting objectives.rpo_seconds; or leave out --yes, and be asked."
            )
    elif not request.limit.allows(found):
        raise Refused(
            f"this may lose {found}. Allowed: {request.limit}. Nothing was changed. Bring back a member that has more, "
            "or allow more with --max-loss."
        )


def can_fence(now: Observation, writer: str, *, by_hand: bool) -> str | None:
    """Why nobody could be sure that the old writer is silent; None where somebody can."""
    remedy = f"Make sure that {writer} is down or cut off from every user, and say so with --old-writer-is-fenced."
    if by_hand:
        return None
    if now.lease is None:
        return f"this stack has no lease, so {writer} may still take writes though it is not seen from here. {remedy}"
    if not now.lease.quorum_reachable:
        return (
            f"no majority of the keepers can be reached from here, so the lease of {writer} cannot be ended. {remedy}"
        )
    return None


def _too_healthy(now: Observation, writer: str) -> Iterator[str]:
    facts = now.members[writer]
    if facts.reachable and facts.accepts_writes:
        yield f"{writer} answers and takes writes. `switchover` moves the writer without losing any."
        return
    if writer in now.down:
        return
    holds = now.lease is not None and now.lease.holder == writer and now.lease.left_seconds > 0
    reached, asked = seen(now, writer)
    if holds and asked and reached * 2 > asked:
        who = ", ".join(v for v, sight in now.vantages.items() if v != writer and sight.get(writer))
        yield (
            f"{writer} holds its lease and is reached from {who}: it is not the writer that is cut off, it is here. "
            "Stand in another region with --from."
        )


# --- both ------------------------------------------------------------------------------------------------------------


def _unfit(ground: Ground, request: Request, now: Observation, region: str) -> Iterator[str]:
    facts: MemberFacts | None = now.members.get(region)
    if region not in ground.legal:
        yield _illegal(ground, region)
    if facts is None or not facts.reachable:
        yield f"{region} cannot be reached from here."
        return
    reached, asked = seen(now, region)
    if asked and reached * 2 < asked:
        yield f"{region} is reached from {reached} of the {asked} other regions that look."
    if facts.role != "replica":
        yield f"{region} is no replica now."
    elif facts.received_lsn is None and facts.lag_seconds is None:
        yield f"{region} does not say how much it has received."
    if not facts.can_take_load and not request.despite_capacity:
        yield (
            f"{region} cannot take the load: {facts.why_not}. Raise the phase to active-passive or higher beforehand, "
            "or take it as it is with --despite-capacity."
        )


def _illegal(ground: Ground, region: str) -> str:
    return f"{region} may not write {ground.partition}: {ground.rules}."


def seen(now: Observation, region: str) -> tuple[int, int]:
    """How many other regions reach it, of those that look; the writer's own word counts for others as well."""
    views = [sight[region] for vantage, sight in now.vantages.items() if vantage != region and region in sight]
    return sum(views), len(views)


def next_term(now: Observation) -> int | None:
    return None if now.lease is None else now.lease.term + 1


def _held_out(ground: Ground, writer: str) -> frozenset[str]:
    return frozenset({writer}) if ground.home_only else frozenset()


def _reachable(now: Observation) -> Sequence[str]:
    return [region for region, facts in now.members.items() if facts.reachable]


def refuse(faults: Iterator[str]) -> None:
    if found := list(faults):
        raise Refused("\n".join(found))
