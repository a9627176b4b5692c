"""One member: a Cloud SQL instance for PostgreSQL, and the name it is reached by.

The origin makes the database, its users and the write endpoint; apart from that all members are alike, and no input
says who is writer.
"""

from typing import Any, cast

import pulumi
import pulumi_gcp as gcp

from components.component import Component
from components.contracts import DatabaseArgs
from components.gcp import accounts, names, paths, windows
from components.gcp.flags import FLAGS
from components.gcp.foundation import PORT
from components.gcp.guards import DATABASE_IGNORES, INSTANCE_IGNORES, USER_IGNORES, WRITE_ENDPOINT_IGNORES
from components.gcp.labels import labels
from components.gcp.ordering import after
from components.gcp.secrets import ADMINISTRATOR

DATABASE = "orders"

# Of an instance: 98 characters, its project's 30 and a colon among them (Cloud SQL: instance settings).
NAME_LIMIT = 63

# A failed wait forgets the instance that is being made (provider: resourceSqlDatabaseInstanceCreate), and a copy of
# much data takes longer than the 40 minutes it waits otherwise.
CREATION = "4h"

# How long a resolver may keep where a name leads: what a failover waits for at least.
RECORD_SECONDS = 5


class Database(Component):
    """Outputs: `member_id` (the instance's connection name, once it exists), `endpoint` (the member's own name in the
    private zone), `access_id` (the connection name too: what a grant to connect names).
    """

    member_id: pulumi.Output[str]
    endpoint: pulumi.Output[str]
    access_id: pulumi.Output[str]
    # Not registered: whom Backup lets into a vault.
    service_account: pulumi.Output[str]

    def __init__(self, name: str, args: DatabaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gcp", name, opts)
        topology, self.args = args.topology, args
        assert topology.gcp is not None, "checked with the settings"
        assert topology.retention is not None, "checked with the settings"
        self.plan, self.retention = topology.gcp, topology.retention
        self.member = args.member
        self.region = topology.region(args.member.region)
        self.instance = self.build_instance()
        host = f"{self.member.name}.members.{paths.domain(topology)}"
        address = self.record("address", host, "A", self.instance.private_ip_address, self.child(protect=True))
        if self.member.is_origin:
            self.contents()
            write_host = paths.write_host(topology, self.member.partition)
            self.record(
                "write-endpoint", write_host, "CNAME", after(f"{host}.", address), self.kept(WRITE_ENDPOINT_IGNORES)
            )
        # Put together, so that a preview knows it.
        self.member_id = pulumi.Output.format("{0}:{1}:{2}", args.ground, self.region.name, self.instance.name)
        self.access_id = self.member_id
        self.endpoint = after(f"{host}:{PORT}", address)
        self.service_account = self.instance.service_account_email_address
        self.expose(member_id=self.member_id, endpoint=self.endpoint, access_id=self.access_id)

    def build_instance(self) -> gcp.sql.DatabaseInstance:
        args, topology = self.args, self.args.topology
        source: dict[str, Any] = {}
        if args.source is not None:
            source = {"master_instance_name": pulumi.Output.from_input(args.source).apply(instance_of)}
        return gcp.sql.DatabaseInstance(
            f"{self.name}-instance",
            name=names.name(topology, self.member.name, limit=NAME_LIMIT),
            project=args.ground,
            region=self.region.name,
            database_version=self.plan.database_version,
            # The region's own from the beginning: a copy takes another than its source's, and never another later.
            encryption_key_name=args.key_ids["database"],
            settings=self.settings(),
            deletion_protection=True,
            deletion_policy="PREVENT",
            **source,
            opts=pulumi.ResourceOptions.merge(
                self.child(protect=True, ignore_changes=INSTANCE_IGNORES, depends_on=[self.network_first()]),
                pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create=CREATION)),
            ),
        )

    def network_first(self) -> pulumi.Input[pulumi.Resource]:
        """The network is named, so that a preview knows it; to be connected to the databases' it must be there."""
        waited = self.args.network.network_id.apply(lambda _: None)
        return cast("pulumi.Input[pulumi.Resource]", waited)  # no resource, but those that the output comes from

    def settings(self) -> gcp.sql.DatabaseInstanceSettingsArgs:
        """The same on every member, but for where it is: each of them may be writer.

        In phase 2 a member has no second zone yet; the tier is the origin's from birth, because flags that a replica
        must have as high as its primary come from the tier. A second zone comes in place (replacement.csv).
        """
        topology, partition = self.args.topology, self.member.partition
        return gcp.sql.DatabaseInstanceSettingsArgs(
            tier=self.plan.tier,
            # What a failover and back again without building anything anew takes. Set, because what it is otherwise
            # depends on the version (SDK).
            edition="ENTERPRISE_PLUS",
            availability_type="REGIONAL" if self.member.multi_zone else "ZONAL",
            disk_type="PD_SSD",
            disk_size=self.plan.disk_gib,
            disk_autoresize=True,
            data_cache_config=gcp.sql.DatabaseInstanceSettingsDataCacheConfigArgs(data_cache_enabled=True),
            database_flags=[
                gcp.sql.DatabaseInstanceSettingsDatabaseFlagArgs(name=name, value=value)
                for name, value in sorted(FLAGS.items())
            ],
            ip_configuration=gcp.sql.DatabaseInstanceSettingsIpConfigurationArgs(
                ipv4_enabled=False,
                private_network=paths.network(topology),
                allocated_ip_range=paths.services_range(topology, self.region.name),
                # Unequal ones would keep clients out after a failover (Cloud SQL: use-advanced-disaster-recovery).
                ssl_mode="ENCRYPTED_ONLY",
            ),
            insights_config=gcp.sql.DatabaseInstanceSettingsInsightsConfigArgs(
                query_insights_enabled=True,
                query_plans_per_minute=5,
                query_string_length=1024,  # another length restarts the instance (SDK)
                record_application_tags=True,
                record_client_address=False,
            ),
            deletion_protection_enabled=True,
            retain_backups_on_delete=True,
            user_labels=labels(topology, region=self.region.name, partition=partition),
            **(self.primary_only() if self.member.is_origin else {}),
        )

    def primary_only(self) -> dict[str, Any]:
        """What the origin is born with and a replica may not have: backups, and a maintenance window ("Read replicas do
        not support the maintenance window setting", terraform-google-sql-db #64; terraform-provider-google #7609).
        Whoever takes over gets them from operations.
        """
        day, hour = windows.maintenance(self.region)
        window = gcp.sql.DatabaseInstanceSettingsMaintenanceWindowArgs(day=day, hour=hour, update_track="stable")
        return {"backup_configuration": self.backups(), "maintenance_window": window}

    def backups(self) -> gcp.sql.DatabaseInstanceSettingsBackupConfigurationArgs:
        """They stay in the region: left out, the location is the nearest multi-region, which residency may forbid. And
        another region could not read them without this one's key (cloud.google.com/sql/docs/postgres/cmek).
        """
        days = self.retention.point_in_time_days
        return gcp.sql.DatabaseInstanceSettingsBackupConfigurationArgs(
            enabled=True,
            location=self.region.name,
            start_time=windows.backup(self.region),
            point_in_time_recovery_enabled=True,
            transaction_log_retention_days=days,
            backup_retention_settings=gcp.sql.DatabaseInstanceSettingsBackupConfigurationBackupRetentionSettingsArgs(
                # "backup retention should be > transaction log retention" (terraform-google-sql-db #785).
                retained_backups=max(self.retention.backup_days, days + 1),
                retention_unit="COUNT",
            ),
        )

    def contents(self) -> None:
        """The database and its users, which all members have by copying the origin's."""
        topology, partition = self.args.topology, self.member.partition
        gcp.sql.Database(
            f"{self.name}-database",
            name=DATABASE,
            instance=self.instance.name,
            project=self.args.ground,
            charset="UTF8",
            collation="en_US.UTF8",
            deletion_policy="ABANDON",
            opts=self.kept(DATABASE_IGNORES),
        )
        self.user(ADMINISTRATOR, ADMINISTRATOR, password=self.args.credentials[partition])
        for region in topology.regions:
            self.user(region.name, accounts.database_user(topology, region.name), type="CLOUD_IAM_SERVICE_ACCOUNT")

    def user(self, key: str, name: str, **how: Any) -> None:
        gcp.sql.User(
            f"{self.name}-user-{key}",
            name=name,
            instance=self.instance.name,
            project=self.args.ground,
            # Nobody can delete a user who owns something (SDK).
            deletion_policy="ABANDON",
            **how,
            opts=self.kept(USER_IGNORES),
        )

    def kept(self, ignored: list[str]) -> pulumi.ResourceOptions:
        """Never dropped, not even when the origin is: its data, and who writes it, live on in the other members."""
        return pulumi.ResourceOptions.merge(
            self.child(protect=True, ignore_changes=ignored), pulumi.ResourceOptions(retain_on_delete=True)
        )

    def record(
        self, key: str, host: str, type_: str, value: pulumi.Input[str], opts: pulumi.ResourceOptions
    ) -> gcp.dns.RecordSet:
        """The write endpoint leads to a member's name and never to an address: it can then be pointed at any member,
        or at the name that Cloud SQL keeps itself, without another type, which a refresh would not find.
        """
        return gcp.dns.RecordSet(
            f"{self.name}-{key}",
            name=f"{host}.",
            type=type_,
            ttl=RECORD_SECONDS,
            rrdatas=[value],
            managed_zone=paths.zone(self.args.topology),
            project=self.args.ground,
            opts=opts,
        )


def instance_of(member_id: str) -> str:
    """The instance's name; a project's may have a colon in it."""
    return member_id.rpartition(":")[2]
