"""Alarms on what is kept and for how long it is good: backups, and the certificate of the hostname."""

from collections.abc import Iterator

import pulumi

from components.aws.alarms import DAY, HOUR, Alarm, Metric

# ACM renews by itself, and tells of a failure from 45 days before the end on (docs.aws.amazon.com/acm/latest/userguide/
# supported-events.html). At thirty it has failed, and there is a month to mend it.
CERTIFICATE_DAYS = 30


def backups(vault: pulumi.Input[str], *, made: bool, copied: bool) -> Iterator[Alarm]:
    """A failed job is a fact and no blip: one is enough. Metrics: docs.aws.amazon.com/aws-backup/latest/devguide/
    cloudwatch.html.

    `made`: a member of this region is backed up; `copied`: its backups go to another region too.
    """
    dimensions = {"BackupVaultName": vault}
    yield Alarm(
        part="backup-failed",
        says="A backup into this region's vault has failed.",
        watches=of("NumberOfBackupJobsFailed", dimensions),
        above=0,
        period=HOUR,
        points=1,
        within=1,
        missing="notBreaching",
    )
    if copied:
        yield Alarm(
            part="backup-copy-failed",
            says="A copy of a backup to or from this region's vault has failed.",
            watches=of("NumberOfCopyJobsFailed", dimensions),
            above=0,
            period=HOUR,
            points=1,
            within=1,
            missing="notBreaching",
        )
    if made:
        yield Alarm(
            part="backup-age",
            says="The newest backup in this region's vault is older than two days.",
            watches=of("NumberOfBackupJobsCompleted", dimensions),
            below=1,
            period=DAY,
            # Both: a job may be done late on one day and early on the other.
            points=2,
            within=2,
            missing="breaching",
            warm_up=2880,
        )


def certificate(arn: pulumi.Input[str]) -> Alarm:
    """Reported twice a day until it has expired, and no more then (docs.aws.amazon.com/acm/latest/userguide/
    cloudwatch-metrics.html): silence must not end the alarm.
    """
    return Alarm(
        part="certificate",
        says="ACM has not renewed the certificate of the hostname.",
        watches=Metric(
            namespace="AWS/CertificateManager",
            name="DaysToExpiry",
            statistic="Minimum",
            dimensions={"CertificateArn": arn},
        ),
        below=CERTIFICATE_DAYS,
        period=DAY,
        points=1,
        within=1,
        missing="ignore",
    )


def of(metric: str, dimensions: dict[str, pulumi.Input[str]]) -> Metric:
    return Metric(namespace="AWS/Backup", name=metric, statistic="Sum", dimensions=dimensions)
