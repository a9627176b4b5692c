"""Orders that are changed and cancelled: once for each key, from any region, and seen by whoever did it."""

import asyncio
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from service.cache import KEPT_SECONDS, Kept
from service.positions import WritePosition
from tests.service.conftest import Regions
from tests.service.servers import SCHEMA, Service, eventually
from tests.service.test_contract import refused
from tests.service.test_lease import WAITS, give_lease, leased, set_standbys  # noqa: F401 (a fixture)
from tests.service.test_regions import SOON, cut, lagging, placed, replicated
from tests.service.test_writes import sweep

pytestmark = pytest.mark.servers


def write(
    client: httpx.Client, method: str, order: dict[str, Any], content: Any = None, key: str = "", **headers: str
) -> httpx.Response:
    return client.request(
        method,
        f"/orders/{order['id']}",
        params={"customer": order["customer"]},
        json=content,
        headers={"Idempotency-Key": key or str(uuid.uuid4()), **headers},
    )


def change(client: httpx.Client, order: dict[str, Any], key: str = "", **content: Any) -> httpx.Response:
    return write(client, "PATCH", order, content, key)


def cancel(client: httpx.Client, order: dict[str, Any], key: str = "") -> httpx.Response:
    return write(client, "DELETE", order, key=key)


def token(answer: httpx.Response) -> dict[str, str]:
    return {"X-Write-Position": answer.headers["X-Write-Position"]}


@pytest.fixture(params=["near", "far"])
def user(request: pytest.FixtureRequest) -> httpx.Client:
    """Of the writer's region, or of another."""
    return request.getfixturevalue(request.param)


def test_a_change_is_answered_replayed_read_and_listed_in_the_same_words(user: httpx.Client) -> None:
    order, key = placed(user).json(), str(uuid.uuid4())
    changed = change(user, order, key, quantity=7)
    assert (changed.status_code, changed.json()) == (200, {**order, "quantity": 7, "revision": 2})
    assert changed.headers["X-Written-Region"] == "eu-central"
    assert "Idempotency-Replayed" not in changed.headers
    again = change(user, order, key, quantity=7)
    assert (again.status_code, again.headers["Idempotency-Replayed"], again.content) == (200, "true", changed.content)
    assert user.get(f"/orders/{order['id']}", headers=token(changed)).content == changed.content
    listed = user.get("/orders", params={"customer": order["customer"]}, headers=token(changed))
    assert listed.json()["orders"] == [changed.json()]
    both = change(user, order, item="Lämpchen ✨", quantity=1)
    assert both.json() == {**order, "item": "Lämpchen ✨", "revision": 3}


def test_a_cancelled_order_is_gone_and_its_number_is_not_given_again(regions: Regions, user: httpx.Client) -> None:
    made = placed(user)
    order, key = made.json(), str(uuid.uuid4())
    cancelled = cancel(user, order, key)
    assert (cancelled.status_code, cancelled.content) == (204, b"")
    again = cancel(user, order, key)
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (204, "true")
    assert regions.primary.ask("select count(*) from orders where id = %s", order["id"]) == [(0,)]
    counted = "select last_sequence, cancelled from customers where customer = %s"
    assert regions.primary.ask(counted, order["customer"]) == [(1, 1)]
    assert user.get(f"/orders/{order['id']}", headers=token(cancelled)).status_code == 404
    refused(cancel(user, order), 404)
    refused(change(user, order, quantity=2), 404)
    following = user.post(
        "/orders",
        json={"customer": order["customer"], "item": "lamp", "quantity": 1},
        headers={"Idempotency-Key": "next"},
    )
    assert following.json()["sequence"] == 2
    assert user.get("/orders", params={"customer": order["customer"]}, headers=token(following)).json()["orders"] == [
        following.json()
    ]


def test_a_key_gets_its_first_answer_whatever_became_of_the_order(regions: Regions, near: httpx.Client) -> None:
    who = f"customer-{uuid.uuid4()}"
    wanted, key = {"customer": who, "item": "lamp", "quantity": 1}, {"Idempotency-Key": "placed"}
    made = near.post("/orders", json=wanted, headers=key)
    order = made.json()
    first = change(near, order, "first", quantity=2)
    second = change(near, order, "second", item="sofa")
    assert second.json() == {**order, "quantity": 2, "item": "sofa", "revision": 3}
    for _ in ("while it is there", "and when it is gone"):
        assert change(near, order, "first", quantity=2).content == first.content
        assert change(near, order, "second", item="sofa").content == second.content
        again = near.post("/orders", json=wanted, headers=key)
        assert (again.status_code, again.content) == (200, made.content)
        cancel(near, order, "cancelled")
    assert regions.primary.ask("select count(*) from orders where customer = %s", who) == [(0,)], "not placed again"


def test_a_key_belongs_to_one_request(near: httpx.Client) -> None:
    order, other = placed(near, who := f"customer-{uuid.uuid4()}").json(), placed(near, who).json()
    assert change(near, order, "k", quantity=2).status_code == 200
    for refusal in (
        change(near, order, "k", quantity=3),
        change(near, other, "k", quantity=2),
        cancel(near, order, "k"),
    ):
        refused(refusal, 422)
    # The condition is no part of what is asked.
    assert write(near, "PATCH", order, {"quantity": 2}, "k", **{"If-Match": '"1"'}).status_code == 200


def test_a_change_may_ask_for_the_revision_that_it_is_based_on(user: httpx.Client) -> None:
    order = placed(user).json()
    first = {"If-Match": '"1"'}
    assert write(user, "PATCH", order, {"quantity": 2}, "a", **first).json()["revision"] == 2
    # A client that did not hear of it and sends it again is not told that somebody was faster.
    assert write(user, "PATCH", order, {"quantity": 2}, "a", **first).status_code == 200
    for method, content in (("PATCH", {"quantity": 3}), ("DELETE", None)):
        document = refused(write(user, method, order, content, **first), 412)
        assert "revision is 2" in document["detail"]
    assert write(user, "DELETE", order, **{"If-Match": '"2"'}).status_code == 204


def test_what_cannot_be_understood_is_refused(near: httpx.Client) -> None:
    order = placed(near).json()
    path, who, key = f"/orders/{order['id']}", {"customer": order["customer"]}, {"Idempotency-Key": "k"}
    for method in ("PATCH", "DELETE"):
        content: dict[str, Any] = {"json": {"quantity": 2}} if method == "PATCH" else {}
        refused(near.request(method, path, params=who, **content), 400)
        refused(near.request(method, path, headers=key, **content), 400)
        refused(near.request(method, path, params=who, headers={**key, "If-Match": "W/1"}, **content), 400)
        refused(near.request(method, "/orders/7", params=who, headers=key, **content), 404)
        refused(near.request(method, f"/orders/{uuid.uuid4()}", params=who, headers=key, **content), 404)
        # An order is its customer's alone.
        refused(near.request(method, path, params={"customer": "somebody"}, headers=key, **content), 404)
    for body in ({}, {"quantity": 0}, {"quantity": None}, {"customer": "me"}, {"item": " "}, {"revision": 4}):
        refused(write(near, "PATCH", order, body), 400)
    assert near.get(path).json() == order


def test_changes_at_once_each_count_once(regions: Regions, near: httpx.Client) -> None:
    order = placed(near).json()
    target = f"/orders/{order['id']}?customer={order['customer']}"

    async def burst(keys: list[str]) -> list[httpx.Response]:
        async with httpx.AsyncClient(timeout=20) as client:
            return await asyncio.gather(
                *(
                    client.patch(
                        f"{(regions.writer if number % 2 else regions.reader).url}{target}",
                        json={"quantity": 5},
                        headers={"Idempotency-Key": key},
                    )
                    for number, key in enumerate(keys)
                )
            )

    answers = asyncio.run(burst([f"own-{number}" for number in range(20)]))
    assert sorted(answer.json()["revision"] for answer in answers) == list(range(2, 22))
    answers = asyncio.run(burst(["same"] * 20))
    assert set(Counter(answer.status_code for answer in answers)) <= {200, 409}
    assert {answer.json()["revision"] for answer in answers if answer.status_code == 200} == {22}
    assert regions.primary.ask("select revision, quantity from orders where id = %s", order["id"]) == [(22, 5)]


def test_a_fresh_order_is_changed_at_once_from_another_region(
    regions: Regions, near: httpx.Client, far: httpx.Client
) -> None:
    with lagging(regions):
        order = placed(near).json()  # of somebody whom the other region does not know yet
        changed = change(far, order, quantity=2)
        assert (changed.status_code, changed.json()["revision"]) == (200, 2)
        assert far.get(f"/orders/{order['id']}", headers=token(changed)).content == changed.content
        gone = cancel(far, order)
        assert gone.status_code == 204
        assert far.get(f"/orders/{order['id']}", headers=token(gone)).status_code == 404


def test_no_cache_gives_an_order_as_it_was_to_who_has_seen_more(
    regions: Regions, near: httpx.Client, far: httpx.Client
) -> None:
    made = placed(near)
    order, where = made.json(), made.headers["Location"]
    replicated(regions)
    hits = 'meridian_cache_requests_total{outcome="hit"}'

    def kept(client: httpx.Client, service: Service) -> bool:
        before = service.metric(hits)
        client.get(where)
        return service.metric(hits) > before

    users = ((near, regions.writer), (far, regions.reader))
    for client, service in users:
        eventually(lambda c=client, s=service: kept(c, s), "it is kept")
    changed = change(near, order, quantity=2)
    for client, _ in users:
        assert client.get(where, headers=token(changed)).content == changed.content
    replicated(regions)
    time.sleep(KEPT_SECONDS + 0.1)
    for client, _ in users:
        assert client.get(where).content == changed.content, "the promise to who shows no position"
    for client, service in users:
        eventually(lambda c=client, s=service: kept(c, s), "it is kept")
    gone = cancel(far, order)
    for client, _ in users:
        assert client.get(where, headers=token(gone)).status_code == 404
    replicated(regions)
    time.sleep(KEPT_SECONDS + 0.1)
    for client, _ in users:
        assert client.get(where).status_code == 404


def test_what_is_kept_serves_whoever_has_seen_less() -> None:
    kept = Kept(document=b'{"item":"a\\nb"}', partition="main", lsn=100)
    assert Kept.unpacked(kept.packed()) == kept
    assert kept.serves(None)
    assert kept.serves(WritePosition(partition="main", lsn=99))
    # A writer's log may hold a commit that still waits for a standby, and that nobody reads yet.
    assert not kept.serves(WritePosition(partition="main", lsn=100))
    assert not kept.serves(WritePosition(partition="americas", lsn=1))


def test_changes_are_held_while_nobody_can_write(regions: Regions, far: httpx.Client) -> None:
    order, other = placed(far).json(), placed(far).json()
    with ThreadPoolExecutor(2) as pool:
        with cut(regions):
            soon = write(far, "PATCH", order, {"quantity": 2}, **SOON)
            assert (soon.status_code, soon.headers["Retry-After"]) == (503, "3")
            held = [pool.submit(change, far, order, quantity=3), pool.submit(cancel, far, other)]
            time.sleep(0.4)
            assert not any(each.done() for each in held)
        assert [each.result().status_code for each in held] == [200, 204]


def test_a_writer_that_does_not_answer_leaves_the_outcome_open(regions: Regions, far: httpx.Client) -> None:
    order = placed(far).json()
    regions.writer.pause()
    try:
        answer = write(far, "DELETE", order, key="k", **{"X-Meridian-Deadline-Ms": "400"})
        assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (503, "outcome-unknown")
    finally:
        regions.writer.resume()
    assert cancel(far, order, "k").status_code == 204


def test_nothing_is_changed_without_a_lease(leased: Regions, near: httpx.Client) -> None:  # noqa: F811
    give_lease(leased, 60)
    order = placed(near).json()
    give_lease(leased, -0.01)
    for method, content in (("PATCH", {"quantity": 2}), ("DELETE", None)):
        answer = write(near, method, order, content, **SOON)
        assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (503, "unavailable")
    assert leased.primary.ask("select revision from orders where id = %s", order["id"]) == [(1,)]


@pytest.mark.parametrize(("method", "content"), [("PATCH", {"quantity": 2}), ("DELETE", None)])
def test_a_change_that_outlasts_the_lease_is_not_acknowledged(
    leased: Regions,  # noqa: F811
    near: httpx.Client,
    method: str,
    content: Any,
) -> None:
    give_lease(leased, 60)
    order = placed(near).json()
    set_standbys(leased, "nobody")
    try:
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(write, near, method, order, content, "k")
            eventually(lambda: leased.primary.ask(WAITS), "the commit waits")
            give_lease(leased, -0.01)
            set_standbys(leased, "")
            assert answer.result().json()["type"].rpartition(":")[2] == "outcome-unknown"
    finally:
        set_standbys(leased, "")
    give_lease(leased, 60)
    assert write(near, method, order, content, "k").headers["Idempotency-Replayed"] == "true"


def test_that_an_order_is_gone_is_said_only_once_a_standby_knows(regions: Regions, near: httpx.Client) -> None:
    """Its cancellation is visible at the writer before it is safe, and must not be told by another way."""
    order = placed(near).json()
    set_standbys(regions, "nobody")
    try:
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(cancel, near, order)
            eventually(lambda: regions.primary.ask(WAITS), "the commit waits")
            regions.primary.ask(f"select pg_cancel_backend(pid) from ({WAITS})")
            assert answer.result().status_code == 503
        assert regions.primary.ask("select count(*) from orders where id = %s", order["id"]) == [(0,)]
        for key in ("another", "yet another"):
            assert write(near, "DELETE", order, key=key, **SOON).status_code == 503
    finally:
        set_standbys(regions, "")
    eventually(lambda: not regions.primary.ask(WAITS), "no commit waits")
    assert cancel(near, order).status_code == 404


def test_a_key_older_than_a_day_changes_again(regions: Regions, near: httpx.Client) -> None:
    order = placed(near).json()
    assert change(near, order, "daily", quantity=2).json()["revision"] == 2
    regions.primary.ask(
        "update idempotency_keys set created_at = now() - interval '24 hours 1 second' where customer = %s",
        order["customer"],
    )
    assert change(near, order, "daily", quantity=3).json()["revision"] == 3
    assert sweep(regions, regions.folder / "service.password") == 1  # the one that it was placed with
    assert change(near, order, "daily", quantity=3).json()["revision"] == 3


def test_changes_are_counted_by_outcome(regions: Regions, near: httpx.Client) -> None:
    def counted() -> dict[str, float]:
        return {
            outcome: regions.writer.metric(f'meridian_writes_total{{outcome="{outcome}"}}')
            for outcome in ("changed", "cancelled", "missing", "stale")
        }

    before, order = counted(), placed(near).json()
    write(near, "PATCH", order, {"quantity": 2}, **{"If-Match": '"9"'})
    change(near, order, quantity=2)
    cancel(near, order)
    cancel(near, order)
    assert counted() == {outcome: number + 1 for outcome, number in before.items()}
    for method, status in (("PATCH", 200), ("DELETE", 204)):
        sample = f'meridian_requests_total{{method="{method}",route="/orders/{{id}}",status="{status}"}}'
        assert regions.writer.metric(sample) >= 1


def test_a_database_of_an_earlier_version_keeps_its_orders_and_keys(regions: Regions) -> None:
    primary = regions.primary
    primary.ask("create database earlier", database="postgres")
    primary.ask(SCHEMA.read_text(), database="earlier")
    with primary.session("earlier") as session:
        session.execute("select public.found_partition(0)")
        session.execute("alter table orders drop column revision")
        session.execute("alter table idempotency_keys drop column answer")
        session.execute("alter table customers drop column cancelled")
        session.execute("insert into customers values ('00/us-east/7f', 'ada', 1)")
        session.execute(
            "insert into orders (home, id, customer, item, quantity, sequence, created_at) "
            "values ('00/us-east/7f', '01900000-0000-7000-8000-000000000001', 'ada', 'lamp', 3, 1, now())"
        )
        session.execute(
            "insert into idempotency_keys (home, customer, key, request_hash, order_id, created_at) "
            "select home, customer, 'k', '\\x00', id, created_at from orders"
        )
        session.execute(SCHEMA.read_text().encode())
        ((home, number, revision),) = session.execute("select home, id, revision from orders").fetchall()
        assert revision == 1
        session.execute(
            "call change_order(null, 'ada', '\\x', %s, null, null, true, 1, 'c', '\\x01', '1s', "
            "null, null, null, null, null, null, null, null, null)",
            (number,),
        )
        assert session.execute("select count(*) from orders").fetchone() == (0,)
        assert session.execute("select last_sequence, cancelled from customers").fetchone() == (1, 1)
        again: Any = session.execute(
            "call place_order(%s, 'ada', '\\x', 'lamp', 3, 'k', '\\x00', '1s', "
            "null, null, null, null, null, null, null)",
            (home,),
        ).fetchone()
        assert again[:3] == ("replayed", str(number), 1)
