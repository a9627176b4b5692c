"""What a running Envoy says of itself at its admin address."""

import json
import re
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.local.servers.addresses import Endpoint
from components.local.servers.envoy_files import read
from components.local.servers.loopback import opened


def ask(admin: Endpoint, path: str, *, timeout: float = 2.0) -> str | None:
    """What the admin address answers, None when nobody does."""
    try:
        with opened(f"http://{admin[0]}:{admin[1]}{path}", timeout=timeout) as answer:
            return answer.read().decode()
    except (OSError, urllib.error.URLError):
        return None


def is_ready(admin: Endpoint, *, timeout: float = 2.0) -> bool:
    return (ask(admin, "/ready", timeout=timeout) or "").strip() == "LIVE"


@dataclass(frozen=True, kw_only=True)
class HostHealth:
    """One endpoint as this Envoy sees it."""

    region: str
    healthy: bool
    held_out: bool
    degraded: bool = False


_DEGRADED = "failed_active_degraded_check"  # admin.v3.HostHealthStatus


def hosts(admin: Endpoint) -> dict[str, tuple[HostHealth, ...]] | None:
    """Every cluster's endpoints; None when the admin address does not answer."""
    text = ask(admin, "/clusters?format=json")
    if text is None:
        return None
    found = {}
    for status in json.loads(text).get("cluster_statuses", []):
        found[status["name"]] = tuple(
            HostHealth(
                region=host.get("locality", {}).get("region", ""),
                # Degraded is healthy, only chosen last.
                healthy=not any(
                    value is True for key, value in host.get("health_status", {}).items() if key != _DEGRADED
                ),
                degraded=host.get("health_status", {}).get(_DEGRADED, False),
                held_out=host.get("health_status", {}).get("eds_health_status") == "DRAINING",
            )
            for host in status.get("host_statuses", [])
        )
    return found


def counter(admin: Endpoint, name: str) -> int:
    """One of the numbers Envoy counts; 0 while it has not been counted."""
    text = ask(admin, f"/stats?filter=^{re.escape(name)}$") or ""
    return sum(int(line.rpartition(":")[2]) for line in text.splitlines() if line.startswith(f"{name}:"))


def versions(folder: Path) -> dict[str, tuple[str, str]]:
    """Each watched file with the number under which Envoy reports its version, and the version it should report."""
    found = {}

    def note(name: str, key: str) -> None:
        if (content := read(folder / "xds" / name)) is not None:
            found[name] = (key, content["version_info"])

    note("lds.json", "listener_manager.lds.version_text")
    note("cds.json", "cluster_manager.cds.version_text")
    for resource in (read(folder / "xds/cds.json") or {}).get("resources", []):
        if resource.get("type") == "STATIC":
            continue
        note(f"eds/{resource['name']}.json", f"cluster.{resource['name']}.version_text")
    for path in sorted((folder / "xds/rds").glob("*.json")):
        note(f"rds/{path.name}", f"http.{path.stem}.rds.{path.stem}.version_text")
    return found


def unapplied(folder: Path, admin: Endpoint) -> tuple[str, ...]:
    """The watched files whose present content this Envoy does not use, yet or at all."""
    text = ask(admin, "/stats?type=TextReadouts&filter=version_text") or ""
    seen = {key: value.strip(' "') for key, _, value in (line.partition(":") for line in text.splitlines())}
    return tuple(name for name, (key, version) in versions(folder).items() if seen.get(key) != version)


def rejection(admin: Endpoint) -> str | None:
    """Why Envoy keeps its former configuration, where it does."""
    text = ask(admin, "/config_dump")
    pending: list[Any] = [] if text is None else [json.loads(text)]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            if isinstance(value.get("error_state"), dict) and "details" in value["error_state"]:
                return str(value["error_state"]["details"])
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
    return None
