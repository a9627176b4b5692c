"""Backups and restore as a user meets them: by commands, on a stack that serves."""

import time
from datetime import UTC, datetime

import pytest

from operations.console import NAME
from tests.local.clone import Clone
from tests.local.database import connect, settle
from tests.local.load import Load

pytestmark = [pytest.mark.servers, pytest.mark.timeout(240)]


def iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()


def test_a_dropped_table_under_load_comes_back_and_a_replica_is_no_backup(clone: Clone) -> None:
    clone.must("up", "--phase", "2")
    first = clone.must("backup", "--list", "--json").document
    assert first["vault"] == "us-east"
    assert len(first["backups"]) == 1
    assert first["problem"] is None
    entry = clone.status()["entry"]
    with Load(entry, ("eu-central",), rate=20) as load:
        time.sleep(2)
        before = time.time()
        acknowledged = set(load.acknowledged)
        with connect(clone, 0) as writer:
            writer.execute("drop table public.orders")
        with connect(clone, 1) as replica:
            deadline = time.monotonic() + 1.0
            while replica.execute("select to_regclass('public.orders')").fetchone() != (None,):
                assert time.monotonic() < deadline, "the replica still has the table"
                time.sleep(0.02)
        restored = clone.must("restore", "--to", iso(before), "--copy", "orders", "--json", "--yes").document
        assert restored["whole"]
        assert restored["made"]
        assert restored["rows"] == restored["added"] >= len(acknowledged)
        count = len(load.acknowledged)
        deadline = time.monotonic() + 10
        while len(load.acknowledged) == count and time.monotonic() < deadline:
            time.sleep(0.1)
        assert len(load.acknowledged) > count
    settle(clone)
    for slot in (0, 1):
        with connect(clone, slot) as member:
            found = {str(row[0]) for row in member.execute("select id from public.orders").fetchall()}
        assert acknowledged <= found
    # Again: there is nothing left to bring back, and what came since stays.
    again = clone.must("restore", "--copy", "public.orders", "--json").document
    assert (again["made"], again["added"]) == (False, 0)
    asked = clone.must("psql", "restored-main", "--owner", "--", "-Atc", "select count(*) from orders").stdout
    assert int(asked) == restored["rows"]

    # A second one, elsewhere, does not take the first away without being told to.
    refused = clone.run("restore", "--to", iso(before), "--into", "beside")
    assert refused.status == 2
    assert "--yes" in refused.stderr
    clone.must("restore", "--to", iso(before), "--into", "beside", "--yes")
    assert (clone.folder / "beside" / "data" / "PG_VERSION").exists()
    clone.must("restore", "--drop")
    assert not (clone.folder / "beside").exists()
    assert "restored-main" not in clone.run("psql", "nobody").stderr

    clone.must("backup", "--keep", "1")
    kept = clone.must("backup", "--list", "--json").document
    assert len(kept["backups"]) == 1
    assert kept["backups"][0]["ended"] > first["backups"][0]["ended"]
    early = clone.run("restore", "--to", iso(before))
    assert early.status == 2
    assert kept["from"] in early.stderr


def test_what_cannot_be_restored_is_refused_before_anything_is_done(clone: Clone) -> None:
    clone.must("up")
    for words, said in (
        (("--to", "2026-03-01T14:05:00"), "has no time zone"),
        (("--to", "yesterday"), "is no time"),
        (("--to", iso(time.time() + 3600)), "in the future"),
        (("--to", "2020-01-01T00:00:00Z"), "before the oldest base backup"),
        (("--copy", "orders"), "nothing of main is restored"),
        (("--drop", "--copy", "orders"), "--drop"),
        (("--into", "there"), "--to"),
        ((), "nothing to do"),
        (("--to", "2020-01-01T00:00:00Z", "--partition", "other"), "partition"),
    ):
        refused = clone.run("restore", *words)
        assert refused.status == 2, words
        assert refused.stderr.startswith(f"{NAME}: "), refused.stderr
        assert said in refused.stderr
    assert not (clone.stack / "restored").exists()
