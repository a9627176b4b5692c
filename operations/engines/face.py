"""What a command asks of an engine."""

from collections.abc import Collection, Mapping
from typing import Any, Protocol

from operations.changes import Preview
from operations.progress import View


class Engine(Protocol):
    name: str

    def has_stack(self) -> bool:
        """Whether this engine holds resources of the stack."""
        ...

    def outputs(self) -> Mapping[str, Any] | None:
        """The stack's outputs, None where it is not up. Secrets are not opened."""
        ...

    def protected(self) -> Mapping[str, Mapping[str, Any]]:
        """The inputs of every protected resource, by URN."""
        ...

    def preview(self, *, given_up: Collection[str] = ()) -> Preview:
        """What `up` would do, once the URNs given up are no longer protected. Writes nothing."""
        ...

    def require_able(self) -> None:
        """Raises `Refused` where `up` could not build this stack's target."""
        ...

    def up(self, view: View, *, given_up: Collection[str] = ()) -> Mapping[str, Any]:
        """Take the protection off what is given up, make it so, and return the outputs."""
        ...

    def destroy(self, view: View) -> None:
        """Delete everything, also what is protected."""
        ...

    def export(self) -> dict[str, Any]:
        """The state in the JSON of `pulumi stack export`."""
        ...
