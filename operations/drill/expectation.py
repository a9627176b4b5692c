"""What must be in the databases, by what users were told of each order: also where an answer was lost on its way."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Record: TypeAlias = Mapping[str, Any]
State: TypeAlias = tuple[int, int] | None  # revision and quantity; None: it is not there


@dataclass
class Expected:
    """Of one order. A user sends one write at a time for it, and none after one whose answer never came."""

    told: State
    perhaps: list[State] = field(default_factory=list)  # what a write without an answer may have made of it
    doubts: list[str] = field(default_factory=list)  # what the answers themselves cannot both be true of


@dataclass(frozen=True, kw_only=True)
class Contradiction:
    """`kind`: order gone, change lost, change done twice, cancellation undone."""

    kind: str
    id: str
    text: str


def expected(records: Iterable[Record]) -> dict[str, Expected]:
    """By id, of the orders that users were told are placed. `records`: a ledger, or part of one."""
    found: dict[str, Expected] = {}
    for record in sorted(records, key=lambda record: record["ended"]):
        kind, answered = record["kind"], "status" in record
        if kind == "write" and answered:
            found.setdefault(record["id"], Expected(told=(1, record["quantity"])))
        elif kind in ("change", "cancel") and record["id"] in found:
            order = found[record["id"]]
            # An answer may name a later revision than was expected: then something was done twice.
            wanted = None if kind == "cancel" else (record.get("revision", record["based_on"] + 1), record["quantity"])
            if not answered:
                order.perhaps.append(wanted)
                continue
            if wanted is not None and wanted[0] != record["based_on"] + 1:
                order.doubts.append(f"revision {wanted[0]} was answered to a change of {record['based_on']}")
            order.told = wanted
    return found


def contradictions(orders: Mapping[str, Expected], rows: Mapping[str, tuple[int, int]]) -> list[Contradiction]:
    """`rows`: revision and quantity by id, as the servers have them."""
    found: list[Contradiction] = []
    for number, order in orders.items():
        row = rows.get(number)
        found += [Contradiction(kind="change done twice", id=number, text=text) for text in order.doubts]
        if row == order.told or row in order.perhaps:
            continue
        allowed = " or ".join(map(_words, [order.told, *order.perhaps]))
        text = f"{_words(row)} instead of {allowed}"
        found.append(Contradiction(kind=_kind(order, row), id=number, text=text))
    return found


def _kind(order: Expected, row: State) -> str:
    if row is None:
        return "order gone"
    if order.told is None:
        return "cancellation undone"
    most = max([order.told[0], *(state[0] for state in order.perhaps if state is not None)])
    return "change done twice" if row[0] > most else "change lost"


def _words(state: State) -> str:
    return "not there" if state is None else f"revision {state[0]} with quantity {state[1]}"
