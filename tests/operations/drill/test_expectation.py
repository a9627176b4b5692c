"""What the rows may be, by what users were told."""

from typing import Any

import pytest

from operations.drill.expectation import contradictions, expected, lost


def record(kind: str, ended: float, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "id": "o", "ended": ended, **more}


PLACED = record("write", 1, key="p", status=201, quantity=1)
CHANGED = record("change", 2, key="c", status=200, based_on=1, revision=2, quantity=5)
AGAIN = record("change", 3, key="a", status=200, based_on=2, revision=3, quantity=6)
CANCELLED = record("cancel", 4, key="x", status=204, based_on=3)
UNHEARD = record("change", 3, based_on=2, quantity=9)
PERHAPS_GONE = record("cancel", 3, based_on=2)


@pytest.mark.parametrize(
    ("records", "row", "kind"),
    [
        ([PLACED], (1, 1), None),
        ([PLACED], None, "order gone"),
        ([PLACED], (2, 1), "change done twice"),
        ([PLACED, CHANGED], (2, 5), None),
        ([PLACED, CHANGED], (1, 1), "change lost"),
        ([PLACED, CHANGED], (2, 4), "change lost"),
        ([PLACED, CHANGED, AGAIN], (2, 5), "change lost"),
        ([PLACED, CHANGED], (3, 5), "change done twice"),
        ([PLACED, CHANGED, AGAIN, CANCELLED], None, None),
        ([PLACED, CHANGED, AGAIN, CANCELLED], (3, 6), "cancellation undone"),
        # An answer that never came: it may have been done, once.
        ([PLACED, CHANGED, UNHEARD], (2, 5), None),
        ([PLACED, CHANGED, UNHEARD], (3, 9), None),
        ([PLACED, CHANGED, UNHEARD], (4, 9), "change done twice"),
        ([PLACED, CHANGED, UNHEARD], (1, 1), "change lost"),
        ([PLACED, CHANGED, UNHEARD], None, "order gone"),
        ([PLACED, CHANGED, PERHAPS_GONE], None, None),
        ([PLACED, CHANGED, PERHAPS_GONE], (2, 5), None),
        # The answer itself betrays it.
        ([PLACED, {**CHANGED, "revision": 3}], (3, 5), "change done twice"),
        ([PLACED, CHANGED, {**AGAIN, "revision": 2}], (2, 6), "change lost"),
        # There was no such order any more, which is an answer: it was lost before.
        ([PLACED, CHANGED, {**PERHAPS_GONE, "said": ["404 no", "404 no"]}], None, "order gone"),
        ([PLACED, CHANGED, {**PERHAPS_GONE, "said": ["Closed", "404 no"]}], None, None),
    ],
)
def test_what_is_there_is_held_against_what_was_told(
    records: list[dict[str, Any]], row: tuple[int, int] | None, kind: str | None
) -> None:
    found = contradictions(expected(reversed(records)), {} if row is None else {"o": row})
    assert [each.kind for each in found] == ([] if kind is None else [kind])


@pytest.mark.parametrize(
    ("records", "row", "keys"),
    [
        ([PLACED], None, "p"),
        ([PLACED, CHANGED, AGAIN], None, "pca"),
        ([PLACED, CHANGED, AGAIN], (2, 5), "a"),
        ([PLACED, CHANGED, AGAIN], (1, 1), "ca"),
        ([PLACED, CHANGED, AGAIN], (3, 5), "a"),
        ([PLACED, CHANGED, AGAIN], (4, 5), ""),
        ([PLACED, CHANGED, AGAIN, CANCELLED], (3, 6), "x"),
        ([PLACED, CHANGED, AGAIN, CANCELLED], (2, 5), "ax"),
        ([PLACED, CHANGED, {**AGAIN, "revision": 2}], (2, 6), "c"),
        ([PLACED, CHANGED, {**AGAIN, "revision": 2}], None, "pca"),
        ([PLACED], (1, 2), "p"),
    ],
)
def test_the_writes_that_are_lost_are_named(
    records: list[dict[str, Any]], row: tuple[int, int] | None, keys: str
) -> None:
    found = lost(contradictions(expected(records), {} if row is None else {"o": row}))
    assert sorted(found) == sorted(keys)


def test_orders_of_which_nobody_was_told_are_no_contradiction() -> None:
    unheard = {"kind": "write", "ended": 1.0, "quantity": 1}
    read = record("read", 2.0, status=200)
    assert contradictions(expected([unheard, read]), {"other": (1, 1)}) == []
