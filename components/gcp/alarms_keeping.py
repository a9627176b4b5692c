"""Alarms on what is kept and for how long it is good: dumps, and the certificate of the hostname."""

from collections.abc import Iterator

import pulumi

from components.gcp.alarms import DAY, Alarm, Lines, Metric, Query

# A job a day. An hour more than one, and the alarm's own waiting after that, make the two days after which AWS rings.
MADE_WITHIN, MADE_MINUTES = "25h", 20 * 60


def dumps(workflow: str, members: int, since: pulumi.Input[str]) -> Iterator[Alarm]:
    """Of the workflow that is told to dump each of a region's members every day, and leaves those alone that are no
    writer (backup.py): so wherever the writers are, each region's has succeeded as often as it has members. Its metric:
    cloud.google.com/monitoring/api/metrics_gcp_p_z, workflows.

    `since`: what answers if there was a member a day ago; a new one has had no time for a dump.
    """

    def finished(status: str) -> pulumi.Output[str]:
        return Metric(
            type="workflows.googleapis.com/finished_execution_count",
            resource="workflows.googleapis.com/Workflow",
            labels={"workflow_id": workflow, "status": status},
        ).select()

    yield Alarm(
        part="backup-failed",
        says="A dump of this region's writer into the vault has failed.",
        act="Look at the workflow's failed execution, and start one by hand from the job when it is mended. The next "
        "is a day later.",
        severity="ERROR",
        # A failure is a fact and no blip.
        watches=Query(text=pulumi.Output.format("sum(increase({0}[1h])) > 0", finished("FAILED")), minutes=0),
    )
    yield Alarm(
        part="backup-age",
        says="Not every member of this region was asked for a dump for nearly two days.",
        act="Look at this region's jobs in Cloud Scheduler: whether they are paused, and what their last runs say.",
        severity="ERROR",
        watches=Query(
            text=pulumi.Output.format(
                # Half, because an increase is extrapolated and need not be whole.
                "((sum(increase({0}[{1}])) or vector(0)) < {2}) and on () ({3})",
                finished("SUCCEEDED"),
                MADE_WITHIN,
                members - 0.5,
                since,
            ),
            minutes=MADE_MINUTES,
            every=600,
        ),
    )


def certificate() -> Alarm:
    """Google renews by itself, and writes a line a day from ten to five days before the end on if it has not
    (cloud.google.com/certificate-manager/docs/logs-metrics). The line is known to say of which state it tells, and not
    of which certificate: so it is any of the project's.
    """
    return Alarm(
        part="certificate",
        says="Google has not renewed a certificate of this project, and it ends in a few days.",
        act="Look at the certificates in Certificate Manager. Most often the record that proves the domain is gone "
        "from the public zone: `up` writes it again.",
        severity="CRITICAL",
        # Longer than from one line to the next: silence must not end the alarm.
        watches=Lines(
            filter='log_id("certificatemanager.googleapis.com/certificates_expiry") '
            'AND (jsonPayload.state="CLOSE_TO_EXPIRY" OR jsonPayload.state="EXPIRED")',
            quiet=2 * DAY,
        ),
    )
