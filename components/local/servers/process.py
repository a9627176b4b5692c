"""Servers that outlive the command that started them: start, recognise, wait for, stop.

A server's folder holds `server.json`, its identity. The file is written twice: before the process is made, with a nonce
that goes into the process's environment, and after, with its number and start time. Whoever finds only the first knows
that a start was cut short, and finds the process, if there is one, by the nonce.
"""

import contextlib
import os
import secrets
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from components.local.servers import identity, paths, progress
from components.local.servers.account import account, hand_over
from components.local.servers.addresses import Endpoint, is_free
from components.local.servers.errors import ServerFault
from components.local.servers.progress import OnWait

RECORD = "server.json"
MARK_FOLDER = "MERIDIAN_SERVER"
MARK_NONCE = "MERIDIAN_NONCE"

KERNEL_THREADS = 2  # kthreadd, the parent of the kernel's own threads on Linux
POLL = 0.012  # seconds between two looks at something that is expected at once
REPORT = 0.5  # seconds between two progress reports
YOUNG = 5.0  # seconds; a process of that age may still be turning into its program
LOG_LIMIT = 16 * 2**20  # bytes; a longer log is set aside at the next start
LAST_LINES = 12


@dataclass(frozen=True, kw_only=True)
class ServerSpec:
    name: str
    """What messages call it."""

    folder: Path
    command: tuple[str, ...]
    log: Path
    endpoints: tuple[Endpoint, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    working_folder: Path | None = None
    stack_folder: Path | None = None
    """What the server must be able to read, where servers run under another account than the command."""

    record: str = RECORD


@dataclass(frozen=True, kw_only=True)
class Running:
    pid: int
    started: str
    boot: str
    nonce: str
    command: tuple[str, ...]
    log: Path
    log_start: int = 0
    """Where in the log this run begins."""

    def is_alive(self) -> bool:
        _reap(self.pid)
        return identity.boot() == self.boot and identity.started(self.pid) == self.started


class _Detached(subprocess.Popen[bytes]):
    """A child that is meant to outlive its parent, so that forgetting it is no reason for a warning."""

    def __del__(self) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        pass


# Children have to be reaped by the process that made them, or they stay visible as zombies while it lives.
_children: dict[int, _Detached] = {}
_children_lock = threading.Lock()


def _reap(pid: int) -> None:
    with _children_lock:
        child = _children.get(pid)
        if child is not None and child.poll() is not None:
            del _children[pid]


def start(spec: ServerSpec) -> Running:
    """Start it, or return the one that runs. A start that was cut short is taken up where it stopped."""
    found = running(spec.folder, spec.record) or _recover(spec.folder, spec.record)
    if found is not None:
        return found
    for endpoint in spec.endpoints:
        if not is_free(endpoint):
            holder = _listener(endpoint)
            found = _adopt_holder(holder, spec) if holder is not None else None
            if found is not None:
                return found
            raise ServerFault(_in_use(spec.name, endpoint, holder))
    return _launch(spec)


def _launch(spec: ServerSpec) -> Running:
    paths.make_folder(spec.folder)
    log_start = _prepare_log(spec.log)
    nonce = secrets.token_hex(16)
    record: dict[str, Any] = {
        "pid": None,
        "started": None,
        "boot": identity.boot(),
        "nonce": nonce,
        "command": list(spec.command),
        "log": str(spec.log),
        "log_start": log_start,
    }
    path = spec.folder / spec.record
    paths.write_json(path, record)
    if spec.stack_folder is not None:
        hand_over(spec.stack_folder)
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        # Not the user's: a server shall find no .pgpass, no user site-packages, no settings of theirs.
        "HOME": str(spec.folder),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        **spec.environment,
        MARK_FOLDER: str(spec.folder / spec.record),
        MARK_NONCE: nonce,
    }
    user = account().user
    log = os.open(spec.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        child = _Detached(
            [*account().prefix, *spec.command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=spec.working_folder or spec.folder,
            env=environment,
            start_new_session=True,
            umask=0o077,
            **({"user": user, "group": _group(user), "extra_groups": []} if user else {}),
        )
    except OSError as fault:
        path.unlink(missing_ok=True)
        raise ServerFault(f"{spec.name} could not be started: {fault.strerror}: {spec.command[0]}") from None
    finally:
        os.close(log)
    with _children_lock:
        _children[child.pid] = child
    # A child that has already ended is a zombie until it is reaped; then any start time will do, it is not alive.
    record |= {"pid": child.pid, "started": identity.started(child.pid) or "ended"}
    paths.write_json(path, record)
    return _parse(record)


def _group(user: str) -> int:
    import pwd

    return pwd.getpwnam(user).pw_gid


def _prepare_log(log: Path) -> int:
    paths.make_folder(log.parent)
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size <= LOG_LIMIT:
            return log.stat().st_size
        log.rename(log.with_name(f"{log.name}.1"))
    return 0


def _parse(record: Any) -> Running:
    return Running(
        pid=int(record["pid"]),
        started=str(record["started"]),
        boot=str(record["boot"]),
        nonce=str(record["nonce"]),
        command=tuple(record["command"]),
        log=Path(record["log"]),
        log_start=int(record["log_start"]),
    )


def running(folder: Path, record: str = RECORD) -> Running | None:
    """The server that was started here, if it is alive: neither another process with its number nor its remains."""
    try:
        found = _parse(paths.read_json(folder / record))
    except (KeyError, TypeError, ValueError):
        return None
    return found if found.is_alive() else None


def _recover(folder: Path, record: str) -> Running | None:
    """Find the process of a start that was cut short, or whose record is damaged, and complete the record."""
    path = folder / record
    if not path.exists():
        return None
    content = paths.read_json(path)
    match content:
        case {"pid": int()}:
            return None  # complete, so the process has ended
        case {"nonce": str(nonce)}:
            process = _marked(MARK_NONCE, nonce)
        case _:
            process = _marked(MARK_FOLDER, str(path))
    return None if process is None else _adopt(process, path, content)


def _adopt(process: psutil.Process, path: Path, content: Any) -> Running | None:
    began = identity.started(process.pid)
    if began is None:
        return None
    known = content if isinstance(content, dict) else {}
    with contextlib.suppress(psutil.Error):
        known = {
            "command": process.cmdline(),
            "log": str(path.with_suffix(".log")),
            "log_start": 0,
            "nonce": process.environ().get(MARK_NONCE, ""),
            **known,
            "pid": process.pid,
            "started": began,
            "boot": identity.boot(),
        }
        paths.write_json(path, known)
        return _parse(known)
    return None


def end_survivors(folder: Path, record: str = RECORD) -> int:
    """Kill what a server that was killed left behind: children that have not noticed yet. How many there were."""
    found = _all_marked(MARK_FOLDER, str(folder / record)).values()
    for process in found:
        _signal(process, signal.SIGKILL)
    while any(map(_lives, found)):
        time.sleep(POLL)
    return len(found)


def _all_marked(key: str, value: str) -> dict[int, psutil.Process]:
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if _environment(process).get(key) == value and identity.started(process.pid) is not None:
                found[process.pid] = process
    return found


def _environment(process: psutil.Process) -> dict[str, str]:
    """What it was started with. While the kernel replaces a program there is nothing to read, and soon there is."""
    while not (found := process.environ()) and time.time() - process.create_time() < YOUNG:
        # The kernel's threads, and processes that have ended, never have any.
        if process.ppid() in {0, KERNEL_THREADS} or process.status() == psutil.STATUS_ZOMBIE:
            break
        time.sleep(POLL)
    return found


def _marked(key: str, value: str) -> psutil.Process | None:
    """The process started with this mark in its environment: of those that inherited it, the eldest."""
    found = _all_marked(key, value)
    for process in found.values():
        with contextlib.suppress(psutil.Error):
            if process.ppid() not in found:
                return process
    return None


def _adopt_holder(holder: psutil.Process, spec: ServerSpec) -> Running | None:
    """Whoever has the port may be this very server, whose record was lost."""
    with contextlib.suppress(psutil.Error):
        eldest = _marked(MARK_FOLDER, str(spec.folder / spec.record))
        if eldest is not None and (holder == eldest or holder in eldest.children(recursive=True)):
            return _adopt(eldest, spec.folder / spec.record, None)
    return None


def require_free(name: str, endpoint: Endpoint, *, unless: Callable[[], bool] = lambda: False) -> None:
    """A port in use is a fault that names who uses it, where the system lets this user see that."""
    if not is_free(endpoint) and not unless():
        raise ServerFault(_in_use(name, endpoint, _listener(endpoint)))


def _in_use(name: str, endpoint: Endpoint, holder: psutil.Process | None) -> str:
    who = describe(holder) if holder is not None else "a process that this user cannot see"
    return f"{name} cannot listen on {endpoint}: the port is in use by {who}; end that process and try again"


def describe(process: psutil.Process) -> str:
    """A process for a message: its number, its name and its owner, but not its arguments, which may hold secrets."""
    words = [f"process {process.pid}"]
    with contextlib.suppress(psutil.Error):
        words.append(process.name())
    with contextlib.suppress(psutil.Error):
        words.append(f"of {process.username()}")
    if len(words) > 1:
        words[1] = f"({words[1]}"
        words[-1] += ")"
    return " ".join(words)


def _listener(endpoint: Endpoint) -> psutil.Process | None:
    everywhere = {endpoint.host, "0.0.0.0", "::", f"::ffff:{endpoint.host}"}  # noqa: S104 - compared, not bound
    try:
        connections = [_Seen(item.status, item.laddr, item.pid) for item in psutil.net_connections("tcp")]
    except psutil.AccessDenied:  # macOS shows them to root only
        connections = _own_connections()
    for connection in connections:
        if connection.status != psutil.CONN_LISTEN or not connection.laddr or connection.pid is None:
            continue
        if connection.laddr.port == endpoint.port and connection.laddr.ip in everywhere:
            with contextlib.suppress(psutil.NoSuchProcess):
                return psutil.Process(connection.pid)
    return None


class _Seen(NamedTuple):
    status: str
    laddr: Any
    pid: int | None


def _own_connections() -> list[_Seen]:
    found: list[_Seen] = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            found += [_Seen(item.status, item.laddr, process.pid) for item in process.net_connections("tcp")]
    return found


def wait_ready(
    check: Callable[[], bool],
    *,
    timeout: float,
    what: str,
    log: Path | None = None,
    server: Running | None = None,
    on_wait: OnWait = progress.report,
) -> None:
    """Return once `check` holds. A server that ends meanwhile, or takes too long, is a fault that quotes its log."""
    began = time.monotonic()
    reported = 0.0
    while True:
        # In this order, or a check that held just before the end would count.
        alive = server is None or server.is_alive()
        if alive and check():
            return
        waited = time.monotonic() - began
        if not alive:
            raise ServerFault(f"{what}: the process ended{quote(server, log)}")
        if waited > timeout:
            raise ServerFault(f"{what}: not ready after {timeout:g} s{quote(server, log)}")
        if waited - reported >= REPORT:
            reported = waited
            on_wait(waited, what)
        time.sleep(POLL)


def quote(server: Running | None, log: Path | None = None) -> str:
    """The last lines that this run of a server left in its log, and where the rest is."""
    path = log or (server.log if server else None)
    if path is None:
        return ""
    lines = last_lines(path, server.log_start if server else 0)
    return f" (log: {path})" + "".join(f"\n  {line}" for line in lines)


def last_lines(log: Path, begin: int = 0, count: int = LAST_LINES) -> list[str]:
    try:
        with log.open("rb") as file:
            file.seek(max(begin, log.stat().st_size - 16_384))
            return [line for line in file.read().decode(errors="replace").splitlines() if line.strip()][-count:]
    except OSError:
        return []


def stop(folder: Path, signal_number: int = signal.SIGTERM, timeout: float = 10.0, record: str = RECORD) -> bool:
    """End the server and all its children, politely at first. Whether there was one."""
    found = running(folder, record) or _recover(folder, record)
    if found is not None:
        _end(found, signal_number, timeout)
    (folder / record).unlink(missing_ok=True)
    return found is not None


def _end(server: Running, signal_number: int, timeout: float) -> None:
    try:
        root = psutil.Process(server.pid)
        family = root.children(recursive=True)
    except psutil.NoSuchProcess:
        _reap(server.pid)
        return
    if not server.is_alive():
        return
    _signal(root, signal_number)
    deadline = time.monotonic() + timeout
    while server.is_alive() and time.monotonic() < deadline:
        time.sleep(POLL)
    if server.is_alive():
        # Not by process group: PostgreSQL's children have sessions of their own.
        with contextlib.suppress(psutil.Error):
            family += [child for child in root.children(recursive=True) if child not in family]
        _signal(root, signal.SIGKILL)
        while server.is_alive():
            time.sleep(POLL)
    # Children see that their parent is gone; they have a moment to do so themselves.
    grace = time.monotonic() + 0.5
    while (family := [child for child in family if _lives(child)]) and time.monotonic() < grace:
        time.sleep(POLL)
    for child in family:
        _signal(child, signal.SIGKILL)
    while any(map(_lives, family)):
        time.sleep(POLL)


def _signal(process: psutil.Process, number: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)  # psutil first makes sure that it is still the same process


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def run(
    spec: ServerSpec,
    *,
    stall: float,
    progress_now: Callable[[], str] = str,
    on_wait: OnWait = progress.report,
) -> int:
    """Run a tool to its end under the same rules as a server, and return its exit status.

    It has a record too, so that a command that takes over from one that was killed can end the killed one's tools
    before it touches what they write to. A tool whose `progress_now` stays the same for `stall` seconds is ended.
    """
    stop(spec.folder, signal.SIGKILL, record=spec.record)
    server = start(spec)
    with _children_lock:
        child = _children[server.pid]
    began = reported = changed = time.monotonic()
    last = ""
    try:
        while child.poll() is None:
            now = time.monotonic()
            if now - reported >= REPORT:
                reported = now
                if (current := progress_now()) != last:
                    last, changed = current, now
                on_wait(now - began, f"{spec.name} {last}".rstrip())
                if now - changed > stall:
                    raise ServerFault(f"{spec.name}: nothing happened for {stall:g} s{quote(server)}")
            time.sleep(POLL)
    finally:
        stop(spec.folder, signal.SIGKILL, record=spec.record)
    return child.returncode
