"""A scenario as a data file: what breaks, who answers, how it is repaired, and what is expected.

A team adds its own by putting files into a folder (`./meridian drill --scenarios FOLDER`). docs/drills.md has the keys.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from operations.errors import Refused
from topology.nearest import nearest

FOLDER = Path(__file__).parent / "scenarios"

T = TypeVar("T")

MOVE = "partition move"
EITHER = "either"  # of a move of homes: the region that writes their source or their target, at random
NAME = re.compile(r"[a-z][a-z0-9-]{0,40}")


def word(*allowed: str, default: Any = MISSING) -> Any:
    return field(default=default, metadata={"allowed": allowed})


@dataclass(frozen=True, kw_only=True)
class Action:
    """One fault. `where` and `to` are regions: by name, or by what they are as the drill begins (places.py)."""

    do: str = word("kill", "cut", "isolate", "slow", "fill-disk", "deploy", "drop-table")
    what: str = word("region", "member", "service", "gateway", "cache", default="region")
    where: str = "writer"
    to: str = ""  # the other end of what is cut or slow; empty: every other region
    at: float = 0.0  # seconds after the first fault
    seconds: float = 0.0  # how long it lasts; 0: until it is repaired
    milliseconds: float = 0.0  # what a slow link takes, one way
    users: bool = False  # whether users' ways are cut as well
    during: str = word("", "move", default="")  # a step at random of the answer's move, instead of before the answer


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Who does something about it. A watcher notices first; an operator acts at once, as when it was planned."""

    by: str = word("watcher", "operator", "nobody", default="nobody")
    command: str = word("", "failover", "switchover", "restore", MOVE, default="")
    words: tuple[str, ...] = ()  # further options of the command
    killed: str = word("", "at-random", default="")  # the operation itself, and carried on with by --resume


@dataclass(frozen=True, kw_only=True)
class Repair:
    """What brings the stack back: links are restored first, always."""

    up: bool = False
    failback: bool = False
    rejoin: bool = False  # as a replica, and the writer stays where it is


@dataclass(frozen=True, kw_only=True)
class Expect:
    """What is held against the figures, beside what always holds: one writer at every instant, no order doubled, and
    every member alike in the end."""

    lost: str = word("none", "announced", "any", default="none")
    moved: bool = False  # whether another region writes after the answer
    failed_writes: int = 0  # after the client's retries; -1: any number
    failed_reads: int = 0
    ratio: float = 0.0  # the writes' pause next to the floor of the same run; 0: not asked
    write_gap_seconds: float = 0.0  # the longest; 0: not asked
    read_gap_seconds: float = 0.0
    objectives: bool = False  # whether the stack's RTO and RPO are held against it


@dataclass(frozen=True, kw_only=True)
class Scenario:
    name: str
    title: str
    shows: str
    phases: tuple[int, ...]
    actions: tuple[Action, ...]
    answer: Answer
    repair: Repair
    expect: Expect
    targets: tuple[str, ...] = ("local",)
    keepers: bool = False  # whether it needs a lease
    event: str = word("", "region", "writer", default="")  # whose loss it measures, for the planner
    rounds: int = 1  # in `--all`
    proof: int = 0  # with `--proof`; 0: as many as in `--all`
    seconds: float = 5.0  # of load after writes have recovered, or after the last fault


TOP = (
    "title",
    "shows",
    "phases",
    "targets",
    "keepers",
    "event",
    "rounds",
    "proof",
    "seconds",
    "action",
    "answer",
    "repair",
    "expect",
)


def known(folder: Path | None = None) -> dict[str, Scenario]:
    """Every scenario, the project's own first; one of the same name in the team's folder takes its place."""
    found = {path.stem: read(path) for path in sorted(FOLDER.glob("*.toml"))}
    if folder is not None:
        if not folder.is_dir():
            raise Refused(f"--scenarios: there is no folder {folder}.")
        found |= {path.stem: read(path) for path in sorted(folder.glob("*.toml"))}
    return found


def read(path: Path) -> Scenario:
    try:
        table = tomllib.loads(path.read_text())
    except (OSError, ValueError) as fault:
        raise Refused(f"{path}: cannot be read: {fault}.") from None
    if not NAME.fullmatch(path.stem):
        raise Refused(f"{path}: the file's name is the scenario's: small letters, digits and hyphens.")
    _refuse_unknown(str(path), table, TOP)
    for key in ("title", "shows", "phases"):
        if key not in table:
            raise Refused(f"{path}: {key} is missing.")
    actions = table.get("action", [])
    if not isinstance(actions, list):
        raise Refused(f"{path}: action: written as [[action]], once for each.")
    plain = {key: value for key, value in table.items() if key not in ("action", "answer", "repair", "expect")}
    made = _made(
        Scenario,
        f"{path}:",
        {
            **plain,
            "name": path.stem,
            "actions": tuple(_made(Action, f"{path}: action {n}:", each) for n, each in enumerate(actions, 1)),
            **{
                name: _made(kind, f"{path}: {name}:", table.get(name, {}))
                for name, kind in (("answer", Answer), ("repair", Repair), ("expect", Expect))
            },
        },
    )
    _check(path, made)
    return made


def _check(path: Path, scenario: Scenario) -> None:
    if not scenario.phases or not set(scenario.phases) <= {1, 2, 3, 4, 5}:
        raise Refused(f"{path}: phases: a list of numbers from 1 to 5.")
    if not scenario.actions and scenario.answer.by != "operator":
        raise Refused(f"{path}: nothing breaks and nobody acts. Give it an [[action]], or an operator's command.")
    if (scenario.answer.by == "nobody") == bool(scenario.answer.command):
        raise Refused(f"{path}: answer: a watcher or an operator needs a command, and nobody has none.")
    if scenario.answer.by == "watcher" and scenario.answer.command != "failover":
        raise Refused(f"{path}: answer: what a watcher does is a failover.")
    homes = scenario.answer.command == MOVE
    if homes and (scenario.answer.by != "operator" or any(not action.during for action in scenario.actions)):
        raise Refused(f"{path}: answer: an operator moves homes, and what breaks then breaks `during` it.")
    if homes and scenario.actions and scenario.answer.killed:
        raise Refused(f"{path}: answer: killed: of a move either the command is lost or a region, not both.")
    for action in scenario.actions:
        if action.during and not (homes and (action.do, action.what) == ("kill", "region")):
            raise Refused(f"{path}: action: `during` says when a region is killed while an operator moves homes.")
        if action.where == EITHER and not action.during:
            raise Refused(f"{path}: action: where: `{EITHER}` needs a move of homes that it happens `during`.")
        if action.do == "slow" and action.milliseconds <= 0:
            raise Refused(f"{path}: action: a slow link needs `milliseconds` above 0.")


def _made(kind: type[T], place: str, table: Any) -> T:
    """An instance of a dataclass from a table, each value of the type that its field has."""
    if not isinstance(table, Mapping):
        raise Refused(f"{place} {table!r} is no table.")
    known_fields = {each.name: each for each in fields(kind)}  # pyright: ignore[reportArgumentType]
    _refuse_unknown(place.rstrip(":"), table, known_fields)
    values: dict[str, Any] = {}
    for name, given in table.items():
        value: Any = given
        wanted: Any = known_fields[name].type
        if wanted is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if isinstance(value, list):
            value = tuple(value)
        plain = wanted if isinstance(wanted, type) else getattr(wanted, "__origin__", object)
        inner = getattr(wanted, "__args__", (object,))[0]
        if not _fits(value, plain, inner):
            raise Refused(f"{place} {name}: {value!r} is no {_spoken(plain, inner)}.")
        allowed = known_fields[name].metadata.get("allowed")
        if allowed and value not in allowed:
            raise Refused(
                f"{place} {name}: {value!r} is not known. {nearest(str(value), allowed)} "
                f"Allowed: {', '.join(filter(None, allowed))}."
            )
        values[name] = value
    missing = [name for name, each in known_fields.items() if each.default is MISSING and name not in values]
    if missing:
        raise Refused(f"{place} {missing[0]} is missing.")
    return kind(**values)


def _fits(value: Any, plain: type, inner: Any) -> bool:
    if plain is tuple:
        return isinstance(value, tuple) and all(isinstance(item, inner) for item in value)
    return isinstance(value, plain) and not (plain is int and isinstance(value, bool))


def _refuse_unknown(place: str, table: Mapping[str, Any], allowed: Any) -> None:
    for key in table:
        if key not in allowed:
            raise Refused(f"{place}: {key}: no such key. {nearest(key, allowed)} Known: {', '.join(allowed)}.")


def _spoken(plain: Any, inner: Any) -> str:
    names = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    return f"list of {names[inner]}" if plain is tuple else names.get(plain, "value of that kind")
