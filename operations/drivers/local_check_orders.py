"""What must hold among a partition's orders, customers and keys, and between its customers and other partitions'."""

import time
from collections.abc import Sequence
from functools import partial

from components.local.servers import order_checks, secrets
from components.local.servers.partition_map import MAIN
from components.local.servers.postgres_session import Connection
from components.local.servers.table_walk import Key, Span
from operations.drivers.local_check_round import Round
from operations.drivers.local_check_seats import Seats
from operations.drivers.local_move import digest
from operations.partitions.check import Suspect, next_size

FIRST_SIZE = 1000


def judge(run: Round, seats: Seats) -> None:
    """What must hold between the orders, customers and keys of one database."""
    writer = seats.writer
    for table, judge in order_checks.judges().items():
        after: Key | None = None
        size = FIRST_SIZE
        while True:
            began = time.monotonic()
            found = writer.ask(partial(_judged, judge=judge, span=Span(after=after), size=size))
            if found.wrong:
                span = Span(after=after, last=found.last)
                run.steady(partial(_wrong, run, seats, table, judge, span))
            run.progress(found.count)
            size = next_size(size, time.monotonic() - began)
            if (after := found.last) is None:
                break


def _wrong(run: Round, seats: Seats, table: str, judge: order_checks.Judge, span: Span) -> list[Suspect]:
    found = seats.writer.ask(partial(_judged, judge=judge, span=span, size=None))
    return [
        Suspect(
            kind=each["kind"],
            partition=seats.partition,
            member=seats.writer.member,
            table=table,
            key=tuple(
                (column, str(each[column])) for column in ("customer", "sequence", "id", "key") if column in each
            ),
            home=str(each["home"]),
            value=str(each["customer"]) if each["kind"] == "other_home" else "",
        )
        for each in found.wrong
    ]


def across(run: Round, seats: Seats) -> None:
    """Whether its customers are in another partition too, and whether the directory knows them by their home."""
    name = seats.partition
    position = run.chosen.index(name)
    others = [
        run.seats[each]
        for each in run.grounds
        if each in run.seats and each != name and each not in run.chosen[:position]
    ]
    after = ""
    while people := seats.writer.ask(partial(order_checks.customers, after=after, size=FIRST_SIZE)):
        names = [customer for customer, _ in people]
        for other in others:
            if other.writer.ask(partial(order_checks.homes_of, names=names)):
                run.steady(partial(_in_two, run, seats, other, names))
        if MAIN in run.seats:
            run.steady(partial(_unlisted, run, seats, names))
        after = names[-1]
    if MAIN not in run.seats:
        run.skip("the directory", "the writer of main cannot be asked")


def _in_two(run: Round, seats: Seats, other: Seats, names: list[str]) -> list[Suspect]:
    """Told of the one that the directory means, or `main`, where it does not know them: there their orders go."""
    here = seats.writer.ask(partial(order_checks.homes_of, names=names))
    there = other.writer.ask(partial(order_checks.homes_of, names=names))
    both = [each for each, (_, owned) in here.items() if owned and each in there and there[each][1]]
    listed = _listed(run, both) if both and MAIN in run.seats else {}
    found: list[Suspect] = []
    for customer in both:
        homes = here[customer][0], there[customer][0]
        known = listed.get(customer)
        second = known == homes[1] if known is not None else other.partition == MAIN
        kept, lost = (other, seats) if second else (seats, other)
        found.append(
            Suspect(
                kind="customer_in_two",
                partition=kept.partition,
                member=kept.writer.member,
                other=lost.partition,
                key=(("customer", customer),),
                home=" and ".join(reversed(homes) if second else homes),
            )
        )
    return found


def _unlisted(run: Round, seats: Seats, names: list[str]) -> list[Suspect]:
    """As `home_of` looks (service/schema.sql): who is a customer of `main` has a row there, others are listed."""
    main = run.seats[MAIN].writer
    # The customers first: whoever is a customer of another partition was listed before.
    here = seats.writer.ask(partial(order_checks.homes_of, names=names))
    listed = _listed(run, list(here))
    at_main = seats.partition == MAIN
    rows = {} if at_main else main.ask(partial(order_checks.homes_of, names=list(here)))
    found: list[Suspect] = []
    for customer, (home, owned) in here.items():
        known = listed.get(customer)
        if known is None and customer in rows:
            known = rows[customer][0]
        if not owned or known == home or (known is None and at_main):
            continue
        if known is not None and _is_at(run, customer, known):
            continue  # in two partitions, which is told as that
        found.append(
            Suspect(
                kind="directory_lacks" if known is None else "directory_contradicts",
                partition=seats.partition,
                member=main.member,
                key=(("customer", customer), ("digest", f"\\x{_digest(run, customer).hex()}")),
                home=home,
            )
        )
    return found


def _listed(run: Round, names: Sequence[str]) -> dict[str, str]:
    """The homes of those whom the directory knows."""
    digests = {_digest(run, customer): customer for customer in names}
    found = run.seats[MAIN].writer.ask(partial(order_checks.listed, digests=list(digests)))
    return {digests[each]: home for each, home in found.items()}


def _is_at(run: Round, customer: str, home: str) -> bool:
    """Whether some partition writes the customer under this home."""
    return any(
        each.writer.ask(partial(order_checks.homes_of, names=[customer])).get(customer) == (home, True)
        for each in run.seats.values()
    )


def _digest(run: Round, customer: str) -> bytes:
    return digest(secrets.read_password(run.folder, "directory").encode(), customer)


def _judged(connection: Connection, judge: order_checks.Judge, span: Span, size: int | None) -> order_checks.Judged:
    return judge(connection, span, size)
