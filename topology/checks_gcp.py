"""Faults between settings on the target gcp: what Google Cloud needs and allows.

Whether a region offers a thing is no check here: Cloud SQL Enterprise Plus is in every region of the catalogue
(cloud.google.com/sql/docs/postgres/instance-settings, the setting Region).
"""

from collections.abc import Iterator

from topology.checks_clouds import missing, outside
from topology.schema import Settings

# MiB that go with each number of virtual processors, the least and the most (cloud.google.com/run/docs/configuring
# /services/cpu, vCPU and memory table). Less than 512 runs in the first execution environment alone
# (…/services/memory-limits), and less than one processor means one request at a time (…/services/cpu).
CLOUD_RUN: dict[float, tuple[int, int]] = {
    1: (512, 4096),
    2: (512, 8192),
    4: (2048, 16384),
    6: (4096, 24576),
    8: (4096, 32768),
}

# What Cloud SQL keeps of its own backups, one a day (cloud.google.com/sql/docs/postgres/backup-recovery/backups).
# A vault of Backup and DR would keep them longer, but takes none that is under a customer's key (…/backup-options).
BACKUP_DAYS = 365

# cloud.google.com/logging/docs/buckets, custom retention.
LOG_DAYS = 3650


def check_project(settings: Settings) -> Iterator[str]:
    chosen = settings.gcp
    if settings.target != "gcp":
        return
    if chosen.project is None:
        yield missing("gcp.project", "gcp", "the project that the stack is built in", "example-production")
    if chosen.project_number is None:
        yield missing(
            "gcp.project_number",
            "gcp",
            "the project's number, which Google's service agents are named after",
            '"123456789012" in quotes',
        )
    if chosen.zone is None:
        yield missing(
            "gcp.zone",
            "gcp",
            "the managed zone that the hostname is in",
            "{name: example-com, dns_name: example.com}",
        )


def check_hostname(settings: Settings) -> Iterator[str]:
    if settings.target == "gcp" and settings.hostname is not None and settings.gcp.zone is not None:
        yield from outside(settings.hostname, settings.gcp.zone.dns_name, "managed zone", "gcp.zone")


def check_size(settings: Settings) -> Iterator[str]:
    cpu, memory = settings.service.cpu, settings.service.memory_mib
    if settings.target != "gcp" or settings.gcp.service != "cloud-run":
        return
    if cpu not in CLOUD_RUN:
        yield (
            f"service.cpu: {cpu:g} is no size of an instance on Cloud Run that answers several requests at a time. "
            f"Allowed: {', '.join(f'{size:g}' for size in CLOUD_RUN)}."
        )
        return
    least, most = CLOUD_RUN[cpu]
    if not least <= memory <= most:
        yield (
            f"service.memory_mib: {memory} does not go with `service.cpu` {cpu:g} on Cloud Run. "
            f"Allowed with it: {least} to {most}. Choose one of them, or another `service.cpu`."
        )


def check_retention(settings: Settings) -> Iterator[str]:
    kept = settings.retention
    if settings.target != "gcp":
        return
    if kept.backup_days > BACKUP_DAYS:
        yield (
            f"retention.backup_days: {kept.backup_days} is more than Cloud SQL keeps its backups for. "
            f"Allowed on the target gcp: {kept.point_in_time_days} to {BACKUP_DAYS}."
        )
    # A log is of use only with a backup from before it: "backup retention should be > transaction log retention", says
    # Cloud SQL, and takes the same number (terraform-google-sql-db #785).
    if kept.backup_days < kept.point_in_time_days:
        yield (
            f"retention.backup_days: {kept.backup_days} is below `retention.point_in_time_days`, which is "
            f"{kept.point_in_time_days}, and Cloud SQL restores to a second from a backup before it. "
            f"Allowed on the target gcp: {kept.point_in_time_days} to {BACKUP_DAYS}. Raise the one, or lower the other."
        )
    if kept.log_days > LOG_DAYS:
        yield (
            f"retention.log_days: {kept.log_days} is more than Cloud Logging keeps logs for. "
            f"Allowed on the target gcp: 1 to {LOG_DAYS}."
        )
