"""Property paths, comparison and the resetting of ignored values."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.sdk import from_provider, from_struct, to_provider, to_struct
from engine.values import UNKNOWN, Secret, changed_paths, covers, mark_secrets, parse_path, reset

LEAVES = st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(max_size=5)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3) | inner.map(Secret)
    ),
    max_leaves=8,
)
PROPERTIES = st.dictionaries(st.text(min_size=1, max_size=4), VALUES, max_size=4)


@given(PROPERTIES)
def test_values_survive_the_wire(properties: dict[str, Any]) -> None:
    assert from_struct(to_struct(properties)) == properties
    assert from_struct(to_struct({"u": UNKNOWN, "f": 1.5})) == {"u": UNKNOWN, "f": 1.5}


@given(PROPERTIES)
def test_nothing_differs_from_itself_nor_from_its_secret_twin(properties: dict[str, Any]) -> None:
    assert list(changed_paths(properties, copy.deepcopy(properties))) == []
    assert list(changed_paths(properties, {key: Secret(value) for key, value in properties.items()})) == []


@given(PROPERTIES, PROPERTIES)
def test_resetting_every_top_level_value_undoes_all_changes(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert reset((None,), old, new)
    assert list(changed_paths(old, new)) == []


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("a", ("a",)),
        ("a.b[0].c", ("a", "b", 0, "c")),
        ('a["b.c"].d', ("a", "b.c", "d")),
        ('["a b"][*]', ("a b", None)),
        ("*", (None,)),
    ],
)
def test_paths(text: str, keys: tuple[str | int | None, ...]) -> None:
    assert parse_path(text) == keys


def test_a_path_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="not a property path"):
        parse_path("a[")


def test_paths_of_changes_can_be_parsed_and_lie_below_what_was_ignored() -> None:
    old = {"a": {"b.c": [1, 2]}, "t": True, "gone": 1}
    new = {"a": {"b.c": [1, 3, 4]}, "t": 1, "new": UNKNOWN}
    paths = list(changed_paths(old, new))
    assert paths == ['a["b.c"][1]', 'a["b.c"][2]', "t", "gone", "new"]
    assert covers(parse_path("a.*"), parse_path(paths[0]))
    assert not covers(parse_path("a.x"), parse_path(paths[0]))


def test_resetting_tells_where_elements_came_or_went() -> None:
    assert not reset(("a", 1), {"a": [1]}, {"a": [1, 2]})
    assert not reset(("a", "b"), {"a": {"b": 1}}, {"a": 1})
    assert not reset(("a", "b", "c"), {"a": {"b": {"c": 1}}}, {"a": {}})
    assert reset(("a", "b"), {}, {"c": 1})
    new = {"a": {"b": 1}}
    assert reset(("a", "b"), {"a": Secret({"b": 2})}, new)
    assert new == {"a": {"b": Secret(2)}}


def test_secrets_are_marked_where_the_inputs_had_them() -> None:
    marked = mark_secrets(
        {"a": 1, "b": {"c": 2, "d": 3}, "e": [1]}, {"a": Secret(1), "b": {"c": Secret(2)}, "e": [Secret(1)]}
    )
    assert marked == {"a": Secret(1), "b": {"c": Secret(2), "d": 3}, "e": Secret([1])}


def test_providers_get_numbers_as_pulumi_hands_them_over() -> None:
    given_ = to_provider({"n": 5, "t": True, "s": Secret("x"), "none": None, "list": [None, 1]})
    assert given_ == {"n": 5.0, "t": True, "s": "x", "list": [None, 1.0]}
    assert isinstance(given_["n"], float)
    assert from_provider({"n": 5.0, "pair": (1, 2), "none": None}, "") == {"n": 5, "pair": [1, 2]}
    with pytest.raises(TypeError, match=r"`a\.b` as set"):
        from_provider({"a": {"b": {1}}}, "")
