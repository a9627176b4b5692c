"""`meridian reconcile`: what a failover left behind at the old writer, listed, exported, or sent again."""

import argparse
import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from operations.console import answer, confirm, document, output, say
from operations.engines.choice import outputs_of
from operations.errors import Exit, Fault, Refused
from operations.project import called_from
from operations.reconciliation import Change, Tail, replay, tails
from operations.stack import Stack


def run(options: argparse.Namespace) -> int:
    stack = Stack.open(options.stack)
    found = _chosen(tails(stack.folder), options.tail)
    match options.action:
        case "list":
            return _list(stack, found, as_json=options.json)
        case "export":
            return _export(found, options.file)
        case _:
            return _replay(stack, found, agreed=options.yes)


def _chosen(found: list[Tail], name: str | None) -> list[Tail]:
    if name is None:
        return found
    chosen = [tail for tail in found if tail.name == name]
    if not chosen:
        known = ", ".join(tail.name for tail in found) or "none: no failover left anything behind"
        raise Refused(f"--tail: there is no {name!r}. Allowed: {known}.")
    return chosen


def _list(stack: Stack, found: list[Tail], *, as_json: bool) -> int:
    if as_json:
        document({"tails": [_described(tail) for tail in found]})
        return Exit.DONE
    if not found:
        answer("No failover left anything behind.")
        return Exit.DONE
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in (
        "tail",
        "saved",
        "old writer",
        "rows",
        "orders",
        "sent again by users",
        "replayed",
        "open",
        "changes",
        "open",
        "in conflict",
    ):
        table.add_column(heading)
    for tail in found:
        again = sum(not order.is_lost for order in tail.orders)
        saved = datetime.fromtimestamp(tail.saved_at, UTC).strftime("%Y-%m-%d %H:%M:%S")
        numbers = (tail.rows, len(tail.orders), again, len(tail.replayed), len(tail.open))
        numbers += (len(tail.changes), len(tail.open_changes), len(tail.conflicts))
        table.add_row(tail.name, saved, tail.region, *map(str, numbers))
    output().print(table)
    for tail in found:
        if tail.found_by == "tables":
            say(
                f"{tail.name}: the old writer's log was gone, so whole tables were compared. Rows that {tail.writer} "
                "has changed or removed since are among its rows."
            )
    for tail in found:
        for change in tail.conflicts:
            say(
                f"{tail.name}: {_named(change)} was made to revision {change.based_on}, and the order is another now "
                "or gone; only a person can say what it should be."
            )
    if any(tail.open or tail.open_changes for tail in found):
        say(f"`{stack.command('reconcile', 'replay')}` sends what is open again, each with its own key.")
    return Exit.DONE


def _named(change: Change) -> str:
    return f"{'the cancellation' if change.cancels else 'the change'} of {change.id} of {change.customer}"


def _described(tail: Tail) -> dict[str, Any]:
    still = {order.id for order in tail.open}
    open_changes, conflicts = set(tail.open_changes), set(tail.conflicts)
    return {
        "name": tail.name,
        "folder": str(tail.folder),
        "partition": tail.partition,
        "region": tail.region,
        "saved_at": tail.saved_at,
        "rows": tail.rows,
        "found_by": tail.found_by,
        "orders": [{**asdict(order), "open": order.id in still} for order in tail.orders],
        "changes": [
            {**asdict(change), "open": change in open_changes, "conflict": change in conflicts}
            for change in tail.changes
        ],
    }


def _export(found: list[Tail], file: str | None) -> int:
    lines = [
        json.dumps({"tail": tail.name, **asdict(each)}, ensure_ascii=False)
        for tail in found
        for each in (*tail.orders, *tail.changes)
    ]
    text = "".join(f"{line}\n" for line in lines)
    if file is None:
        sys.stdout.write(text)
    else:
        called_from(file).write_text(text)
        say(f"{len(lines)} orders and changes are in {file}")
    return Exit.DONE


def _replay(stack: Stack, found: list[Tail], *, agreed: bool) -> int:
    count = sum(len(tail.open) + len(tail.open_changes) for tail in found)
    if count == 0:
        answer("There is nothing to send again.")
        return Exit.DONE
    outputs = outputs_of(stack)
    if not outputs or "entry" not in outputs:
        raise Refused(f"{stack.name} is not up, so nobody would take them. `{stack.command('up')}` builds it.")
    confirm(f"Send {count} orders and changes again? Users may have bought elsewhere meanwhile.", yes=agreed)
    results = [result for tail in found for result in replay(tail, str(outputs["entry"]))]
    failed = [result for result in results if not result.placed]
    answer(f"{len(results) - len(failed)} of {len(results)} orders and changes were done.")
    for result in failed:
        say(f"  {result.order.id} of {result.order.customer}: {result.status or 'not sent'} {result.why}".rstrip())
    if failed:
        again = stack.command("reconcile", "replay")
        raise Fault(f"{len(failed)} orders and changes are still open; `{again}` tries them again")
    return Exit.DONE
