"""A stack's settings file, `Pulumi.<stack>.yaml`: read as the Pulumi CLI reads it, written with its comments kept."""

import io
import json
import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from operations import project
from operations.errors import Fault, Refused

SECURE = "secure"


@dataclass(frozen=True)
class Config:
    """The configuration as a program receives it: full keys to text."""

    values: Mapping[str, str]
    secret_keys: frozenset[str] = frozenset()

    def own(self, namespace: str) -> dict[str, str]:
        """One namespace, without its prefix."""
        prefix = f"{namespace}:"
        return {key.removeprefix(prefix): text for key, text in self.values.items() if key.startswith(prefix)}


@dataclass(frozen=True)
class SettingsFile:
    """The file, and what is in it."""

    path: Path
    stack: str
    namespace: str
    document: Mapping[str, Any]
    defaults: Mapping[str, Any]

    @classmethod
    def read(cls, stack: str, folder: Path) -> "SettingsFile":
        path = project.settings_path(stack, folder)
        # A name that the CLI takes; everything else could lead out of the project.
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", stack) or not path.is_file():
            known = project.stacks(folder)
            near = get_close_matches(stack, known, 1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise Refused(
                f"stack: there is no stack {stack!r}, because there is no file {path.name} in {folder}.{hint} "
                f"Stacks: {', '.join(known) or 'none'}."
            )
        try:
            content = _round_trip(path.read_text())[0]
        except OSError as fault:
            raise Fault(f"{path} cannot be read: {fault.strerror}") from None
        except _yaml_error() as fault:
            raise Refused(f"{path.name} is not YAML: {_one_line(fault)}") from None
        if content is not None and not isinstance(content, dict):
            raise Refused(f"{path.name} holds no mapping; it should begin with `config:`")
        config = (content or {}).get("config")
        if config is not None and not isinstance(config, dict):
            raise Refused(f"{path.name}: config: is not a mapping of keys such as `{project.name(folder)}:phase`")
        return cls(path, stack, project.name(folder), content or {}, project.defaults(folder))

    @property
    def salt(self) -> str | None:
        """The salt that the Pulumi CLI seals this stack's secrets with."""
        return self.document.get("encryptionsalt")

    def _settings(self) -> dict[str, Any]:
        return {self._full(key): value for key, value in (self.document.get("config") or {}).items()}

    def _full(self, key: Any) -> str:
        """Keys without a namespace belong to the project (pulumi: sdk/go/common/workspace/project.go)."""
        return str(key) if ":" in str(key) else f"{self.namespace}:{key}"

    def config(self, decrypt: Callable[[str], str], **changed: Any) -> Config:
        """What the program receives, with some of the project's own keys changed."""
        values = {**self.defaults, **self._settings()}
        values.update({f"{self.namespace}:{key}": value for key, value in changed.items()})
        secret_keys = frozenset(key for key, value in values.items() if _holds_secret(value))
        return Config({key: as_text(_opened(value, decrypt)) for key, value in values.items()}, secret_keys)

    def with_phase(self, phase: str) -> str:
        """The file's text with this phase."""
        return self._with("phase", phase)

    def with_regions(self, text: str, added: Mapping[str, int]) -> str:
        """A text of this file with more regions in its list, each with its slot."""
        content, yaml = _round_trip(text)
        config = (content or {}).get("config") or {}
        key = next((name for name in config if self._full(name) == f"{self.namespace}:regions"), None)
        if key is None or not isinstance(config[key], list):
            raise Refused(f"{self.path.name}: regions: is not a list that a region could be added to")
        config[key].extend({"name": name, "slot": slot} for name, slot in added.items())
        stream = io.StringIO()
        yaml.dump(content, stream)
        return stream.getvalue()

    def write_phase(self, phase: str) -> bool:
        """Write the phase as `pulumi config set` would. Whether the file changed."""
        before = self.path.read_text()
        if str(self._settings().get(f"{self.namespace}:phase")) == phase:
            return False
        text = self.with_phase(phase)
        if text != before:
            replace_text(self.path, text)
        return text != before

    def _with(self, key: str, value: Any) -> str:
        text = self.path.read_text()
        content, yaml = _round_trip(text)
        if content is None:  # nothing but comments, which would be lost
            return f"{text}config:\n  {self.namespace}:{key}: {value}\n"
        config = content.get("config")
        if config is None:
            config = content["config"] = {}
        written = next((name for name in config if self._full(name) == f"{self.namespace}:{key}"), None)
        config[written or f"{self.namespace}:{key}"] = value
        stream = io.StringIO()
        yaml.dump(content, stream)
        return stream.getvalue()

    def write_slots(self, slots: Mapping[str, int]) -> bool:
        """Write the slots that regions have by default, which fixes them. Whether the file changed."""
        content, yaml = _round_trip(self.path.read_text())
        config = (content or {}).get("config") or {}
        key = next((name for name in config if self._full(name) == f"{self.namespace}:regions"), None)
        changed = False
        for region in config[key] if key is not None and isinstance(config[key], list) else ():
            if isinstance(region, dict) and region.get("slot") is None and region.get("name") in slots:
                region["slot"] = slots[region["name"]]
                changed = True
        if changed:
            stream = io.StringIO()
            yaml.dump(content, stream)
            replace_text(self.path, stream.getvalue())
        return changed


def replace_text(path: Path, text: str) -> None:
    """All of it or nothing; a link stays a link, and the file keeps its rights."""
    real = path.resolve()
    draft = real.with_name(f".{real.name}.{secrets.token_hex(4)}.new")
    try:
        with draft.open("x") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.chmod(real.stat().st_mode & 0o7777)
        draft.rename(real)
    except OSError as fault:
        draft.unlink(missing_ok=True)
        raise Fault(f"{real} could not be written: {fault.strerror}; it is as it was") from None


def as_text(value: Any) -> str:
    """A value as Pulumi hands it to a program: words as they are, lists and objects as JSON."""
    if isinstance(value, str):
        return str(value)
    if value is None:
        return ""
    if isinstance(value, datetime | date):
        return value.isoformat()
    return json.dumps(_plain(value), separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def _plain(value: Any) -> Any:
    """Without the types in which ruamel keeps quotes and comments."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    return value.isoformat() if isinstance(value, datetime | date) else str(value)


def _is_secret(value: Any) -> bool:
    return isinstance(value, dict) and list(value) == [SECURE]


def _holds_secret(value: Any) -> bool:
    if _is_secret(value):
        return True
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(map(_holds_secret, inner))


def _opened(value: Any, decrypt: Callable[[str], str]) -> Any:
    if _is_secret(value):
        return decrypt(str(value[SECURE]))
    if isinstance(value, dict):
        return {key: _opened(item, decrypt) for key, item in value.items()}
    if isinstance(value, list):
        return [_opened(item, decrypt) for item in value]
    return value


def _round_trip(text: str) -> tuple[Any, Any]:
    """The document with its comments, and the writer that lays it out as it was."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    step, dash = _layout(text)
    yaml.indent(mapping=step, sequence=step if dash == 0 else dash + 2, offset=dash)
    return yaml.load(text), yaml


def _layout(text: str) -> tuple[int, int]:
    """How far the file indents mappings, and the dashes of lists below their key."""
    step = next((len(found[1]) for found in re.finditer(r"^( +)[^\s#-]", text, re.MULTILINE)), 2)
    for key in re.finditer(
        r"^( *)[^\s#-][^\n]*:[ \t]*(?:#[^\n]*)?\n(?:[ \t]*(?:#[^\n]*)?\n)*( *)- ", text, re.MULTILINE
    ):
        return step, max(0, len(key[2]) - len(key[1]))
    return step, 2


def _yaml_error() -> type[Exception]:
    from ruamel.yaml.error import YAMLError

    return YAMLError


def _one_line(fault: Exception) -> str:
    mark = getattr(fault, "problem_mark", None)
    problem = getattr(fault, "problem", None) or str(fault).splitlines()[0]
    return f"{problem} (line {mark.line + 1})" if mark else problem
