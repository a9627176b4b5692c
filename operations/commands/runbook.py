"""`meridian runbook`: the runbook of this stack as it stands now."""

import argparse
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from components.local.servers import paths
from operations.console import answer, say
from operations.drill import history, report
from operations.engines.choice import outputs_of
from operations.errors import Exit, Fault, Refused
from operations.project import called_from
from operations.runbook import Book, markdown
from operations.stack import Stack
from topology.plan import plan
from topology.summary import Summary, from_summary
from topology.witnesses import keepers


def run(options: argparse.Namespace) -> int:
    stack = Stack.open(options.stack)
    outputs = outputs_of(stack)
    running = from_summary(outputs["topology"]) if outputs and "topology" in outputs else None
    topology = stack.topology
    if running is not None and running.phase is not topology.phase:
        # What runs counts: the settings may be a step ahead.
        topology = plan(stack.settings.model_copy(update={"phase": running.phase}))
    observed = _observed(stack, outputs, running) if outputs and running is not None else {}
    found = history.read(stack.folder)
    book = Book(
        topology=topology,
        stack=stack.name,
        command=f"./meridian {{}} --stack {stack.name}",
        written=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        entry=str(outputs["entry"]) if outputs and outputs.get("entry") else None,
        writers={each.name: observed.get(each.name, (None, None))[0] for each in topology.partitions},
        leases={name: lease for name, (_, lease) in observed.items() if lease},
        keepers=keepers(topology),
        drills=history.drills(stack.folder),
        table=report.table(found) if found else "",
    )
    text = markdown(book)
    if options.file is None:
        answer(text)
    else:
        paths.write_atomic(called_from(options.file), text, 0o644)
        say(f"written to {options.file}")
    return Exit.DONE


def _observed(stack: Stack, outputs: Mapping[str, Any], running: Summary) -> dict[str, tuple[str | None, str | None]]:
    """By partition, who writes and what the keepers say; what cannot be asked now is left out."""
    from components.local.servers.errors import ServerFault
    from operations.failover import drivers

    found: dict[str, tuple[str | None, str | None]] = {}
    for partition in running.partitions:
        with suppress(Fault, Refused, ServerFault):
            now = drivers.open_driver(stack, outputs, partition.name, None).observe()
            lease = None
            if now.lease is not None:
                lease = f"held by {now.lease.holder or 'nobody'}, term {now.lease.term}"
            found[partition.name] = (now.writer, lease)
    return found
