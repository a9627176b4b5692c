"""Partitions of a local stack and their members compared while users write: nothing is locked, nothing is changed."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Literal

import psycopg

from components.local.servers import partition_map, paths, postgres_status, replication_leftovers
from components.local.servers.errors import ServerFault
from components.local.servers.home_ranges import Ranges
from components.local.servers.member import slot_name
from components.local.servers.partition_map import MAIN
from components.local.servers.postgres_files import DATABASE, OWNER
from components.local.servers.postgres_session import Connection, parameters
from components.local.servers.postgres_status import MemberStatus
from operations.drivers import local_check_members, local_check_orders
from operations.drivers.local_check_round import Round
from operations.drivers.local_check_seats import Away, Seat, Seats, reason, writes_on
from operations.drivers.local_ground import Ground
from operations.partitions import check, check_homes
from operations.partitions.check import Kind, Suspect
from operations.partitions.check_homes import Claims
from operations.partitions.check_mends import Words
from operations.partitions.check_report import Compared, Outcome, findings
from operations.partitions.move import State

STATEMENT_MS = 30_000
FIRST_COPY = re.compile(r"pg_\d+_sync_.*")  # the slot of a subscription's first copy of a table


def compare(
    grounds: Mapping[str, Ground],
    chosen: Sequence[str],
    *,
    move: Callable[[], State | None],
    command: Callable[..., str],
    tell: Callable[[str], None],
    pauses: Sequence[float] = check.PAUSES,
) -> Outcome:
    """`grounds` are those of every partition; of the chosen ones all is compared. `move` is asked for the move that did
    not come to its end, and `command` writes a command of this stack as a user would type it."""
    with ExitStack() as opened:
        pool = opened.enter_context(ThreadPoolExecutor(max(len(ground.members) for ground in grounds.values())))
        run = Round(grounds=grounds, chosen=chosen, move=move, tell=tell, pauses=pauses, pool=pool)
        for name in grounds:
            if (seats := _seats(run, name, opened)) is not None:
                run.seats[name] = seats
        asked = [run.seats[name] for name in chosen if name in run.seats]
        for seats in asked:
            run.expect(seats)
        compared = [found for seats in asked if (found := _partition(run, seats)) is not None]
        if len(grounds) > 1:
            _homes(run)
        _maps(run)
        return Outcome(
            compared=tuple(compared),
            findings=findings(run.suspects, run.counts, _words(run, command)),
            not_compared=tuple(dict.fromkeys(run.not_compared)),
            under_way=tuple(sorted(run.under_way)),
            seconds=time.monotonic() - run.began,
        )


# --- who can be asked -------------------------------------------------------------------------------------------------


def _seats(run: Round, name: str, opened: ExitStack) -> Seats | None:
    ground = run.grounds[name]
    answered = _answers(ground)
    for region in ground.members.keys() - answered.keys():
        run.skip(ground.members[region].member, "cannot be reached, or does not answer")
    run.steady(partial(_roles, ground))
    writer = _writer(answered)
    seat = _sit(run, ground, writer, opened) if writer is not None else None
    if writer is None or seat is None:
        run.skip(f"partition {name}", "no member that can be reached writes it now")
        return None
    timeline = answered[writer].timeline
    replicas: list[Seat] = []
    for region, status in answered.items():
        if region == writer:
            continue
        member = ground.members[region].member
        if status.role == "writer":
            run.skip(member, f"is no replica of {seat.member}")
        elif not status.streaming or status.timeline != timeline:
            run.skip(member, "does not follow the writer")
        elif (sitting := _sit(run, ground, region, opened)) is not None:
            replicas.append(sitting)
    slots = tuple(slot_name(each) for each in ground.other_members(writer))
    return Seats(partition=name, writer=seat, timeline=timeline, replicas=replicas, slots=slots)


def _answers(ground: Ground) -> dict[str, MemberStatus]:
    regions = ground.reachable(ground.members)
    found = postgres_status.statuses(ground.folder, {each: ground.members[each].endpoint for each in regions})
    return {region: status for region, status in found.items() if status is not None}


def _writer(answered: Mapping[str, MemberStatus]) -> str | None:
    """Whoever was promoted last."""
    writing = [region for region, status in answered.items() if status.role == "writer"]
    return max(writing, key=lambda region: (answered[region].timeline, region), default=None)


def _roles(ground: Ground) -> list[Suspect]:
    """One writes, and it is the one that the map names. A failover that is under way changes that between two looks."""
    name = ground.partition.name
    answered = _answers(ground)
    writer = _writer(answered)
    if writer is None:
        return []
    member = ground.members[writer].member
    found = [
        Suspect(kind="second_writer", partition=name, member=ground.members[region].member, other=member)
        for region, status in answered.items()
        if status.role == "writer" and region != writer
    ]
    known = partition_map.writers(ground.folder, {name: ground.partition.origin})[name]
    if known != writer:
        found.append(Suspect(kind="map_writer", partition=name, member=member, other=known))
    return found


def _sit(run: Round, ground: Ground, region: str, opened: ExitStack) -> Seat | None:
    member = ground.members[region]
    try:
        connection = psycopg.connect(
            **parameters(ground.folder, member.endpoint, OWNER, DATABASE, STATEMENT_MS), autocommit=True
        )
    except (psycopg.Error, ServerFault) as fault:
        run.skip(member.member, reason(fault))
        return None
    opened.callback(connection.close)
    return Seat(member=member.member, region=region, connection=connection)


# --- what is asked ----------------------------------------------------------------------------------------------------


def _partition(run: Round, seats: Seats) -> Compared | None:
    try:
        rows, tables, restless = local_check_members.walk(run, seats)
        local_check_orders.judge(run, seats)
        if len(run.grounds) > 1:
            _across(run, seats)
        run.steady(partial(_left, run, seats))
        if not seats.writer.ask(partial(writes_on, timeline=seats.timeline)):
            raise Away("its writer changed meanwhile; ask again")
    except Away as fault:
        run.forget(seats.partition)
        run.skip(f"partition {seats.partition}", str(fault))
        return None
    return Compared(
        partition=seats.partition,
        writer=seats.writer.member,
        rows=rows,
        tables=tables,
        members=tuple(each.member for each in seats.replicas),
        restless=restless,
    )


def _across(run: Round, seats: Seats) -> None:
    try:
        local_check_orders.across(run, seats)
    except Away as fault:
        run.skip(f"the customers of {seats.partition} with those of other partitions", str(fault))


def _homes(run: Round) -> None:
    if run.seats.keys() != run.grounds.keys():
        missing = ", ".join(sorted(run.grounds.keys() - run.seats.keys()))
        run.skip("who has which homes", f"the writer of {missing} cannot be asked")
        return
    try:
        run.steady(partial(_claims, run))
    except Away as fault:
        run.skip("who has which homes", str(fault))


def _claims(run: Round) -> list[Suspect]:
    known = partition_map.newest(run.folder)
    mapped: Ranges = tuple((first, name) for first, name in (known or {}).get("ranges", [["", MAIN]]))
    databases = run.databases()
    return check_homes.suspects(
        Claims(
            databases=databases,
            slots={name: ground.partition.slot for name, ground in run.grounds.items()},
            members={name: each.writer.member for name, each in run.seats.items()},
            map=mapped,
            move=run.move(),
        )
    )


def _maps(run: Round) -> None:
    def look() -> list[Suspect]:
        newest = partition_map.newest(run.folder)
        ground = next(iter(run.grounds.values()))
        return [
            Suspect(kind="map_old", partition=MAIN, other=region)
            for region in ground.reachable(ground.used)
            if (copy := partition_map.read(run.folder, region)) is None
            or (newest is not None and copy["version"] < newest["version"])
        ]

    run.steady(look)


def _left(run: Round, seats: Seats) -> list[Suspect]:
    writer = seats.writer
    prefix = slot_name(f"{seats.partition}-")
    found = [
        *_left_at(seats, writer, "slot", partial(replication_leftovers.slots, prefix=prefix, wanted=seats.slots)),
        *_left_at(seats, writer, "publication", replication_leftovers.publications),  # the replicas have the same
        *_left_at(seats, writer, "subscription", replication_leftovers.subscriptions),
    ]
    for seat in list(seats.replicas):
        try:
            found += _left_at(seats, seat, "slot", partial(replication_leftovers.slots, prefix=prefix, wanted=()))
        except Away as fault:
            run.skip(seat.member, str(fault))
            seats.replicas.remove(seat)
    move = run.move()  # after they were seen
    if move is None or seats.partition not in (move.source, move.target):
        return found
    run.moving(move)
    return [each for each in found if each.key[0][1] != move.name and not FIRST_COPY.fullmatch(each.key[0][1])]


def _left_at(
    seats: Seats,
    seat: Seat,
    what: Literal["slot", "publication", "subscription"],
    question: Callable[[Connection], list[str]],
) -> list[Suspect]:
    kinds: dict[str, Kind] = {
        "slot": "slot_left",
        "publication": "publication_left",
        "subscription": "subscription_left",
    }
    return [
        Suspect(kind=kinds[what], partition=seats.partition, member=seat.member, key=((what, name),))
        for name in seat.ask(question)
    ]


def _words(run: Round, command: Callable[..., str]) -> Words:
    members = {spec.member: spec for ground in run.grounds.values() for spec in ground.members.values()}
    regions = next(iter(run.grounds.values())).used
    versions = {region: copy["version"] for region in regions if (copy := partition_map.read(run.folder, region))}
    return Words(
        command=command,
        writers={name: each.writer.member for name, each in run.seats.items()},
        folders={name: str(spec.data) for name, spec in members.items()},
        regions={name: spec.region for name, spec in members.items()},
        maps={region: str(paths.partition_map(run.folder, region)) for region in regions},
        newest=max(versions, key=lambda region: versions[region], default=""),
    )
