"""A resource as the rules see it, whoever looks: the Pulumi engine, the embedded engine, a test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn


class NotKnownError(Exception):
    """A rule used a value that only the deployment knows."""


class Unknown:
    """Stands for such a value. A rule may ask whether a value `is UNKNOWN`; any other use of it raises, so that no
    rule takes it for a wrong value, and whoever runs the rules asks again when it is known.
    """

    def _refuse(self, *_: Any) -> NoReturn:
        raise NotKnownError

    __bool__ = __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __hash__ = _refuse  # type: ignore[assignment]
    __len__ = __iter__ = __getitem__ = __contains__ = __str__ = __int__ = __float__ = _refuse  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise NotKnownError

    def __repr__(self) -> str:
        return "not known before the deployment"

    def __deepcopy__(self, memo: dict[int, Any]) -> Unknown:
        return self


UNKNOWN = Unknown()


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One resource: its arguments as registered, in camelCase."""

    urn: str
    type: str
    name: str
    props: Mapping[str, Any]
    protect: bool = False
    ignore_changes: tuple[str, ...] = ()
    parent: str = ""  # a URN; empty directly below the stack

    @property
    def labels(self) -> Mapping[str, Any]:
        """Its tags (AWS) or labels (Google Cloud); empty where it has none or where they are not known yet."""
        for path in ("tags", "labels", "settings.userLabels", "userLabels"):
            found = self.at(path)
            if isinstance(found, Mapping) and found:
                return found
        return {}

    @property
    def data_class(self) -> str:
        """The class of the data that it says it holds; empty where it says nothing."""
        found = self.labels.get("data-class", "")
        return found if isinstance(found, str) else ""

    def at(self, path: str) -> Any:
        """The value at a dotted path through objects alone; None where there is none."""
        return next(iter(values(self.props, path)))

    def values(self, path: str) -> list[Any]:
        """What lies at a dotted path, once for every element of each list on the way. Never empty: None where there
        is nothing.
        """
        return list(values(self.props, path))


def values(value: Any, path: str) -> Iterator[Any]:
    if value is UNKNOWN or not path:
        yield value
        return
    if is_list(value):
        if not value:
            yield None
        for item in value:
            yield from values(item, path)
        return
    if not isinstance(value, Mapping):
        yield None
        return
    key, _, rest = path.partition(".")
    yield from values(value.get(key), rest)


def is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def is_empty(value: Any) -> bool:
    """As the providers mean it: not given. An unknown value is given."""
    return value is not UNKNOWN and (value is None or (isinstance(value, str | Mapping | Sequence) and not value))
