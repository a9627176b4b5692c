"""`meridian restore`: a partition as it was at some time, beside its members, and rows from there."""

import argparse
from datetime import datetime
from typing import TYPE_CHECKING, Any

from operations import lock
from operations.commands.backup import opened
from operations.console import answer, confirm, document, say
from operations.errors import Exit, Refused
from operations.failover.journal import refuse_unfinished
from operations.partitions import journal as moves
from operations.project import called_from

if TYPE_CHECKING:
    from components.local.servers.restored import Reached
    from operations.drivers.local_restore import Backups
    from operations.stack import Stack

LOCK = "restore-lock"


def run(options: argparse.Namespace) -> int:
    if not (options.to or options.copy or options.drop):
        raise Refused("restore: nothing to do. Name a time with --to, a table with --copy, or --drop.")
    if options.drop and (options.to or options.copy or options.into):
        raise Refused("--drop: takes away what was restored, and goes with no --to, --into or --copy.")
    if options.into and not options.to:
        raise Refused("--into: says where a restore goes, and goes with --to.")
    to = None if options.to is None else moment(options.to)
    stack, backups = opened(options.stack, options.partition)
    with lock.held(stack.folder, f"restore --stack {stack.name} --partition {options.partition}", LOCK):
        if options.drop:
            return _drop(options, backups)
        found: dict[str, Any] = {"partition": options.partition}
        if to is not None:
            found |= _restore(options, backups, to)
            if not options.json:
                _show(stack, found)
        if options.copy:
            refuse_unfinished(stack, "restore --copy")
            moves.refuse_unfinished(stack, "restore --copy")
            found |= _copy(options, backups)
    if options.json:
        document(found)
    return Exit.DONE


def moment(text: str) -> float:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        lacks = "has no time zone" if found is not None else "is no time"
        raise Refused(
            f"--to: {text!r} {lacks}. Allowed: ISO 8601 with a zone, as 2026-03-01T14:05:00Z or "
            "2026-03-01T15:05:00.250+01:00."
        )
    return found.timestamp()


def _restore(options: argparse.Namespace, backups: "Backups", to: float) -> dict[str, Any]:
    from operations.drivers.local_restore import iso

    backup = backups.base(to)
    if (before := backups.restored()) is not None:
        say(f"{options.partition} is restored already, in {before}. This takes that away.")
        confirm("Go on?", yes=options.yes)
        backups.drop()
    say(f"restoring {options.partition} as of {iso(to)}, from the backup of {iso(backup.ended)}")
    into = called_from(options.into).absolute() if options.into else None
    reached = backups.restore(to, into)
    return _reached(backups, reached)


def _reached(backups: "Backups", reached: "Reached") -> dict[str, Any]:
    from operations.drivers.local_restore import iso

    spec = backups.spec()
    return {
        "to": iso(reached.to),
        "whole": reached.whole,
        "last_commit": iso(reached.last) if reached.last is not None else None,
        "lsn": reached.lsn,
        "backup": reached.backup,
        "endpoint": str(spec.endpoint),
        "folder": str(spec.into),
        "member": spec.member,
    }


def _show(stack: "Stack", found: dict[str, Any]) -> None:
    last = found["last_commit"] or "none since the backup"
    answer(f"{found['partition']} as of {found['to']} is at {found['endpoint']}, read-only ({found['folder']}).")
    answer(f"Its last transaction: {last}, at {found['lsn']}.")
    if not found["whole"]:
        say(
            "warning: the archived log ends before that time, and no writer could be asked for the rest: what was "
            "committed after the last transaction is not in it"
        )
    answer("")
    answer(f"  {stack.command('psql', found['member'], '--owner')}")
    answer(f"  {stack.command('restore', '--copy', 'TABLE', *_partition(found))}   brings a table's missing rows back")
    answer(f"  {stack.command('restore', '--drop', *_partition(found))}   takes it away again")


def _partition(found: dict[str, Any]) -> tuple[str, ...]:
    return () if found["partition"] == "main" else ("--partition", found["partition"])


def _copy(options: argparse.Namespace, backups: "Backups") -> dict[str, Any]:
    with backups.copying(options.copy) as pending:
        found = pending.found
        if found.there:
            say(f"{found.table}: {found.rows} rows were there then; {found.missing} of them are missing now.")
        else:
            say(f"{found.table} is not there now. It would be made as it was, with {found.rows} rows.")
        added = 0
        if found.missing or not found.there:
            confirm("Bring them back?", yes=options.yes)
            added = pending.apply()
    if not options.json:
        answer(f"{found.table}: {added} rows were brought back{'' if found.there else ', and the table itself'}.")
    return {"table": found.table, "made": not found.there, "rows": found.rows, "added": added}


def _drop(options: argparse.Namespace, backups: "Backups") -> int:
    dropped = backups.drop()
    if options.json:
        document({"partition": options.partition, "dropped": dropped})
    else:
        answer(f"What was restored of {options.partition} is gone." if dropped else "Nothing was restored.")
    return Exit.DONE
