"""What users see of three regions: while all is well, and when one server of a region dies."""

import contextlib
import itertools
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.local.clone import Clone

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]

REGIONS = ("eu-central", "us-east", "ap-northeast")
# The entry's budget to notice: interval, timeout and misses of its health check, with room for a slow machine.
BUDGET_SECONDS = 5.0


def kill(folder: Path) -> None:
    process = psutil.Process(json.loads((folder / "server.json").read_text())["pid"])
    for one in [process, *process.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.send_signal(signal.SIGKILL)


@pytest.fixture
def healed(climbed: Clone) -> Iterator[Clone]:
    """The stack, brought back by an ordinary `up` afterwards."""
    yield climbed
    climbed.must("up")
    status = climbed.status()
    assert all(region["ready"] and region["gateway"] == region["cache"] == "up" for region in status["regions"])


def read_until_elsewhere(entry: str, path: str, region: str) -> tuple[list[int], str]:
    """Statuses seen by users of a region, until somebody else answers them or the budget is used up."""
    seen: list[int] = []
    deadline = time.monotonic() + BUDGET_SECONDS
    with httpx.Client(base_url=entry, timeout=5) as client:
        while time.monotonic() < deadline:
            answer = client.get(path, headers={"X-User-Region": region})
            seen.append(answer.status_code)
            if answer.status_code == 200 and answer.headers.get("X-Served-Region") != region:
                return seen, answer.headers["X-Served-Region"]
            time.sleep(0.02)
    return seen, ""


def test_users_are_served_near_and_written_at_the_writer(climbed: Clone) -> None:
    entry = climbed.status()["entry"]
    for region, number in itertools.product(REGIONS, range(2)):
        order = {"customer": f"near-{region}", "item": "book", "quantity": 1}
        headers = {"X-User-Region": region, "Idempotency-Key": f"near-{region}-{number}"}
        made = httpx.post(f"{entry}/orders", json=order, headers=headers, timeout=10)
        assert made.status_code == 201, made.text
        assert (made.headers["X-Served-Region"], made.headers["X-Written-Region"]) == (region, "eu-central")
        assert made.json()["sequence"] == number + 1
        # Read your own write, at once, near by.
        token = {"X-User-Region": region, "X-Write-Position": made.headers["X-Write-Position"]}
        read = httpx.get(f"{entry}/orders/{made.json()['id']}", headers=token, timeout=10)
        assert (read.status_code, read.json()) == (200, made.json())
        listed = httpx.get(f"{entry}/orders", params={"customer": f"near-{region}"}, headers=token, timeout=10)
        assert [order["sequence"] for order in listed.json()["orders"]] == list(range(1, number + 2))


@pytest.mark.parametrize("what", ["service", "gateway"])
def test_users_of_a_region_are_answered_elsewhere(healed: Clone, what: str) -> None:
    entry = healed.status()["entry"]
    order = {"customer": f"outage-{what}", "item": "lamp", "quantity": 1}
    headers = {"X-User-Region": "us-east", "Idempotency-Key": f"outage-{what}-{os.getpid()}"}
    made = httpx.post(f"{entry}/orders", json=order, headers=headers, timeout=10).json()
    time.sleep(1)

    kill(healed.stack / "regions" / "us-east" / what)
    seen, elsewhere = read_until_elsewhere(entry, f"/orders/{made['id']}", "us-east")
    assert elsewhere in ("eu-central", "ap-northeast"), seen
    assert seen.count(200) == len(seen), f"reads failed: {seen}"

    # A write with a key goes through, with one retry at the most.
    for attempt in range(2):
        answer = httpx.post(
            f"{entry}/orders", json=order, headers={**headers, "Idempotency-Key": f"{what}-after"}, timeout=10
        )
        if answer.status_code in (200, 201):
            break
        assert attempt == 0, answer.text
        time.sleep(1)

    region = next(region for region in healed.status()["regions"] if region["name"] == "us-east")
    assert region["gateway"] == ("down" if what == "gateway" else "up")
    assert not region["ready"]


@pytest.mark.parametrize("what", ["service", "members/main-eu-central"])
def test_writes_are_refused_clearly_while_the_writer_is_gone(healed: Clone, what: str) -> None:
    entry = healed.status()["entry"]
    order = {"customer": "refused", "item": "lamp", "quantity": 1}
    kill(healed.stack / "regions" / "eu-central" / what)
    time.sleep(2)
    region = "us-east"
    began = time.monotonic()
    headers = {"X-User-Region": region, "Idempotency-Key": f"refused-{region}-{os.getpid()}"}
    answer = httpx.post(f"{entry}/orders", json=order, headers=headers, timeout=20)
    assert answer.status_code in (503, 504), answer.text
    assert answer.headers["Retry-After"]
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert time.monotonic() - began < 12
    read = httpx.get(f"{entry}/orders", params={"customer": "refused"}, headers=headers, timeout=5)
    assert read.status_code == 200
    # A replica that hears nothing from its writer is degraded after a while, and a fresher one answers in its place.
    others = {"ap-northeast"} if what.startswith("members") else set[str]()
    assert read.headers["X-Served-Region"] in {region, *others}


def test_an_outage_of_every_cache_fails_no_read(healed: Clone) -> None:
    entry = healed.status()["entry"]
    headers = {"X-User-Region": "us-east", "Idempotency-Key": f"cache-{os.getpid()}"}
    made = httpx.post(
        f"{entry}/orders", json={"customer": "cache", "item": "lamp", "quantity": 1}, headers=headers, timeout=10
    ).json()
    time.sleep(1)
    for region in REGIONS:
        kill(healed.stack / "regions" / region / "cache")
    with httpx.Client(base_url=entry, timeout=5) as client:
        for number in range(150):
            region = REGIONS[number % 3]
            answer = client.get(f"/orders/{made['id']}", headers={"X-User-Region": region})
            assert (answer.status_code, answer.headers["X-Served-Region"]) == (200, region)
    assert {region["cache"] for region in healed.status()["regions"]} == {"down"}
