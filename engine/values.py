"""Property values as the engine keeps them: plain Python, `Secret` around secrets, `UNKNOWN` for what `up` will tell.

Resource references and assets stay the signed objects that they are on the wire.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

# pulumi: sdk/go/common/resource/sig/sig.go. These constants are part of the state format and never change.
SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
SECRET_SIGNATURE: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105
RESOURCE_SIGNATURE: Final = "5cf8f73096256a8f31e491e813e4eb8e"
UNKNOWN_TEXT: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
PROVIDER: Final = "__provider"


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A secret; shows nothing of itself when printed."""

    value: Any

    def __repr__(self) -> str:
        return "[secret]"


class Unknown(Enum):
    """The one value that is not known before `up`."""

    UNKNOWN = "unknown"

    def __repr__(self) -> str:
        return "[unknown]"


UNKNOWN: Final = Unknown.UNKNOWN

Properties = Mapping[str, Any]


def bare(value: Any) -> Any:
    """The value without the marks of secrets."""
    if isinstance(value, Secret):
        return bare(value.value)
    if isinstance(value, dict):
        return {key: bare(item) for key, item in value.items()}
    if isinstance(value, list):
        return [bare(item) for item in value]
    return value


def has_secret(value: Any) -> bool:
    if isinstance(value, dict):
        return any(has_secret(item) for item in value.values())
    if isinstance(value, list):
        return any(has_secret(item) for item in value)
    return isinstance(value, Secret)


def has_unknown(value: Any) -> bool:
    if isinstance(value, dict):
        return any(has_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(has_unknown(item) for item in value)
    if isinstance(value, Secret):
        return has_unknown(value.value)
    return value is UNKNOWN


def mark_secrets(values: dict[str, Any], like: Properties) -> dict[str, Any]:
    """Mark as secret what is secret under the same name in `like` (pulumi: provider_plugin.go, annotateSecrets)."""
    for key, model in like.items():
        if key not in values or isinstance(values[key], Secret):
            continue
        if isinstance(values[key], dict) and isinstance(model, dict):
            values[key] = mark_secrets(dict(values[key]), model)
        elif has_secret(model):
            values[key] = Secret(values[key])
    return values


def changed_paths(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """Paths of the leaves that differ; whether a value is secret is no difference."""
    while isinstance(old, Secret):
        old = old.value
    while isinstance(new, Secret):
        new = new.value
    if isinstance(old, dict) and isinstance(new, dict):
        for key in {**old, **new}:
            label = key if re.fullmatch(r"[A-Za-z_][\w-]*", key) else f'["{key}"]'
            here = f"{path}.{label}" if path and label == key else f"{path}{label}"
            if key not in old or key not in new:
                yield here
            elif old[key] is not new[key]:
                yield from changed_paths(old[key], new[key], here)
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            if index >= len(old) or index >= len(new):
                yield f"{path}[{index}]"
            else:
                yield from changed_paths(old[index], new[index], f"{path}[{index}]")
    elif new is UNKNOWN or isinstance(old, bool) != isinstance(new, bool) or old != new:
        yield path


# None stands for `*`: every element.
PathKey = str | int | None
_SEGMENT = re.compile(r"""\["((?:[^"\\]|\\.)*)"\]|\[(\d+)\]|\[(\*)\]|\.?([^.\[\]"]+)""")


def parse_path(text: str) -> tuple[PathKey, ...]:
    """A property path such as `a.b[0]["c.d"]` or `a[*].b`."""
    keys: list[PathKey] = []
    position = 0
    while position < len(text):
        found = _SEGMENT.match(text, position)
        if found is None:
            raise ValueError(f"`{text}` is not a property path")
        quoted, index, star, name = found.groups()
        if star or name == "*":
            keys.append(None)
        else:
            keys.append(int(index) if index else name or re.sub(r"\\(.)", r"\1", quoted or ""))
        position = found.end()
    return tuple(keys)


def covers(path: tuple[PathKey, ...], other: tuple[PathKey, ...]) -> bool:
    """Whether `other` is `path` or lies below it."""
    return len(other) >= len(path) and all(p in (None, o) for p, o in zip(path, other, strict=False))


def reset(path: tuple[PathKey, ...], old: Any, new: Any, hide: bool = False) -> bool:
    """Set the value at `path` in `new` back to what it is in `old`; False where an element was added or removed.

    This is how `ignore_changes` works (pulumi: properties_path.go, PropertyPath.Reset), secrets included: a value that
    was inside a secret stays one when the new surroundings are not secret.
    """
    while isinstance(old, Secret):
        old, hide = old.value, True
    while isinstance(new, Secret):
        new, hide = new.value, False
    key, rest = path[0], path[1:]
    kind = list if isinstance(key, int) else dict
    if key is None:
        if isinstance(old, list) and isinstance(new, list):
            done = [reset((index, *rest), old, new, hide) for index in range(min(len(old), len(new)))]
            return all(done) and len(old) == len(new)
        if isinstance(old, dict) and isinstance(new, dict):
            names = {**old, **new} if not rest else old
            done = [reset((name, *rest), old, new, hide) for name in names]
            return all(done)
        return not rest and isinstance(new, dict | list)
    if isinstance(key, int):
        if not (isinstance(old, list) and isinstance(new, list)):
            return not isinstance(old, list) and not isinstance(new, list)
        if key >= len(old) or key >= len(new):
            return not rest and key >= len(old) and key >= len(new)
    elif not rest:
        if isinstance(old, dict) and key in old:
            if not isinstance(new, dict):
                return False
        else:
            if isinstance(new, dict):
                new.pop(key, None)
            return True
    elif not (isinstance(old, dict) and isinstance(new, dict)):
        return not isinstance(old, dict) and not isinstance(new, dict)
    elif key not in old or key not in new:
        return key not in old and key not in new
    assert isinstance(old, kind)
    if rest:
        return reset(rest, old[key], new[key], hide)  # type: ignore[index]
    new[key] = Secret(old[key]) if hide and not isinstance(old[key], Secret) else old[key]  # type: ignore[index]
    return True
