"""One command at a time changes a stack, and one operation at a time moves a writer. The kernel gives a lock back when
its holder ends, however it ends."""

import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.local.servers import paths
from operations.errors import Fault

NAME = "lock"
OPERATION = "operation-lock"
MOVE = "move-lock"
DRILL = "drill-lock"


@contextmanager
def held(stack_folder: Path, command: str, name: str = NAME) -> Iterator[None]:
    """Hold the stack's lock, or say who does."""
    path = stack_folder / name
    descriptor = _take(path)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "command": command, "since": time.time()}).encode(), 0)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _take(path: Path) -> int:
    while True:
        paths.make_folder(path.parent)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:  # `down` removed the folder just now
            continue
        except OSError as fault:
            raise Fault(f"{path} cannot be opened: {fault.strerror}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise Fault(_busy(path)) from None
        try:
            same = os.fstat(descriptor).st_ino == path.stat().st_ino
        except FileNotFoundError:
            same = False
        if same:
            return descriptor
        os.close(descriptor)  # it was removed, with the stack, between opening and locking


def holder(stack_folder: Path, name: str = NAME) -> str | None:
    """Who changes the stack now; None when nobody does. Reads only."""
    path = stack_folder / name
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return None
    except OSError:
        return _holder(path)
    return None


def _holder(path: Path) -> str:
    deadline = time.monotonic() + 0.5
    while time.monotonic() < deadline:  # the holder may have it since a moment only
        found = paths.read_json(path)
        if isinstance(found, dict):
            minutes = max(0, int(time.time() - found["since"])) // 60
            since = f", for {minutes} min" if minutes else ""
            return f"process {found['pid']} (`meridian {found['command']}`{since})"
        time.sleep(0.02)
    return "another command"


def _busy(path: Path) -> str:
    stack = path.parent.name
    remedy = "wait for it to end" if sys.stdin.isatty() else "try again when it has ended"
    return f"the stack {stack} is being changed by {_holder(path)}; {remedy}"
