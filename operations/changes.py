"""What would happen, or happened, to each resource, whichever engine says so."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

OPERATIONS = ("create", "update", "replace", "delete", "same")

# Resources whose replacement or deletion loses data, by the last part of their type, beside those that the clouds'
# tables name (operations/consequences.py). What is protected counts as well.
STATEFUL = frozenset({"Postgres", "ClusterInstance"})


@dataclass(frozen=True, kw_only=True)
class Change:
    op: str
    urn: str
    type: str
    name: str
    custom: bool = True
    changed: tuple[str, ...] = ()
    replace_keys: tuple[str, ...] = ()
    protected: bool = False
    consequences: tuple[str, ...] = ()  # what the provider makes of it, one line each
    harms: bool = False  # an update that promotes, detaches or overwrites
    refused: bool = False  # the provider or the cloud would refuse it halfway

    @property
    def kind(self) -> str:
        """The last part of the type: `Postgres` of `pulumi-python:local:Postgres`."""
        return self.type.replace("/", ":").rpartition(":")[2]

    @property
    def stateful(self) -> bool:
        from operations.consequences import stateful

        return self.custom and (self.protected or self.kind in STATEFUL or stateful(self.type))

    @property
    def destroys(self) -> bool:
        return self.op in ("replace", "delete") or self.harms

    def as_json(self) -> dict[str, Any]:
        return {
            "op": self.op,
            "kind": self.kind,
            "name": self.name,
            "type": self.type,
            "urn": self.urn,
            "changed": list(self.changed),
            "replace_keys": list(self.replace_keys),
            "protected": self.protected,
            "stateful": self.stateful,
            "consequences": list(self.consequences),
        }


def counted(type_: str) -> bool:
    """Whether users see it as a resource: the stack itself and the entries for providers are bookkeeping."""
    return type_ != "pulumi:pulumi:Stack" and not type_.startswith("pulumi:providers:")


def counts(changes: Iterable[Change]) -> dict[str, int]:
    found = Counter(change.op for change in changes if change.custom)
    return {op: found[op] for op in OPERATIONS}


def counts_text(changes: Iterable[Change]) -> str:
    found = counts(changes)
    return ", ".join(f"{found[op]} {op}" for op in OPERATIONS if found[op]) or "nothing"


def lost(changes: Iterable[Change]) -> list[Change]:
    """What holds data and would be replaced, deleted, or cut off from its copies."""
    return [change for change in changes if change.destroys and change.stateful]


@dataclass(frozen=True, kw_only=True)
class Preview:
    changes: tuple[Change, ...]
    problems: tuple[str, ...] = ()  # why `up` would refuse
