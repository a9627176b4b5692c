"""A run in words and as a document: before it acts, and after."""

from typing import Any

from operations.console import say
from operations.failover.driver import MemberFacts, Observation
from operations.failover.journal import Journal
from operations.failover.protocol import State, script

PAUSE_BEGINS = "hold_writes"
PAUSE_ENDS = "point"


def show_plan(stack: str, state: State, now: Observation, notes: tuple[str, ...]) -> None:
    """On stderr, so that stdout stays the result's."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    say(f"{state.kind} of {state.partition} in {stack}: {headline(state)}")
    say(f"It may lose {state.loss}." if not state.loss.nothing else "It loses nothing.")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("member", "role", "received", "behind", "writes", "load", ""):
        table.add_column(heading)
    for region, facts in now.members.items():
        table.add_row(*(Text(cell) for cell in _row(region, facts, state)))
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(table)
    if now.lease is not None:
        say(f"lease: {now.lease.holder or 'nobody'}, term {now.lease.term}, {now.lease.left_seconds:.1f} s left")
    for number, step in enumerate(script(state), 1):
        say(f"{number:>3}. {step}")
    for note in notes:
        say(f"note: {note}")


def _row(region: str, facts: MemberFacts, state: State) -> tuple[str, ...]:
    if not facts.reachable:
        return region, facts.role or "unreachable", "?", "?", "?", "?", _mark(region, state)
    behind = "?" if facts.lag_bytes is None else f"{facts.lag_bytes:,} B"
    if facts.lag_seconds is not None:
        behind += f", {facts.lag_seconds:.1f} s"
    received = (
        "?" if facts.received_lsn is None else f"{facts.received_lsn >> 32:X}/{facts.received_lsn & 0xFFFFFFFF:X}"
    )
    return (
        region,
        facts.role or "?",
        received,
        behind,
        "yes" if facts.accepts_writes else "no",
        "can take it" if facts.can_take_load else facts.why_not or "cannot take it",
        _mark(region, state),
    )


def _mark(region: str, state: State) -> str:
    return "becomes the writer" if region == state.target != state.writer else ""


def headline(state: State) -> str:
    if state.kind == "rejoin":
        return f"{state.away} becomes a replica of {state.writer}"
    back = f"{state.away} comes back as a replica, then " if state.away else ""
    return f"{back}{state.target} becomes the writer instead of {state.writer}"


def summary(record: Journal, state: State) -> dict[str, Any]:
    return {
        "operation": record.number,
        "kind": state.kind,
        "partition": state.partition,
        "from": state.writer,
        "to": state.target,
        "outcome": record.outcome,
        "term": state.term,
        "fenced": state.fenced.how if state.fenced else None,
        "announced_loss": {"seconds": state.announced.seconds, "bytes": state.announced.bytes},
        "may_have_lost": {"seconds": state.loss.seconds, "bytes": state.loss.bytes},
        "seconds": round(record.events[-1]["at"] - record.since, 3),
        "pause_seconds": pause(record),
        "steps": [
            {key: event[key] for key in ("step", "seconds", "detail", "already")} for event in record.durations()
        ],
    }


def pause(record: Journal) -> float | None:
    """How long this run itself kept writes waiting: from the hold until they were pointed at the new writer.

    In an unplanned failover the writes stood still before the run began; what counts there is the whole run.
    """
    began = [event["at"] for event in record.events if event.get("step", "").startswith(PAUSE_BEGINS)]
    ended = [
        event["at"]
        for event in record.events
        if event.get("step", "").startswith(PAUSE_ENDS) and event["what"] == "ended"
    ]
    if not ended:
        return None
    return round(ended[-1] - (began[0] if began else record.since), 3)


def sentence(state: State, found: dict[str, Any]) -> str:
    seconds = f"{found['seconds']:.1f} s"
    if found["outcome"] == "undone":
        return f"{state.writer} writes {state.partition}, as before; undone after {seconds}."
    if state.kind == "rejoin":
        return f"{state.away} is a replica of {state.writer} again, after {seconds}."
    paused = f"; writes stood still for {found['pause_seconds']:.2f} s of it" if found["pause_seconds"] else ""
    lost = "" if state.loss.nothing else f" It may have lost {state.loss}; `reconcile list` shows what is found."
    return f"{state.target} writes {state.partition}, after {seconds}{paused}.{lost}"
