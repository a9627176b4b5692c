"""`meridian status` of a stack on a cloud: what the cloud itself says of its members, and of who takes users."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from operations.console import answer, document, output
from operations.failover import drivers
from operations.failover.driver import MemberFacts, Observation
from operations.stack import Stack
from topology import from_summary


def run(stack: Stack, outputs: Mapping[str, Any], operation: dict[str, Any] | None, *, as_json: bool) -> None:
    summary = from_summary(outputs["topology"])
    seen = {
        partition.name: drivers.open_driver(stack, outputs, partition.name, None).observe()
        for partition in summary.partitions
        if partition.members
    }
    found = {
        "phase": summary.phase.label,
        "entry": outputs["entry"],
        "partitions": [as_document(name, each) for name, each in seen.items()],
        "operation": operation,
    }
    if as_json:
        document(found)
        return
    answer(f"{stack.name}: {found['phase']}, entry {found['entry']}")
    show(seen)
    for name, each in seen.items():
        answer(f"{name}: written by {each.writer or 'nobody that can be seen'}")
        for region, facts in each.members.items():
            if not facts.can_take_load:
                answer(f"  {region} could not take over as it is: {facts.why_not}")
    if operation is not None:
        answer(f"unfinished: {operation['text']}; `{operation['resume']}` carries on")


def as_document(partition: str, seen: Observation) -> dict[str, Any]:
    return {
        "name": partition,
        "writer": seen.writer,
        "members": {region: asdict(facts) for region, facts in seen.members.items()},
        "admitted": sorted(seen.admitted),
        "vantages": seen.vantages,
        "pointers": seen.pointers,
    }


def show(seen: Mapping[str, Observation]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("partition", "region", "role", "reachable", "lag", "users", "could take over"):
        table.add_column(heading)
    for name, each in seen.items():
        for region, facts in each.members.items():
            table.add_row(*cells(name, region, facts, each))
    output().print()
    output().print(table)
    output().print()


def cells(partition: str, region: str, facts: MemberFacts, seen: Observation) -> list[str]:
    return [
        partition,
        region,
        facts.role or "unknown",
        "yes" if facts.reachable else "no",
        "-" if region == seen.writer else "?" if facts.lag_seconds is None else f"{facts.lag_seconds:.1f} s",
        "admitted" if region in seen.admitted else "-",
        "-" if region == seen.writer else "yes" if facts.can_take_load else "no",
    ]
