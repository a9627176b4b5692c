"""Envoy takes an inotify instance for every file that it watches, and aborts when there is none left.

An ordinary user has 128 of them by default (fs.inotify.max_user_instances), for all programs together. So they are
counted before an Envoy is started or given more to watch: an entry that aborts would be an outage of every region.
"""

import ctypes
import os
import sys
from pathlib import Path

from components.local.servers.errors import ServerFault

GATEWAY, ENTRY = 10, 6  # instances that each takes, measured with one partition and three planned regions

_LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")


def available(wanted: int) -> int:
    """How many of the wanted instances there are now; all of them where the system has no such limit."""
    if sys.platform != "linux":
        return wanted
    library = ctypes.CDLL(None, use_errno=True)
    taken: list[int] = []
    try:
        while len(taken) < wanted and (descriptor := library.inotify_init1(os.O_CLOEXEC)) >= 0:
            taken.append(descriptor)
        return len(taken)
    finally:
        for descriptor in taken:
            os.close(descriptor)


def require(wanted: int, what: str) -> None:
    """Raises `ServerFault` where fewer are left than `what` is about to take."""
    left = available(wanted)
    if left < wanted:
        raise ServerFault(
            f"{what} needs {wanted} inotify instances and {left} are left of the {limit()} that this user has "
            "(fs.inotify.max_user_instances). Take a stack down that is not needed, or raise the limit: "
            "sudo sysctl fs.inotify.max_user_instances=1024"
        )


def limit() -> str:
    try:
        return _LIMIT.read_text().strip()
    except OSError:
        return "unknown number"
