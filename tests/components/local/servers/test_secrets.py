"""Passwords are made once, adopted where they are, and private."""

from pathlib import Path

import pytest

from components.local.servers import secrets
from components.local.servers.errors import ServerFault


def test_a_password_is_made_once(tmp_path: Path) -> None:
    password = secrets.ensure_password(tmp_path, "service")
    assert len(password) >= 40
    assert secrets.ensure_password(tmp_path, "service") == password
    assert secrets.ensure_password(tmp_path, "monitor") != password
    assert secrets.password_file(tmp_path, "service").stat().st_mode & 0o777 == 0o600


def test_a_password_that_is_there_is_adopted_and_made_private(tmp_path: Path) -> None:
    path = secrets.password_file(tmp_path, "service")
    path.parent.mkdir()
    path.write_text("chosen\n")
    path.chmod(0o644)
    assert secrets.ensure_password(tmp_path, "service") == "chosen"
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_empty_or_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ServerFault, match=r"service\.password is missing"):
        secrets.read_password(tmp_path, "service")
    secrets.ensure_password(tmp_path, "service")
    secrets.password_file(tmp_path, "service").write_text("\n")
    with pytest.raises(ServerFault, match=r"service\.password is empty"):
        secrets.ensure_password(tmp_path, "service")
