"""The pack's configuration: what it cannot read off a resource. `meridian` writes it from the stack's settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NAME = {"type": "string"}
NAMES = {"type": "array", "items": NAME}
NUMBER = {"type": "number"}
DAYS = {"type": "integer", "minimum": 1}


def table(**properties: Any) -> dict[str, Any]:
    """Objects of one shape by name. Pulumi's schema is JSON Schema, draft 7."""
    return {"type": "object", "additionalProperties": {"type": "object", "properties": properties}}


@dataclass(frozen=True, kw_only=True)
class Partition:
    """A set of data with one writer region at a time."""

    origin: str
    members: tuple[str, ...]  # regions, the origin first
    primary: tuple[str, ...]  # regions that may write it
    copies: tuple[str, ...]  # regions that may hold a copy


@dataclass(frozen=True, kw_only=True)
class Region:
    """A planned region."""

    serving: str  # none, standby, reads, full
    members: tuple[str, ...]  # "<partition>-<region>"
    has_cache: bool
    in_use: bool
    zones: tuple[str, ...]
    backup_copy: str  # the region that its backups are copied to; empty for none


@dataclass(frozen=True, kw_only=True)
class Objective:
    """What was asked for and what the phase can reach; None where nothing was asked or is known."""

    asked: float | None
    reachable: float | None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that a rule may lean on. `given` is False where the pack was started without a configuration."""

    given: bool = False
    target: str = ""
    environment: str = ""
    production: bool = True  # lower environments may not hold what only production may
    phase: int = 0
    home: str = ""
    account: str = ""  # the AWS account or the Google project
    data_class: str = ""  # the class that the stack's settings declare
    # By data class, the regions that it may live in. A class that is not listed may live nowhere.
    allowed_regions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    production_classes: tuple[str, ...] = ()  # data classes that lower environments never hold
    required_tags: tuple[str, ...] = ()
    point_in_time_days: int = 7
    backup_days: int = 35
    log_days: int = 30
    regions: Mapping[str, Region] = field(default_factory=dict)
    partitions: Mapping[str, Partition] = field(default_factory=dict)
    objectives: Mapping[str, Objective] = field(default_factory=dict)  # rto_seconds, rpo_seconds, ...

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Settings:
        """From the JSON that SCHEMA describes. Nothing given leaves the strictest values in place."""
        if not config:
            return cls()
        given = {key: value for key, value in config.items() if key in SCHEMA and key not in NESTED}
        for key in LISTS & given.keys():
            given[key] = tuple(given[key])
        return cls(
            given=True,
            **given,
            allowed_regions={name: tuple(regions) for name, regions in (config.get("allowed_regions") or {}).items()},
            regions={name: _region(value) for name, value in (config.get("regions") or {}).items()},
            partitions={name: _partition(value) for name, value in (config.get("partitions") or {}).items()},
            objectives={
                name: Objective(asked=value.get("asked"), reachable=value.get("reachable"))
                for name, value in (config.get("objectives") or {}).items()
            },
        )


def _region(value: Mapping[str, Any]) -> Region:
    return Region(
        serving=value.get("serving", "none"),
        members=tuple(value.get("members", ())),
        has_cache=value.get("has_cache", False),
        in_use=value.get("in_use", False),
        zones=tuple(value.get("zones", ())),
        backup_copy=value.get("backup_copy", ""),
    )


def _partition(value: Mapping[str, Any]) -> Partition:
    return Partition(
        origin=value.get("origin", ""),
        members=tuple(value.get("members", ())),
        primary=tuple(value.get("primary", ())),
        copies=tuple(value.get("copies", ())),
    )


SCHEMA: Mapping[str, dict[str, Any]] = {
    "target": {"type": "string", "enum": ["aws", "gcp", "local"]},
    "environment": NAME,
    "production": {"type": "boolean"},
    "phase": {"type": "integer", "minimum": 1, "maximum": 5},
    "home": NAME,
    "account": NAME,
    "data_class": NAME,
    "allowed_regions": {"type": "object", "additionalProperties": NAMES},
    "production_classes": NAMES,
    "required_tags": NAMES,
    "point_in_time_days": DAYS,
    "backup_days": DAYS,
    "log_days": DAYS,
    "regions": table(
        serving={"type": "string", "enum": ["none", "standby", "reads", "full"]},
        members=NAMES,
        has_cache={"type": "boolean"},
        in_use={"type": "boolean"},
        zones=NAMES,
        backup_copy=NAME,
    ),
    "partitions": table(origin=NAME, members=NAMES, primary=NAMES, copies=NAMES),
    "objectives": table(asked=NUMBER, reachable=NUMBER),
}
NESTED = frozenset(("allowed_regions", "regions", "partitions", "objectives"))
LISTS = frozenset(("production_classes", "required_tags"))
