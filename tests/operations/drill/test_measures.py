"""Figures from made-up ledgers and logs, where the right answer is known."""

from datetime import UTC, datetime
from typing import Any

import pytest

from operations.drill import measures, servers
from operations.drill.measures import Window

ZERO = datetime(2026, 11, 21, 12, 0, tzinfo=UTC).timestamp()


def stamp(seconds: float) -> str:
    return datetime.fromtimestamp(ZERO + seconds, UTC).isoformat()


def write(ended: float, region: str = "a", *, took: float = 0.01, written: str = "a", **more: Any) -> dict[str, Any]:
    return {
        "kind": "write",
        "region": region,
        "begun": ended - took,
        "ended": ended,
        "tries": 1,
        "status": 201,
        "id": f"{region}-{ended}",
        "at": stamp(ended),
        "written": written,
        **more,
    }


def failed(ended: float, region: str = "a", *, took: float = 2.0) -> dict[str, Any]:
    return {
        "kind": "write",
        "region": region,
        "begun": ended - took,
        "ended": ended,
        "tries": 2,
        "said": ["503", "503"],
    }


def test_what_is_of_another_partition_is_left_out_and_what_nobody_can_tell_is_not() -> None:
    ours = write(1.0, customer="ada", partition="americas")
    theirs = write(2.0, customer="bob", partition="main")
    lost, other, new = ({**failed(3.0), "customer": who} for who in ("ada", "bob", "eve"))
    reads = [{"kind": "read", "id": each["id"], "status": 200} for each in (ours, theirs)]
    everything = [ours, theirs, lost, other, new, *reads]
    assert measures.of_partition(everything, "americas") == [ours, lost, new, reads[0]]
    assert measures.of_partition(everything, "main") == [theirs, other, new, reads[1]]
    # A customer who was moved meanwhile: each order is whose it was.
    moved = write(4.0, customer="ada", partition="main")
    assert measures.of_partition([ours, moved], "americas") == [ours]
    before = [write(1.0), failed(2.0)]  # no partition is named
    assert measures.of_partition(before, "main") == before
    assert measures.of_partition(everything, "americas", unknown=False) == [ours, lost, reads[0]]


def test_a_gap_is_the_time_between_two_answers_and_the_ends_count() -> None:
    records = [write(1.0), write(1.1), write(4.1), write(4.2), write(4.9)]
    seen = measures.seen(records, "write", Window(begin=1.0, end=5.0))
    assert seen.longest_gap == pytest.approx(3.0)
    assert seen.unavailable == pytest.approx(3.0 + 0.7)
    nothing = measures.seen([], "write", Window(begin=1.0, end=5.0))
    assert (nothing.longest_gap, nothing.unavailable, nothing.p50_ms) == (4.0, 4.0, None)


def test_requests_are_counted_by_what_became_of_them() -> None:
    records = [write(1.0), write(2.0, tries=2), failed(3.0), write(9.0), {**write(2.0), "kind": "read"}]
    seen = measures.seen(records, "write", Window(begin=0.5, end=5.0))
    assert (seen.answered, seen.failed, seen.retried) == (2, 1, 1)
    other = measures.seen(records, "write", Window(begin=0.5, end=5.0), "b")
    assert other.answered == 0


def test_two_writers_show_in_the_stamps_of_what_they_acknowledged() -> None:
    moved = [write(1.0), write(2.0), write(3.0, written="b"), write(4.0, written="b")]
    found = measures.reigns(moved)
    assert [(reign.region, reign.orders) for reign in found] == [("a", 2), ("b", 2)]
    assert not measures.interleaved(found, 1)
    assert measures.interleaved(found, 0)
    late = [*moved, write(3.5, written="a")]
    assert measures.interleaved(measures.reigns(late), 1)


def test_an_ordinary_write_is_that_of_a_user_beside_the_writer() -> None:
    acked = [
        write(1.0, "b", took=0.9, written="b"),  # it had waited for the move
        write(2.0, "b", took=0.02, written="b"),
        write(2.0, "a", took=0.12, written="b"),
    ]
    assert measures.ordinary_write(acked, "b", 1.0) == pytest.approx(0.02)
    assert measures.first_by(acked, "b", 0.5) == 1.0
    assert measures.first_by(acked, "c", 0.5) is None


def test_steps_are_added_up_over_their_tries() -> None:
    events = [
        {"at": 1.0, "what": "begun", "step": "promote b"},
        {"at": 1.5, "what": "ended", "step": "promote b", "seconds": 0.5},
        {"at": 2.0, "what": "ended", "step": "promote b", "seconds": 0.25},
        {"at": 3.0, "what": "done"},
    ]
    assert measures.durations(events) == {"promote": 0.75}
    assert measures.begun(events, "promote") == 1.0
    assert measures.begun(events, "fence") is None


OLD = """
2026-11-21 12:00:01.000 UTC [1] LOG:  received fast shutdown request
2026-11-21 12:00:01.200 UTC [1] LOG:  database system is shut down
2026-11-21 12:00:03.000 UTC [2] LOG:  starting PostgreSQL 18.6
2026-11-21 12:00:03.100 UTC [2] LOG:  entering standby mode
2026-11-21 12:00:03.200 UTC [2] LOG:  database system is ready to accept read-only connections
""".splitlines()

NEW = """
2026-11-21 12:00:01.300 UTC [1] LOG:  received promote request
not a line of the server's own
2026-11-21 12:00:01.350 UTC [1] LOG:  database system is ready to accept connections
""".splitlines()


def test_logs_say_who_was_out_of_recovery_when() -> None:
    found = sorted([*servers.events("a", OLD), *servers.events("b", NEW)], key=lambda event: event.at)
    spans = servers.spans(found, "a", (ZERO, ZERO + 5), {})
    assert [(span.region, round(span.begin - ZERO, 2), round(span.end - ZERO, 2)) for span in spans] == [
        ("a", 0.0, 1.0),
        ("b", 1.35, 5.0),
    ]
    assert servers.overlap(spans) == 0
    assert servers.between(found, "a", "fast shutdown", "is shut down", ZERO) == pytest.approx(0.2)
    assert servers.between(found, "b", servers.PROMOTED, servers.OPEN, ZERO) == pytest.approx(0.05)
    assert servers.between(found, "a", servers.PROMOTED, servers.OPEN, ZERO) is None


def test_a_server_that_was_killed_says_nothing_and_one_that_lives_on_overlaps() -> None:
    promoted = servers.events("b", NEW)
    killed = servers.spans(promoted, "a", (ZERO, ZERO + 5), {"a": ZERO + 0.5})
    assert servers.overlap(killed) == 0
    alive = servers.spans(promoted, "a", (ZERO, ZERO + 5), {})
    assert servers.overlap(alive) == pytest.approx(3.65)
