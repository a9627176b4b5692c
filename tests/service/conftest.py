"""Two regions on real servers, shared by a session: eu-central writes, us-east has a streaming replica."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.service.servers import Gateway, Postgres, Service, Valkey, missing, prepare


@dataclass(frozen=True, kw_only=True)
class Regions:
    folder: Path
    primary: Postgres
    replica: Postgres
    cache: Valkey
    far_cache: Valkey
    gateway: Gateway  # from us-east to eu-central
    writer: Service
    reader: Service


@pytest.fixture(scope="session")
def regions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Regions]:
    """Shared: a test that takes something away gives it back."""
    yield from _two_regions(tmp_path_factory.mktemp("regions"))


@pytest.fixture
def own_regions(tmp_path: Path) -> Iterator[Regions]:
    """For a test that cannot give back what it takes."""
    yield from _two_regions(tmp_path)


def _two_regions(folder: Path) -> Iterator[Regions]:
    if reason := missing():
        pytest.skip(reason)
    primary, replica = Postgres(folder, "primary"), Postgres(folder, "replica")
    cache, far_cache = Valkey(folder, "cache"), Valkey(folder, "far-cache")
    running: list[Postgres | Valkey | Service] = []
    writer_gateway: list[Gateway] = []
    try:
        primary.create()
        for server in (primary, cache, far_cache):
            server.start()
            running.append(server)
        primary.ready()
        prepare(primary)
        replica.copy(primary)
        replica.start()
        running.append(replica)
        password = str(primary.password_file)
        writer = Service(
            folder,
            "eu-central",
            members={"main": {"host": "127.0.0.1", "port": primary.port}},
            cache={"host": "127.0.0.1", "port": cache.port, "password_file": password},
        )
        gateway = Gateway(writer.port)
        writer_gateway.append(gateway)
        gateway.start()
        reader = Service(
            folder,
            "us-east",
            members={"main": {"host": "127.0.0.1", "port": replica.port}},
            cache={"host": "127.0.0.1", "port": far_cache.port, "password_file": password},
            egress={"host": "127.0.0.1", "port": gateway.port},
        )
        for service in (writer, reader):
            service.publish("eu-central")
            service.start()
            running.append(service)
        for server in (replica, cache, far_cache, writer, reader):
            server.ready()
        yield Regions(
            folder=folder,
            primary=primary,
            replica=replica,
            cache=cache,
            far_cache=far_cache,
            gateway=gateway,
            writer=writer,
            reader=reader,
        )
    finally:
        for gateway in writer_gateway:
            gateway.close()
        for server in reversed(running):
            if server.process is not None:
                server.resume()
                server.stop()


@pytest.fixture
def near(regions: Regions) -> Iterator[httpx.Client]:
    """A user of the writer's region."""
    with httpx.Client(base_url=regions.writer.url, timeout=10) as client:
        yield client


@pytest.fixture
def far(regions: Regions) -> Iterator[httpx.Client]:
    """A user of the replica's region."""
    with httpx.Client(base_url=regions.reader.url, timeout=10) as client:
        yield client
