"""`meridian backup`: a base backup of a partition now, and what there is to restore from."""

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from components.local.servers.errors import ServerFault
from operations import lock
from operations.console import answer, document, say
from operations.errors import Exit, Fault, Refused
from operations.stack import Stack

if TYPE_CHECKING:
    from operations.drivers.local_restore import Backups
    from topology.summary import Summary

LOCK = "backup-lock"


def run(options: argparse.Namespace) -> int:
    stack, backups = opened(options.stack, options.partition)
    gone, files = 0, 0
    if not options.list:
        if options.keep < 1:
            raise Refused(f"--keep: {options.keep} would leave nothing to restore from. Allowed: 1 or more.")
        with lock.held(stack.folder, f"backup --stack {stack.name} --partition {options.partition}", LOCK):
            backups.take()
            old, files = backups.keep(options.keep)
            gone = len(old)
    found = seen(backups)
    if options.json:
        document({**found, "deleted": gone, "deleted_log_files": files})
    else:
        _show(found)
        if gone:
            answer(f"Deleted {gone} older one{'' if gone == 1 else 's'} and {files} files of the log from before.")
    return Exit.DONE


def opened(name: str, partition: str) -> tuple[Stack, "Backups"]:
    """A partition of a local stack that is up."""
    from operations.engines.choice import outputs_of

    stack = Stack.open(name)
    outputs = outputs_of(stack)
    if not outputs or "topology" not in outputs:
        raise Refused(f"{stack.name} is not up. `{stack.command('up')}` builds it.")
    if stack.target != "local":
        raise Refused(
            f"target: {stack.name} is on {stack.target}, which backs its databases up by itself and restores them by "
            f"its own console and API; docs/{stack.target}/backup.md says what is kept and where."
        )
    from operations.drivers.local_restore import Backups
    from topology import from_summary

    return stack, Backups.of(stack, outputs, from_summary(outputs["topology"]), partition)


def take_first(stack: Stack, outputs: Mapping[str, Any], running: "Summary") -> None:
    """A base backup of every partition that has none. The stack is up without it, so what goes wrong is only said."""
    from operations.drivers.local_restore import Backups

    for partition in running.partitions:
        try:
            backups = Backups.of(stack, outputs, running, partition.name)
            if backups.all():
                continue
            with lock.held(stack.folder, f"up --stack {stack.name}", LOCK):
                backups.take()
        except (Fault, Refused, ServerFault) as fault:
            say(f"warning: {partition.name} is not backed up: {fault}. `{stack.command('backup')}` tries again")


def seen(backups: "Backups") -> dict[str, Any]:
    from operations.drivers.local_restore import iso

    found = backups.all()
    archiver = backups.archiver()
    writer = backups.writer()
    return {
        "partition": backups.partition,
        "vault": backups.vault.region,
        "folder": str(backups.vault.folder),
        "outside": writer is None or writer.region != backups.vault.region,
        "from": iso(found[0].ended) if found else None,
        "archived": iso(archiver.last) if archiver is not None and archiver.last is not None else None,
        "problem": "no writer answers" if archiver is None else archiver.problem,
        "backups": [
            {"name": each.name, "of": each.member, "ended": iso(each.ended), "bytes": each.bytes} for each in found
        ],
    }


def _show(found: dict[str, Any]) -> None:
    answer(f"{found['partition']}: kept in {found['vault']}, {found['folder']}")
    if not found["outside"]:
        say(f"warning: {found['partition']} is written in {found['vault']} too: who loses that region loses both")
    for each in found["backups"]:
        answer(f"  {each['ended']}  {each['bytes'] / 2**20:6.1f} MB  of {each['of']}")
    if found["from"] is None:
        answer("There is none yet.")
    else:
        answer(f"Any time from {found['from']} on can be restored; the log was archived last at {found['archived']}.")
    if found["problem"] is not None:
        say(f"warning: {found['problem']}")
