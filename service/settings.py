"""The service's settings: one JSON file, read once, checked before anything starts."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast


class SettingsError(Exception):
    """The settings cannot be used; the message says which one, what it is and how to mend it."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, kw_only=True)
class Database:
    name: str
    user: str
    password_file: Path


@dataclass(frozen=True, kw_only=True)
class Cache:
    endpoint: Endpoint
    password_file: Path | None


@dataclass(frozen=True, kw_only=True)
class Settings:
    region: str
    planned_regions: frozenset[str]
    listen: Endpoint
    members: Mapping[str, Endpoint]
    database: Database
    cache: Cache | None
    egress: Endpoint | None
    partition_map: Path
    home_key_file: Path
    capacity: float


class _Section:
    """One JSON object of the file, which knows its own name for messages."""

    def __init__(self, file: Path, name: str, value: object) -> None:
        self.file = file
        self.name = name
        if not isinstance(value, dict):
            raise self.wrong("", value, "a JSON object")
        self.values = cast("dict[str, object]", value)

    def wrong(self, key: str, value: object, allowed: str) -> SettingsError:
        name = ".".join(part for part in (self.name, key) if part) or "the whole file"
        return SettingsError(f"{self.file}: {name} is {json.dumps(value)[:200]}; it must be {allowed}")

    def only(self, *allowed: str) -> None:
        for key in self.values:
            if key not in allowed:
                name = f"{self.name}.{key}" if self.name else key
                raise SettingsError(f"{self.file}: {name} is not a setting; remove it (allowed: {', '.join(allowed)})")

    def get(self, key: str, allowed: str) -> object:
        if key not in self.values:
            name = f"{self.name}.{key}" if self.name else key
            raise SettingsError(f"{self.file}: {name} is missing; it must be {allowed}")
        return self.values[key]

    def text(self, key: str) -> str:
        value = self.get(key, "a text that is not empty")
        if not isinstance(value, str) or not value:
            raise self.wrong(key, value, "a text that is not empty")
        return value

    def section(self, key: str) -> "_Section":
        return _Section(self.file, f"{self.name}.{key}" if self.name else key, self.get(key, "a JSON object"))

    def endpoint(self) -> Endpoint:
        port = self.get("port", "a port from 1 to 65535")
        if not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= 65535:
            raise self.wrong("port", port, "a port from 1 to 65535")
        return Endpoint(host=self.text("host"), port=port)

    def secret_file(self, key: str = "password_file", what: str = "the password") -> Path:
        path = Path(self.text(key))
        try:
            empty = not path.read_text().strip()
        except OSError as fault:
            name = ".".join(part for part in (self.name, key) if part)
            raise SettingsError(
                f"{self.file}: {name} is {json.dumps(str(path))}, which cannot be read "
                f"({fault.strerror}); it must be a file that holds {what}"
            ) from None
        if empty:
            raise self.wrong(key, str(path), f"a file that holds {what}; this one is empty")
        return path


def load(file: Path) -> Settings:
    """Read and check the file; raises SettingsError with one message."""
    try:
        document: Any = json.loads(file.read_bytes())
    except OSError as fault:
        raise SettingsError(f"{file}: the settings cannot be read ({fault.strerror}); name an existing file") from None
    except ValueError as fault:
        raise SettingsError(f"{file}: the settings are not JSON ({fault}); write them as one JSON object") from None

    root = _Section(file, "", document)
    root.only(
        "region",
        "planned_regions",
        "listen",
        "members",
        "database",
        "cache",
        "egress",
        "partition_map",
        "home_key_file",
        "capacity",
    )
    region = root.text("region")
    planned = root.get("planned_regions", "a list of region names")
    if not isinstance(planned, list) or not all(isinstance(name, str) and name for name in planned):
        raise root.wrong("planned_regions", planned, "a list of region names")
    if region not in planned:
        raise root.wrong("region", region, f"one of planned_regions ({', '.join(planned)})")

    members = root.section("members")
    for section in (members.section(name) for name in members.values):
        section.only("host", "port")
    listen = root.section("listen")
    listen.only("host", "port")
    database = root.section("database")
    database.only("name", "user", "password_file")

    cache = None
    if root.values.get("cache") is not None:
        section = root.section("cache")
        section.only("host", "port", "password_file")
        secured = section.values.get("password_file") is not None
        cache = Cache(endpoint=section.endpoint(), password_file=section.secret_file() if secured else None)
    egress = None
    if root.values.get("egress") is not None:
        section = root.section("egress")
        section.only("host", "port")
        egress = section.endpoint()

    capacity = root.values.get("capacity", 1.0)
    if not isinstance(capacity, int | float) or isinstance(capacity, bool) or not 0 < capacity <= 100:
        raise root.wrong("capacity", capacity, "a number above 0, at most 100")
    return Settings(
        region=region,
        planned_regions=frozenset(planned),
        listen=listen.endpoint(),
        members={name: members.section(name).endpoint() for name in members.values},
        database=Database(name=database.text("name"), user=database.text("user"), password_file=database.secret_file()),
        cache=cache,
        egress=egress,
        partition_map=Path(root.text("partition_map")),
        home_key_file=root.secret_file("home_key_file", "the key of the customers' digests"),
        capacity=float(capacity),
    )
