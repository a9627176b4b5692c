"""Carries a move out: asks the protocol what comes next, records it, does it, records that."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from components.local.servers.errors import ServerFault
from operations.errors import Fault
from operations.partitions import move
from operations.partitions.journal import Journal
from operations.partitions.move import Action, Broken, Ended, State

# From here on users wait, so a fault turns the move round at once instead of leaving that to a person.
WAITING: tuple[Action, ...] = ("close", "ship", "compare")
# What a power cut may take of the record while they wait: it would only be done again. That opening was begun is not to
# be forgotten, or the move could be undone.
QUICK: tuple[Action, ...] = (*WAITING, "open", "hand_over")
# The least that a move can take: for transactions in flight, for the last change, for one commit.
FLOOR: tuple[Action, ...] = ("close", "ship", "open")


class Driver(Protocol):
    def is_alive(self, state: State) -> bool: ...

    def is_surveyed(self) -> bool: ...

    def do(self, state: State, action: Action) -> str | None: ...


@dataclass
class Runner:
    driver: Driver
    journal: Journal
    tell: Callable[[str], None]

    def run(self) -> State:
        """To the end. Raises `Fault` where it cannot go on, or where the move was given up."""
        reason = ""
        while True:
            state = self.journal.state
            if move.needs_copy(state) and "publish" in state.done and not self._is_alive(state):
                self.tell(f"  again     {state.source} keeps nothing for {state.target} any more: its writer changed")
                self.journal.note("again", move.restart(state))
                continue
            if move.needs_survey(state) and not self.driver.is_surveyed():
                state = move.survey_again(state)
            action = move.next_step(state)
            if isinstance(action, Ended):
                self.journal.close(action.how)
                if action.how == "undone" and reason:
                    raise Fault(f"{reason}. It was undone: {state.source} writes these homes, as before.")
                return state
            try:
                move.check(state, action)
            except Broken as broken:
                raise Fault(f"stopped, nothing more was done: {broken}") from None
            state = move.begin(state, action)
            self.journal.note("begun", state, action, durable=action not in QUICK or action == "open")
            began = time.monotonic()
            try:
                mark = self.driver.do(state, action)
            except (Fault, ServerFault) as fault:
                self.journal.note("failed", state, action, detail=str(fault))
                self.tell(f"  failed    {move.text(state, action)}: {fault}")
                if action in WAITING and move.can_undo(state):
                    reason = f"{move.text(state, action)}: {fault}"
                    self.journal.note("turned", move.undo(state), detail=reason)
                    continue
                raise Fault(f"{move.text(state, action)}: {fault}. {remedy(state)}") from None
            seconds = time.monotonic() - began
            ended = move.end(state, action, mark=mark)
            # What is noted next says so too. After a kill in between the step is made again, which does no harm.
            self.journal.note("ended", ended, action, later=action in QUICK, seconds=round(seconds, 4))
            self.tell(f"  {seconds:6.2f} s  {move.text(state, action)}")

    def _is_alive(self, state: State) -> bool:
        try:
            return self.driver.is_alive(state)
        except (Fault, ServerFault) as fault:
            raise Fault(f"{fault}. {remedy(state)}") from None


def remedy(state: State) -> str:
    undo = " or --undo to go back" if move.can_undo(state) else ""
    return f"Repeat with --resume to carry on{undo}."


def pause(journal: Journal) -> float | None:
    """For how long the homes were written nowhere."""
    ended = {event["step"]: event["at"] for event in journal.events if event["what"] == "ended"}
    begun = [event["at"] for event in journal.events if event["what"] == "begun" and event["step"] == "close"]
    return ended["hand_over"] - begun[-1] if begun and "hand_over" in ended else None


def floor(journal: Journal) -> float | None:
    """The least that this very move could have taken, by what its own steps took."""
    took = {event["step"]: float(event["seconds"]) for event in journal.events if event["what"] == "ended"}
    return sum(took[step] for step in FLOOR) if took.keys() >= set(FLOOR) else None
