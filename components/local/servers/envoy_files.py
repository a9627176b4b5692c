"""The files that Envoy watches: written when they differ, by rename, in an order in which Envoy can follow."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.local.servers import paths
from components.local.servers.envoy import clusters
from components.local.servers.errors import ServerFault

Json = dict[str, Any]
Files = Mapping[str, Json]

# What is referred to comes before what refers to it.
_ORDER = ("bootstrap.json", "xds/sds/", "xds/eds/", "xds/cds.json", "xds/rds/", "xds/lds.json")


def write(folder: Path, files: Files) -> tuple[str, ...]:
    """Writes the files that changed, in an order in which Envoy can follow, and names them.

    Clusters that go away stay until the routes that used them are gone. Files under `xds/eds` that are not in `files`
    are left alone: operations own some of them, and a cluster that is no longer there reads none.
    """
    changed = []
    wanted = dict(sorted(files.items(), key=lambda item: (_rank(item[0]), item[0])))
    final = wanted.get("xds/cds.json")
    if final is not None:
        wanted["xds/cds.json"] = _with_departing(folder, final)
    for name, content in wanted.items():
        if replace(folder / name, content):
            changed.append(name)
    if final is not None and replace(folder / "xds/cds.json", final) and "xds/cds.json" not in changed:
        changed.append("xds/cds.json")
    return tuple(changed)


def replace(path: Path, content: Json) -> bool:
    """Puts `content` at `path` in one step; False when it is there already."""
    text = _text(content)
    try:
        if path.read_text() == text:
            return False
    except FileNotFoundError:
        pass
    paths.write_atomic(path, text)
    return True


def create(path: Path, content: Json) -> bool:
    """Puts `content` at `path` unless something is there; never overwrites what somebody else wrote meanwhile."""
    if path.exists():
        return False
    draft = path.with_name(f".{path.name}.{os.getpid()}.first")
    paths.write_atomic(draft, _text(content))
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True


def read(path: Path) -> Json | None:
    """A file's content, or None when it is not there."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError as problem:
        raise ServerFault(f"{path} is damaged: it is not JSON ({problem}).") from problem


def _text(content: Json) -> str:
    return json.dumps(content, indent=1) + "\n"


def _rank(name: str) -> int:
    return next((place for place, prefix in enumerate(_ORDER) if name.startswith(prefix)), len(_ORDER))


def _with_departing(folder: Path, final: Json) -> Json:
    before = (read(folder / "xds/cds.json") or {}).get("resources", [])
    names = {resource["name"] for resource in final["resources"]}
    departing = [resource for resource in before if resource["name"] not in names]
    return clusters(*final["resources"], *departing) if departing else final
