"""When Google may touch a member: at night where it is, and no two regions' on the same day."""

from topology import RegionPlan

DAYS = 7  # Monday is 1 (SDK: DatabaseInstanceSettingsMaintenanceWindow)
NIGHT, LATER, AFTER = 1, 3, 5  # by the sun: 15 degrees are an hour


def hour(region: RegionPlan, local: int) -> int:
    return (local - round(region.facts.longitude / 15)) % 24


def backup(region: RegionPlan) -> str:
    """Cloud SQL's own, in UTC; it begins within four hours (cloud.google.com/sql/docs/postgres/backup-recovery)."""
    return f"{hour(region, NIGHT):02}:00"


def maintenance(region: RegionPlan) -> tuple[int, int]:
    """The day and the hour, in UTC."""
    return region.slot % DAYS + 1, hour(region, LATER)


def export(region: RegionPlan) -> str:
    return f"0 {hour(region, AFTER)} * * *"
