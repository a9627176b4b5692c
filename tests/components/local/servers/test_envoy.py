"""The files that Envoy watches, without an Envoy."""

import json
from pathlib import Path

import pytest

from components.local.servers import envoy, envoy_admin, envoy_files
from components.local.servers.addresses import Endpoint
from components.local.servers.errors import ServerFault

HERE = Endpoint("127.0.0.1", 1)


def names(path: Path) -> list[str]:
    return [resource["name"] for resource in json.loads(path.read_text())["resources"]]


def some_files(*clusters: str) -> envoy_files.Files:
    folder = Path("/somewhere")
    return {
        "xds/lds.json": envoy.listeners(envoy.listener("one", HERE, [{"filters": list(clusters)}])),
        "xds/cds.json": envoy.clusters(*(envoy.cluster(folder, name) for name in clusters)),
        **{f"xds/eds/{name}.json": envoy.assignment(name, [envoy.locality("here", HERE)]) for name in clusters},
    }


def test_writing_the_same_twice_changes_no_file(tmp_path: Path) -> None:
    assert envoy_files.write(tmp_path, some_files("a")) == ("xds/eds/a.json", "xds/cds.json", "xds/lds.json")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert envoy_files.write(tmp_path, some_files("a")) == ()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_cluster_is_there_before_its_first_use_and_until_after_its_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    envoy_files.write(tmp_path, some_files("old", "kept"))
    steps = []
    write = envoy_files.replace

    def watched(path: Path, content: envoy.Json) -> bool:
        changed = write(path, content)
        if changed:
            steps.append((path.name, names(path) if path.name == "cds.json" else None))
        return changed

    monkeypatch.setattr(envoy_files, "replace", watched)
    changed = envoy_files.write(tmp_path, some_files("kept", "new"))
    assert steps == [
        ("new.json", None),
        ("cds.json", ["kept", "new", "old"]),
        ("lds.json", None),
        ("cds.json", ["kept", "new"]),
    ]
    assert changed == ("xds/eds/new.json", "xds/cds.json", "xds/lds.json")


def test_a_version_follows_the_content() -> None:
    def version(host: str) -> str:
        return envoy.assignment("a", [envoy.locality("here", Endpoint(host, 1))])["version_info"]

    assert version("127.0.0.1") == version("127.0.0.1") != version("127.0.0.2")


def test_creating_never_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file.json"
    assert envoy_files.create(path, {"by": "first"})
    assert not envoy_files.create(path, {"by": "second"})
    assert envoy_files.read(path) == {"by": "first"}
    assert [each.name for each in path.parent.iterdir()] == ["file.json"]


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text("{")
    with pytest.raises(ServerFault, match=str(path)):
        envoy_files.read(path)
    assert envoy_files.read(tmp_path / "none.json") is None


def test_files_are_private(tmp_path: Path) -> None:
    envoy_files.write(tmp_path, some_files("a"))
    assert {path.stat().st_mode & 0o077 for path in tmp_path.rglob("*")} == {0}


def test_nobody_answers(tmp_path: Path) -> None:
    nowhere = Endpoint("127.0.0.1", 1)
    assert envoy_admin.ask(nowhere, "/ready") is None
    assert not envoy_admin.is_ready(nowhere)
    assert envoy_admin.hosts(nowhere) is None
    assert envoy_admin.rejection(nowhere) is None
    envoy_files.write(tmp_path, some_files("a"))
    assert set(envoy_admin.unapplied(tmp_path, nowhere)) == {"lds.json", "cds.json", "eds/a.json"}
