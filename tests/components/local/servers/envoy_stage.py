"""Real Envoys in a folder of their own, between stand-ins: small servers that can fail, and links that can be cut."""

import asyncio
import contextlib
import json
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from components.local.servers import addresses, entry, gateway, paths
from components.local.servers.addresses import Addresses, Endpoint

SLOTS = {"eu-central": 0, "us-east": 1, "ap-northeast": 2}
HOME = "eu-central"

_T = TypeVar("_T")


class Stage:
    """One stack's folder and addresses, and everything that was started for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "stacks" / "stage"
        paths.make_folder(self.folder)
        self.addresses = Addresses(addresses.claim(self.folder))
        self.authority = Authority()
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.services: dict[str, Service] = {}
        self.databases: dict[str, Database] = {}
        self.links: list[Link] = []
        self.user_links: dict[tuple[str, str], Link] = {}
        self.peer_links: dict[tuple[str, str], Link] = {}

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    def begin(self, work: Coroutine[Any, Any, _T]) -> "Future[_T]":
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def close(self) -> None:
        entry.stop(self.folder)
        for region in SLOTS:
            gateway.stop(self.folder, region)
        for server in (*self.services.values(), *self.databases.values(), *self.links):
            self.run(server.stop())
        self.run(_let_go())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5)
        self.loop.close()
        addresses.release(self.folder)

    # --- the cast ---

    def service(self, region: str) -> "Service":
        if region not in self.services:
            self.services[region] = Service(region, self.addresses.service(SLOTS[region]))
        self.run(self.services[region].start())
        return self.services[region]

    def database(self, region: str) -> "Database":
        if region not in self.databases:
            self.databases[region] = Database(region, self.addresses.postgres(SLOTS[region], 0))
        self.run(self.databases[region].start())
        return self.databases[region]

    def link(self, here: Endpoint, there: Endpoint) -> "Link":
        made = Link("", here, there)
        self.links.append(made)
        self.run(made.start())
        return made

    def join(self, *regions: str) -> None:
        """Every link among these regions, and from every place where users are to them."""
        for source in SLOTS:
            for target in regions:
                if source == target or (source, target) in self.user_links:
                    continue
                a, b = SLOTS[source], SLOTS[target]
                self.user_links[source, target] = self.link(
                    self.addresses.user_link(a, b), self.addresses.gateway_http(b)
                )
                self.peer_links[source, target] = self.link(self.addresses.link(a, b), self.addresses.gateway_peer(b))

    # --- the gateways and the entry ---

    def gateway_spec(self, region: str, **more: Any) -> gateway.GatewaySpec:
        slot = SLOTS[region]
        ready = {
            "partitions": {"main": 0},
            "members": {"main": self.addresses.postgres(slot, 0)},
            "service": self.addresses.service(slot),
        }
        return gateway.GatewaySpec(
            stack=self.folder, region=region, slot=slot, addresses=self.addresses, **{**ready, **more}
        )

    def gateway(self, region: str, *, writer: str = HOME, **more: Any) -> Path:
        keys = paths.keys_folder(self.folder, region)
        if not keys.exists():
            self.authority.install(keys, region)
        spec = self.gateway_spec(region, **more)
        gateway.ensure_started(spec, dict.fromkeys(spec.partitions, (writer, SLOTS[writer])))
        return spec.folder

    def point(self, region: str, writer: str, partition: str = "main") -> None:
        endpoint = gateway.writer_endpoint(self.addresses, source_slot=SLOTS[region], writer_slot=SLOTS[writer])
        gateway.point_writer(paths.gateway_folder(self.folder, region), partition, writer, endpoint)

    def entry_spec(self, *serving: str, policy: entry.Policy = "nearest") -> entry.EntrySpec:
        return entry.EntrySpec(
            stack=self.folder,
            addresses=self.addresses,
            regions=SLOTS,
            home=HOME,
            serving=serving,
            policy=policy,
            preference={user: tuple(sorted(serving, key=lambda r: (r != user, SLOTS[r]))) for user in SLOTS},
        )

    def entry(self, *serving: str, policy: entry.Policy = "nearest") -> None:
        entry.ensure_started(self.entry_spec(*serving, policy=policy))

    def state(self, region: str) -> str:
        seen = entry.view(self.addresses.entry_admin(), [region])
        return seen[region].state if seen else "unknown"

    def users(self) -> httpx.Client:
        return httpx.Client(base_url=f"http://{self.addresses.entry()}", timeout=20, trust_env=False)


async def _let_go() -> None:
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def eventually(check: Callable[[], bool], seconds: float = 10) -> float:
    """Waits until `check` holds, and says how long that took."""
    began = time.monotonic()
    while not check():
        assert time.monotonic() - began < seconds, "it did not happen in time"
        time.sleep(0.01)
    return time.monotonic() - began


@dataclass(kw_only=True)
class Load:
    """Requests at a steady rate, each counted by its status. A request that brings no answer counts as 0."""

    stage: Stage
    headers: dict[str, str]
    method: str = "GET"
    path: str = "/orders/1"
    endpoint: Endpoint | None = None  # the entry's, unless given
    rate: float = 100
    keyed: bool = False
    statuses: list[int] = field(default_factory=list)
    served: list[str] = field(default_factory=list)
    slowest: float = 0.0
    _idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=list)

    @contextlib.contextmanager
    def running(self) -> Iterator["Load"]:
        ended = threading.Event()
        future = self.stage.begin(self._run(ended))
        try:
            yield self
        finally:
            ended.set()
            future.result(30)

    async def _run(self, ended: threading.Event) -> None:
        async with asyncio.TaskGroup() as group:
            began, count = time.monotonic(), 0
            while not ended.is_set():
                count += 1
                group.create_task(self._one(count))
                await asyncio.sleep(max(0.0, began + count / self.rate - time.monotonic()))
        for _, writer in self._idle:
            writer.close()

    async def _one(self, number: int) -> None:
        began = time.monotonic()
        key = {"idempotency-key": f"key-{number}"} if self.keyed else {}
        try:
            status, served = await asyncio.wait_for(self._ask({**self.headers, **key}), 30)
        except (OSError, EOFError, TimeoutError):
            self.statuses.append(0)
        else:
            self.statuses.append(status)
            self.served.append(served)
        self.slowest = max(self.slowest, time.monotonic() - began)

    async def _ask(self, headers: dict[str, str]) -> tuple[int, str]:
        """One request on an idle connection, as a busy client keeps them; httpx is too slow for hundreds at once."""
        place = self.endpoint or self.stage.addresses.entry()
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection(*place)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"{self.method} {self.path} HTTP/1.1\r\nhost: stage\r\ncontent-length: 0\r\n{lines}\r\n".encode())
        first, *rest = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        got = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
        await reader.readexactly(int(got["content-length"]))
        if got.get("connection") == "close":
            writer.close()
        else:
            self._idle.append((reader, writer))
        return int(first.split()[1]), got.get("x-served-region", "")

    @property
    def failed(self) -> list[int]:
        return [status for status in self.statuses if status != 200]


@dataclass
class _Server(ABC):
    name: str
    endpoint: Endpoint
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def start(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, *self.endpoint)

    async def stop(self) -> None:
        """Like a kill: the port is closed and every connection is cut."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            await self.talk(reader, writer)
        except (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    @abstractmethod
    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection until it ends."""


@dataclass
class Service(_Server):
    """Answers with what it was asked. `status` is its answer, `ready` its readiness, `degraded` whether it would rather
    not; `hang` answers nothing."""

    status: int = 200
    ready: bool = True
    degraded: bool = False
    hang: bool = False
    requests: list[dict[str, Any]] = field(default_factory=list)
    refused: int = 0  # checks that were told it is not ready

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := (await reader.readuntil(b"\r\n\r\n")).decode():
            first, *lines = head.strip().split("\r\n")
            method, path, _ = first.split(" ", 2)
            headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
            await reader.readexactly(int(headers.get("content-length", "0")))
            if path == "/healthz/ready":
                status, body = (200 if self.ready else 503), b"{}"
                self.refused += not self.ready
            else:
                asked = {"region": self.name, "method": method, "path": path, "headers": headers}
                self.requests.append(asked)
                status, body = self.status, json.dumps(asked).encode()
                if self.hang:
                    await asyncio.sleep(60)
            writer.write(
                f"HTTP/1.1 {status} Status\r\nserver: stand-in\r\nx-served-region: {self.name}\r\n"
                f"{'x-envoy-degraded: true' if self.degraded and path == '/healthz/ready' else 'x-well: true'}\r\n"
                f"content-length: {0 if method == 'HEAD' else len(body)}\r\n\r\n".encode()
                + (b"" if method == "HEAD" else body)
            )
            await writer.drain()

    def asked(self, path: str) -> list[dict[str, Any]]:
        return [request for request in self.requests if request["path"] == path]


class Database(_Server):
    """Says its name, then says everything back."""

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"{self.name}\n".encode())
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


@dataclass
class Link(_Server):
    """Carries bytes to another place. When `cut`, it accepts and swallows, as a lost path does."""

    target: Endpoint = field(default_factory=lambda: Endpoint("", 0))
    cut: bool = False

    def __init__(self, name: str, endpoint: Endpoint, target: Endpoint) -> None:
        super().__init__(name, endpoint)
        self.target = target
        self.cut = False

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self.target)
        self._writers.add(far_writer)
        try:
            there = asyncio.create_task(self._carry(reader, far_writer))
            back = asyncio.create_task(self._carry(far_reader, writer))
            await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
            for task in (there, back):
                task.cancel()
            await asyncio.gather(there, back, return_exceptions=True)
        finally:
            self._writers.discard(far_writer)
            far_writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if not self.cut:
                writer.write(data)
                await writer.drain()


@dataclass
class Stream:
    """A long connection to a database, as replication has one."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    greeting: str

    @classmethod
    async def open(cls, endpoint: Endpoint) -> "Stream":
        reader, writer = await asyncio.open_connection(*endpoint)
        try:
            greeting = (await asyncio.wait_for(reader.readline(), 5)).decode().strip()
        except ConnectionError:
            greeting = ""
        return cls(reader, writer, greeting)

    async def echo(self, text: str) -> str:
        self.writer.write(f"{text}\n".encode())
        await self.writer.drain()
        return (await asyncio.wait_for(self.reader.readline(), 5)).decode().strip()

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


class Authority:
    """A stack's own authority, and certificates such as a region has."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Stage")])
        self.certificate = self._sign(name, name, self._key, x509.BasicConstraints(ca=True, path_length=0))

    def install(self, keys: Path, region: str) -> None:
        """A fresh certificate for `region`, put in place as renewal does: file by file, by rename."""
        paths.make_folder(keys)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, region)])
        names = x509.SubjectAlternativeName(
            [x509.DNSName(f"*.{region}.meridian.internal"), x509.DNSName(f"gateway.{region}.meridian.internal")]
        )
        certificate = self._sign(subject, self.certificate.subject, key, names)
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        paths.write_atomic(keys / "ca.crt", self.certificate.public_bytes(serialization.Encoding.PEM))
        paths.write_atomic(keys / "tls.key", secret)
        paths.write_atomic(keys / "tls.crt", certificate.public_bytes(serialization.Encoding.PEM))

    def _sign(
        self, subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(extension, critical=False)
            .sign(self._key, hashes.SHA256())
        )
