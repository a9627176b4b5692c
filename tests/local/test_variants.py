"""Other settings, other machines: quorum, no delays, ports instead of addresses, regions that come and go."""

import time

import httpx
import psycopg
import pytest

from tests.local.clone import Clone
from tests.local.database import checksums, connect, settle

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]


def place(entry: str, key: str, region: str = "eu-central", timeout: float = 10) -> httpx.Response:
    order = {"customer": "ada", "item": "book", "quantity": 1}
    headers = {"Idempotency-Key": key, "X-User-Region": region}
    return httpx.post(f"{entry}/orders", json=order, headers=headers, timeout=timeout)


def append(clone: Clone, lines: str) -> None:
    settings = clone.folder / "Pulumi.dev.yaml"
    settings.write_text(settings.read_text() + lines)


def test_quorum_waits_for_one_other_region_and_needs_only_one(clone: Clone) -> None:
    append(clone, "  meridian:database:\n    durability: quorum\n")
    clone.must("up", "--phase", "multi-region-reads")
    entry = clone.status()["entry"]
    began = time.monotonic()
    assert place(entry, "1").status_code == 201
    # The nearer of the two replicas is 46.5 ms away, there and back twice that: no commit can be faster.
    assert time.monotonic() - began > 0.09
    with connect(clone, 0) as connection:
        states = connection.execute("select application_name, sync_state from pg_stat_replication").fetchall()
    assert dict(states) == {"main-us-east": "quorum", "main-ap-northeast": "quorum"}

    with connect(clone, 1) as connection, pytest.raises(psycopg.Error):
        connection.execute("create table refused ()")  # a replica takes no writes
    (clone.stack / "wan" / "cuts" / "us-east--eu-central.json").write_text("{}")  # the nearer replica is cut off
    time.sleep(0.3)
    assert place(entry, "2").status_code == 201
    (clone.stack / "wan" / "cuts" / "us-east--eu-central.json").unlink()
    settle(clone)
    assert checksums(clone, 1) == checksums(clone, 0)


def test_without_delays_and_with_ports_instead_of_addresses(clone: Clone) -> None:
    append(clone, "  meridian:local:\n    latency: false\n")
    ports = Clone(clone.folder, {**clone.environment, "MERIDIAN_ADDRESSING": "ports"})
    ports.must("up", "--phase", "active-passive")
    entry = ports.status()["entry"]
    assert entry.startswith("http://127.0.0.1:")
    assert place(entry, "1", "ap-northeast").status_code == 201
    began = time.monotonic()
    assert place(entry, "2", "ap-northeast").status_code == 201
    assert time.monotonic() - began < 0.2  # with delays the way from Tokyo alone takes 0.23 s
    settle(ports)
    assert checksums(ports, 1) == checksums(ports, 0)


def test_a_region_is_added_and_taken_out_again(clone: Clone) -> None:
    clone.must("up", "--phase", "multi-region-reads")
    entry = clone.status()["entry"]
    assert place(entry, "1").status_code == 201
    settings = clone.folder / "Pulumi.dev.yaml"
    three = settings.read_text()
    append(clone, "    - name: sa-east\n")
    clone.must("up")
    assert [region["name"] for region in clone.status()["regions"]][-1] == "sa-east"
    assert "slot: 6" in settings.read_text()  # written by the tool, from the catalogue
    made = place(entry, "2", "sa-east")
    assert (made.status_code, made.headers["X-Served-Region"]) == (201, "sa-east")
    settle(clone)

    settings.write_text(three)
    refused = clone.run("up")
    assert refused.status == 2
    assert "main-sa-east" in refused.stderr
    assert "retire" in refused.stderr
    append(clone, "  meridian:retire: [sa-east]\n")
    clone.must("up", "--yes")
    assert [region["name"] for region in clone.status()["regions"]] == ["eu-central", "us-east", "ap-northeast"]
    assert place(entry, "2").status_code == 200
    with connect(clone, 0) as connection:
        slots = connection.execute("select slot_name from pg_replication_slots order by 1").fetchall()
    assert slots == [("main_ap_northeast",), ("main_us_east",)]
