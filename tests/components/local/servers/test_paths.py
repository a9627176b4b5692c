"""Files that others read are replaced whole, for the owner's eyes only."""

import os
import stat
from pathlib import Path

import pytest

from components.local.servers import paths
from components.local.servers.errors import ServerFault


def test_a_stack_lives_in_the_runtime_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MERIDIAN_HOME", str(tmp_path))
    assert paths.stack_folder("dev") == tmp_path / "stacks" / "dev"
    monkeypatch.delenv("MERIDIAN_HOME")
    assert paths.stack_folder("dev") == paths.PROJECT / ".meridian" / "stacks" / "dev"
    assert (paths.PROJECT / "pyproject.toml").exists()


def test_a_file_is_replaced_by_a_move_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    previous = os.umask(0)
    try:
        paths.write_atomic(path, "one")
    finally:
        os.umask(previous)
    before = path.stat()
    assert stat.S_IMODE(before.st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    with path.open() as reader:
        paths.write_atomic(path, b"two", 0o640)
        assert reader.read() == "one"
    assert path.read_text() == "two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ServerFault, match="file/below could not be written: Not a directory"):
        paths.write_atomic(tmp_path / "file" / "below", "x")


def test_damaged_and_missing_json_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "damaged").write_text("{")
    assert paths.read_json(tmp_path / "damaged") is None
    assert paths.read_json(tmp_path / "missing") is None
