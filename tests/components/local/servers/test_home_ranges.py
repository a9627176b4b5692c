"""Ranges of homes: giving one away changes what lies in it and nothing else."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.local.servers.home_ranges import Ranges, owner, with_range

words = st.text("ab/", max_size=3)
names = st.sampled_from(["main", "x", "y"])
changes = st.lists(st.tuples(words, words | st.none(), names), max_size=6)
EVERYTHING: Ranges = (("", "main"),)


@given(changes, st.lists(words, max_size=20))
def test_every_home_has_the_owner_that_it_was_given_last(
    given_: list[tuple[str, str | None, str]], homes: list[str]
) -> None:
    ranges, expected = EVERYTHING, dict.fromkeys(homes, "main")
    for first, last, name in given_:
        if last is not None and last <= first:
            continue
        ranges = with_range(ranges, first, last, name)
        expected |= {home: name for home in homes if first <= home and (last is None or home < last)}
    assert {home: owner(ranges, home) for home in homes} == expected
    firsts = [first for first, _ in ranges]
    assert firsts[0] == ""
    assert firsts == sorted(set(firsts))
    assert all(one[1] != other[1] for one, other in itertools.pairwise(ranges)), "no two that could be one"


def test_a_range_that_is_empty_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        with_range(EVERYTHING, "b", "b", "x")
