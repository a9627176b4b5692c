"""Where the passphrase comes from, and that it is made once, for its owner only."""

import threading
from pathlib import Path

import pytest

from operations import passphrase
from operations.errors import Refused


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (passphrase.WORD, passphrase.FILE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MERIDIAN_HOME", str(tmp_path / "home"))
    return tmp_path


def test_the_word_of_the_environment_comes_first(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (alone / "file").write_text("from the file\n")
    monkeypatch.setenv(passphrase.FILE, str(alone / "file"))
    assert passphrase.read() == passphrase.ensure() == "from the file"
    monkeypatch.setenv(passphrase.WORD, "from the word")
    assert passphrase.read() == passphrase.ensure() == "from the word"
    assert passphrase.environment() == {}
    assert not (alone / "home").exists()


def test_an_empty_word_is_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(passphrase.WORD, "")
    assert passphrase.ensure() == ""
    assert not passphrase.own_file().exists()


def test_it_is_made_once_and_for_its_owner_only(alone: Path) -> None:
    assert passphrase.read() is None
    assert not (alone / "home").exists()
    made = passphrase.ensure()
    assert len(made) >= 32
    assert passphrase.ensure() == passphrase.read() == made
    assert passphrase.own_file().stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (alone / "home").iterdir()] == ["passphrase"]


def test_many_at_once_agree_on_one() -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(passphrase.ensure())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_the_cli_is_told_the_file_and_never_the_word() -> None:
    word = passphrase.ensure()
    told = passphrase.environment()
    assert told == {passphrase.FILE: str(passphrase.own_file())}
    assert word not in "".join(told.values())


def test_a_file_that_is_named_and_missing_is_refused(monkeypatch: pytest.MonkeyPatch, alone: Path) -> None:
    monkeypatch.setenv(passphrase.FILE, str(alone / "nowhere"))
    for ask in (passphrase.read, passphrase.ensure):
        with pytest.raises(Refused, match="nowhere"):
            ask()


def test_a_file_that_cannot_be_read_is_refused(monkeypatch: pytest.MonkeyPatch, alone: Path) -> None:
    (alone / "file").mkdir()  # a folder, which not even root can read as a file
    monkeypatch.setenv(passphrase.FILE, str(alone / "file"))
    with pytest.raises(Refused, match="cannot be read"):
        passphrase.read()
