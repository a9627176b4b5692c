"""The read token."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.positions import TokenError, WritePosition, parse_lsn

partitions = st.from_regex(r"[a-z][a-z0-9-]{0,40}", fullmatch=True)
positions = st.builds(WritePosition, partition=partitions, lsn=st.integers(0, 2**64 - 1))


@given(positions)
def test_a_token_comes_back_as_it_was(position: WritePosition) -> None:
    token = position.token()
    assert WritePosition.parse(token) == position
    assert token.isascii()
    assert not set(token) & set("=+/ ,;")


@given(st.text(max_size=60))
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(TokenError):
        WritePosition.parse(text)


@given(positions, st.data())
def test_a_token_that_was_cut_or_mistyped_is_refused(position: WritePosition, data: st.DataObject) -> None:
    token = position.token()
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("ABCxyz019_-").filter(lambda letter: letter != token[at]))
    for damaged in (token[:at], token[:at] + other + token[at + 1 :], token + other):
        with pytest.raises(TokenError):
            WritePosition.parse(damaged)


@pytest.mark.parametrize(
    ("text", "number"),
    [("0/0", 0), ("0/3019420", 0x3019420), ("16/B374D848", 0x16B374D848), ("FFFFFFFF/0", 0xFFFFFFFF << 32)],
)
def test_a_log_position_is_read_as_postgresql_writes_it(text: str, number: int) -> None:
    assert parse_lsn(text) == number
