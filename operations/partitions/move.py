"""How a range of homes is moved from one partition to another: a state machine without any I/O.

A move is a list of steps, each of which can be made again. `next_step` says what comes next from what is recorded of
the move; it is the same question after an interruption as without one.

The invariants, which `check` holds before every step:

1. Never may two databases write the same home: the target is opened only after the source was closed and the target
   has all that was written there, which was compared.
2. A move that is given up never takes back what the target may have written: once opening was begun there is no way
   back but another move.
3. Rows are taken away only where they are not written, and at the source only once everybody was told of the target.
4. The source is closed only once each of its members knows of the move (`spread`). A member that is promoted meanwhile
   may lack the closing, and would write beside the target; that it knows of the move keeps it from writing these homes.
5. The source is closed only while a `survey` of both stands: all rows were compared, and every change since is known.
   So users wait only until those that changed were compared. A survey ends with the process that made it and with
   either writer; where that happens before `close`, another is made; where it happens later, `compare` reads all rows.

The source writes on until `close`, and users wait from there to `hand_over`: for the transactions in flight, for the
last change to be shipped, for the rest of the comparison, and for one commit at each database.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypeAlias

Action: TypeAlias = Literal[
    "clear",
    "mark",
    "publish",
    "copy",
    "catch_up",
    "spread",
    "survey",
    "close",
    "ship",
    "compare",
    "open",
    "hand_over",
    "announce",
    "detach",
    "clean_up",
    "reopen",
]

TEXT: dict[Action, str] = {
    "clear": "take away what an earlier try left at {target}",
    "mark": "note at {source} that the homes go to {target}",
    "publish": "publish the homes at {source}",
    "copy": "copy the rows to {target}",
    "catch_up": "let {target} catch up with {source}",
    "spread": "let every member of {source} know",
    "survey": "compare the rows of both while they are written",
    "close": "close the homes at {source}",
    "ship": "wait until {target} has the last change",
    "compare": "compare what was changed meanwhile",
    "open": "open the homes at {target}",
    "hand_over": "let {source} say where they are",
    "announce": "publish the partition map",
    "detach": "end the replication",
    "clean_up": "take the rows away at {source}",
    "reopen": "open the homes at {source} again",
}

FORWARD: tuple[Action, ...] = (
    "clear",
    "mark",
    "publish",
    "copy",
    "catch_up",
    "spread",
    "survey",
    "close",
    "ship",
    "compare",
    "open",
    "hand_over",
    "announce",
    "detach",
    "clean_up",
)
# Closing and opening again waits for nothing, so users are let back in before anything is tidied.
BACK: tuple[Action, ...] = ("reopen", "clear")

# A source whose writer is lost during these makes the target worthless: the new writer keeps nothing for it.
COPYING: tuple[Action, ...] = ("catch_up", "spread", "survey", "close", "ship", "compare")


@dataclass(frozen=True, kw_only=True)
class State:
    """All that is known of a move: it is what the journal keeps."""

    name: str  # also that of the publication, the subscription and the slot
    first: str
    last: str
    source: str
    target: str
    done: tuple[Action, ...] = ()
    begun: tuple[Action, ...] = ()
    undoing: bool = False
    attempt: int = 1
    mark: str | None = None  # what the source wrote behind the last row of these homes


@dataclass(frozen=True, kw_only=True)
class Ended:
    how: Literal["done", "undone"]


class Broken(Exception):  # noqa: N818
    """An invariant does not hold: the program is wrong. Nothing more is done."""


def script(state: State) -> tuple[Action, ...]:
    return BACK if state.undoing else FORWARD


def text(state: State, action: Action) -> str:
    return TEXT[action].format(source=state.source, target=state.target)


def next_step(state: State) -> Action | Ended:
    for action in script(state):
        if action not in state.done:
            return action
    return Ended(how="undone" if state.undoing else "done")


def needs_copy(state: State) -> bool:
    """Whether the move now rests on a copy that is alive."""
    return not state.undoing and "copy" in state.begun and next_step(state) in ("copy", *COPYING)


def restart(state: State) -> State:
    """The copy was lost, and nobody wrote at the target: everything again."""
    if "open" in state.begun:
        raise Broken(f"{state.target} may have been opened, and its rows are not to be taken away")
    return replace(state, done=(), begun=(), attempt=state.attempt + 1, mark=None)


def needs_survey(state: State) -> bool:
    """Whether the move is about to let users wait, and relies on a survey that stands."""
    return next_step(state) == "close" and "close" not in state.begun


def survey_again(state: State) -> State:
    return replace(state, done=tuple(action for action in state.done if action != "survey"))


def can_undo(state: State) -> bool:
    return not state.undoing and "open" not in state.begun


def undo(state: State) -> State:
    if not can_undo(state):
        raise Broken(f"{state.target} may have been opened; what it wrote would be lost")
    return replace(state, undoing=True, done=())


def begin(state: State, action: Action) -> State:
    return state if action in state.begun else replace(state, begun=(*state.begun, action))


def end(state: State, action: Action, *, mark: str | None = None) -> State:
    done = state.done if action in state.done else (*state.done, action)
    return replace(state, done=done, mark=mark if mark is not None else state.mark)


def check(state: State, action: Action) -> None:
    """Raises `Broken` where the step breaks an invariant."""
    needed: dict[Action, tuple[Action, ...]] = {
        "close": ("mark", "spread", "survey"),
        "open": ("close", "ship", "compare"),
        "hand_over": ("open",),
        "announce": ("open",),
        "clean_up": ("hand_over", "announce", "detach"),
    }
    missing: list[Action] = [step for step in needed.get(action, ()) if step not in state.done]
    if missing:
        raise Broken(f"{text(state, action)}: before that, {text(state, missing[0])}")
    if action in ("clear", "mark", "reopen") and "open" in state.begun:
        raise Broken(f"{text(state, action)}: {state.target} may have been opened")
    if action == "ship" and state.mark is None:
        raise Broken("it is not known what the source wrote last")


def to_json(state: State) -> dict[str, Any]:
    return asdict(state)


def from_json(record: dict[str, Any]) -> State:
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in record.items()}
    return State(**fields)
