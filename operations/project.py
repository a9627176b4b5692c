"""The project itself: its folder, its name, and the stacks that have a settings file."""

import os
import re
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent.parent
PROJECT_FILE = "Pulumi.yaml"


@cache
def description(folder: Path) -> Any:
    """Pulumi.yaml, read."""
    from ruamel.yaml import YAML

    return YAML(typ="safe").load((folder / PROJECT_FILE).read_text())


def name(folder: Path) -> str:
    return str(description(folder)["name"])


def defaults(folder: Path) -> dict[str, Any]:
    """What Pulumi.yaml declares for keys that a stack leaves out, by full key."""
    project = name(folder)
    found: dict[str, Any] = {}
    for key, declared in (description(folder).get("config") or {}).items():
        full = key if ":" in key else f"{project}:{key}"
        if isinstance(declared, dict) and ({"default", "value"} & declared.keys()):
            found[full] = declared.get("value", declared.get("default"))
        elif not isinstance(declared, dict):
            found[full] = declared
    return found


def settings_path(stack: str, folder: Path) -> Path:
    return folder / f"Pulumi.{stack}.yaml"


def stacks(folder: Path) -> list[str]:
    """The stacks that have a settings file."""
    found = (re.fullmatch(r"Pulumi\.(.+)\.ya?ml", path.name) for path in folder.glob("Pulumi.*.y*ml"))
    return sorted(match[1] for match in found if match)


def called_from(name: str) -> Path:
    """A path as the user meant it: the launcher works in the project's folder, wherever it is called."""
    return Path(os.environ.get("MERIDIAN_CALLED_FROM", ""), Path(name).expanduser())
