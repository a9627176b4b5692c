"""What a check of arguments finds, and how it is told."""

from dataclasses import dataclass
from typing import Any

from engine.recorder import Registered

Path = tuple[str | int, ...]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A value that does not fit, what would, and who says so."""

    path: Path
    value: Any
    allowed: str
    source: str
    missing: str = ""  # the name of the property that is not there


def told(resource: Registered, fault: Fault) -> str:
    """With the resource, the argument, its value, what is allowed, and who says so."""
    argument = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in fault.path).removeprefix(".")
    value = repr(fault.value)
    value = value if len(value) <= 100 else f"{value[:100]}…"
    shown = f"{argument} = {value}" if argument else value
    return f"{resource.name} ({resource.type}): {shown}: allowed is {fault.allowed} [{fault.source}]"
