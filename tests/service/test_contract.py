"""The HTTP contract, in the region that writes."""

import json
import re
import uuid
from typing import Any

import httpx
import pytest

from service.orders import MAXIMUM_BODY
from tests.service.conftest import Regions
from tests.service.servers import PASSWORD, eventually

pytestmark = pytest.mark.servers


def key() -> dict[str, str]:
    return {"Idempotency-Key": str(uuid.uuid4())}


def customer() -> str:
    return f"customer-{uuid.uuid4()}"


def refused(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == status
    assert document["instance"].endswith(answer.headers["X-Request-Id"])
    return document


def test_an_order_is_placed_replayed_read_and_listed_in_the_same_words(near: httpx.Client) -> None:
    who, headers = customer(), key()
    placed = near.post("/orders", json={"customer": who, "item": "Lämpchen ✨", "quantity": 3}, headers=headers)
    assert placed.status_code == 201, placed.text
    order = placed.json()
    assert list(order) == ["id", "customer", "item", "quantity", "sequence", "created_at", "revision"]
    assert (order["customer"], order["item"], order["quantity"], order["sequence"]) == (who, "Lämpchen ✨", 3, 1)
    assert uuid.UUID(order["id"]).version == 7
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", order["created_at"])
    assert placed.headers["X-Served-Region"] == placed.headers["X-Written-Region"] == "eu-central"
    assert placed.headers["Location"] == f"/orders/{order['id']}"
    assert "Idempotency-Replayed" not in placed.headers

    # The same order in other words: spaces, another order of the fields, escapes.
    spelt = json.dumps({"quantity": 3, "item": "Lämpchen ✨", "customer": who}, indent=2).encode()
    for content in (spelt, spelt):
        replayed = near.post("/orders", content=content, headers=headers)
        assert (replayed.status_code, replayed.headers["Idempotency-Replayed"]) == (200, "true")
        assert replayed.content == placed.content
        assert replayed.headers["X-Written-Region"] == "eu-central"
        assert replayed.headers["X-Write-Position"]
    for _ in range(3):  # from the database, then from the cache
        assert near.get(placed.headers["Location"]).content == placed.content
    assert near.get("/orders", params={"customer": who}).json() == {"orders": [order], "next": None}


def test_the_same_key_with_another_order_is_refused(near: httpx.Client) -> None:
    order, headers = {"customer": customer(), "item": "lamp", "quantity": 1}, key()
    assert near.post("/orders", json=order, headers=headers).status_code == 201
    refused(near.post("/orders", json={**order, "quantity": 2}, headers=headers), 422)
    # A key belongs to its customer.
    assert near.post("/orders", json={**order, "customer": customer()}, headers=headers).status_code == 201


def test_lists_are_by_sequence_in_pages(near: httpx.Client) -> None:
    who = customer()
    for number in range(7):
        order = {"customer": who, "item": f"item-{number}", "quantity": 1}
        assert near.post("/orders", json=order, headers=key()).status_code == 201
    seen: list[int] = []
    parameters = {"customer": who, "limit": "3"}
    for size in (3, 3, 1):
        answer = near.get("/orders", params=parameters).json()
        assert len(answer["orders"]) == size
        seen += [order["sequence"] for order in answer["orders"]]
        parameters["cursor"] = answer["next"]
    assert (seen, answer["next"]) == ([1, 2, 3, 4, 5, 6, 7], None)
    assert near.get("/orders", params={"customer": customer()}).json() == {"orders": [], "next": None}


def test_what_cannot_be_understood_is_refused(near: httpx.Client) -> None:
    order = {"customer": "ada", "item": "lamp", "quantity": 1}
    refused(near.post("/orders", json=order), 400)
    refused(near.post("/orders", json=order, headers={"Idempotency-Key": "k" * 256}), 400)
    refused(near.post("/orders", content=b"{", headers=key()), 400)
    refused(near.post("/orders", json={**order, "quantity": 0}, headers=key()), 400)
    assert "mars" not in refused(near.post("/orders", json=order, headers={**key(), "X-User-Region": "mars"}), 400)
    refused(near.get(f"/orders/{uuid.uuid4()}", headers={"X-User-Region": "mars"}), 400)
    refused(near.get("/orders", params={"customer": "ada"}, headers={"X-Write-Position": "AAAA"}), 400)
    refused(near.get(f"/orders/{uuid.uuid4()}", headers={"X-Write-Position": "garbage!"}), 400)
    refused(near.get("/orders"), 400)
    refused(near.get("/orders", params={"customer": ""}), 400)
    refused(near.get("/orders", params={"customer": "a", "cursor": "x"}), 400)
    refused(near.get("/orders", params={"customer": "a", "limit": "0"}), 400)
    refused(near.get(f"/orders/{uuid.uuid4()}"), 404)
    refused(near.get("/orders/7"), 404)
    refused(near.get("/nowhere"), 404)
    allowed = near.put("/orders", json=order)
    refused(allowed, 405)
    assert "POST" in allowed.headers["Allow"]


def test_a_body_too_large_is_refused_whether_or_not_it_says_so(near: httpx.Client) -> None:
    def parts() -> Any:
        for _ in range(MAXIMUM_BODY // 1024 + 1):
            yield b" " * 1024

    refused(near.post("/orders", content=b" " * (MAXIMUM_BODY + 1), headers=key()), 413)
    refused(near.post("/orders", content=parts(), headers=key()), 413)


def test_answers_carry_the_request_id_and_the_trace(near: httpx.Client, regions: Regions) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    answer = near.get("/orders/7", headers={"X-Request-Id": "abc-1", "traceparent": trace})
    assert answer.headers["X-Request-Id"] == "abc-1"
    assert answer.headers["traceparent"].split("-")[1] == trace.split("-")[1]
    # A line is written after its answer.
    line = eventually(
        lambda: next((line for line in regions.writer.lines() if line.get("request_id") == "abc-1"), None), "the line"
    )
    assert line["trace_id"] == trace.split("-")[1]
    assert (line["status"], line["route"], line["region"]) == (404, "/orders/{id}", "eu-central")


def test_what_machines_ask(near: httpx.Client, regions: Regions) -> None:
    assert near.get("/healthz/live").json()["status"] == "live"
    ready = near.get("/healthz/ready")
    assert (ready.status_code, ready.json()["members"]) == (200, {"main": "up"})
    assert near.get("/version").json()["region"] == "eu-central"
    metrics = near.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    assert regions.writer.metric('meridian_requests_total{method="GET",route="/healthz/live",status="200"}') >= 1
    assert regions.writer.metric("meridian_partition_map_version") >= 1
    assert regions.writer.metric('meridian_member_in_recovery{partition="main"}') == 0
    assert regions.reader.metric('meridian_member_in_recovery{partition="main"}') == 1
    assert regions.reader.metric('meridian_member_position_bytes{partition="main"}') > 0
    near.get("/orders/7", headers={"X-Request-Id": "a-person"})
    eventually(lambda: [line for line in regions.writer.lines() if line.get("request_id") == "a-person"], "the line")
    asked = {line.get("route") for line in regions.writer.lines()}
    assert not asked & {"/healthz/live", "/healthz/ready", "/version", "/metrics"}, "machines' questions are not logged"


def test_no_secret_is_logged(regions: Regions) -> None:
    for service in (regions.writer, regions.reader):
        assert PASSWORD not in service.log.read_text()
