"""`meridian partition`: which customers each partition has, moving them to another while they order, and comparing."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.local.servers import partition_map
from components.local.servers.addresses import Addresses
from components.local.servers.home_ranges import Ranges
from components.local.servers.postgres_files import DATABASE, OWNER
from components.local.servers.postgres_session import session
from operations import lock
from operations.console import answer, confirm, document, output, say
from operations.drivers import local_check, local_customer
from operations.drivers.local_ground import Ground, as_faults
from operations.drivers.local_move import LocalMove
from operations.engines.choice import outputs_of
from operations.errors import Exit, Refused
from operations.partitions import check_report, homes, journal, move, runner
from operations.partitions.journal import Journal
from operations.stack import Stack
from topology import from_summary
from topology.catalogue import catalogue
from topology.model import Phase
from topology.residency import Residency
from topology.summary import Summary

_COUNTS = "select home, count(*) from public.customers where home >= %s and home < %s group by home"


@dataclass(frozen=True)
class Place:
    """A stack whose partitions can be looked at and changed."""

    stack: Stack
    outputs: Mapping[str, Any]
    running: Summary
    map: Mapping[str, Any]

    @property
    def ranges(self) -> Ranges:
        return partition_map.ranges(self.map)

    def ground(self, partition: str) -> Ground:
        found = self.running.partition(partition)
        if found is None:
            names = ", ".join(each.name for each in self.running.partitions)
            raise Refused(f"partition: {partition!r} is none of this stack's. Allowed: {names}.")
        local = self.stack.settings.local
        return Ground(
            folder=self.stack.folder,
            addresses=Addresses(str(self.outputs["ground"])),
            summary=self.running,
            partition=found,
            vantage=None,
            programs=local.postgres_folder,
        )

    def counts(self, partition: str, first: str, last: str) -> dict[str, int]:
        """Customers by home, at the partition's writer."""
        ground = self.ground(partition)
        member = ground.member(str(self.map["partitions"][partition]["writer"]))
        with as_faults(), session(ground.folder, member.endpoint, OWNER, DATABASE) as connection:
            return {str(home): int(count) for home, count in connection.execute(_COUNTS, (first, last)).fetchall()}


def run(options: argparse.Namespace) -> int:
    stack = Stack.open(options.stack)
    if stack.target != "local":
        raise Refused(
            f"target: partition works on local, and {stack.name} is a stack of the target {stack.target}, where a "
            f"customer stays with the partition that they began in, or the image moves them by its own means. There, "
            f"`{stack.command('preview')}` shows the partitions and who is new to which, and failover, "
            f"switchover and failback move a partition's writer with --partition."
        )
    outputs = outputs_of(stack)
    if not outputs or "topology" not in outputs:
        raise Refused(f"{stack.name} is not up. `{stack.command('up')}` builds it.")
    known = partition_map.newest(stack.folder)
    if known is None:
        raise Refused(f"no region of {stack.name} has a partition map. `{stack.command('up')}` gives it one.")
    place = Place(stack, outputs, from_summary(outputs["topology"]), known)
    if options.action == "list":
        return _list(place, as_json=options.json)
    if options.action == "check":
        return _check(place, options.partition, as_json=options.json)
    with journal.held(stack.folder, f"partition {options.action} --stack {stack.name}"):
        return _move(place, options)


# --- list ------------------------------------------------------------------------------------------------------------


def _list(place: Place, *, as_json: bool) -> int:
    planned = {partition.name: partition for partition in place.stack.topology.partitions}
    found = []
    for partition in place.running.partitions:
        ranges = homes.of(place.ranges, partition.name)
        found.append(
            {
                "name": partition.name,
                "writer": place.map["partitions"].get(partition.name, {}).get("writer"),
                "serves": list(planned[partition.name].serves) if partition.name in planned else [],
                "homes": [list(each) for each in ranges],
                "customers": sum(sum(place.counts(partition.name, *each).values()) for each in ranges),
            }
        )
    unfinished = journal.unfinished(place.stack.folder)
    if as_json:
        document(
            {
                "version": place.map["version"],
                "partitions": found,
                "newcomers": place.map.get("newcomers", {}),
                "unfinished": unfinished.state.name if unfinished else None,
            }
        )
        return Exit.DONE
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("partition", "writer", "customers", "serves", "homes"):
        table.add_column(heading)
    for each in found:
        spans = ", ".join(f"{first or 'the first'} to {last}" for first, last in each["homes"])
        serves = ", ".join(each["serves"]) or "everyone else"
        table.add_row(each["name"], each["writer"] or "?", str(each["customers"]), serves, spans or "none")
    answer(f"{place.stack.name}: partition map version {place.map['version']}")
    output().print()
    output().print(table)
    if unfinished is not None:
        answer(f"unfinished: {unfinished}; `{place.stack.command('partition', 'move', '--resume')}` carries on")
    return Exit.DONE


# --- check -----------------------------------------------------------------------------------------------------------


def _check(place: Place, partition: str | None, *, as_json: bool) -> int:
    if place.running.phase < Phase.ASYNC_REPLICA:
        raise Refused(
            f"phase: {place.stack.name} has one member, and nothing to compare it with. From phase 2 on there is: "
            f"`{place.stack.command('up', '--phase', '2')}`."
        )
    names = [each.name for each in place.running.partitions if each.members]
    if partition is not None and partition not in names:
        raise Refused(f"--partition: {partition!r} is none that runs. Allowed: {', '.join(names)}.")

    def unfinished() -> move.State | None:
        found = journal.unfinished(place.stack.folder)
        return found.state if found is not None else None

    outcome = local_check.compare(
        {name: place.ground(name) for name in names},
        names if partition is None else [partition],
        move=unfinished,
        command=place.stack.command,
        tell=say,
    )
    if as_json:
        document(check_report.document(outcome))
    else:
        for line in check_report.lines(outcome):
            answer(line)
    return Exit.DONE if outcome.well else Exit.FAULT


# --- move ------------------------------------------------------------------------------------------------------------


def _move(place: Place, options: argparse.Namespace) -> int:
    before = journal.unfinished(place.stack.folder)
    if before is None and (options.resume or options.undo):
        raise Refused("there is no unfinished move. Leave --resume and --undo out.")
    if before is not None:
        if not (options.resume or options.undo):
            again = place.stack.command("partition", "move", "--resume")
            raise Refused(f"{before} did not come to its end. `{again}` carries on with it, --undo goes back.")
        if options.undo:
            if not move.can_undo(before.state):
                raise Refused(f"{before} cannot be undone: {before.state.target} may have taken writes. Use --resume.")
            before.note("turned", move.undo(before.state), detail="--undo")
        return _tell([_carry_out(place, before)], as_json=options.json)
    if (holder := lock.holder(place.stack.folder)) is not None:
        raise Refused(f"partition {options.action} waits for {holder} to end: it is changing the stack.")
    wanted = _wanted(place, options)
    for first, last, source in wanted:
        _allow(place, source, options.to)
        customers = sum(place.counts(source, first, last).values())
        say(f"{customers} customers with the homes {first} to {last} go from {source} to {options.to}.")
    say("They can order all the while, but for the moment of the switch. Until then it can be undone.")
    confirm("Go on?", yes=options.yes)
    found: list[dict[str, Any]] = []
    for first, last, source in wanted:
        name = journal.next_name(place.stack.folder)
        state = move.State(name=name, first=first, last=last, source=source, target=options.to)
        found.append(_carry_out(place, journal.new(place.stack.folder, state)))
    return _tell(found, as_json=options.json)


def _wanted(place: Place, options: argparse.Namespace) -> list[tuple[str, str, str]]:
    """From where to where, and whose these homes are."""
    if options.to is None:
        raise Refused(f"--to: name the partition that gets the homes. Allowed: {_names(place)}.")
    place.ground(options.to)
    if options.action == "move":
        if options.homes is None:
            raise Refused(f"--homes: name the homes to move. Allowed: {homes.ALLOWED}.")
        first, last = homes.parse(options.homes)
        found = homes.owners(place.ranges, first, last)
        if len(found) != 1:
            raise Refused(f"--homes: {options.homes} are of {' and '.join(found)}. Move those of one at a time.")
        (source,) = found
        if source == options.to:
            raise Refused(f"--homes: {options.homes} are of {options.to} already.")
        return [(first, last, source)]
    source = options.name
    if place.ground(source).partition.name == options.to:
        raise Refused(f"--to: {options.to} cannot get its own homes. Allowed: the others of {_names(place)}.")
    ranges = homes.of(place.ranges, source)
    if options.action == "merge":
        return [(first, last, source) for first, last in ranges if place.counts(source, first, last)]
    counts = {home: count for each in ranges for home, count in place.counts(source, *each).items()}
    at = homes.half(counts)
    if at is None:
        raise Refused(f"{source} has no two homes with customers, so there is nothing to split.")
    halves = [(max(first, at), last) for first, last in ranges if last > at]
    return [(first, last, source) for first, last in halves if place.counts(source, first, last)]


def _names(place: Place) -> str:
    return ", ".join(partition.name for partition in place.running.partitions)


def _allow(place: Place, source: str, target: str) -> None:
    planned = next((each for each in place.stack.topology.partitions if each.name == source), None)
    if planned is not None:
        rules = Residency(primary=planned.primary_jurisdictions, copies=planned.copy_jurisdictions)
    elif (
        rules := place.ground(source).partition.residency
    ) is None:  # to be given up, and its customers leave it before
        raise Refused(
            f"partitions: {source} is not in them, and where its rows may be is not known. Write it there again."
        )
    homes.require_residency(
        source,
        target,
        rules,
        tuple(place.ground(target).members),
        str(place.map["partitions"][target]["writer"]),
        catalogue(place.running.target),
    )


def _carry_out(place: Place, record: Journal) -> dict[str, Any]:
    state = record.state
    driver = LocalMove(source=place.ground(state.source), target=place.ground(state.target), tell=say)
    try:
        state = runner.Runner(driver, record, say).run()
    finally:
        driver.close()
    if (why := local_customer.prepare(driver.target)) is not None:
        say(f"warning: no customer is prepared whose orders prove later failovers: {why}")
    pause, floor = runner.pause(record), runner.floor(record)
    return {
        "move": state.name,
        "homes": [state.first, state.last],
        "from": state.source,
        "to": state.target,
        "outcome": record.outcome,
        "pause_seconds": round(pause, 3) if pause is not None else None,
        "floor_seconds": round(floor, 3) if floor is not None else None,
    }


def _tell(found: list[dict[str, Any]], *, as_json: bool) -> int:
    if as_json:
        document({"moves": found})
        return Exit.DONE
    for each in found:
        span = " to ".join(each["homes"])
        if each["outcome"] == "undone":
            answer(f"{each['from']} has the homes {span}, as before.")
        else:
            pause, floor = each["pause_seconds"], each["floor_seconds"]
            answer(
                f"{each['to']} has the homes {span} now. Their writes paused for {pause:.2f} s, of which {floor:.2f} s "
                "were for what was in flight, the last change and the first commit."
            )
    if not found:
        answer("There was nothing to move.")
    return Exit.DONE
