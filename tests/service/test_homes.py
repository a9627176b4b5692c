"""Two partitions on real servers: eu-central writes `main`, us-east writes `americas` and has a copy of `main`."""

import asyncio
import json
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

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
