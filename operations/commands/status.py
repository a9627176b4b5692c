"""`meridian status`: how each region is doing, asked of the servers themselves."""

import argparse
from dataclasses import asdict
from typing import Any

from operations.console import answer, document, output, say
from operations.engines.choice import holding
from operations.errors import Exit, Refused
from operations.stack import Stack

NOT_UP: dict[str, Any] = {"phase": None, "entry": None, "regions": []}

GOOD = {"up", "healthy", "writer", "replica", "yes"}
BAD = {"down", "unhealthy", "no", "unreachable"}


def run(options: argparse.Namespace) -> int:
    stack = Stack.open(options.stack)
    engine = holding(stack)
    outputs = engine.outputs() if engine is not None else None
    if outputs and stack.target != "local":
        raise Refused(
            f"target: status asks the servers of a local stack. {stack.name} is on {stack.target}, where the alarms of "
            "each region watch; its addresses are in `pulumi stack output`."
        )
    if outputs is None or not {"topology", "ground", "entry"} <= set(outputs):
        if options.json:
            document(NOT_UP)
        elif engine is not None and engine.has_stack():
            answer(f"{stack.name} is not up yet: an `up` did not come to its end. `{stack.command('up')}` carries on.")
        else:
            answer(f"{stack.name} is not up. `{stack.command('up')}` builds it.")
        return Exit.DONE
    from operations.drivers.local import look
    from topology import from_summary

    summary = from_summary(outputs["topology"])
    regions = look(stack.folder, str(outputs["ground"]), summary)
    found = {"phase": summary.phase.label, "entry": outputs["entry"], "regions": [asdict(region) for region in regions]}
    if options.json:
        document(found)
    else:
        show(stack.name, found)
        if any("down" in (region.gateway, region.cache, region.service) for region in regions):
            say(f"`{stack.command('up')}` starts what should run and does not; data are kept.")
    return Exit.DONE


def show(name: str, found: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    answer(f"{name}: {found['phase']}, entry {found['entry']}")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    headings = ("region", "serving", "ready", "gateway", "service", "cache", "entry", "member", "role", "lag")
    for heading in headings:
        table.add_column(heading)
    for region in found["regions"]:
        serves = region["service"] != "absent"
        cells = [
            region["name"],
            region["serving"],
            ("yes" if region["ready"] else "no") if serves else "-",
            *(region[part] for part in ("gateway", "service", "cache")),
            region["entry"] or "unreachable",
        ]
        rows = [[member["name"], member["role"] or "unreachable", lag(member)] for member in region["members"]]
        for index, row in enumerate(rows or [["-", "-", "-"]]):
            words = [*(cells if index == 0 else [""] * len(cells)), *row]
            table.add_row(*(Text("-" if word == "absent" else word, style(word)) for word in words))
    output().print()
    output().print(table)


def lag(member: dict[str, Any]) -> str:
    if member["lag_bytes"] is None:
        return "?"
    delay = "" if member["lag_ms"] is None else f", {member['lag_ms']:g} ms"
    return f"{member['lag_bytes']} B{delay}"


def style(word: str) -> str:
    return "green" if word in GOOD else "red" if word in BAD else ""
