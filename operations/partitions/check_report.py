"""What a check tells: findings with their mends, what could not be compared, and how much was."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from operations.partitions.check import MISSING, Group, Kind, Suspect
from operations.partitions.check_mends import Words, mend

TEXT: dict[Kind, str] = {
    "row_differs": "rows of {table} are others at {member} than at its writer",
    "second_writer": "{member} is no replica, though {other} writes {partition}",
    "map_writer": "the partition map says that {other} writes {partition}, and {member} does",
    "outside_home": "rows of {table} are at {partition}, and nowhere else, though {other} has their homes",
    "left_behind": "rows of {table} are at {partition} a second time: {other} has their homes and these rows",
    "other_home": "rows of {table} at {partition} have another home than their customer",
    "order_without_customer": "orders at {partition} have no customer row",
    "sequence_twice": "orders at {partition} have a number that another order of their customer has",
    "counter_behind": "customers at {partition} have orders beyond their last number",
    "orders_lacking": "orders of customers at {partition} are missing, and nobody cancelled them",
    "order_uncancelled": "orders at {partition} are there that their customers had cancelled",
    "orphaned_key": "idempotency keys at {partition} stand for orders that are not there",
    "customer_in_two": "customers are at {partition} and at {other}, and both write them",
    "directory_lacks": "the directory does not know customers of {partition}",
    "directory_contradicts": "the directory knows customers of {partition} by another home",
    "homes_of_two": "homes are written by {partition} and {other}",
    "homes_of_none": "homes are written by nobody",
    "homes_astray": "{partition} says that {other} has homes which it has not",
    "move_note": "{partition} notes a move to {other} that is not under way",
    "map_contradicts": "the partition map says that {other} has homes which {partition} has",
    "map_old": "the partition map of {other} is older than another region's",
    "slot_left": "{member} keeps its log for a slot that nobody needs",
    "publication_left": "{member} has a publication of no move that is under way",
    "subscription_left": "{member} has a subscription of no move that is under way",
}

EXAMPLES = 5  # told to a person, each with its mend
LISTED = 100  # in a document


@dataclass(frozen=True, kw_only=True)
class Finding:
    kind: Kind
    partition: str
    member: str
    what: str
    count: int
    examples: tuple[str, ...]
    mend: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class NotCompared:
    what: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A partition: how many rows its writer was asked for, and which members were compared with it to the end."""

    partition: str
    writer: str
    rows: int
    tables: int
    members: tuple[str, ...]
    restless: int = 0  # rows that changed too often to be compared with a replica


@dataclass(frozen=True, kw_only=True)
class Outcome:
    compared: tuple[Compared, ...]
    findings: tuple[Finding, ...]
    not_compared: tuple[NotCompared, ...]
    under_way: tuple[str, ...]
    seconds: float

    @property
    def rows(self) -> int:
        return sum(each.rows for each in self.compared)

    @property
    def well(self) -> bool:
        """What was not compared is not known to be well."""
        return not self.findings and not self.not_compared and not any(each.restless for each in self.compared)


def findings(suspects: Iterable[Suspect], counts: Mapping[Group, int], words: Words) -> tuple[Finding, ...]:
    """One for each kind, place and table, however many rows it has: `counts` says how many, where not all are given."""
    groups: dict[Group, list[Suspect]] = {}
    for each in suspects:
        groups.setdefault(each.group, []).append(each)
    order: list[Kind] = list(TEXT)
    found: list[Finding] = []
    for group, few in sorted(groups.items(), key=lambda item: order.index(item[0][0])):
        kind, partition, member, other, table = group
        mends = [line for each in few[:EXAMPLES] for line in mend(each, words)]
        found.append(
            Finding(
                kind=kind,
                partition=partition,
                member=member,
                what=TEXT[kind].format(partition=partition, member=member, other=other, table=table),
                count=counts[group],
                examples=tuple(subject(each) for each in few[:LISTED]),
                mend=tuple(dict.fromkeys(mends)),
            )
        )
    return tuple(found)


def subject(suspect: Suspect) -> str:
    named = ", ".join(f"{column} {value}" for column, value in suspect.key)
    more = f"{MISSING} there" if suspect.value == MISSING else ""
    home = f"home {suspect.home}" if suspect.home and "home" not in dict(suspect.key) else ""
    return ", ".join(each for each in (named, home, more) if each) or suspect.member


def document(outcome: Outcome) -> dict[str, Any]:
    return {
        "well": outcome.well,
        "rows": outcome.rows,
        "seconds": round(outcome.seconds, 3),
        **{
            name: [asdict(each) for each in getattr(outcome, name)] for name in ("compared", "findings", "not_compared")
        },
        "under_way": list(outcome.under_way),
    }


def lines(outcome: Outcome) -> Iterator[str]:
    for each in outcome.compared:
        with_whom = f"compared with {', '.join(each.members)}" if each.members else "compared with no replica"
        yield f"{each.partition}: {each.rows} rows in {each.tables} tables of {each.writer}, {with_whom}"
        if each.restless:
            yield f"not compared: {each.restless} rows of {each.partition}, which changed at every look; ask again"
    for each in outcome.not_compared:
        yield f"not compared: {each.what}: {each.why}"
    for each in outcome.under_way:
        yield f"under way: {each}"
    for each in outcome.findings:
        yield ""
        yield f"differs: {each.what} ({each.count})"
        for example in each.examples[:EXAMPLES]:
            yield f"    {example}"
        yield f"  to mend it{', the first of them' if each.count > EXAMPLES else ''}:"
        for command in each.mend:
            yield f"    {command}"
    yield ""
    if outcome.findings:
        yield f"{sum(each.count for each in outcome.findings)} things differ."
    elif outcome.well:
        yield "Nothing differs."
    else:
        yield "Nothing that was compared differs."
    yield f"{outcome.rows} rows were compared in {outcome.seconds:.1f} s."
