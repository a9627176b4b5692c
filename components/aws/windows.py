"""When AWS may touch a member: at night where it is, and no two regions' members on the same day."""

from topology import RegionPlan

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
NIGHT, LATER, AFTER = 1, 3, 5  # by the sun: 15 degrees are an hour


def hour(region: RegionPlan, local: int) -> int:
    return (local - round(region.facts.longitude / 15)) % 24


def backup(region: RegionPlan) -> str:
    """Aurora's own; at least 30 minutes, in UTC, clear of maintenance (RDS API: CreateDBCluster)."""
    start = hour(region, NIGHT)
    return f"{start:02}:00-{start:02}:45"


def maintenance(region: RegionPlan) -> str:
    day, start = DAYS[region.slot % len(DAYS)], hour(region, LATER)
    return f"{day}:{start:02}:00-{day}:{start:02}:45"


def snapshot(region: RegionPlan) -> str:
    """AWS Backup's, more than an hour off both, in which it would fail
    (docs.aws.amazon.com/aws-backup/latest/devguide/creating-a-backup-plan.html).
    """
    return f"cron(0 {hour(region, AFTER)} ? * * *)"
