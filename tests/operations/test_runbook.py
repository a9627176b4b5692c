"""The runbook names what is, and every command in it can be typed."""

import re
import shlex
from collections.abc import Mapping
from typing import Any

import pytest

from operations.cli import parser
from operations.runbook import Book, markdown
from topology import load, plan
from topology.model import Phase
from topology.recovery import Drill
from topology.witnesses import keepers

REGIONS = [{"name": name} for name in ("eu-central", "us-east", "ap-northeast")]


def book(phase: int, writer: str | None = "us-east", **settings: Any) -> Book:
    topology = plan(load({"target": "local", "phase": str(phase), "regions": REGIONS, **settings}, "shop"))
    return Book(
        topology=topology,
        stack="shop",
        command="./meridian {} --stack shop",
        written="2026-11-21 12:00 UTC",
        entry="http://127.20.0.1:8080",
        writers={"main": writer},
        leases={"main": "held by us-east, term 2"} if keepers(topology) else {},
        keepers=keepers(topology),
    )


def commands(text: str) -> list[list[str]]:
    fenced = re.findall(r"^\./meridian [^#\n]*", text, re.MULTILINE)
    inline = re.findall(r"`(\./meridian [^`]*)`", text)
    return [shlex.split(line)[1:] for line in (*fenced, *inline)]


@pytest.mark.parametrize("phase", [1, 2, 3, 4])
def test_every_command_can_be_typed(phase: int) -> None:
    found = commands(markdown(book(phase)))
    assert {words[0] for words in found} >= {"status", "watch", "logs", "up", "runbook", "restore"}
    if phase > 1:
        assert {"failover", "failback", "switchover", "reconcile"} <= {words[0] for words in found}
    for words in found:
        given = parser().parse_args(words)  # ends the program where it cannot be typed
        assert given.stack == "shop"


def test_names_are_those_of_what_runs() -> None:
    text = markdown(book(4))
    assert "Written now: `main` by us-east" in text
    assert "./meridian failover --from eu-central --stack shop" in text
    assert "./meridian failback --to us-east --rejoin-only --stack shop" in text
    assert "Lease of `main`: held by us-east, term 2." in text
    assert "unknown region" in markdown(book(4, writer=None))


def test_where_there_is_no_lease_the_old_writer_is_a_persons_business() -> None:
    alone = markdown(book(2, writer="eu-central"))
    assert "\n./meridian failover --from us-east --old-writer-is-fenced --despite-capacity --stack shop\n" in alone
    assert "no service: users come back with eu-central" in alone
    leased = markdown(book(3, writer="eu-central"))
    assert "needs no hand" in leased
    assert "\n./meridian failover --from us-east --stack shop\n" in leased
    assert "is lost\n" not in markdown(book(1))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "A person decides"),
        ({"failover": '{"automatic": true}', "objectives": '{"rpo_seconds": 7}'}, "moves the writer by itself"),
        ({"objectives": '{"rpo_seconds": 7}'}, "at most 7 s of writes"),
    ],
)
def test_it_says_who_decides(settings: Mapping[str, Any], words: str) -> None:
    assert words in markdown(book(4, **settings))


def test_this_stacks_own_drills_go_before_other_figures() -> None:
    drill = Drill(
        scenario="lost-region",
        day="2026-11-20",
        phase=Phase.MULTI_REGION_READS,
        durability="async",
        event="region",
        objective="rto",
        seconds=4.5,
    )
    given = book(4)
    text = markdown(Book(**{**given.__dict__, "drills": (drill,), "table": "| a table |"}))
    assert "1 drill of this stack (lost-region), from the fault, detection included; on 2026-11-20" in text
    assert "| a table |" in text
    assert "No drill was ever run" in markdown(given)
