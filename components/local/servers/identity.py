"""Whether a process is the one that was started, which its number alone does not say.

Numbers are used again after a process ended and after a reboot. The kernel's start time tells processes of one boot
apart, and the boot's own id tells boots apart.
"""

import subprocess
import sys
from functools import cache
from pathlib import Path

import psutil


@cache
def boot() -> str:
    if sys.platform == "linux":
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    try:
        command = ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return str(round(psutil.boot_time()))


def started(pid: int) -> str | None:
    """When the kernel started this process, in its own terms; None when there is none, or only what is left of it."""
    if sys.platform == "linux":
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        # The name, in parentheses, may itself hold spaces and parentheses; proc_pid_stat(5): state is field 3,
        # start time field 22.
        fields = stat.rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.3f}"
    except psutil.NoSuchProcess:
        return None
