"""Two partitions on real servers: eu-central writes `main`, us-east writes `americas` and has a copy of `main`."""

import asyncio
import json
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.cache import KEPT_SECONDS
from service.positions import WritePosition
from tests.service.servers import Gateway, Postgres, Service, eventually, missing, prepare
from tests.service.test_writes import burst

pytestmark = pytest.mark.servers

MAP: dict[str, Any] = {
    "version": 10,
    "partitions": {"main": {"writer": "eu-central"}, "americas": {"writer": "us-east"}},
    "ranges": [["", "main"], ["01/", "americas"], ["02/", "main"]],
    "newcomers": {"us-east": "01/us-east/"},
}

SOON = {"X-Meridian-Deadline-Ms": "500"}


@dataclass(frozen=True, kw_only=True)
class Partitions:
    main: Postgres
    copy: Postgres  # of main, in us-east
    americas: Postgres
    europe: Service
    america: Service
    ways: tuple[Gateway, Gateway]  # from us-east to eu-central, and back

    def publish(self, **changes: Any) -> None:
        for service in (self.europe, self.america):
            publish(service, {**MAP, **changes})


def publish(service: Service, document: dict[str, Any]) -> None:
    fresh = service.map.with_suffix(".new")
    fresh.write_text(json.dumps(document))
    fresh.rename(service.map)


@pytest.fixture(scope="module")
def partitions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Partitions]:
    if reason := missing():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("partitions")
    main, copy, americas = (Postgres(folder, name) for name in ("main", "copy", "americas"))
    running: list[Postgres | Service] = []
    ways: list[Gateway] = []
    try:
        for server, slot in ((main, 0), (americas, 1)):
            server.create()
            server.start()
            running.append(server)
            server.ready()
            prepare(server, slot)
        copy.copy(main)
        copy.start()
        running.append(copy)
        europe = Service(folder, "eu-central", members={"main": at(main.port)})
        america = Service(folder, "us-east", members={"main": at(copy.port), "americas": at(americas.port)})
        for source, target in ((america, europe), (europe, america)):
            way = Gateway(target.port)
            ways.append(way)
            way.start()
            source.change(egress=at(way.port))
        for service in (europe, america):
            publish(service, MAP)
            service.start()
            running.append(service)
        for server in (copy, europe, america):
            server.ready()
        yield Partitions(
            main=main, copy=copy, americas=americas, europe=europe, america=america, ways=(ways[0], ways[1])
        )
    finally:
        for way in ways:
            way.close()
        for server in reversed(running):
            if server.process is not None:
                server.stop()


def at(port: int) -> dict[str, Any]:
    return {"host": "127.0.0.1", "port": port}


def place(service: Service, who: str, **headers: str) -> httpx.Response:
    return httpx.post(
        f"{service.url}/orders",
        json={"customer": who, "item": "lamp", "quantity": 1},
        headers={"Idempotency-Key": str(uuid.uuid4()), "X-User-Region": service.region, **headers},
        timeout=10,
    )


def change(service: Service, order: dict[str, Any], method: str = "PATCH", **headers: str) -> httpx.Response:
    return httpx.request(
        method,
        f"{service.url}/orders/{order['id']}",
        params={"customer": order["customer"]},
        json={"quantity": 2} if method == "PATCH" else None,
        headers={"Idempotency-Key": str(uuid.uuid4()), "X-User-Region": service.region, **headers},
        timeout=10,
    )


def written(answer: httpx.Response) -> tuple[int, str | None, int]:
    return answer.status_code, answer.headers.get("X-Written-Region"), answer.json().get("sequence", 0)


def test_a_new_customer_is_written_near_and_main_knows_no_more_than_a_digest(partitions: Partitions) -> None:
    who = f"jane-{uuid.uuid4()}"
    assert written(place(partitions.america, who)) == (201, "us-east", 1)
    ((home,),) = partitions.americas.ask("select home from customers where customer = %s", who)
    assert home.startswith("01/us-east/")
    assert partitions.main.ask("select count(*) from customers where customer = %s", who) == [(0,)]
    rows = partitions.main.ask("select d::text from directory d where home = %s", home)
    assert rows
    assert not [row for row in rows if who in row[0]]


def test_wherever_the_customer_is_the_home_writes_and_the_order_is_one(partitions: Partitions) -> None:
    who, other = f"traveller-{uuid.uuid4()}", f"visitor-{uuid.uuid4()}"
    for number, service in enumerate((partitions.america, partitions.europe, partitions.america), 1):
        assert written(place(service, who)) == (201, "us-east", number)
    for number, service in enumerate((partitions.europe, partitions.america, partitions.europe), 1):
        assert written(place(service, other)) == (201, "eu-central", number)
    listed = httpx.get(f"{partitions.europe.url}/orders", params={"customer": who}).json()["orders"]
    assert [order["sequence"] for order in listed] == [1, 2, 3]
    order = httpx.get(f"{partitions.europe.url}/orders/{listed[0]['id']}", timeout=10)
    assert (order.status_code, order.json()) == (200, listed[0])
    assert httpx.get(f"{partitions.europe.url}/orders/{uuid.uuid4()}", timeout=10).status_code == 404


def test_whoever_changes_an_order_its_home_writes(partitions: Partitions) -> None:
    for home, region in ((partitions.america, "us-east"), (partitions.europe, "eu-central")):
        order = place(home, f"changes-{uuid.uuid4()}").json()
        for revision, service in enumerate((partitions.america, partitions.europe), 2):
            changed = change(service, order)
            assert (changed.status_code, changed.headers["X-Written-Region"]) == (200, region)
            assert changed.json() == {**order, "quantity": 2, "revision": revision}
        cancelled = change(partitions.europe, order, "DELETE")
        assert (cancelled.status_code, cancelled.headers["X-Written-Region"]) == (204, region)
        token = {"X-Write-Position": cancelled.headers["X-Write-Position"]}
        for service in (partitions.america, partitions.europe):
            read = httpx.get(f"{service.url}/orders/{order['id']}", headers=token, timeout=10)
            assert read.status_code == 404


def test_who_is_not_known_near_is_asked_of_the_writer_of_main(partitions: Partitions) -> None:
    """Also who is new and whose first order is a moment old. Nobody gets a home by changing what is not there."""
    partitions.copy.ask("select pg_wal_replay_pause()")
    try:
        order = place(partitions.europe, f"fresh-{uuid.uuid4()}").json()
        changed = change(partitions.america, order)
        assert (changed.status_code, changed.headers["X-Written-Region"]) == (200, "eu-central")
    finally:
        partitions.copy.ask("select pg_wal_replay_resume()")
    homes = "select (select count(*) from customers), (select count(*) from directory)"
    before = [database.ask(homes) for database in (partitions.main, partitions.americas)]
    stranger = {"id": str(uuid.uuid4()), "customer": f"stranger-{uuid.uuid4()}"}
    answer = change(partitions.america, stranger)
    assert answer.status_code == 404
    assert [database.ask(homes) for database in (partitions.main, partitions.americas)] == before


def test_first_orders_in_two_regions_at_once_settle_on_one_home(partitions: Partitions) -> None:
    people = [f"everywhere-{uuid.uuid4()}" for _ in range(8)]
    orders = [
        (
            service.url,
            {"customer": who, "item": "x", "quantity": 1},
            {"Idempotency-Key": str(uuid.uuid4()), "X-User-Region": service.region},
        )
        for _ in range(3)
        for who in people
        for service in (partitions.europe, partitions.america)
    ]
    answers = asyncio.run(burst(orders))
    assert Counter(answer.status_code for answer in answers) == {201: 48}
    for who in people:
        found = [
            database.ask("select sequence from orders where customer = %s order by 1", who)
            for database in (partitions.main, partitions.americas)
        ]
        assert sorted(found) == [[], [(number,) for number in range(1, 7)]], who


@contextmanager
def moved(partitions: Partitions, *, to: str | None) -> Iterator[None]:
    """The homes of us-east, as after a move from `americas` to `main`, or in the middle of one."""
    close = "update home_ranges set owned = false, moved_to = %s where first = '01/'"
    partitions.americas.ask(close, to)
    if to is not None:
        partitions.main.ask("update home_ranges set owned = true, moved_to = null where first = '01/'")
    try:
        yield
    finally:
        partitions.main.ask("update home_ranges set owned = false where first = '01/'")
        partitions.americas.ask("update home_ranges set owned = true, moved_to = null where first = '01/'")


def test_a_map_that_is_old_ends_in_a_forward(partitions: Partitions) -> None:
    people = {service.region: f"moved-{uuid.uuid4()}" for service in (partitions.europe, partitions.america)}
    for who in people.values():
        assert written(place(partitions.america, who)) == (201, "us-east", 1)
    with moved(partitions, to="main"):
        for service in (partitions.europe, partitions.america):
            # Written at the new place, from both, though both maps still name the old one.
            assert place(service, people[service.region]).headers["X-Written-Region"] == "eu-central"
    for who in people.values():
        assert partitions.americas.ask("select count(*) from orders where customer = %s", who) == [(1,)]
        partitions.main.ask("delete from orders where customer = %s", who)
        partitions.main.ask("delete from idempotency_keys where customer = %s", who)
        partitions.main.ask("delete from customers where customer = %s", who)


def test_while_a_home_is_being_moved_nothing_is_written(partitions: Partitions) -> None:
    who = f"moving-{uuid.uuid4()}"
    assert place(partitions.america, who).status_code == 201
    with moved(partitions, to=None):
        for service in (partitions.europe, partitions.america):
            answer = place(service, who, **SOON)
            assert (answer.status_code, answer.headers.get("Retry-After")) == (503, "3"), answer.text
    assert written(place(partitions.europe, who)) == (201, "us-east", 2)


def test_while_a_home_is_being_moved_nothing_is_changed(partitions: Partitions) -> None:
    order = place(partitions.america, f"moving-{uuid.uuid4()}").json()
    with moved(partitions, to=None):
        for service in (partitions.europe, partitions.america):
            for method in ("PATCH", "DELETE"):
                answer = change(service, order, method, **{"X-Meridian-Deadline-Ms": "1500"})
                assert (answer.status_code, answer.headers.get("Retry-After")) == (503, "3"), answer.text
    assert change(partitions.europe, order).json()["revision"] == 2


def test_a_moved_order_is_changed_and_read_where_it_is_now(partitions: Partitions) -> None:
    """The rows that it had before stay for a while where they were; they count no more."""
    placed = place(partitions.america, who := f"moved-{uuid.uuid4()}")
    order = placed.json()
    where = f"/orders/{order['id']}"
    token = {"X-Write-Position": placed.headers["X-Write-Position"]}
    tables = ("customers", "orders", "idempotency_keys")
    for table in tables:
        for (row,) in partitions.americas.ask(f"select to_jsonb(t)::text from {table} t where customer = %s", who):
            partitions.main.ask(f"insert into {table} select * from jsonb_populate_record(null::{table}, %s)", row)
    try:
        # As the rows arrive, while the source still writes: what is at the target already may be old.
        assert change(partitions.america, order).json()["revision"] == 2
        for service in (partitions.europe, partitions.america):
            assert httpx.get(f"{service.url}{where}", timeout=10).json()["revision"] == 2
        partitions.main.ask("update orders set revision = 2, quantity = 2 where id = %s", order["id"])
        with moved(partitions, to="main"):
            for revision, service in enumerate((partitions.europe, partitions.america), 3):
                changed = change(service, order)
                assert (changed.status_code, changed.headers["X-Written-Region"]) == (200, "eu-central")
                assert changed.json()["revision"] == revision
            time.sleep(KEPT_SECONDS + 0.1)
            for service in (partitions.europe, partitions.america):
                assert httpx.get(f"{service.url}{where}", timeout=10).json()["revision"] == 4
            assert partitions.americas.ask("select revision from orders where id = %s", order["id"]) == [(2,)]
            for gone in (False, True):
                if gone:
                    partitions.americas.ask("delete from orders where id = %s", order["id"])
                for service in (partitions.europe, partitions.america):
                    read = httpx.get(f"{service.url}{where}", headers=token, timeout=10)
                    assert read.json()["revision"] == 4, "also with a token of before the move"
    finally:
        for table in tables:
            partitions.main.ask(f"delete from {table} where customer = %s", who)


def test_users_cannot_settle_homes(partitions: Partitions) -> None:
    answer = httpx.post(f"{partitions.europe.url}/homes", json={"customer": "x", "home": "01/us-east/00"})
    assert answer.status_code == 404


def test_without_the_writer_of_main_known_customers_go_on(partitions: Partitions) -> None:
    known, new = f"known-{uuid.uuid4()}", f"new-{uuid.uuid4()}"
    assert place(partitions.america, known).status_code == 201
    partitions.ways[0].cut()
    try:
        assert written(place(partitions.america, known)) == (201, "us-east", 2)
        assert place(partitions.america, new, **SOON).status_code == 503
        # Nor do those who are new keep the others waiting.
        assert written(place(partitions.america, known)) == (201, "us-east", 3)
    finally:
        partitions.ways[0].start()
    eventually(lambda: place(partitions.america, new).status_code == 201, "the way is open again")


def test_a_member_joins_a_service_that_runs(partitions: Partitions, tmp_path: Path) -> None:
    late = Postgres(tmp_path, "late")
    process = partitions.europe.process
    assert process is not None
    members = {"main": at(partitions.main.port), "asia": at(late.port)}

    def known() -> dict[str, str]:
        return httpx.get(f"{partitions.europe.url}/healthz/ready").raise_for_status().json()["members"]

    partitions.europe.change(members=members)
    try:
        # Not there yet, and missed by nobody: the region goes on serving.
        eventually(lambda: known() == {"main": "up", "asia": "down"}, "the member is known")
        late.create()
        late.start()
        late.ready()
        prepare(late, 2)
        eventually(lambda: known() == {"main": "up", "asia": "up"}, "the member answers")
        late.stop()
        eventually(
            lambda: httpx.get(f"{partitions.europe.url}/healthz/ready").status_code == 503, "the member is missed"
        )
    finally:
        partitions.europe.change(members={"main": at(partitions.main.port)})
        if late.process is not None:
            late.stop()
    eventually(lambda: known() == {"main": "up"}, "the member is forgotten")
    assert partitions.europe.process is process
    assert process.poll() is None


def test_whose_partition_was_given_up_counts_as_new(partitions: Partitions) -> None:
    """Wherever the home is remembered, and also while the directory still has it."""
    who = f"lost-{uuid.uuid4()}"
    own = (
        "insert into home_ranges (first, owned) values ('02/', %s), ('03/', false) "
        "on conflict (first) do update set owned = excluded.owned"
    )
    try:
        partitions.americas.ask(own, True)
        partitions.publish(
            version=20,
            ranges=[["", "main"], ["01/", "americas"], ["03/", "main"]],
            newcomers={"us-east": "02/us-east/"},
        )
        time.sleep(0.2)
        for number, service in enumerate((partitions.america, partitions.europe), 1):
            assert written(place(service, who)) == (201, "us-east", number)
        ((home,),) = partitions.americas.ask("select home from customers where customer = %s", who)
        assert home.startswith("02/us-east/")

        partitions.americas.ask(own, False)
        for table in ("customers", "orders", "idempotency_keys"):
            partitions.americas.ask(f"delete from {table} where home = %s", home)
        partitions.publish(version=21, given_up=[["02/", "03/"]])
        time.sleep(0.2)
        for service in (partitions.america, partitions.europe):
            answer = place(service, who, **SOON)
            assert answer.status_code == 503, answer.text
        wish = {"customer": f"late-{uuid.uuid4()}", "home": home}
        settled = httpx.post(
            f"{partitions.europe.url}/homes", json=wish, headers={"X-Meridian-Forwarded-By": "us-east"}, timeout=10
        )
        assert settled.status_code == 503, settled.text
        assert partitions.main.ask("select count(*) from directory where home = %s", home) == [(1,)]

        partitions.main.ask("delete from directory where home = %s", home)
        for number, service in enumerate((partitions.america, partitions.europe), 1):
            assert written(place(service, who)) == (201, "us-east", number)
        ((home,),) = partitions.americas.ask("select home from customers where customer = %s", who)
        assert home.startswith("01/us-east/")
        token = WritePosition(partition="asia", lsn=1).token()
        for service in (partitions.america, partitions.europe):
            listed = httpx.get(
                f"{service.url}/orders", params={"customer": who}, headers={"X-Write-Position": token}, timeout=10
            )
            assert [order["sequence"] for order in listed.json()["orders"]] == [1, 2], listed.text
            order = httpx.get(
                f"{service.url}/orders/{listed.json()['orders'][0]['id']}",
                headers={"X-Write-Position": token},
                timeout=10,
            )
            assert order.status_code == 200, order.text
    finally:
        partitions.americas.ask(own, False)
        partitions.publish(version=30)
