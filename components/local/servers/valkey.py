"""A region's Valkey: a cache and nothing else, so it keeps nothing on disk and forgets what was not used for long."""

import contextlib
import shutil
import socket
from pathlib import Path

from components.local.servers import binaries, paths, process, progress, secrets
from components.local.servers.addresses import Endpoint
from components.local.servers.errors import ServerFault
from components.local.servers.process import Running, ServerSpec
from components.local.servers.progress import OnWait

PASSWORD = "cache"  # noqa: S105 - the name of a file
START_SECONDS = 15.0
MEMORY = "64mb"

_SETTINGS = "valkey.conf"


def ensure_started(
    stack_folder: Path,
    region: str,
    endpoint: Endpoint,
    *,
    memory: str = MEMORY,
    programs: str | Path | None = None,
    on_wait: OnWait = progress.report,
) -> Running:
    folder = paths.cache_folder(stack_folder, region)
    password = secrets.ensure_password(stack_folder, PASSWORD)
    if paths.write_if_changed(folder / _SETTINGS, configuration(endpoint, password, memory)):
        # It is asked to start afresh; nothing in it is worth keeping.
        process.stop(folder)
    server = process.start(
        ServerSpec(
            name=f"Valkey {region}",
            folder=folder,
            stack_folder=stack_folder,
            log=folder / "valkey.log",
            endpoints=(endpoint,),
            command=(str(binaries.valkey(Path(programs) if programs else None)), str(folder / _SETTINGS)),
        )
    )
    process.wait_ready(
        lambda: ping(endpoint, password),
        timeout=START_SECONDS,
        what=f"Valkey {region}",
        server=server,
        on_wait=on_wait,
    )
    return server


def configuration(endpoint: Endpoint, password: str, memory: str = MEMORY) -> str:
    if any(character in password for character in '"\\\n'):
        raise ServerFault("the password of the cache may not hold quotation marks, backslashes or line ends")
    return "\n".join(
        [
            f"bind {endpoint.host}",
            f"port {endpoint.port}",
            "protected-mode yes",
            f'requirepass "{password}"',
            'save ""',
            "appendonly no",
            f"maxmemory {memory}",
            "maxmemory-policy allkeys-lru",
            "daemonize no",
            'logfile ""',
            "enable-debug-command no",
            "enable-module-command no",
            "",
        ]
    )


def ping(endpoint: Endpoint, password: str, timeout: float = 1.0) -> bool:
    """Whether it answers to its password. By hand: importing a client library would take longer than the start."""
    secret = password.encode()
    words = b"*2\r\n$4\r\nAUTH\r\n$%d\r\n%s\r\n*1\r\n$4\r\nPING\r\n" % (len(secret), secret)
    try:
        with socket.create_connection(endpoint, timeout) as connection:
            connection.settimeout(timeout)
            connection.sendall(words)
            answer = b""
            while answer.count(b"\r\n") < 2 and (part := connection.recv(256)):
                answer += part
    except OSError:
        return False
    return answer == b"+OK\r\n+PONG\r\n"


def is_running(stack_folder: Path, region: str) -> bool:
    return process.running(paths.cache_folder(stack_folder, region)) is not None


def is_up(stack_folder: Path, region: str, endpoint: Endpoint, timeout: float = 1.0) -> bool:
    """Whether it answers, as a client sees it."""
    with contextlib.suppress(ServerFault):
        return ping(endpoint, secrets.read_password(stack_folder, PASSWORD), timeout)
    return False


def stop(stack_folder: Path, region: str) -> bool:
    return process.stop(paths.cache_folder(stack_folder, region), timeout=5.0)


def remove(stack_folder: Path, region: str) -> None:
    stop(stack_folder, region)
    shutil.rmtree(paths.cache_folder(stack_folder, region), ignore_errors=True)
