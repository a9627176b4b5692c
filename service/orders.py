"""An order and a change to one: what a client may send, its fingerprint, and the one form in which it is answered."""

import hashlib
import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from service.problems import bad_request

MAXIMUM_BODY = 16 * 1024
MAXIMUM_TEXT = 200
MAXIMUM_KEY = 255
MAXIMUM_QUANTITY = 2**31 - 1  # PostgreSQL's integer
MAXIMUM_PAGE = 200
DEFAULT_PAGE = 50

# No control characters, and no lone halves of surrogate pairs, which JSON can spell and UTF-8 cannot.
_TEXT = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
_KEY = re.compile(r"[^\x00-\x1f\x7f-\x9f]+")
_REVISION = re.compile(r'"([1-9][0-9]{0,17})"')
_FIELDS = ("customer", "item", "quantity")
_CHANGEABLE = ("item", "quantity")


class Order(NamedTuple):
    """In the order of the columns that the queries ask for."""

    id: str
    customer: str
    item: str
    quantity: int
    sequence: int
    created_at: str
    revision: int = 1

    def document(self) -> bytes:
        """The same bytes for a revision wherever and whenever it is answered: new, replayed, read or listed."""
        return json.dumps(self._asdict(), ensure_ascii=False, separators=(",", ":")).encode()


@dataclass(frozen=True, kw_only=True, slots=True)
class NewOrder:
    customer: str
    item: str
    quantity: int

    @classmethod
    def parse(cls, body: bytes) -> "NewOrder":
        fields = _object(body, "an order", _FIELDS)
        return cls(
            customer=checked_text("customer", fields["customer"]),
            item=checked_text("item", fields["item"]),
            quantity=checked_quantity(fields["quantity"]),
        )

    def fingerprint(self) -> bytes:
        """Equal for bodies that mean the same order, however they are spelt."""
        return _digest(self.customer, self.item, self.quantity)


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """To one order, which is named beside its customer: the home is the customer's, and stays known after the order."""

    customer: str
    id: str
    item: str | None = None  # None: it stays
    quantity: int | None = None
    cancels: bool = False
    based_on: int | None = None  # the revision that the order must still have

    @classmethod
    def parse(cls, order_id: str, customer: str, based_on: int | None, body: bytes) -> "Change":
        fields = _object(body, "a change", _CHANGEABLE, all_needed=False)
        if not fields:
            raise bad_request("the change is empty; give an item, a quantity or both")
        return cls(
            customer=customer,
            id=order_id,
            item=checked_text("item", fields["item"]) if "item" in fields else None,
            quantity=checked_quantity(fields["quantity"]) if "quantity" in fields else None,
            based_on=based_on,
        )

    def fingerprint(self) -> bytes:
        """Of what is asked, not of the condition: an operator who does a lost change again adds one of their own."""
        return _digest("cancel" if self.cancels else "change", self.id, self.item, self.quantity)


def _digest(*values: str | int | None) -> bytes:
    return hashlib.sha256(json.dumps(values, ensure_ascii=True, separators=(",", ":")).encode()).digest()


def parse_wish(body: bytes) -> tuple[str, str]:
    """The customer, and the home that is wished for them, as one region tells another."""
    fields = _object(body, "a wish", ("customer", "home"))
    return checked_text("customer", fields["customer"]), checked_text("home", fields["home"])


def _object(body: bytes, what: str, names: tuple[str, ...], *, all_needed: bool = True) -> dict[str, object]:
    """The body's fields: these, or some of them, and no others."""
    listed = f"{', '.join(names[:-1])} and {names[-1]}"
    try:
        document: Any = json.loads(body, object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError) as fault:
        raise bad_request(f"the body is not JSON: {str(fault)[:200]}") from None
    if not isinstance(document, dict):
        raise bad_request(f"the body must be a JSON object with {listed}")
    fields = cast("dict[str, object]", document)
    for name in fields:
        if name not in names:
            raise bad_request(f"{_quoted(name)} is not a field of {what} ({', '.join(names)})")
    for name in names:
        if all_needed and name not in fields:
            raise bad_request(f"{name} is missing; {what} has {listed}")
    return fields


def checked_text(name: str, value: object) -> str:
    if (
        not isinstance(value, str)
        or not 1 <= len(value) <= MAXIMUM_TEXT
        or not _TEXT.fullmatch(value)
        or value.strip() != value
    ):
        raise bad_request(
            f"{name} must be a text of 1 to {MAXIMUM_TEXT} characters, without control characters "
            "and without white space at its ends"
        )
    return value


def checked_quantity(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAXIMUM_QUANTITY:
        raise bad_request(f"quantity must be a whole number from 1 to {MAXIMUM_QUANTITY}")
    return value


def checked_revision(values: list[str]) -> int | None:
    if not values:
        return None
    found = _REVISION.fullmatch(values[0])
    if len(values) > 1 or not found:
        raise bad_request('If-Match must be one revision of the order in quotation marks, like "3"')
    return int(found[1])


def checked_key(values: list[str]) -> str:
    if not values or not values[0]:
        raise bad_request("the header Idempotency-Key is missing; send a new unique value with each new write")
    if len(values) > 1:
        raise bad_request("the header Idempotency-Key may be given once only")
    if len(values[0]) > MAXIMUM_KEY or not _KEY.fullmatch(values[0]):
        raise bad_request(f"Idempotency-Key must have 1 to {MAXIMUM_KEY} characters and no control characters")
    return values[0]


def checked_limit(value: str | None) -> int:
    if value is None:
        return DEFAULT_PAGE
    if not value.isascii() or not value.isdigit() or not 1 <= int(value[:9]) <= MAXIMUM_PAGE:
        raise bad_request(f"limit must be a whole number from 1 to {MAXIMUM_PAGE}")
    return int(value)


def cursor(sequence: int) -> str:
    """Where the next page begins, opaque to clients."""
    return urlsafe_b64encode(b"s%d" % sequence).rstrip(b"=").decode()


def checked_cursor(value: str | None) -> int:
    if value is None:
        return 0
    try:
        raw = value.encode("ascii")
        text = urlsafe_b64decode(raw + b"=" * (-len(raw) % 4)).decode("ascii")
    except ValueError:
        text = ""
    digits = text[1:]
    if not text.startswith("s") or not digits.isdigit() or len(digits) > 18 or cursor(int(digits)) != value:
        raise bad_request("cursor is not one that a list of orders gave out")
    return int(digits)


def page(orders: list[Order], limit: int) -> bytes:
    """One page of a list that was read with one order more than `limit`, to know whether there is a next page."""
    shown = orders[:limit]
    following = f'"{cursor(shown[-1].sequence)}"' if len(orders) > limit else "null"
    return b'{"orders":[' + b",".join(order.document() for order in shown) + b'],"next":' + following.encode() + b"}"


def _without_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a field is given twice")
    return fields


def _quoted(name: str) -> str:
    return json.dumps(name[:50])
