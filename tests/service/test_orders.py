"""What a client may send, its fingerprint, the one form of an order, and cursors."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import orders
from service.orders import Change, NewOrder, Order
from service.problems import Problem

texts = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=orders.MAXIMUM_TEXT).filter(
    lambda text: text.strip() == text
)
quantities = st.integers(1, orders.MAXIMUM_QUANTITY)
GOOD: dict[str, Any] = {"customer": "ada", "item": "lamp", "quantity": 1}
BAD: dict[str, tuple[Any, ...]] = {
    "customer": ("", " a", "a\n", "\0", 7, "x" * 201),
    "item": ("", " ", [], "x" * 201),
    "quantity": (0, -1, 1.5, "1", None, True, 2**31),
}


def parse(document: object) -> NewOrder:
    return NewOrder.parse(json.dumps(document).encode())


@given(texts, texts, quantities)
def test_an_order_is_read_as_it_was_meant(customer: str, item: str, quantity: int) -> None:
    order = parse({"customer": customer, "item": item, "quantity": quantity})
    assert order == NewOrder(customer=customer, item=item, quantity=quantity)


@given(texts, texts, quantities)
def test_the_fingerprint_is_of_the_meaning(customer: str, item: str, quantity: int) -> None:
    document = {"customer": customer, "item": item, "quantity": quantity}
    plain = NewOrder.parse(json.dumps(document).encode())
    other = NewOrder.parse(json.dumps(dict(reversed(document.items())), ensure_ascii=False, indent=3).encode())
    assert plain.fingerprint() == other.fingerprint()
    assert plain.fingerprint() != parse({**document, "quantity": quantity % orders.MAXIMUM_QUANTITY + 1}).fingerprint()
    assert plain.fingerprint() != parse({**document, "item": "x" if item != "x" else "y"}).fingerprint()


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"", "JSON"),
        (b"{", "JSON"),
        (b"\xff\xfe\xfd", "JSON"),
        (b"[" * 5000, "JSON"),
        (b"[]", "object"),
        (b'{"customer":"a","customer":"b","item":"i","quantity":1}', "twice"),
        (json.dumps({**GOOD, "colour": "red"}).encode(), "colour"),
        (b'{"customer":"\\ud800","item":"i","quantity":1}', "customer"),
        (b'{"customer":"a","item":"i","quantity":1e0}', "quantity"),
        *((json.dumps({name: GOOD[name] for name in GOOD if name != gone}).encode(), gone) for gone in GOOD),
        *((json.dumps({**GOOD, name: value}).encode(), name) for name, values in BAD.items() for value in values),
    ],
)
def test_a_bad_body_is_refused_by_name(body: bytes, named: str) -> None:
    with pytest.raises(Problem) as caught:
        NewOrder.parse(body)
    assert caught.value.status == 400
    assert named in caught.value.detail


@given(st.binary(max_size=200))
def test_any_bytes_are_an_order_or_a_bad_request(body: bytes) -> None:
    try:
        NewOrder.parse(body)
    except Problem as problem:
        assert problem.status == 400  # noqa: PT017


@given(texts | st.none(), quantities | st.none(), st.integers(1, 9) | st.none())
def test_a_change_is_read_as_it_was_meant(item: str | None, quantity: int | None, based_on: int | None) -> None:
    content = {name: value for name, value in (("item", item), ("quantity", quantity)) if value is not None}
    if not content:
        with pytest.raises(Problem, match="empty"):
            Change.parse("id", "ada", based_on, b"{}")
        return
    change = Change.parse("id", "ada", based_on, json.dumps(content).encode())
    assert change == Change(customer="ada", id="id", item=item, quantity=quantity, based_on=based_on)
    others = (
        Change(customer="ada", id="other", item=item, quantity=quantity, based_on=based_on),
        Change(customer="ada", id="id", item=item, quantity=quantity, based_on=based_on, cancels=True),
        Change(customer="ada", id="id", item=None if item else "x", quantity=quantity, based_on=based_on),
    )
    assert change.fingerprint() not in {other.fingerprint() for other in others}


@pytest.mark.parametrize("values", [["1"], ["*"], ['W/"1"'], ['"0"'], ['"1"', '"2"'], ['"x"'], [f'"{10**18}"']])
def test_revisions_that_are_none_are_refused(values: list[str]) -> None:
    with pytest.raises(Problem, match="If-Match"):
        orders.checked_revision(values)
    assert (orders.checked_revision([]), orders.checked_revision(['"12"'])) == (None, 12)


@given(st.integers(0, 10**18 - 1))
def test_a_cursor_comes_back_as_it_was(sequence: int) -> None:
    assert orders.checked_cursor(orders.cursor(sequence)) == sequence


@given(st.text(max_size=30))
def test_other_cursors_are_refused(text: str) -> None:
    with pytest.raises(Problem, match="cursor"):
        orders.checked_cursor(text)


@pytest.mark.parametrize("limit", ["0", "-1", "201", "x", "", "1.0", "²", "9" * 5000])
def test_limits_out_of_bounds_are_refused(limit: str) -> None:
    with pytest.raises(Problem, match="limit"):
        orders.checked_limit(limit)


@pytest.mark.parametrize("values", [[], [""], ["a", "a"], ["k" * 256], ["a\x7f"]])
def test_keys_that_cannot_be_used_are_refused(values: list[str]) -> None:
    with pytest.raises(Problem, match="Idempotency-Key"):
        orders.checked_key(values)


def test_the_longest_key_is_taken() -> None:
    assert orders.checked_key(["k" * 255]) == "k" * 255


@given(st.integers(0, 12), st.integers(1, 12), texts)
def test_pages_cover_a_list_once(count: int, limit: int, item: str) -> None:
    everything = [Order(str(number), "ada", item, 1, number, "now") for number in range(1, count + 1)]
    seen: list[int] = []
    after: int | None = 0
    while after is not None:
        rest = [order for order in everything if order.sequence > after]
        answer = json.loads(orders.page(rest[: limit + 1], limit))
        seen += [order["sequence"] for order in answer["orders"]]
        after = None if answer["next"] is None else orders.checked_cursor(answer["next"])
    assert seen == [order.sequence for order in everything]
