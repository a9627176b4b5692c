"""The users of a drill, against a server that loses some of their requests."""

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from operations.drill import load as module
from operations.drill.expectation import contradictions, expected
from operations.drill.ledger import Users
from operations.drill.load import Load
from service.positions import WritePosition


class Entry:
    """Answers orders by key, as the service does; every fourth request is refused the first time."""

    def __init__(self) -> None:
        self.orders: dict[str, dict[str, object]] = {}
        self.refused: set[str] = set()
        self.count = 0
        self.under_way: set[str] = set()
        self.gone: set[str] = set()
        self.read = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
            except (asyncio.IncompleteReadError, ConnectionError):
                break
            headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
            body = await reader.readexactly(int(headers["Content-Length"]))
            status, answer, more = self.answer(head.split()[0], head.split()[1], headers, body)
            content = b"" if status == 204 else json.dumps(answer).encode()
            lines = [f"HTTP/1.1 {status} X", f"content-length: {len(content)}", *more, "", ""]
            writer.write("\r\n".join(lines).encode() + content)
        writer.close()

    def answer(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, object], list[str]]:
        if method == "GET":
            self.read += 1
            return 200, {"id": path}, ["x-served-region: a"]
        key = headers["Idempotency-Key"]
        if method != "POST":
            return self.altered(method, path, key, body)
        self.count += 1
        if self.count % 4 == 0 and key not in self.refused:
            self.refused.add(key)
            return 503, {"detail": "later"}, ["retry-after: 1"]
        known = key in self.orders
        self.orders.setdefault(
            key,
            {**json.loads(body), "id": f"o{len(self.orders)}", "created_at": "2026-11-21T12:00:00Z", "revision": 1},
        )
        token = WritePosition(partition="americas", lsn=len(self.orders)).token()
        more = ["x-written-region: a", "x-served-region: b", f"x-write-position: {token}"]
        return 200 if known else 201, self.orders[key], more

    def altered(self, method: str, path: str, key: str, body: bytes) -> tuple[int, dict[str, object], list[str]]:
        number = path.split("/")[-1].split("?")[0]
        assert number not in self.under_way, "one write at a time for each order"
        self.under_way.add(number)
        try:
            if key not in self.refused and len(self.refused) % 3 == 0:
                self.refused.add(key)
                return 503, {"detail": "later"}, ["retry-after: 1"]
            self.refused.add(key)
            order = next(each for each in self.orders.values() if each["id"] == number)
            if method == "DELETE":
                self.gone.add(number)
                return 204, {}, []
            order |= {**json.loads(body), "revision": int(str(order["revision"])) + 1}
            return 200, order, []
        finally:
            self.under_way.remove(number)


@contextmanager
def running(entry: Entry) -> Iterator[str]:
    ready, place = threading.Event(), []
    loop = asyncio.new_event_loop()

    async def main() -> None:
        server = await asyncio.start_server(entry.serve, "127.0.0.1", 0)
        place.append(server.sockets[0].getsockname()[1])
        ready.set()
        await stop.wait()
        server.close()

    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
    thread.start()
    ready.wait()
    try:
        yield f"http://127.0.0.1:{place[0]}"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SETTLED", 0.1)


def test_every_request_is_in_the_ledger_with_what_became_of_it(tmp_path: Path) -> None:
    entry = Entry()
    with running(entry) as url:
        with Load(url, ("a", "b"), rate=100, reads=0.5, ledger=tmp_path / "ledger.jsonl") as load:
            time.sleep(1.0)
        records = [json.loads(line) for line in (tmp_path / "ledger.jsonl").read_text().splitlines()]
    writes = [record for record in records if record["kind"] == "write"]
    assert (
        {record["id"] for record in writes} == set(load.acknowledged) == {each["id"] for each in entry.orders.values()}
    )
    assert {record["region"] for record in writes} == {"a", "b"}
    assert sum(record["tries"] == 2 for record in writes) == len(entry.refused) > 0
    assert all(record["written"] == "a" for record in writes)
    assert all(record["partition"] == "americas" for record in writes)
    assert {record["customer"] for record in writes} == {str(order["customer"]) for order in entry.orders.values()}
    assert entry.read == sum(record["kind"] == "read" for record in records) > 0
    assert load.failed == []


def test_orders_are_changed_and_cancelled_and_what_should_be_there_is_known(tmp_path: Path) -> None:
    entry = Entry()
    ledger = tmp_path / "ledger.jsonl"
    with (
        running(entry) as url,
        Load(url, ("a", "b"), rate=100, reads=0.3, changes=0.3, cancels=0.1, retries=2, ledger=ledger) as load,
    ):
        time.sleep(1.5)
    records = [json.loads(line) for line in ledger.read_text().splitlines()]
    told = [record for record in records if record["kind"] != "read"]
    assert sorted(told, key=lambda each: each["key"]) == sorted(load.told, key=lambda each: each["key"])
    kinds = Counter(record["kind"] for record in told)
    assert 0.2 < kinds["change"] / len(told) < 0.4
    assert 0.05 < kinds["cancel"] / len(told) < 0.15
    assert set(load.acknowledged) == {each["id"] for each in entry.orders.values()}, "it counts what was placed"
    orders = expected(records)
    assert {number for number, order in orders.items() if order.told is None} == entry.gone
    there = {
        str(each["id"]): (int(str(each["revision"])), int(str(each["quantity"])))
        for each in entry.orders.values()
        if each["id"] not in entry.gone
    }
    assert contradictions(orders, there) == []
    assert load.failed == []


def test_what_fails_to_the_last_try_is_failed(tmp_path: Path) -> None:
    entry = Entry()
    with running(entry) as url, Load(url, ("a",), rate=60, retries=0, ledger=tmp_path / "ledger.jsonl") as load:
        time.sleep(0.6)
    records = [json.loads(line) for line in (tmp_path / "ledger.jsonl").read_text().splitlines()]
    lost = [record for record in records if "status" not in record]
    assert len(lost) == len(load.failed) == len(entry.refused) > 0
    assert all(record["said"][0].startswith("503") for record in lost)


def test_as_a_process_it_ends_with_its_input(tmp_path: Path) -> None:
    entry = Entry()
    with running(entry) as url:
        users = Users(url, tmp_path / "ledger.jsonl", ("a",), rate=50, reads=0.0, retries=1)
        users.await_record(lambda record: record["kind"] == "write", 10.0, "the first order")
        records = users.end()
    assert users.process.returncode == 0
    assert {record["id"] for record in records} == {each["id"] for each in entry.orders.values()}
