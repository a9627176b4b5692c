"""When a region's members are backed up, and where to.

Every member that serves is backed up in its own region, whoever is writer: after a failover nothing begins or ends.
"""

import json

import pulumi
import pulumi_aws as aws

from components.aws import names, windows
from components.aws.names import ARN, ROLE_LIMIT
from components.aws.tags import tags
from components.component import Component
from components.contracts import BackupArgs

# Of plans, rules and selections: 50 letters, digits, hyphens, underscores and dots (Backup API: BackupPlan, BackupRule,
# BackupSelection).
NAME_LIMIT = 50

# How late a backup may begin, and how long it and its copy may take. A copy over an ocean counts as well.
START_MINUTES, COMPLETION_MINUTES = 60, 720

# For restores too: a role is made in IAM's one region, which may be gone when a restore is needed.
POLICIES = ("AWSBackupServiceRolePolicyForBackup", "AWSBackupServiceRolePolicyForRestores")


class Backup(Component):
    """Outputs: `backup_id`, the plan."""

    backup_id: pulumi.Output[str]

    def __init__(self, name: str, args: BackupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("aws", name, opts)
        self.args, self.region = args, args.region.name
        assert args.topology.aws is not None, "checked with the settings"
        self.account = args.topology.aws.account_id
        role = self.role()
        plan = self.plan()
        for member in args.members:
            # A headless one is a copy of what is backed up where it came from; whether AWS Backup takes a snapshot of a
            # cluster without instances its documents do not say.
            if args.topology.member(member).instances:
                self.selection(member, plan, role)
        self.backup_id = plan.id
        self.expose(backup_id=self.backup_id)

    def physical(self, *parts: str, limit: int = NAME_LIMIT) -> str:
        return names.name(self.args.topology, self.region, *parts, limit=limit)

    def plan(self) -> aws.backup.Plan:
        """Snapshots only: Aurora keeps its own continuous backup, and AWS Backup's would take it over, and with it the
        cluster's retention period.
        """
        args, topology = self.args, self.args.topology
        assert topology.retention is not None, "checked with the settings"
        days = topology.retention.backup_days
        copies = []
        if args.copy_vault_id is not None:
            copies = [
                aws.backup.PlanRuleCopyActionArgs(
                    destination_vault_arn=self.copy_vault(args.copy_vault_id),
                    lifecycle=aws.backup.PlanRuleCopyActionLifecycleArgs(delete_after=days),
                )
            ]
        found = tags(topology, self.physical(), region=self.region)
        return aws.backup.Plan(
            f"{self.name}-plan",
            name=self.physical(),
            rules=[
                aws.backup.PlanRuleArgs(
                    rule_name="daily",
                    target_vault_name=args.vault_id,
                    schedule=windows.snapshot(args.region),
                    schedule_expression_timezone="Etc/UTC",
                    start_window=START_MINUTES,
                    completion_window=COMPLETION_MINUTES,
                    enable_continuous_backup=False,
                    # Aurora's snapshots cannot move to cold storage (Backup developer guide: feature availability).
                    lifecycle=aws.backup.PlanRuleLifecycleArgs(delete_after=days),
                    copy_actions=copies,
                    recovery_point_tags=found,
                )
            ],
            tags=found,
            region=self.region,
            opts=self.child(),
        )

    def copy_vault(self, vault_id: pulumi.Input[str]) -> pulumi.Output[str]:
        backup = next(backup for backup in self.args.topology.backups if backup.region == self.region)
        return pulumi.Output.concat(f"{ARN}:backup:{backup.copy_to}:{self.account}:backup-vault:", vault_id)

    def selection(self, member: str, plan: aws.backup.Plan, role: aws.iam.Role) -> None:
        """One for each member, by its ARN: so no other member's coming replaces it, and an account that never opted in
        to Aurora backs it up all the same (Backup API: UpdateRegionSettings).
        """
        partition = self.args.topology.member(member).partition
        aws.backup.Selection(
            f"{self.name}-{partition}",
            name=self.physical(partition),
            plan_id=plan.id,
            iam_role_arn=pulumi.Output.concat(f"{ARN}:iam::{self.account}:role/", role.id),
            resources=[self.args.members[member].member_id],
            region=self.region,
            opts=self.child(),
        )

    def role(self) -> aws.iam.Role:
        name = self.physical("backup", limit=ROLE_LIMIT)
        trust = {
            "Effect": "Allow",
            "Principal": {"Service": "backup.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
        role = aws.iam.Role(
            f"{self.name}-role",
            name=name,
            assume_role_policy=json.dumps({"Version": "2012-10-17", "Statement": [trust]}, sort_keys=True),
            tags=tags(self.args.topology, name, region=self.region),
            opts=self.child(),
        )
        for policy in POLICIES:
            aws.iam.RolePolicyAttachment(
                f"{self.name}-{policy}",
                role=role.name,
                policy_arn=f"{ARN}:iam::aws:policy/service-role/{policy}",
                opts=self.child(),
            )
        return role
