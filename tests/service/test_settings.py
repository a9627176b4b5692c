"""The settings file."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from service.settings import SettingsError, load
from tests.service.servers import ROOT


@pytest.fixture
def good(tmp_path: Path) -> dict[str, Any]:
    password = tmp_path / "service.password"
    password.write_text("secret\n")
    return {
        "region": "a",
        "planned_regions": ["a", "b"],
        "listen": {"host": "127.0.0.1", "port": 8000},
        "members": {"main": {"host": "127.0.0.1", "port": 5432}},
        "database": {"name": "orders", "user": "service", "password_file": str(password)},
        "cache": {"host": "127.0.0.1", "port": 6379, "password_file": str(password)},
        "egress": {"host": "127.0.0.1", "port": 8081},
        "partition_map": str(tmp_path / "partitions.json"),
        "home_key_file": str(password),
        "capacity": 0.25,
    }


def written(tmp_path: Path, document: object) -> Path:
    file = tmp_path / "config.json"
    file.write_text(document if isinstance(document, str) else json.dumps(document))
    return file


def test_good_settings_are_read(tmp_path: Path, good: dict[str, Any]) -> None:
    settings = load(written(tmp_path, good))
    assert (settings.region, settings.capacity, str(settings.members["main"])) == ("a", 0.25, "127.0.0.1:5432")
    bare = load(written(tmp_path, {**good, "members": {}, "cache": None, "egress": None}))
    assert (dict(bare.members), bare.cache, bare.egress) == ({}, None, None)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"region": ""}, "region"),
        ({"region": "c"}, "region"),
        ({"region": None}, "region"),
        ({"planned_regions": "a"}, "planned_regions"),
        ({"listen": {"host": "127.0.0.1", "port": 0}}, "listen.port"),
        ({"listen": {"host": "127.0.0.1"}}, "listen.port"),
        ({"listen": {"host": "127.0.0.1", "port": "8000"}}, "listen.port"),
        ({"members": []}, "members"),
        ({"members": {"main": {"host": "", "port": 1}}}, "members.main.host"),
        ({"members": {"main": {"host": "h", "port": 1, "user": "x"}}}, "members.main.user"),
        ({"cache": {"host": "h", "port": 70000}}, "cache.port"),
        ({"home_key_file": "/nowhere"}, "home_key_file"),
        ({"capacity": 0}, "capacity"),
        ({"capacity": True}, "capacity"),
        ({"capacty": 1}, "capacty"),
        ({"partition_map": 3}, "partition_map"),
        ({"database": {"name": "o", "user": "s", "password_file": "/nowhere/password"}}, "database.password_file"),
    ],
)
def test_bad_settings_are_refused_by_name(
    tmp_path: Path, good: dict[str, Any], change: dict[str, Any], named: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(written(tmp_path, {**good, **change}))
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["region", "planned_regions", "listen", "members", "database", "partition_map"])
def test_what_is_missing_is_named(tmp_path: Path, good: dict[str, Any], name: str) -> None:
    del good[name]
    with pytest.raises(SettingsError, match=f"{name} is missing"):
        load(written(tmp_path, good))


@pytest.mark.parametrize("content", [None, "{", "[]", '{"region": 1}'])
def test_a_bad_file_is_one_message_and_status_2(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "config.json" if content is None else written(tmp_path, content)
    ended = subprocess.run(
        [sys.executable, "-m", "service", str(file)], cwd=ROOT, capture_output=True, text=True, timeout=20
    )
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    assert str(file) in ended.stderr


def test_without_a_file_the_usage_is_shown() -> None:
    ended = subprocess.run([sys.executable, "-m", "service"], cwd=ROOT, capture_output=True, text=True, timeout=20)
    assert (ended.returncode, ended.stderr) == (2, "usage: python -m service CONFIG.json\n")
