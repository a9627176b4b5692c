"""The delay proxy: the delay of the distance, the order of the bytes, cuts, and no restart for anything."""

import contextlib
import socket
import statistics
import threading
import time
from collections.abc import Iterator

import pytest

from components.local.servers import process, wan
from components.local.servers.addresses import Endpoint
from components.local.servers.errors import ServerFault
from tests.components.local.servers.conftest import Stack

pytestmark = pytest.mark.servers


class Echo:
    """Sends back what it gets; after a half-close, `bye`, and then its own end."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.server = socket.create_server(endpoint)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.server.accept()
                threading.Thread(target=self.answer, args=(connection,), daemon=True).start()

    def answer(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            while data := connection.recv(1 << 18):
                connection.sendall(data)
            connection.sendall(b"bye")


@pytest.fixture(scope="module")
def near(shared_stack: Stack) -> Iterator[Endpoint]:
    target = shared_stack.addresses.gateway_peer(1)
    echo = Echo(target)
    listen = shared_stack.addresses.link(0, 1)
    wan.put_link(shared_stack.folder, "a--b", listen, target, 0)
    yield listen
    echo.server.close()


@pytest.fixture(autouse=True)
def restored(shared_stack: Stack, near: Endpoint) -> Iterator[None]:
    yield
    wan.restore(shared_stack.folder, "a--b")
    delay(shared_stack, 0)


def delay(stack: Stack, one_way_ms: float) -> None:
    wan.put_link(stack.folder, "a--b", stack.addresses.link(0, 1), stack.addresses.gateway_peer(1), one_way_ms)


def round_trip(connection: socket.socket, data: bytes = b"ping") -> float:
    began = time.perf_counter()
    connection.sendall(data)
    assert receive(connection, len(data)) == data
    return (time.perf_counter() - began) * 1000


def receive(connection: socket.socket, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count and (part := connection.recv(count - len(parts))):
        parts += part
    return bytes(parts)


def connect(endpoint: Endpoint) -> socket.socket:
    connection = socket.create_connection(endpoint, timeout=10)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def test_a_round_trip_takes_twice_the_delay_and_little_more(shared_stack: Stack, near: Endpoint) -> None:
    with connect(near) as connection:
        assert statistics.median(round_trip(connection) for _ in range(20)) < 5
        for one_way in (40, 10):
            # An open connection takes it over, without a restart.
            delay(shared_stack, one_way)
            median = statistics.median(round_trip(connection) for _ in range(9))
            assert 2 * one_way - 1 <= median <= 2 * one_way + 12


def test_much_data_arrives_whole_and_fast(shared_stack: Stack, near: Endpoint) -> None:
    delay(shared_stack, 20)
    data = bytes(range(256)) * (32 * 4096)  # 32 MB
    with connect(near) as connection:
        sender = threading.Thread(target=connection.sendall, args=(data,))
        began = time.perf_counter()
        sender.start()
        received = receive(connection, len(data))
        seconds = time.perf_counter() - began
        sender.join()
    assert received == data
    assert seconds < 8


def test_a_half_close_and_its_answer_pass(shared_stack: Stack, near: Endpoint) -> None:
    delay(shared_stack, 5)
    with connect(near) as connection:
        connection.sendall(b"last words")
        connection.shutdown(socket.SHUT_WR)
        assert receive(connection, 99) == b"last wordsbye"


def test_a_target_that_refuses_is_felt_after_a_round_trip(shared_stack: Stack) -> None:
    listen, nobody = shared_stack.addresses.link(3, 4), shared_stack.addresses.gateway_peer(4)
    wan.put_link(shared_stack.folder, "c--d", listen, nobody, 20)
    with connect(listen) as connection:
        began = time.perf_counter()
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""
        assert 0.035 <= time.perf_counter() - began < 1
    wan.remove_link(shared_stack.folder, "c--d")
    with pytest.raises(ConnectionRefusedError):
        connect(listen)
    assert not wan.has_link(shared_stack.folder, "c--d")


def test_a_cut_swallows_everything_without_a_word_until_it_is_restored(shared_stack: Stack, near: Endpoint) -> None:
    delay(shared_stack, 60)
    with connect(near) as before, connect(near) as quiet:
        round_trip(before)
        round_trip(quiet)
        before.sendall(b"under way")
        wan.cut(shared_stack.folder, "a--b")
        assert wan.cuts(shared_stack.folder) == ["a--b"]
        with connect(near) as during:
            during.sendall(b"hello?")
            for connection in (before, during):
                connection.settimeout(0.3)
                with pytest.raises(TimeoutError):
                    connection.recv(1)
            wan.restore(shared_stack.folder, "a--b")
            for connection in (before, during):
                # They lost bytes and cannot go on.
                with contextlib.suppress(ConnectionResetError):
                    assert connection.recv(1) == b""
        round_trip(quiet)
        with connect(near) as afterwards:
            round_trip(afterwards)


def test_nothing_of_it_restarts_the_proxy_and_asking_again_changes_nothing(shared_stack: Stack, near: Endpoint) -> None:
    before = wan.ensure_wan(shared_stack.folder)
    delay(shared_stack, 3)
    delay(shared_stack, 3)
    assert wan.ensure_wan(shared_stack.folder) == before
    assert wan.is_running(shared_stack.folder)


def test_a_killed_proxy_comes_back_with_its_links_and_cuts(shared_stack: Stack, near: Endpoint) -> None:
    wan.cut(shared_stack.folder, "a--b")
    process.stop(shared_stack.folder / "wan", 9)
    assert not wan.has_link(shared_stack.folder, "a--b")
    wan.ensure_wan(shared_stack.folder)
    assert wan.has_link(shared_stack.folder, "a--b")
    with connect(near) as connection:
        connection.sendall(b"x")
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
    wan.restore(shared_stack.folder, "a--b")
    with connect(near) as connection:
        round_trip(connection)


def test_a_port_in_use_is_a_fault_that_names_its_process(shared_stack: Stack) -> None:
    listen = shared_stack.addresses.link(5, 6)
    with socket.create_server(listen), pytest.raises(ServerFault, match="the port is in use by process"):
        wan.put_link(shared_stack.folder, "e--f", listen, shared_stack.addresses.gateway_peer(6), 1)


def test_links_are_named_by_direction_and_kind() -> None:
    names = {wan.link_name("a", "b", users=users) for users in (True, False)} | {wan.link_name("b", "a", users=False)}
    assert len(names) == 3
