"""How rows are read and weighed, on a table of its own."""

from pathlib import Path
from typing import Any

import pytest

from components.replacement import Table, UnknownTypeError

HEADER = "type,argument,effect,condition,word,source"
ROWS = """\
a:b/c:C,name,replace,,yes,s
a:b/c:C,region,replace-if,set->other,no,s
a:b/c:C,size,replace-if,lowered where grows=false; it never shrinks,no,s
a:b/c:C,blocks,replace,,no,s
a:b/c:C,blocks.name,replace,,no,s
a:b/c:C,options.mode,replace,,no,s
a:b/c:C,peer,detach,set->empty,no,s
a:b/c:C,peer,refuse,empty->set|set->other,no,s
a:b/c:C,password,refuse,where peer=?*,no,s
a:b/c:C,role,replace-if,in some weather,no,s
a:b/d:D,name,replace,,yes,s
"""
STATED = "a:b/c:C"


def table(path: Path = Path("rows.csv")) -> Table:
    return Table(
        path=path,
        provider_version="v1",
        effects_known={
            "replace": "replaces it",
            "replace-if": "replaces it",
            "detach": "cuts it off",
            "refuse": "is refused",
        },
        stateful={STATED: "its data"},
        column="word",
        words=("yes", "no"),
    )


@pytest.fixture
def rows(tmp_path: Path) -> Table:
    path = tmp_path / "rows.csv"
    path.write_text(f"{HEADER}\n{ROWS}", encoding="utf-8")
    return table(path)


def outcome(rows: Table, olds: dict[str, Any], news: dict[str, Any], *ignored: str) -> list[tuple[str, str]]:
    return [(each.argument, each.effect) for each in rows.consequences(STATED, olds, news, ignored)]


@pytest.mark.parametrize(
    ("olds", "news", "expected"),
    [
        ({"name": "a"}, {"name": "b"}, [("name", "replace")]),
        ({"name": "a"}, {"name": "a"}, []),
        ({"name": None}, {"name": ""}, []),
        ({"region": "a"}, {"region": "b"}, [("region", "replace-if")]),
        ({"region": "a"}, {}, []),
        ({}, {"region": "b"}, []),
        ({"size": 20}, {"size": 10}, []),
        ({"size": 20, "grows": True}, {"size": 10, "grows": True}, []),
        ({"size": 20, "grows": False}, {"size": 10, "grows": False}, [("size", "replace-if")]),
        ({"size": 10, "grows": False}, {"size": 20, "grows": False}, []),
        ({"peer": "a"}, {}, [("peer", "detach")]),
        ({"peer": "a"}, {"peer": "b"}, [("peer", "refuse")]),
        ({}, {"peer": "b"}, [("peer", "refuse")]),
        ({"password": "a"}, {"password": "b"}, []),
        ({"password": "a", "peer": "p"}, {"password": "b", "peer": "p"}, [("password", "refuse")]),
        ({"role": "a"}, {}, [("role", "replace-if")]),
        ({"other": "a"}, {"other": "b"}, []),
    ],
)
def test_conditions(rows: Table, olds: dict[str, Any], news: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert outcome(rows, olds, news) == expected


def test_nested_arguments_are_compared_by_path(rows: Table) -> None:
    olds = {"blocks": [{"name": "a", "path": "/a"}, {"name": "b"}]}
    news = {"blocks": [{"name": "a", "path": "/b"}, {"name": "b"}]}
    assert outcome(rows, olds, news) == [("blocks", "replace")]
    assert outcome(rows, olds, news, "blocks[0].path") == []
    assert outcome(rows, olds, news, "blocks[*].path") == []
    assert outcome(rows, olds, news, "blocks[1].path") == [("blocks", "replace")]
    olds, news = ({"options": {"mode": mode}} for mode in ("a", "b"))
    assert outcome(rows, olds, news) == [("options.mode", "replace")]
    assert outcome(rows, olds, news, 'options["mode"]') == []
    assert outcome(rows, olds, news, "options") == []


def test_below_a_reported_argument_nothing_is_reported(rows: Table) -> None:
    assert outcome(rows, {"blocks": [{"name": "a"}]}, {"blocks": [{"name": "b"}]}) == [("blocks", "replace")]


def test_an_ignored_argument_keeps_its_old_value_in_the_conditions_of_others(rows: Table) -> None:
    assert outcome(rows, {"peer": "p", "password": "a"}, {"password": "b"}, "peer") == [("password", "refuse")]


def test_a_line_says_what_happens_when_and_what_is_lost(rows: Table) -> None:
    (found,) = rows.consequences(STATED, {"name": "a"}, {"name": "b"})
    assert found.line == "a:b/c:C: a change of name replaces it and loses its data"
    (found,) = rows.consequences("a:b/d:D", {"name": "a"}, {"name": "b"})
    assert found.line == "a:b/d:D: a change of name replaces it"
    (found,) = rows.consequences(STATED, {"size": 2, "grows": False}, {"size": 1, "grows": False})
    assert found.line.endswith("replaces it and loses its data (it never shrinks)")
    (found,) = rows.consequences(STATED, {"peer": "a"}, {})
    assert found.line == "a:b/c:C: a change of peer cuts it off"


def test_a_type_that_nobody_has_looked_up_is_an_error(rows: Table) -> None:
    with pytest.raises(UnknownTypeError, match=r"rows.csv says nothing of a:b/e:E: add a row .* at v1 or later"):
        rows.consequences("a:b/e:E", {}, {})


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a:b/c:C,name,destroy,,yes,s", "effect 'destroy' is none of"),
        ("a:b/c:C,name,replace,,maybe,s", "word 'maybe' is none of yes, no"),
        ("a:b/c:C,name,replace,now and then,yes,s", "`replace` has no condition"),
        ("a:b/c:C,name,replace-if,,yes,s", "`replace-if` has one"),
        ("a:b/c:C,name,replace,,yes,", "needs a source"),
        ("a:b/c:C,name,detach,set->nothing,yes,s", "is not `.transition"),
        ("a:b/c:C,name,detach,sometimes; maybe,yes,s", "is not `.transition"),
    ],
)
def test_a_malformed_row_is_an_error(row: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        table().parse([HEADER, row])


def test_the_same_row_twice_is_an_error() -> None:
    row = "a:b/c:C,name,replace,,yes,s"
    with pytest.raises(ValueError, match="the same row twice"):
        table().parse([HEADER, row, row])
