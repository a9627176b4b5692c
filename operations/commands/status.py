"""`meridian status`: how each region is doing, asked of the servers themselves."""

import argparse
import contextlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from operations import lock
from operations.console import answer, document, output, say
from operations.engines.choice import holding
from operations.errors import Exit, Fault
from operations.stack import Stack

if TYPE_CHECKING:
    from operations.drivers.local import RegionView
    from topology import Summary

NOT_UP: dict[str, Any] = {"phase": None, "entry": None, "regions": []}

GOOD = {"up", "healthy", "writer", "replica", "yes"}
FAIR = {"degraded", "partly", "held out"}
BAD = {"down", "unhealthy", "no", "unreachable"}


def run(options: argparse.Namespace) -> int:
    stack = Stack.open(options.stack)
    engine = holding(stack)
    outputs = engine.outputs() if engine is not None else None
    if outputs is None or not {"topology", "ground", "entry"} <= set(outputs):
        if options.json:
            document(NOT_UP)
        elif engine is not None and engine.has_stack():
            answer(f"{stack.name} is not up yet: an `up` did not come to its end. `{stack.command('up')}` carries on.")
        else:
            answer(f"{stack.name} is not up. `{stack.command('up')}` builds it.")
        return Exit.DONE
    if stack.target != "local":
        from operations.commands import status_cloud

        status_cloud.run(stack, outputs, unfinished(stack), as_json=options.json)
        return Exit.DONE
    from operations.drivers.local import keepers_of, look
    from topology import from_summary

    summary = from_summary(outputs["topology"])
    with ThreadPoolExecutor(2) as pool:  # the keepers and the servers are asked at the same time
        asked = pool.submit(leases, stack, outputs, summary)
        voting = pool.submit(keepers_of, stack.folder, str(outputs["ground"]), summary)
        regions = look(stack.folder, str(outputs["ground"]), summary)
        held, voters = asked.result(), voting.result()
    found = {
        "phase": summary.phase.label,
        "entry": outputs["entry"],
        "regions": [{**asdict(region), "keeper": voters[region.name]} for region in regions],
        "witnesses": [
            {"name": region.name, "keeper": voters[region.name]}
            for region in summary.regions
            if voters[region.name] != "absent" and not region.in_use
        ],
        "partitions": [
            {"name": partition.name, "writers": writers(partition.name, regions), "lease": held.get(partition.name)}
            for partition in summary.partitions
        ],
        "operation": unfinished(stack),
        "move": unfinished_move(stack),
    }
    if options.json:
        document(found)
    else:
        show(stack.name, found)
        parts = [part for region in regions for part in (region.gateway, region.cache, region.service)]
        if "down" in (*parts, *voters.values()):
            say(f"`{stack.command('up')}` starts what should run and does not; data are kept.")
    return Exit.DONE


def show(name: str, found: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    answer(f"{name}: {found['phase']}, entry {found['entry']}")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    parts = ("gateway", "service", "cache", "keeper")
    for heading in ("region", "serving", "ready", *parts, "entry", "member", "role", "lag"):
        table.add_column(heading)
    for region in found["regions"]:
        serves = region["service"] != "absent"
        cells = [
            region["name"],
            region["serving"],
            ("yes" if region["ready"] else "no") if serves else "-",
            *(region[part] for part in parts),
            region["entry"] or "unreachable",
        ]
        rows = [[member["name"], member["role"] or "unreachable", lag(member)] for member in region["members"]]
        for index, row in enumerate(rows or [["-", "-", "-"]]):
            words = [*(cells if index == 0 else [""] * len(cells)), *row]
            table.add_row(*(Text("-" if word == "absent" else word, style(word)) for word in words))
    for witness in found["witnesses"]:
        words = [witness["name"], "witness", *["-"] * len(parts), witness["keeper"], *["-"] * 4]
        table.add_row(*(Text(word, style(word)) for word in words))
    output().print()
    output().print(table)
    output().print()
    for partition in found["partitions"]:
        answer(f"{partition['name']}: {writer_text(partition)}")
    if found["operation"] is not None:
        answer(f"unfinished: {found['operation']['text']}; `{found['operation']['resume']}` carries on")
    if found["move"] is not None:
        answer(f"unfinished: {found['move']['text']}; `{found['move']['resume']}` carries on")


def leases(stack: Stack, outputs: Mapping[str, Any], summary: "Summary") -> dict[str, dict[str, Any]]:
    """What the keepers say of each partition that can change its writer; nothing of one where nobody answers."""
    from components.local.servers.errors import ServerFault
    from operations.failover import drivers
    from topology.witnesses import keepers

    found: dict[str, dict[str, Any]] = {}
    if not keepers(summary):
        return found
    for partition in summary.partitions:
        if len(partition.members) > 1:
            with contextlib.suppress(Fault, ServerFault):
                lease = drivers.open_driver(stack, outputs, partition.name, None).observe().lease
                found.update({partition.name: asdict(lease)} if lease is not None else {})
    return found


def writers(partition: str, regions: list["RegionView"]) -> list[str]:
    """Every region whose member says that it writes: after a failover the old one may still say so."""
    return [
        region.name
        for region in regions
        for member in region.members
        if member.partition == partition and member.role == "writer"
    ]


def unfinished(stack: Stack) -> dict[str, Any] | None:
    from operations.failover import journal

    found = journal.unfinished(stack.folder)
    if found is None:
        return None
    running = lock.holder(stack.folder, lock.OPERATION)
    return {
        "number": found.number,
        "kind": found.state.kind,
        "partition": found.state.partition,
        "running": running,
        "text": str(found),
        "resume": journal.resume_command(stack, found.state),
    }


def unfinished_move(stack: Stack) -> dict[str, Any] | None:
    """Of homes to another partition. Between its closing and its opening they are written nowhere."""
    from operations.partitions import journal

    found = journal.unfinished(stack.folder)
    if found is None:
        return None
    return {
        "name": found.state.name,
        "running": lock.holder(stack.folder, lock.MOVE),
        "text": str(found),
        "resume": stack.command("partition", "move", "--resume"),
    }


def writer_text(partition: dict[str, Any]) -> str:
    told = " and ".join(partition["writers"]) or "nobody that can be reached"
    lease = partition["lease"]
    if lease is None:
        return f"written by {told}"
    quorum = "" if lease["quorum_reachable"] else ", no majority of the keepers can be reached"
    holder = lease["holder"] or "nobody"
    return f"written by {told}; lease of term {lease['term']}: {holder}, {lease['left_seconds']:.1f} s left{quorum}"


def lag(member: dict[str, Any]) -> str:
    if member["lag_bytes"] is None:
        return "?"
    delay = "" if member["lag_ms"] is None else f", {member['lag_ms']:g} ms"
    return f"{member['lag_bytes']} B{delay}"


def style(word: str) -> str:
    return "green" if word in GOOD else "yellow" if word in FAIR else "red" if word in BAD else ""
