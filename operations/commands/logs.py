"""`meridian logs`: the servers' logs, a region's or a server's."""

import argparse
import sys

from operations.drivers import local
from operations.errors import Exit, Refused
from operations.stack import Stack


def run(options: argparse.Namespace) -> int:
    stack = Stack.open(options.stack)

    def found() -> list[local.Log]:
        every = local.logs(stack.folder)
        return [log for log in every if options.where is None or options.where in log.words]

    chosen = found()
    if not chosen and not options.follow:
        every = local.logs(stack.folder)
        if not every:
            raise Refused(
                f"{stack.name} has no logs in {stack.folder}: it is not up. `{stack.command('up')}` builds it"
            )
        known = sorted({word for log in every for word in log.words})
        raise Refused(f"where: there is no log of {options.where!r}. Allowed: {', '.join(known)}")
    ends = {}
    for log in chosen:
        lines, ends[log.path] = local.tail(log.path, options.lines)
        for line in lines:
            tell(log, line)
    if options.follow:
        local.follow(found, ends, tell)
    return Exit.DONE


def tell(log: local.Log, line: str) -> None:
    sys.stdout.write(f"{log.label} | {line}\n")
    sys.stdout.flush()
