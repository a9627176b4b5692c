"""Reads the state that either engine keeps, without opening its secrets: quick enough for every `status`."""

import gzip
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from components.local.servers import paths
from operations.errors import Fault

STACK_TYPE = "pulumi:pulumi:Stack"
STATE = "state.json"

Record = Mapping[str, Any]


def embedded_path(stack: str) -> Path:
    return paths.stack_folder(stack) / STATE


def own_backend() -> str:
    """The file backend that the CLI uses for local stacks, unless its user says otherwise."""
    return f"file://{paths.root() / 'pulumi'}"


def backend(target: str) -> str | None:
    """The backend that the CLI shall use; None: whichever its user has chosen by `pulumi login`."""
    return os.environ.get("PULUMI_BACKEND_URL") or (own_backend() if target == "local" else None)


def embedded(stack: str) -> list[Record] | None:
    """The resources that the embedded engine holds; None where it has no state."""
    path = embedded_path(stack)
    content = _content(path)
    if content is None:
        return None
    deployment = content.get("deployment") or {}
    return list(deployment.get("resources") or ())


def embedded_backup_only(stack: str) -> bool:
    """Whether the state file is gone and the one before it is not."""
    path = embedded_path(stack)
    return not path.exists() and path.with_name(f"{path.name}.bak").exists()


def checkpoint_path(url: str, project: str, stack: str) -> Path | None:
    """Where a file backend keeps a stack (pulumi: pkg/backend/diy); None for another kind of backend."""
    parts = urlsplit(url)
    if parts.scheme != "file":
        return None
    folder = unquote(f"{parts.netloc}{parts.path}")
    base = Path(folder).expanduser() / ".pulumi" / "stacks"
    for path in (base / project / f"{stack}.json", base / project / f"{stack}.json.gz", base / f"{stack}.json"):
        if path.exists():
            return path
    return base / project / f"{stack}.json"


def checkpoint(url: str, project: str, stack: str) -> list[Record] | None:
    """The resources that a file backend holds; None where it does not know the stack."""
    path = checkpoint_path(url, project, stack)
    content = _content(path) if path is not None else None
    if content is None:
        return None
    latest = (content.get("checkpoint") or {}).get("latest") or {}
    return list(latest.get("resources") or ())


def outputs(resources: list[Record]) -> Mapping[str, Any] | None:
    """The stack's outputs; None before the first `up` has come to its end."""
    root = next((item for item in resources if item.get("type") == STACK_TYPE), None)
    return (root.get("outputs") or None) if root else None


def protected(resources: list[Record]) -> dict[str, Mapping[str, Any]]:
    return {
        item["urn"]: item.get("inputs") or {} for item in resources if item.get("protect") and not item.get("delete")
    }


def _content(path: Path) -> dict[str, Any] | None:
    try:
        raw = path.read_bytes()
        content = json.loads(gzip.decompress(raw) if path.suffix == ".gz" else raw)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, EOFError) as fault:
        raise Fault(f"the state file {path} is damaged ({fault}){_way_back(path)}") from None
    except OSError as fault:
        raise Fault(f"the state file {path} cannot be read: {fault.strerror}") from None
    if not isinstance(content, dict):
        raise Fault(f"the state file {path} is damaged (no JSON object){_way_back(path)}")
    return content


def _way_back(path: Path) -> str:
    backup = path.with_name(f"{path.name}.bak")
    return f"; the state before the last step is {backup}: copy it over the damaged file" if backup.exists() else ""
