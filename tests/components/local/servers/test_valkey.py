"""A real Valkey: up with its password, gone without a trace, and never a store."""

import socket

import pytest

from components.local.servers import paths, process, secrets, valkey
from components.local.servers.errors import ServerFault
from tests.components.local.servers.conftest import Stack, processes_of

pytestmark = pytest.mark.servers


def test_a_cache_from_its_start_to_its_end(stack: Stack) -> None:
    endpoint = stack.addresses.valkey(0)
    server = valkey.ensure_started(stack.folder, "eu-central", endpoint)
    password = secrets.read_password(stack.folder, "cache")
    assert valkey.ensure_started(stack.folder, "eu-central", endpoint) == server
    assert valkey.is_running(stack.folder, "eu-central")
    assert valkey.is_up(stack.folder, "eu-central", endpoint)
    assert not valkey.ping(endpoint, "wrong")
    with socket.create_connection(endpoint, 1) as connection:
        connection.sendall(b"*1\r\n$4\r\nKEYS\r\n")
        assert connection.recv(100).startswith((b"-NOAUTH", b"-ERR"))
    folder = paths.cache_folder(stack.folder, "eu-central")
    assert (folder / "valkey.conf").stat().st_mode & 0o777 == 0o600
    for found in processes_of(stack.folder):
        assert password not in " ".join([*found.cmdline(), *found.environ().values()])
    assert password not in server.log.read_text()

    assert valkey.ensure_started(stack.folder, "eu-central", endpoint, memory="32mb").pid != server.pid
    assert valkey.stop(stack.folder, "eu-central")
    assert not processes_of(stack.folder)
    assert not valkey.is_up(stack.folder, "eu-central", endpoint)
    valkey.remove(stack.folder, "eu-central")
    assert not folder.exists()


def test_what_valkey_refuses_is_quoted_from_its_log(stack: Stack) -> None:
    with pytest.raises(ServerFault, match="maxmemory"):
        valkey.ensure_started(stack.folder, "eu-central", stack.addresses.valkey(0), memory="lots")
    assert process.running(paths.cache_folder(stack.folder, "eu-central")) is None
