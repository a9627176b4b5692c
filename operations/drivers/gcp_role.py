"""What a Cloud SQL primary has and a copy may not have: whoever takes over gets it here, not from `up`."""

from typing import TYPE_CHECKING, Any

from components.gcp.windows import backup, maintenance
from operations.drivers.gcp_api import Answer

if TYPE_CHECKING:
    from topology import Topology


def wanted(topology: "Topology", region: str) -> dict[str, Any]:
    """As components/gcp/database.py bears the origin with it; the reasons stand there."""
    retention, place = topology.retention, topology.region(region)
    assert retention is not None, "checked with the settings"
    days = retention.point_in_time_days
    day, hour = maintenance(place)
    return {
        "backupConfiguration": {
            "enabled": True,
            "location": region,
            "startTime": backup(place),
            "pointInTimeRecoveryEnabled": True,
            "transactionLogRetentionDays": days,
            "backupRetentionSettings": {
                "retainedBackups": max(retention.backup_days, days + 1),
                "retentionUnit": "COUNT",
            },
        },
        "maintenanceWindow": {"day": day, "hour": hour, "updateTrack": "stable"},
    }


def missing(instance: Answer, topology: "Topology", region: str) -> dict[str, Any]:
    """What of it the instance does not have, as settings to patch."""
    now = instance.get("settings") or {}
    return {key: value for key, value in wanted(topology, region).items() if not _has(now.get(key), value)}


def legal(topology: "Topology", partition: str) -> list[str]:
    """The partition's regions that may be its writer's, the origin first."""
    from topology.residency import Residency

    found = topology.partition(partition)
    rules = Residency(primary=found.primary_jurisdictions, copies=found.copy_jurisdictions)
    regions = [topology.member(name).region for name in found.members]
    return [region for region in regions if rules.allows_writer(topology.region(region).facts)]


def _has(now: Any, value: Any) -> bool:
    if isinstance(value, dict):
        return isinstance(now, dict) and all(_has(now.get(key), inner) for key, inner in value.items())
    return now == value
