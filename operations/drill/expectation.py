"""What must be in the databases, by what users were told of each order: also where an answer was lost on its way."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Record: TypeAlias = Mapping[str, Any]
State: TypeAlias = tuple[int, int] | None  # revision and quantity; None: it is not there
Kind: TypeAlias = Literal["order gone", "change lost", "change done twice", "cancellation undone"]

LOST: tuple[Kind, ...] = ("order gone", "change lost", "cancellation undone")


@dataclass(frozen=True, kw_only=True)
class Contradiction:
    """`writes`: what users were told is done, and is not."""

    kind: Kind
    id: str
    text: str
    writes: tuple[Record, ...] = ()


@dataclass
class Expected:
    """Of one order. A user sends one write at a time for it, and none after one whose answer never came."""

    told: State
    placed: Record
    done: list[Record] = field(default_factory=list)  # changes and a cancellation, each of which `told` rests on
    perhaps: list[State] = field(default_factory=list)  # what a write without an answer may have made of it
    doubts: list[Contradiction] = field(default_factory=list)  # what the answers themselves cannot both be true of

    def take(self, record: Record) -> None:
        # An answer may name another revision than was expected: then something was done twice, or undone before.
        based, is_cancel = record["based_on"], record["kind"] == "cancel"
        wanted = None if is_cancel else (record.get("revision", based + 1), record["quantity"])
        if "status" not in record:
            if not _was_missing(record):
                self.perhaps.append(wanted)
            return
        if wanted is not None and wanted[0] != based + 1:
            text = f"revision {wanted[0]} was answered to a change of {based}"
            lost = self.done[-(based + 1 - wanted[0]) :] if wanted[0] <= based else []
            kind: Kind = "change lost" if lost else "change done twice"
            self.doubts.append(Contradiction(kind=kind, id=record["id"], text=text, writes=tuple(lost)))
            self.done = [each for each in self.done if each not in lost]
        self.told = wanted
        self.done.append(record)


def _was_missing(record: Record) -> bool:
    """Whether every answer was that there is no such order: then nothing was done to it."""
    said = record.get("said", ())
    return bool(said) and all(str(each).startswith("404") for each in said)


def expected(records: Iterable[Record]) -> dict[str, Expected]:
    """By id, of the orders that users were told are placed. `records`: a ledger, or part of one."""
    found: dict[str, Expected] = {}
    for record in sorted(records, key=lambda record: record["ended"]):
        kind = record["kind"]
        if kind == "write" and "status" in record:
            found.setdefault(record["id"], Expected(told=(1, record["quantity"]), placed=record))
        elif kind in ("change", "cancel") and record["id"] in found:
            found[record["id"]].take(record)
    return found


def contradictions(orders: Mapping[str, Expected], rows: Mapping[str, tuple[int, int]]) -> list[Contradiction]:
    """`rows`: revision and quantity by id, as the servers have them."""
    found: list[Contradiction] = []
    for number, order in orders.items():
        row = rows.get(number)
        found += order.doubts
        if row == order.told or row in order.perhaps:
            continue
        allowed = " or ".join(map(_words, [order.told, *order.perhaps]))
        text = f"{_words(row)} instead of {allowed}"
        kind = _kind(order, row)
        found.append(Contradiction(kind=kind, id=number, text=text, writes=_writes(order, kind, row)))
    return found


def lost(found: Collection[Contradiction]) -> dict[str, Record]:
    """By their keys, the writes that users were told are done and that are not."""
    return {record["key"]: record for each in found for record in each.writes}


def twice(found: Collection[Contradiction]) -> tuple[str, ...]:
    return tuple(f"{each.id}: {each.text}" for each in found if each.kind not in LOST)


def _kind(order: Expected, row: State) -> Kind:
    if row is None:
        return "order gone"
    if order.told is None:
        return "cancellation undone"
    most = max([order.told[0], *(state[0] for state in order.perhaps if state is not None)])
    return "change done twice" if row[0] > most else "change lost"


def _writes(order: Expected, kind: Kind, row: State) -> tuple[Record, ...]:
    """As many of the last as the row is behind; where it is none and yet another, the last."""
    if kind == "change done twice":
        return ()
    if row is None:
        return (order.placed, *order.done)
    changes = [each for each in order.done if each["kind"] == "change"]
    behind = sum(each["revision"] > row[0] for each in changes)
    cancelled = [each for each in order.done if each["kind"] == "cancel"]
    return (*changes[len(changes) - max(behind, not cancelled) :], *cancelled) or (order.placed,)


def _words(state: State) -> str:
    return "not there" if state is None else f"revision {state[0]} with quantity {state[1]}"
