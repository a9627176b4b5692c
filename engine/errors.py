"""What the embedded engine refuses (exit status 2) and what goes wrong while it runs (exit status 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.plan import Result


class EngineError(Exception):
    """A fault at run time; the message is meant for the user and needs no traceback."""


class StateError(EngineError):
    """The state file is missing, damaged, locked by another passphrase, or could not be written."""


class Refusal(EngineError):  # noqa: N818  (it is not a fault)
    """Something that the engine does not do, or that protection forbids; nothing was changed because of it."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One resource that failed. `traceback` is there for those who ask for it."""

    urn: str
    name: str
    operation: str
    message: str
    traceback: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.operation} failed: {self.message}"


class RunFailed(EngineError):  # noqa: N818
    """One or more resources failed; what had been done before is in the state, and the next run goes on from there."""

    def __init__(self, failures: tuple[Failure, ...], skipped: tuple[str, ...], result: Result | None = None) -> None:
        lines = [str(failure) for failure in failures]
        if skipped:
            lines.append(f"not attempted, because they depend on what failed: {', '.join(sorted(skipped))}")
        super().__init__("\n".join(lines))
        self.failures = failures
        self.skipped = skipped
        self.result = result
