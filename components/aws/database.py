"""One member: an Aurora PostgreSQL cluster of its partition's global database, and its instances.

The origin makes the administrator and the database; apart from that all members are alike, and no input says who is
writer. The global cluster is the foundation's.
"""

import json
from collections.abc import Sequence
from typing import Any, cast

import pulumi
import pulumi_aws as aws

from components.aws import names, parameters, windows
from components.aws.foundation import PORT
from components.aws.guards import CLUSTER_IGNORES, INSTANCE_IGNORES
from components.aws.names import ARN, ROLE_LIMIT
from components.aws.secrets import ADMINISTRATOR
from components.aws.tags import tags
from components.component import Component
from components.contracts import DatabaseArgs
from topology import Phase

ENGINE = aws.rds.EngineType.AURORA_POSTGRESQL
DATABASE = "orders"

# The user that the service signs in as, with IAM.
USER = "service"

# Of clusters, instances and snapshots: 63 letters, digits and single hyphens (RDS API: CreateDBCluster,
# CreateDBInstance, CopyDBClusterSnapshot).
NAME_LIMIT = 63

# Of parameter and subnet groups (RDS API: CreateDBParameterGroup, CreateDBSubnetGroup).
GROUP_LIMIT = 255

# Where Aurora puts what it exports, by the cluster's name. Made first, or AWS makes them: in the clear, kept for ever.
EXPORTS = ("iam-db-auth-error", "postgresql")

# Valid for longer than the stack's other parts live: 40 years (Aurora User Guide: UsingWithRDS.SSL).
AUTHORITY = "rds-ca-rsa2048-g1"

INSIGHTS_DAYS = 7  # what comes without a charge (SDK: 7, months * 31, 731)
MONITORING_SECONDS = 60

# A reader of Serverless v2 in tier 0 or 1 is kept as large as the writer, so that it can take over at once
# (Aurora User Guide: aurora-serverless-v2.how-it-works, "Aurora Serverless v2 scaling"). None is preferred.
TIER = 1

# Changes wait for the maintenance window otherwise, `up` says that they were made, and each later preview shows them.
APPLY_IMMEDIATELY = True


class Database(Component):
    """Outputs: `member_id` (the cluster's ARN, once its instances exist), `endpoint` (the reader's), `access_id`."""

    member_id: pulumi.Output[str]
    endpoint: pulumi.Output[str]
    access_id: pulumi.Output[str]

    def __init__(self, name: str, args: DatabaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("aws", name, opts)
        topology, self.args = args.topology, args
        assert topology.aws is not None, "checked with the settings"
        assert topology.retention is not None, "checked with the settings"
        self.plan, self.retention = topology.aws, topology.retention
        self.member = args.member
        self.region = topology.region(args.member.region)
        self.identifier = self.physical(limit=NAME_LIMIT)
        self.tags = tags(topology, self.identifier, region=self.region.name, partition=args.member.partition)
        self.family = parameters.family(self.plan.engine_version)
        self.subnets = aws.rds.SubnetGroup(
            f"{name}-subnets",
            name=self.physical(limit=GROUP_LIMIT),
            description=self.identifier,
            subnet_ids=args.network.subnet_ids["isolated"],
            tags=self.tags,
            region=self.region.name,
            opts=self.child(),
        )
        self.cluster = self.build_cluster(self.cluster_parameters(), self.logs())
        instances = self.instances(self.instance_parameters(), self.monitoring())
        place = f"{self.region.name}:{self.plan.account_id}"
        # Put together from the id, so that a recorder, which knows no ARN, shows who takes hold of what.
        arn = pulumi.Output.format("{0}:rds:{1}:cluster:{2}", ARN, place, self.cluster.id)
        # What waits for a member waits for those who answer for it: a copy is refused while its source has none.
        self.member_id = pulumi.Output.all(arn, *[instance.id for instance in instances]).apply(lambda known: known[0])
        self.endpoint = pulumi.Output.format("{0}:{1}", self.cluster.reader_endpoint, PORT)
        access = pulumi.Output.format(
            "{0}:rds-db:{1}:dbuser:{2}/{3}", ARN, place, self.cluster.cluster_resource_id, USER
        )
        # So that no service is told of a partition before somebody answers for it, wherever the service is.
        self.access_id = pulumi.Output.all(access, self.member_id).apply(lambda known: known[0])
        self.expose(member_id=self.member_id, endpoint=self.endpoint, access_id=self.access_id)

    def physical(self, *parts: str, limit: int) -> str:
        return names.name(self.args.topology, self.member.name, *parts, limit=limit)

    def build_cluster(self, group: aws.rds.ClusterParameterGroup, logs: Sequence[pulumi.Resource]) -> aws.rds.Cluster:
        args, topology, plan = self.args, self.args.topology, self.plan
        origin: dict[str, Any] = {}
        if self.member.is_origin:
            origin = {
                "database_name": DATABASE,
                "master_username": ADMINISTRATOR,
                # Ours and not RDS's own secret: members of a global database take no managed password (Aurora User
                # Guide: rds-secrets-manager, limitations).
                "master_password": args.credentials[self.member.partition],
            }
        scaling = None
        if plan.instance_class == "db.serverless":
            scaling = aws.rds.ClusterServerlessv2ScalingConfigurationArgs(
                min_capacity=plan.minimum_acu, max_capacity=plan.maximum_acu
            )
        return aws.rds.Cluster(
            f"{self.name}-cluster",
            cluster_identifier=self.identifier,
            global_cluster_identifier=args.partition_id,
            engine=ENGINE,
            engine_mode="provisioned",  # Serverless v2 too
            engine_version=plan.engine_version,  # a new member must have its global cluster's
            serverlessv2_scaling_configuration=scaling,
            port=PORT,
            db_subnet_group_name=self.subnets.name,
            vpc_security_group_ids=[args.network.group_ids["database"]],
            db_cluster_parameter_group_name=group.name,
            storage_encrypted=True,
            kms_key_id=args.key_ids["database"],  # a copy takes the key of its own region, from the beginning
            iam_database_authentication_enabled=True,
            # On whoever is writer it lies dormant until that member is one no more (RDS API: CreateDBCluster), so all
            # have it, and no failover asks for a change.
            enable_global_write_forwarding=topology.phase >= Phase.MULTI_REGION_READS,
            backup_retention_period=self.retention.point_in_time_days,
            preferred_backup_window=windows.backup(self.region),
            preferred_maintenance_window=windows.maintenance(self.region),
            enabled_cloudwatch_logs_exports=list(EXPORTS),
            # At the cluster too: what its instances have the provider reads back here, where nothing would unset it.
            database_insights_mode="standard",
            performance_insights_enabled=True,
            performance_insights_kms_key_id=args.key_ids["database"],
            performance_insights_retention_period=INSIGHTS_DAYS,
            copy_tags_to_snapshot=True,
            deletion_protection=True,
            skip_final_snapshot=False,
            final_snapshot_identifier=self.physical("final", limit=NAME_LIMIT),
            delete_automated_backups=False,
            apply_immediately=APPLY_IMMEDIATELY,
            tags=self.tags,
            region=self.region.name,
            **origin,
            opts=self.child(protect=True, ignore_changes=CLUSTER_IGNORES, depends_on=[*logs, *self.origin_first()]),
        )

    def origin_first(self) -> list[pulumi.Input[pulumi.Resource]]:
        """A member joins a global database that has a writer. Only the order: Aurora finds the source itself."""
        if self.args.source is None:
            return []
        waited = pulumi.Output.from_input(self.args.source).apply(lambda _: None)
        return [cast("pulumi.Input[pulumi.Resource]", waited)]  # no resource, but those that the output comes from

    def instances(
        self, group: aws.rds.ParameterGroup, monitoring: tuple[aws.iam.Role, pulumi.Resource]
    ) -> list[aws.rds.ClusterInstance]:
        """None of them is named a writer: which one is, is Aurora's affair, and so is the zone.

        Protected, although they hold no data: without them nobody can reach it.
        """
        role, attached = monitoring
        return [
            aws.rds.ClusterInstance(
                f"{self.name}-instance-{number}",
                identifier=self.physical(str(number), limit=NAME_LIMIT),
                cluster_identifier=self.cluster.id,
                engine=ENGINE,
                instance_class=self.plan.instance_class,
                promotion_tier=TIER,
                db_parameter_group_name=group.name,
                db_subnet_group_name=self.subnets.name,
                publicly_accessible=False,
                ca_cert_identifier=AUTHORITY,
                # A member with another minor version can take over no more. In a global database it has no effect
                # anyway; this says so (Aurora User Guide: aurora-global-database.limitations).
                auto_minor_version_upgrade=False,
                preferred_maintenance_window=windows.maintenance(self.region),
                performance_insights_enabled=True,
                performance_insights_kms_key_id=self.args.key_ids["database"],
                performance_insights_retention_period=INSIGHTS_DAYS,
                monitoring_interval=MONITORING_SECONDS,
                monitoring_role_arn=role_arn(self.plan.account_id, role),
                copy_tags_to_snapshot=True,
                apply_immediately=APPLY_IMMEDIATELY,
                tags=self.tags,
                region=self.region.name,
                opts=self.child(protect=True, ignore_changes=INSTANCE_IGNORES, depends_on=[attached]),
            )
            for number in range(1, self.member.instances + 1)
        ]

    def cluster_parameters(self) -> aws.rds.ClusterParameterGroup:
        """Its name has the family in it: another version's group must not collide with the one in use."""
        wanted = parameters.cluster(self.args.topology, self.args.topology.partition(self.member.partition))
        return aws.rds.ClusterParameterGroup(
            f"{self.name}-cluster-parameters",
            name=self.physical(self.family, "cluster", limit=GROUP_LIMIT),
            description=self.identifier,
            family=self.family,
            parameters=[
                aws.rds.ClusterParameterGroupParameterArgs(
                    name=name, value=value, apply_method=parameters.apply_method(name)
                )
                for name, value in sorted(wanted.items())
            ],
            tags=self.tags,
            region=self.region.name,
            opts=self.child(),
        )

    def instance_parameters(self) -> aws.rds.ParameterGroup:
        return aws.rds.ParameterGroup(
            f"{self.name}-instance-parameters",
            name=self.physical(self.family, "instance", limit=GROUP_LIMIT),
            description=self.identifier,
            family=self.family,
            parameters=[
                aws.rds.ParameterGroupParameterArgs(name=name, value=value, apply_method=parameters.apply_method(name))
                for name, value in sorted(parameters.INSTANCE.items())
            ],
            tags=self.tags,
            region=self.region.name,
            opts=self.child(),
        )

    def logs(self) -> list[aws.cloudwatch.LogGroup]:
        return [
            aws.cloudwatch.LogGroup(
                f"{self.name}-{export}",
                name=f"/aws/rds/cluster/{self.identifier}/{export}",
                retention_in_days=self.retention.log_days,
                kms_key_id=self.args.key_ids["logs"],
                deletion_protection_enabled=True,
                tags=self.tags,
                region=self.region.name,
                opts=self.child(protect=True),
            )
            for export in EXPORTS
        ]

    def monitoring(self) -> tuple[aws.iam.Role, pulumi.Resource]:
        """Who sends the instances' operating-system metrics. A headless member has it as well: IAM is made in one
        region of the world, and that may be the one that is gone when instances are needed.
        """
        name = self.physical("monitoring", limit=ROLE_LIMIT)
        account = self.plan.account_id
        trust = {
            "Effect": "Allow",
            "Principal": {"Service": "monitoring.rds.amazonaws.com"},
            "Action": "sts:AssumeRole",
            # Aurora User Guide: USER_Monitoring.OS.Enabling, the confused deputy problem.
            "Condition": {
                "StringEquals": {"aws:SourceAccount": account},
                "ArnLike": {"aws:SourceArn": f"{ARN}:rds:{self.region.name}:{account}:db:*"},
            },
        }
        role = aws.iam.Role(
            f"{self.name}-monitoring",
            name=name,
            assume_role_policy=json.dumps({"Version": "2012-10-17", "Statement": [trust]}, sort_keys=True),
            tags=self.tags,
            opts=self.child(),
        )
        attached = aws.iam.RolePolicyAttachment(
            f"{self.name}-monitoring-policy",
            role=role.name,
            policy_arn=f"{ARN}:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole",
            opts=self.child(),
        )
        return role, attached


def role_arn(account: str, role: aws.iam.Role) -> pulumi.Output[str]:
    """An IAM role's id is its name."""
    return pulumi.Output.concat(f"{ARN}:iam::{account}:role/", role.id)
