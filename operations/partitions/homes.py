"""Which homes are meant: how they are written on the command line, and which may be moved where."""

import hmac
import re
from collections.abc import Collection, Mapping
from itertools import pairwise

from components.local.servers.home_ranges import BEYOND, LETTERS, Ranges, began_with, owner, stretches
from operations.errors import Refused
from topology.model import RegionFacts
from topology.residency import Residency, rules_text

FORM = re.compile(r"(\d\d)(?:/([a-z][a-z0-9-]*)(?:/([0-9a-f]{2})(?:-([0-9a-f]{2}))?)?)?")
ALLOWED = (
    "like 00/us-east (all of a region), 00/us-east/00-7f (a part of them), or 00 (all that a partition began with)"
)
PARTS = 256


def parse(text: str) -> tuple[str, str]:
    """From where to where."""
    found = FORM.fullmatch(text)
    if found is None:
        raise Refused(f"--homes: {text!r} names no homes. Allowed: {ALLOWED}.")
    slot, region, low, high = found.groups()
    if region is None:
        return f"{slot}/", f"{int(slot) + 1:02d}/"
    if low is None:
        return f"{slot}/{region}/", f"{slot}/{region}0"
    end = int(high or low, 16) + 1
    if end <= int(low, 16):
        raise Refused(f"--homes: {text!r} ends before it begins. Allowed: {ALLOWED}.")
    return f"{slot}/{region}/{low}", f"{slot}/{region}0" if end == PARTS else f"{slot}/{region}/{end:02x}"


def digest(key: bytes, customer: str) -> bytes:
    """The name by which the directory of `main` knows a customer, as the service has it (service/homes.py)."""
    return hmac.digest(key, customer.encode(), "sha256")[:16]


def owners(ranges: Ranges, first: str, last: str) -> tuple[str, ...]:
    """The partitions that have homes in between."""
    found: dict[str, None] = {}
    for position, (begin, name) in enumerate(ranges):
        end = ranges[position + 1][0] if position + 1 < len(ranges) else None
        if begin < last and (end is None or end > first):
            found[name] = None
    return tuple(found)


def of(ranges: Ranges, partition: str) -> list[tuple[str, str]]:
    """The ranges that a partition has, up to where no home's name is beyond. Homes of an earlier version, which begin
    with a letter, are apart: between them and the others lie the homes of partitions that are yet to come."""
    bounds = sorted({*(first for first, _ in ranges), LETTERS, BEYOND})
    return [(first, last) for first, last in pairwise(bounds) if owner(ranges, first) == partition]


def written(first: str, last: str) -> str | None:
    """As `parse` reads it; None where that takes more than one text."""
    slot, _, rest = first.partition("/")
    region, _, low = rest.partition("/")
    for text in (slot, f"{slot}/{region}", f"{slot}/{region}/{low}", f"{slot}/{region}/{low}-ff"):
        if FORM.fullmatch(text) and parse(text) == (first, last):
            return text
    begin, _, high = last.rpartition("/")
    if begin == f"{slot}/{region}" and re.fullmatch("[0-9a-f]{2}", high) and int(high, 16):
        text = f"{begin}/{low or '00'}-{int(high, 16) - 1:02x}"
        return text if FORM.fullmatch(text) and parse(text) == (first, last) else None
    return None


def of_others(
    ranges: Ranges, born: Mapping[str, str], given_up: Collection[str], kept: Collection[str]
) -> list[tuple[str, str, str, str]]:
    """What partitions that are given up have of those that stay, as they were moved there: whose they were, who has
    them, from where to where."""
    found: list[tuple[str, str, str, str]] = []
    for first, last in stretches(ranges, given_up):
        name = began_with(born, first)
        if name in kept and name is not None:
            found.append((name, owner(ranges, first), first, last))
    return found


def require_residency(
    source: str, target: str, rules: Residency, members: Collection[str], writer: str, facts: Mapping[str, RegionFacts]
) -> None:
    """The rows stay under the rule that they are under now."""
    illegal = sorted(region for region in members if not rules.allows_copy(facts[region]))
    if illegal:
        raise Refused(
            f"the homes of {source} may not be copied to {', '.join(illegal)}, where {target} has a member: residency "
            f"allows {rules_text(rules)}. Move them to a partition that lies within it, or widen the rule."
        )
    if not rules.allows_writer(facts[writer]):
        raise Refused(
            f"the homes of {source} may not be written in {writer}, which writes {target}: residency allows "
            f"{rules_text(rules)}."
        )


def half(counts: Mapping[str, int]) -> str | None:
    """The home at which the customers fall into two halves, as equal as may be; None where one home has all."""
    homes = sorted(counts)
    total, seen, best = sum(counts.values()), 0, None
    for home, following in pairwise(homes):
        seen += counts[home]
        if best is None or abs(2 * seen - total) < best[0]:
            best = (abs(2 * seen - total), following)
    return best[1] if best else None
