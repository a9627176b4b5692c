"""What an old writer left behind: read, told apart from what users sent again, and sent again once."""

import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from operations.reconciliation import CHANGES, ORDERS, RECORD, Order, replay, tails, tails_folder


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


def change(number: int, based_on: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "key": f"change-{number}-{based_on}",
        "home": "00/us-east/7f",
        "id": f"id-{number}",
        "customer": "ada & co",
        "cancels": False,
        "item": None,
        "quantity": 7,
        "based_on": based_on,
        "made_at": "2026-11-21 10:00:01+00",
        "known": False,
        **more,
    }


def keep(
    stack: Path,
    name: str,
    orders: list[dict[str, Any]],
    saved_at: float = 1.0,
    changes: list[dict[str, Any]] | None = None,
) -> Path:
    folder = tails_folder(stack) / name
    folder.mkdir(parents=True)
    record = {"partition": "main", "region": "eu-central", "writer": "us-east", "saved_at": saved_at, "rows": 9}
    (folder / RECORD).write_text(json.dumps(record))
    (folder / ORDERS).write_text("".join(json.dumps(one) + "\n" for one in orders))
    if changes is not None:  # a tail of an earlier version has none
        (folder / CHANGES).write_text("".join(json.dumps(one) + "\n" for one in changes))
    return folder


@dataclass
class Entry:
    url: str = ""
    statuses: list[int] = field(default_factory=list)
    seen: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    altered: list[tuple[str, str, str, Any]] = field(default_factory=list)


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

        def do_PATCH(self) -> None:
            self.alter(200)

        def do_DELETE(self) -> None:
            self.alter(204)

        def alter(self, good: int) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            condition = f"{self.headers['Idempotency-Key']} if {self.headers['If-Match']}"
            found.altered.append((self.command, self.path, condition, json.loads(body) if body else None))
            status = found.statuses.pop(0) if found.statuses else good
            self.send_response(status)
            answer = b"" if status == 204 else b"{}"
            if answer:
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


def test_changes_are_sent_for_the_revision_that_they_were_based_on(tmp_path: Path, entry: Entry) -> None:
    changes = [
        change(1, 1, item="lamp", quantity=None),
        change(1, 2),
        change(1, 3, quantity=None, cancels=True),
        change(2, known=True),
    ]
    keep(tmp_path, "main-a", [], changes=changes)
    for _ in range(2):
        for tail in tails(tmp_path):
            assert all(result.placed for result in replay(tail, entry.url))
    path = "/orders/id-1?customer=ada%20%26%20co"
    assert entry.altered == [
        ("PATCH", path, 'change-1-1 if "1"', {"item": "lamp"}),
        ("PATCH", path, 'change-1-2 if "2"', {"quantity": 7}),
        ("DELETE", path, 'change-1-3 if "3"', None),
    ]
    (tail,) = tails(tmp_path)
    assert (tail.open_changes, tail.conflicts) == ((), ())


def test_a_change_of_an_order_that_was_lost_too_is_of_the_one_that_was_placed_for_it(
    tmp_path: Path, entry: Entry
) -> None:
    keep(tmp_path, "main-a", [order(1), order(2, known_as="other")], changes=[change(1), change(2)])
    (tail,) = tails(tmp_path)
    assert all(result.placed for result in replay(tail, entry.url))
    assert [path.split("?")[0] for _, path, _, _ in entry.altered] == ["/orders/new-1", "/orders/other"]
    entry.altered.clear()
    # In another run, too.
    keep(tmp_path, "main-b", [order(3)], 2.0, changes=[change(3)])
    entry.statuses += [201, 503]
    list(replay(tails(tmp_path)[1], entry.url))
    list(replay(tails(tmp_path)[1], entry.url))
    assert [path.split("?")[0] for _, path, _, _ in entry.altered] == ["/orders/new-2"] * 2


@pytest.mark.parametrize("status", [404, 412, 422])
def test_a_change_of_what_is_another_order_now_is_a_conflict_and_stays_listed(
    tmp_path: Path, entry: Entry, status: int
) -> None:
    entry.statuses += [status, 503]
    keep(tmp_path, "main-a", [], changes=[change(1), change(2)])
    (tail,) = tails(tmp_path)
    assert not any(result.placed for result in replay(tail, entry.url))
    (tail,) = tails(tmp_path)
    assert [each.id for each in tail.open_changes] == ["id-1", "id-2"]
    assert [each.id for each in tail.conflicts] == ["id-1"]


def test_what_should_be_cancelled_and_is_gone_is_done(tmp_path: Path, entry: Entry) -> None:
    entry.statuses += [404]
    keep(tmp_path, "main-a", [], changes=[change(1, cancels=True)])
    (tail,) = tails(tmp_path)
    assert all(result.placed for result in replay(tail, entry.url))
    assert tails(tmp_path)[0].open_changes == ()


def test_an_order_has_the_fields_that_a_driver_writes() -> None:
    assert Order(**order(1)).is_lost
