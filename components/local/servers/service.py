"""A region's instance of the order service, as a process."""

import contextlib
import hashlib
import json
import shutil
import socket
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.local.servers import paths, process, progress, secrets
from components.local.servers.addresses import Endpoint
from components.local.servers.postgres_files import DATABASE, SERVICE
from components.local.servers.process import Running, ServerSpec
from components.local.servers.progress import OnWait

START_SECONDS = 30.0
STOP_SECONDS = 15.0

_CONFIG = "config.json"


@dataclass(frozen=True, kw_only=True)
class ServiceSpec:
    stack_folder: Path
    region: str
    planned_regions: tuple[str, ...]
    listen: Endpoint
    members: Mapping[str, Endpoint]
    """This region's own members, by partition; there may be none."""

    cache: Endpoint | None
    egress: Endpoint
    partition_map: Path
    capacity: float = 1.0

    @property
    def folder(self) -> Path:
        return paths.service_folder(self.stack_folder, self.region)

    @property
    def config(self) -> dict[str, Any]:
        """The file that the service reads. It names the passwords' files, not the passwords."""
        return {
            "region": self.region,
            "planned_regions": list(self.planned_regions),
            "listen": _address(self.listen),
            "members": {partition: _address(endpoint) for partition, endpoint in sorted(self.members.items())},
            "database": {
                "name": DATABASE,
                "user": SERVICE,
                "password_file": str(secrets.password_file(self.stack_folder, SERVICE)),
            },
            "cache": None
            if self.cache is None
            else {
                **_address(self.cache),
                "password_file": str(secrets.password_file(self.stack_folder, "cache")),
            },
            "egress": _address(self.egress),
            "partition_map": str(self.partition_map),
            "home_key_file": str(secrets.password_file(self.stack_folder, "directory")),
            "capacity": self.capacity,
        }


def ensure_started(spec: ServiceSpec, *, on_wait: OnWait = progress.report) -> Running:
    """Start it, or leave it alone if it runs with this configuration. Its members do not count: it reads them again."""
    content = json.dumps(spec.config, indent=2) + "\n"
    path = spec.folder / _CONFIG
    # The mark tells which configuration the running one was started with, whatever the file says by now.
    lasting = json.dumps({key: value for key, value in spec.config.items() if key != "members"}, indent=2)
    mark = hashlib.sha256(lasting.encode()).hexdigest()[:16]
    command = (sys.executable, "-m", "service", str(path))
    server = process.running(spec.folder)
    if server is not None and paths.read_json(spec.folder / "started.json") != {"nonce": server.nonce, "config": mark}:
        process.stop(spec.folder, timeout=STOP_SECONDS)
    if not _same(path, content):
        paths.write_atomic(path, content)
    server = process.start(
        ServerSpec(
            name=f"the service of {spec.region}",
            folder=spec.folder,
            stack_folder=spec.stack_folder,
            log=spec.folder / "service.log",
            endpoints=(spec.listen,),
            command=command,
            working_folder=paths.PROJECT,
            environment={"PYTHONPATH": str(paths.PROJECT), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"},
        )
    )
    paths.write_json(spec.folder / "started.json", {"nonce": server.nonce, "config": mark})
    process.wait_ready(
        lambda: answers(spec.listen, "/healthz/live"),
        timeout=START_SECONDS,
        what=f"the service of {spec.region}",
        server=server,
        on_wait=on_wait,
    )
    return server


def answers(endpoint: Endpoint, path: str, timeout: float = 1.0) -> bool:
    """Whether a plain GET is answered with 200. By hand: this is asked every few milliseconds."""
    request = f"GET {path} HTTP/1.1\r\nHost: {endpoint}\r\nConnection: close\r\n\r\n".encode()
    try:
        with socket.create_connection(endpoint, timeout) as connection:
            connection.settimeout(timeout)
            connection.sendall(request)
            return connection.recv(64).split(b" ")[1:2] == [b"200"]
    except OSError:
        return False


def members_up(endpoint: Endpoint, partitions: Collection[str]) -> bool:
    """Whether a region's service has these members, and all of them answer it."""
    try:
        with socket.create_connection(endpoint, 1.0) as connection:
            connection.settimeout(1.0)
            connection.sendall(f"GET /healthz/ready HTTP/1.1\r\nHost: {endpoint}\r\nConnection: close\r\n\r\n".encode())
            answer = connection.makefile("rb").read().partition(b"\r\n\r\n")[2]
        members = json.loads(answer)["members"]
    except (OSError, ValueError, KeyError):
        return False
    return all(members.get(name) == "up" for name in partitions)


def is_running(stack_folder: Path, region: str) -> bool:
    return process.running(paths.service_folder(stack_folder, region)) is not None


def stop(stack_folder: Path, region: str) -> bool:
    """Let it finish the requests that it has, then end it."""
    return process.stop(paths.service_folder(stack_folder, region), timeout=STOP_SECONDS)


def remove(stack_folder: Path, region: str) -> None:
    stop(stack_folder, region)
    shutil.rmtree(paths.service_folder(stack_folder, region), ignore_errors=True)


def _address(endpoint: Endpoint) -> dict[str, Any]:
    return {"host": endpoint.host, "port": endpoint.port}


def _same(path: Path, content: str) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return path.read_text() == content
    return False
