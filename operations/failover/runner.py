"""Carries a run out: asks the protocol what comes next, records it, calls the driver, records that."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from components.local.servers.errors import ServerFault
from operations.errors import Fault, Refused
from operations.failover import decision, protocol
from operations.failover.decision import Ground, Request
from operations.failover.driver import Done, Driver, Fenced, MemberFacts, Observation, Rejoined, Verification
from operations.failover.journal import Journal
from operations.failover.loss import Limit, loss
from operations.failover.protocol import Broken, Ended, State, Step, Stuck

SETTLE_SECONDS = 300.0  # a member that was rebuilt has a whole copy to catch up with
MUSTER_SECONDS = 6.0  # a replica notices within 5 s that a connection is dead (wal_receiver_timeout), and takes another
POLL = 0.5


@dataclass
class Runner:
    driver: Driver
    journal: Journal
    ground: Ground
    request: Request
    now: Observation
    tell: Callable[[str], None]
    agree: Callable[[str], bool] = lambda _: False  # asks a person; nobody to ask says no
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    choices: int = field(default=0, init=False)

    def run(self) -> State:
        """To the end. Raises `Fault` or `Refused` where it cannot go on, or where the run was undone."""
        try:
            return self._run()
        except (Fault, Refused):
            self.journal.write()
            raise

    def _run(self) -> State:
        state, reason, tried = self.journal.state, "", ""
        while True:
            step = protocol.next_step(state, self.now)
            if isinstance(step, Ended):
                return self._end(state, step, reason)
            if isinstance(step, Stuck):
                state, reason = self._turn(state, step.why), step.why
                continue
            try:
                protocol.check(state, step, self.now)
            except Broken as broken:
                raise Fault(f"stopped, nothing more was done: {broken}. `status` shows the members.") from None
            state = protocol.begin(state, step)
            self.journal.begun(step, state)
            began = self.clock()
            try:
                state, detail, already = self._do(state, step)
            except (Fault, ServerFault) as fault:
                goes_on = protocol.may_fail(state, step)
                state = protocol.failed(state, step)
                self.journal.failed(step, state, str(fault))
                self.tell(f"  failed    {step}: {fault}")
                if goes_on:
                    continue
                if protocol.can_undo(state) and state.kind != "failover" and f"prepare {state.target}" in state.begun:
                    reason = f"{step}: {fault}"
                    state = self._turn(state, reason)
                elif tried != step.key and not state.undoing:
                    # Once more, with what is to be seen now: a member may have gone meanwhile.
                    tried, self.now = step.key, self.driver.observe()
                else:
                    raise Fault(f"{step}: {fault}. {self._remedy(state)}") from None
                continue
            seconds = self.clock() - began
            self.journal.ended(step, state, seconds=seconds, detail=detail, already=already)
            words = "; ".join(filter(None, (detail, "already so" if already else "")))
            self.tell(f"  {seconds:6.2f} s  {step}{f' ({words})' if words else ''}")

    def _end(self, state: State, ended: Ended, reason: str) -> State:
        self.journal.close(ended.how)
        if ended.how == "undone" and reason:
            raise Fault(f"{reason}. It was undone: {state.writer} writes, as before.")
        return state

    def _turn(self, state: State, why: str) -> State:
        if not protocol.can_undo(state) or state.kind == "failover":
            raise Refused(f"{why} {self._remedy(state)}")
        if state.moved and state.term is None and not self.request.old_writer_is_fenced:
            raise Refused(
                f"{why} {state.target} may have been promoted, and without a lease nobody can tell. Bring it back; or "
                f"make sure that it is down and say so: repeat with --resume --old-writer-is-fenced."
            )
        turned = protocol.undo(state)
        self.tell(f"  undoing   {why}")
        self.journal.turned(why, turned)
        return turned

    def _remedy(self, state: State) -> str:
        undo = " or --undo to go back" if protocol.can_undo(state) else ""
        return f"Repeat with --resume to carry on{undo}; operation {self.journal.number} has what was done."

    def _do(self, state: State, step: Step) -> tuple[State, str, bool]:
        """One step; the state after it, what there is to say, and whether it was so already."""
        if step.action == "decide":
            state, detail = self._decide(state)
            return protocol.end(state, step, at=self.clock()), detail, False
        if step.action == "muster":
            found = self._muster(state)
            state = protocol.end(protocol.muster(state, self.now, found), step, at=self.clock())
            return state, f"not {', '.join(found)}" if found else "", not found
        found = self._call(state, step)
        match found:
            case Fenced(how=how, detail=detail):
                return protocol.end(state, step, at=self.clock(), fenced=found), detail or how, False
            case Verification():
                self._verify(state, found)
                detail, already = found.detail, False
            case Rejoined(how=how, detail=detail, already=already):
                detail = "; ".join(filter(None, (how, detail)))
            case Done(detail=detail, already=already):
                pass
            case None:
                detail, already = "nothing", True
            case _:
                detail, already = str(found), False
        return protocol.end(state, step, at=self.clock()), detail, already

    def _call(self, state: State, step: Step) -> Any:
        driver, region, term = self.driver, step.region, state.term or 0
        match step.action:
            case "prepare":
                return driver.prepare(region, [name for name in self.ground.regions if name != region])
            case "turn" | "follow":
                return getattr(driver, step.action)(region, self._followers(state))
            case "catch_up":
                return driver.catch_up(region, state.writer)
            case "fence":
                return driver.fence(term)
            case "await_fenced":
                return driver.await_fenced(term, region)
            case "admit":
                return driver.admit(region, state.hold_out)
            case "claim" | "promote" | "reinstate":
                return getattr(driver, step.action)(region, term)
            case "save_tail" | "rejoin":
                moved = region == state.writer or f"promote {state.target}" in state.done
                return getattr(driver, step.action)(region, state.target if moved else state.writer)
            case "settle":
                return self._settle(state, region)
            case "refresh":
                return driver.refresh()
            case _:  # hold_writes, stop_writer, point, verify
                return getattr(driver, step.action)(region)

    def _followers(self, state: State) -> list[str]:
        """Who can be told now; the others are told when they rejoin."""
        return [
            region
            for region, facts in self.now.members.items()
            if facts.reachable and facts.role == "replica" and region not in (state.target, state.writer)
        ]

    def _decide(self, state: State) -> tuple[State, str]:
        """Once the old writer is silent: who has most now. Asks only whom it reached, for writes stand still."""
        among = [region for region, facts in self.now.members.items() if facts.reachable]
        request = replace(self.request, to=state.target)
        # Each member may be chosen once before the old writer is silent, and lost, and once after it.
        while self.choices < 2 * len(self.ground.regions):
            self.choices += 1
            seen = self.driver.observe(among)
            self.now = replace(seen, lease=seen.lease or self.now.lease, vantages=seen.vantages or self.now.vantages)
            target, notes = decision.best(self.ground, request, self.now, {state.writer, *state.suspects})
            found = loss(self.now, target, fenced_at=state.fenced_at).rounded
            if state.limit is not None and not state.limit.allows(found):
                raise Refused(f"this may now lose {found}. Allowed: {state.limit}. {self._remedy(state)}")
            # What was announced stands until the old writer is silent, and is held against what is lost then.
            early = state.fenced is None
            if early or (state.limit or Limit(seconds=state.loss.seconds, bytes=state.loss.bytes)).allows(found):
                chosen = protocol.choose(state, target, self.now, state.loss if early else found)
                return chosen, "; ".join((target, *notes))
            # Somebody thought for long at the first prompt, and the writer that was cut off wrote on meanwhile.
            why = f"this may now lose {found}; {state.loss} was announced"
            if not self.agree(f"{why[0].upper()}{why[1:]}. Go on?"):
                raise Refused(f"{why}. {self._remedy(state)}")
            state = replace(state, loss=found, announced=found)
        raise Fault(f"{self.choices} choices were made and none of them held")

    def _muster(self, state: State) -> tuple[str, ...]:
        """Who does not follow the new writer by itself, given the time to take a new connection."""
        began = self.clock()
        while True:
            self.now = self.driver.observe()
            found = protocol.astray(state, self.now)
            if not any(self.now.members[region].role == "replica" for region in found):
                return found
            if self.clock() - began > MUSTER_SECONDS:
                return found
            self.sleep(POLL)

    def _verify(self, state: State, found: Verification) -> None:
        served = (found.write and found.read) or self.request.despite_capacity
        if found.writers != (state.target,) or not served:
            said = ", ".join(found.writers) or "none"
            raise Fault(
                f"write {'done' if found.write else 'failed'}, read {'done' if found.read else 'failed'}, members that "
                f"accept writes: {said}. {found.detail}".strip()
            )

    def _settle(self, state: State, region: str) -> Done:
        """Until the member streams and is close; before a failback also until its region can take the load."""
        began = self.clock()
        while True:
            self.now = self.driver.observe()
            facts = self.now.members.get(region)
            if facts is not None and facts.reachable and facts.role == "replica":
                ready = facts.can_take_load or state.kind == "rejoin" or self.request.despite_capacity
                if ready and decision.close(facts):
                    return Done(detail=_behind(facts))
            if self.clock() - began > SETTLE_SECONDS:
                raise Fault(f"{region} has not caught up within {SETTLE_SECONDS:.0f} s ({_how(facts)})")
            self.sleep(POLL)


def _how(facts: Any) -> str:
    if facts is None or not facts.reachable:
        return "it cannot be reached"
    if facts.lag_bytes is None and facts.lag_seconds is None:
        return "it is not known how far it is behind"
    return facts.why_not if not facts.can_take_load else _behind(facts)


def _behind(facts: MemberFacts) -> str:
    if facts.lag_bytes is None:
        return f"{facts.lag_seconds:.1f} s behind"
    return f"{facts.lag_bytes:,} bytes behind"
