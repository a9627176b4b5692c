"""What wakes somebody: a region's alert policies, and the addresses that they tell. Nothing here depends on another
region.

Cloud Monitoring is one for the whole project, and so a region's alarms outlast the region. What is not a region's, the
entry and its certificate, is watched with the home region's, once: it would otherwise ring once for each.

Left out, because Google has no metric of it: a copy of a dump that failed (dumps are written where they stay), readers
beside the writer and the capacity of a serverless database (there are none).
"""

from collections.abc import Iterator

import pulumi
import pulumi_gcp as gcp

from components.component import Component
from components.contracts import SignalsArgs
from components.gcp import alarms_cache, alarms_database, alarms_keeping, alarms_service, backup, names
from components.gcp.alarms import Alarm
from components.gcp.labels import labels

# SDK: logging.Metric, name.
METRIC_LIMIT = 100


class Signals(Component):
    """Outputs: `channel_id`, the channels' ids, separated by commas; empty where nobody is to be told."""

    channel_id: pulumi.Output[str]

    def __init__(self, name: str, args: SignalsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gcp", name, opts)
        self.args, self.region = args, args.region.name
        channels = [self.channel(email) for email in args.topology.alarm_emails]
        for alarm in self.alarms():
            alarm.register(self, args.topology, self.region, args.ground, channels)
        self.channel_id = pulumi.Output.all(*channels).apply(",".join)
        self.expose(channel_id=self.channel_id)

    def channel(self, email: str) -> pulumi.Output[str]:
        """One for each region, though an address is no region's: a channel can be switched off, and a region that is
        taken down or worked on falls silent without the others. Nobody has to confirm it.
        """
        topology = self.args.topology
        return gcp.monitoring.NotificationChannel(
            f"{self.name}-{email}",
            display_name=f"{names.name(topology, self.region, limit=METRIC_LIMIT)}: {email}",
            project=self.args.ground,
            type="email",
            labels={"email_address": email},
            user_labels=labels(topology, region=self.region),
            opts=self.child(),
        ).id

    def alarms(self) -> Iterator[Alarm]:
        args, topology = self.args, self.args.topology
        backups = self.backups() if args.members else ""
        for name, database in args.members.items():
            yield from alarms_database.alarms(topology, topology.member(name), database, backups)
        if args.cache is not None:
            yield from alarms_cache.alarms(args.cache, self.region)
        if args.service is not None:
            yield from alarms_service.alarms(topology, args.region, args.service)
        if args.vault_id is not None and args.members:
            workflow = names.name(topology, self.region, "dump", limit=backup.NAME_LIMIT)  # as there
            yield from alarms_keeping.dumps(workflow, len(args.members), self.a_day_ago())
        if args.certificate_id is not None and self.region == topology.home:
            yield alarms_service.entry(topology)
            yield alarms_keeping.certificate()

    def backups(self) -> str:
        """The metric that counts what Cloud SQL has backed up by itself, of whichever member it is. There is none of
        Google's own, but a line for each (cloud.google.com/sql/docs/postgres/backup-recovery
        /view-audit-logs-for-automated-backups). It keeps the labels of the instance that the line is of.
        """
        topology = self.args.topology
        name = names.name(topology, self.region, "backups", limit=METRIC_LIMIT)
        ids = [f'"{alarms_database.id_of(topology, topology.member(member))}"' for member in self.args.members]
        gcp.logging.Metric(
            f"{self.name}-backups",
            name=name,
            project=self.args.ground,
            description=f"Backups that Cloud SQL has made by itself in {self.region}",
            filter='log_id("cloudaudit.googleapis.com/system_event") AND resource.type="cloudsql_database" '
            f"AND resource.labels.database_id=({' OR '.join(ids)}) "
            'AND protoPayload.methodName="cloudsql.instances.automatedBackup" '
            'AND protoPayload.metadata.windowStatus="STATUS_SUCCEEDED"',
            # A change of either is refused (replacement.csv).
            metric_descriptor=gcp.logging.MetricMetricDescriptorArgs(metric_kind="DELTA", value_type="INT64"),
            opts=self.child(),
        )
        return name

    def a_day_ago(self) -> pulumi.Output[str]:
        """Answers if one of the region's members was there then."""
        topology = self.args.topology
        ids = [alarms_database.id_of(topology, topology.member(member)) for member in self.args.members]
        return pulumi.Output.format("{0} offset 1d", alarms_database.of("database/up", among="|".join(ids)))
