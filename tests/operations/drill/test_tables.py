"""One history of several phases and durabilities, as a README shows it."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from operations.drill import comparison, history, report
from operations.drill.checks import judged
from operations.drill.result import Result
from operations.drill.scenario import known
from tests.operations.conftest import PROJECT, Copy
from tests.operations.drill.test_checks import GOOD, MOVE, SEEN

SWITCH = replace(MOVE, kind="switchover", pause=1.0, floor={"stop": 0.5}, announced_seconds=None, announced_bytes=None)


def record(**change: Any) -> dict[str, Any]:
    found: Result = replace(GOOD, **change)
    return judged(found, known()[found.scenario], rto=None, rpo=None).as_json()


MIXED = [
    record(),
    record(detection=1.0, moves=(replace(MOVE, pause=3.2, announced_seconds=7.5),), lost=2, kept=2, lost_seconds=0.3),
    record(detection=2.5, moves=(replace(MOVE, pause=6.4),), writes={"all": replace(SEEN, failed=3)}, doubled=1),
    record(durability="quorum", moves=(replace(MOVE, pause=5.0),), began=90_000.0),
    record(phase=3),
    record(scenario="lost-writer", event="writer"),
    record(scenario="switchover", event="", detection=None, moves=(SWITCH, replace(SWITCH, pause=0.5, resumed=1))),
    record(
        scenario="dropped-table", title="A table is dropped", phase=1, event="", detection=None, moves=(), restored=6.0
    ),
    record(
        scenario="lost-region-by-hand", phase=2, detection=None, restored=20.0, moves=(replace(MOVE, pause=None),)
    ),
]  # fmt: skip


def cells(text: str, *begin: str) -> list[str]:
    (row,) = [line for line in text.splitlines() if line.startswith(f"| {' | '.join(begin)} |")]
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_each_phase_durability_and_scenario_has_a_row_in_that_order() -> None:
    text = report.table(MIXED)
    rows = [tuple(line.strip("| ").split(" | ")[:2]) for line in text.splitlines() if re.match(r"\| \d", line)]
    assert rows == [
        ("1, async", "dropped-table"),
        ("2, async", "lost-region-by-hand"),
        ("3, async", "lost-region"),
        ("4, async", "lost-region"),
        ("4, async", "lost-writer"),
        ("4, async", "switchover"),
        ("4, quorum", "lost-region"),
    ]
    assert len({line.count("|") for line in text.splitlines() if line.startswith("|")}) == 1


def test_a_row_has_least_median_and_most() -> None:
    text = report.table(MIXED)
    lost = cells(text, "4, async", "lost-region")
    assert lost[2:7] == [
        "2 of 3", "1.00 / 1.50 / 2.50", "3.20 / 4.00 / 6.40", "3.20 / 3.20 / 3.20", "1.00 / 1.25 / 2.00",
    ]  # fmt: skip
    assert lost[8:11] == ["3 / 0", "2 of 3,000, the last 0.30 s", "7.50"]
    planned = cells(text, "4, async", "switchover")
    assert (planned[2], planned[3], planned[4], planned[10]) == ("1 of 1, 1 killed", "-", "0.50 / 0.75 / 1.00", "-")
    # Writes came back with a restore, or with the region, and not by a move.
    assert cells(text, "1, async", "dropped-table")[4] == "6.00"
    assert cells(text, "2, async", "lost-region-by-hand")[4] == "20.00"


def test_a_failover_that_announced_any_loss_says_so() -> None:
    found = report.table([record(), record(moves=(replace(MOVE, announced_seconds=None),))])
    assert cells(found, "4, async", "lost-region")[10] == "any"


def test_phases_stand_beside_what_others_publish() -> None:
    text = comparison.beside(MIXED)
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines()[2:]]
    names = [row[0] for row in rows]
    assert [name[:17] for name in names[:5]] == [
        "phase 1 (single-r", "phase 2 (async-re", "phase 3 (active-p", "phase 4 (multi-re", "phase 4 (multi-re",
    ]  # fmt: skip
    assert [name.split(",")[0] for name in names[5:]] == ["Patroni", "pg_auto_failover", "Aurora Global Database"]
    assert all("](https://" in row[3] for row in rows[5:])
    assert rows[0][1] == "6.0 s until the first write, at most 6.0 s"
    assert rows[1][1].endswith("with the region; the copy was promoted in 1.0 s")
    assert rows[3][1:] == [
        "4.0 s until the first write, at most 6.4 s, detection included",
        "2 writes, of the last 0.30 s at most",
        "3 drills here, 1970-01-01; **1 failed**",
    ]
    assert rows[4][2:] == ["nothing of 1,000 writes", "1 drill here, 1970-01-02"]


def test_one_report_says_when_users_came_back() -> None:
    result = replace(GOOD, moves=(replace(MOVE, pause=None),), restored=20.0)
    assert "Users wrote again 20.0 s after it began." in report.markdown(result)
    assert "no write came through; writes again after 20.0 s" in report.line(result)


def test_the_page_has_what_others_publish() -> None:
    assert report.grid(comparison.HEAD, comparison.published()) in (PROJECT / "docs" / "drills.md").read_text()


def test_the_table_is_printed_of_this_history_and_others(copy: Copy, tmp_path: Path) -> None:
    refused = copy.run("drill", "--table")
    assert (refused.status, "no drill of dev" in refused.stderr) == (2, True)
    path = history.folder(copy.stack) / "history.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(each) + "\n" for each in MIXED[:2]))
    other = tmp_path / "quorum.jsonl"
    other.write_text(json.dumps(MIXED[3]) + "\n")
    found = copy.run("drill", "--table", "--history", str(other))
    assert found.status == 0, found.stderr
    assert cells(found.stdout, "4, async", "lost-region")[2] == "2 of 2"
    assert cells(found.stdout, "4, quorum", "lost-region")[2] == "1 of 1"
    assert "Patroni" in found.stdout
    assert copy.run("drill", "--table", "--history", "nowhere").status == 1


@pytest.mark.parametrize("form", ["--json", "--markdown", ""])
def test_a_preview_shows_what_this_stacks_drills_measured(copy: Copy, form: str) -> None:
    path = history.folder(copy.stack) / "history.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(each) + "\n" for each in MIXED))
    found = copy.run("preview", "--phase", "4", *([form] if form else []))
    assert found.status == 0, found.stderr
    source = (
        "3 drills, median 4.00 s, worst 6.40 s of this stack (lost-region), from the fault, detection included; "
        "the last on 1970-01-01"
    )
    if form == "--json":
        reached = found.document["after"]["objectives"][0]["reached"]
        assert reached == {"value": 6.4, "unit": "s", "basis": "measured", "source": source}
        region = next(each for each in found.document["after"]["scenarios"] if each["name"] == "loss of a region")
        assert region["rto"]["source"] == source
        writer = next(each for each in found.document["after"]["scenarios"] if each["name"].endswith("writer"))
        assert (writer["rto"]["value"], "(lost-writer)" in writer["rto"]["source"]) == (4.0, True)
    else:
        assert source in " ".join(found.stdout.split())
        assert "RTO 6.4 s (measured)" in found.stdout
        assert "loss of the database writer, RTO 4 s (measured): 1 drill" in " ".join(found.stdout.split())
    assert "lost-region" not in copy.run("preview", "--phase", "1", "--json").stdout
