"""What an old writer left behind: read, told apart from what users sent again, and sent again once."""

import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from operations.reconciliation import ORDERS, RECORD, Order, replay, tails, tails_folder


def order(number: int, **more: Any) -> dict[str, Any]:
    return {
        "key": f"key-{number}",
        "home": "us-east",
        "id": f"id-{number}",
        "customer": "ada",
        "item": "book",
        "quantity": number,
        "sequence": number,
        "created_at": "2026-11-21 10:00:00+00",
        "known_as": None,
        **more,
    }


def keep(stack: Path, name: str, orders: list[dict[str, Any]], saved_at: float = 1.0) -> Path:
    folder = tails_folder(stack) / name
    folder.mkdir(parents=True)
    record = {"partition": "main", "region": "eu-central", "writer": "us-east", "saved_at": saved_at, "rows": 9}
    (folder / RECORD).write_text(json.dumps(record))
    (folder / ORDERS).write_text("".join(json.dumps(one) + "\n" for one in orders))
    return folder


@dataclass
class Entry:
    url: str = ""
    statuses: list[int] = field(default_factory=list)
    seen: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)


@pytest.fixture
def entry() -> Iterator[Entry]:
    found = Entry()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found.seen.append((self.headers["Idempotency-Key"], self.headers["X-User-Region"], body))
            status = found.statuses.pop(0) if found.statuses else 201
            answer = json.dumps({"id": f"new-{len(found.seen)}"}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_oldest_comes_first_and_half_written_ones_are_not_there(tmp_path: Path) -> None:
    assert tails(tmp_path) == []
    keep(tmp_path, "main-b", [], saved_at=2.0)
    keep(tmp_path, "main-a", [order(1)], saved_at=5.0)
    keep(tmp_path, ".main-c.new", [order(1)])
    assert [tail.name for tail in tails(tmp_path)] == ["main-b", "main-a"]


def test_what_its_user_sent_again_is_not_open(tmp_path: Path) -> None:
    keep(tmp_path, "main-a", [order(1), order(2, known_as="other")])
    (tail,) = tails(tmp_path)
    assert [one.id for one in tail.orders] == ["id-1", "id-2"]
    assert [one.id for one in tail.open] == ["id-1"]


def test_each_is_placed_once_with_its_own_key_and_home(tmp_path: Path, entry: Entry) -> None:
    keep(tmp_path, "main-a", [order(1), order(2), order(3, known_as="other")])
    for _ in range(2):
        for tail in tails(tmp_path):
            assert all(result.placed for result in replay(tail, entry.url))
    assert entry.seen == [
        (f"key-{number}", "us-east", {"customer": "ada", "item": "book", "quantity": number}) for number in (1, 2)
    ]
    assert tails(tmp_path)[0].open == ()


def test_a_home_says_where_its_customer_is(tmp_path: Path, entry: Entry) -> None:
    """The service takes a region, and refuses anything else."""
    keep(tmp_path, "americas-a", [order(1, home="01/us-east/7f"), order(2, home="eu-central")])
    (tail,) = tails(tmp_path)
    assert all(result.placed for result in replay(tail, entry.url))
    assert [region for _, region, _ in entry.seen] == ["us-east", "eu-central"]


def test_what_is_refused_stays_open(tmp_path: Path, entry: Entry) -> None:
    entry.statuses += [503, 200]
    keep(tmp_path, "main-a", [order(1), order(2)])
    (tail,) = tails(tmp_path)
    assert [(result.status, result.placed) for result in replay(tail, entry.url)] == [(503, False), (200, True)]
    (tail,) = tails(tmp_path)
    assert [one.id for one in tail.open] == ["id-1"]


def test_nobody_can_send_again_what_has_no_key_or_where_nobody_answers(tmp_path: Path) -> None:
    keep(tmp_path, "main-a", [order(1, key=None), order(2)])
    (tail,) = tails(tmp_path)
    first, second = replay(tail, "http://127.0.0.1:9")
    assert (first.status, second.status) == (0, 0)
    assert "key" in first.why
    assert "does not answer" in second.why
    assert len(tails(tmp_path)[0].open) == 2


def test_an_order_has_the_fields_that_a_driver_writes() -> None:
    assert Order(**order(1)).is_lost
