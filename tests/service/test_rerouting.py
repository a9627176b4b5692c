"""What one partition's silence does to others' orders: the service's own decisions, with stand-ins for servers."""

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from service.api import OrdersApi
from service.context import Context
from service.holding import Again, Hold
from service.homes import Homes as RealHomes
from service.partitions import MAIN, MapFile, PartitionMap
from service.problems import Problem, unavailable

MAP = PartitionMap.parse(
    json.dumps(
        {
            "version": 1,
            "partitions": {MAIN: {"writer": "eu-central"}, "americas": {"writer": "us-east"}, "asia": {"writer": "jp"}},
            "ranges": [["", MAIN], ["01/", "americas"], ["02/", "asia"]],
            "newcomers": {"us-east": "01/us-east/"},
        }
    ).encode()
)


class Homes:
    """Nobody is known; `main` settles whoever asks."""

    def digest(self, customer: str) -> bytes:
        return customer.encode()

    def learn(self, digest: bytes, home: str) -> None: ...

    async def known(self, *_: Any) -> str | None:
        return None

    async def for_order(self, _context: Any, _map: Any, customer: str, *_: Any) -> str:
        return "01/us-east/00" if customer == "american" else "00/eu-central/00"


class Forwarder:
    """What the regions answer: an order that is there, or the reason why nobody can tell."""

    def __init__(self, **answers: "str | Problem") -> None:
        self.answers = answers
        self.asked: list[str] = []

    async def forward(self, _context: Any, _target: str, *, region: str, **_: Any) -> Any:
        self.asked.append(region)
        answer = self.answers[region.replace("-", "_")]
        if isinstance(answer, Problem):
            raise answer
        return SimpleNamespace(status=200 if answer else 404, headers={}, body=answer.encode())


def api(forwarder: Forwarder) -> OrdersApi:
    async def nothing(_: str) -> None: ...

    async def stays(_: str, __: str, asked: Any) -> Any:
        return await asked

    def labels(*_: str) -> Any:
        return SimpleNamespace(inc=lambda: None)

    stub: Any = SimpleNamespace
    return OrdersApi(
        stub(region="eu-central", planned_regions=frozenset(("eu-central", "us-east", "jp"))),
        stub(current=MAP, refresh=lambda: None, unless_moved=stays),
        {},
        stub(get=nothing),
        cast("Any", forwarder),
        Hold(),
        cast("Any", Homes()),
        stub(writes=stub(labels=labels)),
    )


def request(method: str, body: bytes = b"", **more: str) -> Request:
    headers = {"idempotency-key": "k", "x-user-region": "us-east", "x-meridian-deadline-ms": "600", **more}
    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "path_params": {"id": str(UUID(int=7))},
    }
    Context.of_request(method, Headers(scope=scope)).enter(scope)

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request(scope, receive)


def order(customer: str, **more: str) -> Request:
    return request("POST", json.dumps({"customer": customer, "item": "book", "quantity": 1}).encode(), **more)


def test_new_customers_of_a_partition_without_a_writer_shut_no_door_to_main(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        made = api(Forwarder(us_east=unavailable("nobody writes there")))

        async def here(*_: Any) -> Response:
            return Response(b"{}", 201)

        monkeypatch.setattr(made, "_write_here", here)
        found = await asyncio.gather(*(made.place(order("american")) for _ in range(10)), return_exceptions=True)
        assert all(isinstance(each, Problem) and each.status == 503 for each in found)
        gates: Any = made._hold
        assert not gates._gates[MAIN].shut
        assert (await made.place(order("european"))).status_code == 201

        async def silent(*_: Any) -> Response:
            raise Again(unavailable("nobody writes here"))

        monkeypatch.setattr(made, "_write_here", silent)
        await asyncio.gather(*(made.place(order("european")) for _ in range(5)), return_exceptions=True)
        assert gates._gates[MAIN].shut

    asyncio.run(run())


def test_an_order_is_looked_for_at_every_writer_that_answers() -> None:
    async def run() -> None:
        forwarder = Forwarder(us_east=unavailable("nobody answers"), jp='{"id": "7"}')
        made = api(forwarder)
        found = await made.read(request("GET"))
        assert (found.status_code, found.body) == (200, b'{"id": "7"}')
        assert forwarder.asked == ["us-east", "jp"]
        # That it is nowhere is not said where one could not be asked.
        made = api(Forwarder(us_east=unavailable("nobody answers"), jp=""))
        with pytest.raises(Problem) as fault:
            await made.read(request("GET"))
        assert fault.value.status == 503

    asyncio.run(run())


class Settling:
    """The first writer of `main` is silent; whoever writes it afterwards settles homes, and `americas` takes orders."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    async def forward(self, _context: Any, target: str, *, region: str, **_: Any) -> Any:
        self.asked.append((target, region))
        if (target, region) == ("/homes", "eu-central"):
            await asyncio.Event().wait()
        headers = {"x-meridian-home": "01/us-east/07"} if target == "/homes" else {"content-type": "application/json"}
        return SimpleNamespace(status=200 if target == "/homes" else 201, headers=headers, body=b"{}")


def test_whoever_waits_for_a_home_asks_the_new_writer_of_main_at_once(tmp_path: Path) -> None:
    path, key = tmp_path / "partitions.json", tmp_path / "key"
    key.write_bytes(b"secret")

    def publish(version: int, main: str) -> None:
        document = {
            "version": version,
            "partitions": {"main": {"writer": main}, "americas": {"writer": "us-east"}},
            "ranges": [["", "main"], ["01/", "americas"], ["02/", "main"]],
            "newcomers": {"us-east": "01/us-east/"},
        }
        path.write_text(json.dumps(document))

    async def run() -> Response:
        publish(1, "eu-central")
        hold = Hold()
        map_file = MapFile(path, on_change=hold.news)
        map_file.refresh()
        homes = RealHomes("jp", key, {}, cast("Any", forwarder), map_file)
        stub: Any = SimpleNamespace
        made = OrdersApi(
            stub(region="jp", planned_regions=frozenset(("eu-central", "us-east", "jp"))),
            map_file,
            {},
            stub(),
            cast("Any", forwarder),
            hold,
            homes,
            stub(writes=stub(labels=lambda *_: stub(inc=lambda: None))),
        )
        asked = asyncio.create_task(made.place(order("somebody", **{"x-meridian-deadline-ms": "4000"})))
        await asyncio.sleep(0.2)
        assert forwarder.asked == [("/homes", "eu-central")]
        publish(2, "jp2")
        map_file.refresh()
        return await asyncio.wait_for(asked, 0.5)

    forwarder = Settling()
    assert asyncio.run(run()).status_code == 201
    assert forwarder.asked[1:] == [("/homes", "jp2"), ("/orders", "us-east")]
