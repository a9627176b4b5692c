"""When a region's members are dumped, and where to: daily, in another region's vault where residency allows one.

Beside Cloud SQL's own backups, which stay in the region with the key that opens them. A dump of each member is ordered
every day, and what the member is at that time decides whether it is made: only the writer is dumped, and no failover
changes anything here. The dump is a serverless one, during which Cloud SQL takes other operations, a failover among
them (cloud.google.com/sql/docs/postgres/import-export); a plain one would hold them up.
"""

import base64
import json
from typing import Any, cast

import pulumi
import pulumi_gcp as gcp

from components.component import Component
from components.contracts import BackupArgs
from components.gcp import names, paths, windows
from components.gcp.database import DATABASE, Database, instance_of
from components.gcp.labels import labels

# 6 to 30 characters (IAM API: serviceAccounts.create).
ACCOUNT_LIMIT = 30

# Workflows: 64 characters (Workflows API: workflows.create); jobs: 500 (Cloud Scheduler API: Job).
NAME_LIMIT = 63

# How long an execution waits for its dump; half an hour where nothing is said (Workflows: connectors).
DUMP_SECONDS = 12 * 3600


class Backup(Component):
    """Outputs: `backup_id`, the workflow that makes a dump."""

    backup_id: pulumi.Output[str]

    def __init__(self, name: str, args: BackupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gcp", name, opts)
        self.args, self.region = args, args.region.name
        self.project = paths.project(args.topology)
        self.vault = args.vault_id if args.copy_vault_id is None else args.copy_vault_id
        (plan,) = [backup for backup in args.topology.backups if backup.region == self.region]
        self.vault_region = plan.copy_to or plan.region
        account = gcp.serviceaccount.Account(
            f"{name}-account",
            account_id=self.physical("backup", limit=ACCOUNT_LIMIT),
            display_name=f"Dumps of the databases in {self.region}",
            project=args.ground,
            opts=self.child(),
        )
        self.email = pulumi.Output.format("{0}@{1}.iam.gserviceaccount.com", account.account_id, self.project)
        granted: list[pulumi.Input[pulumi.Resource]] = [
            # Looking at instances and exporting them (IAM: roles/cloudsql.viewer), and starting the workflow.
            self.grant("export", "roles/cloudsql.viewer"),
            self.grant("start", "roles/workflows.invoker"),
        ]
        self.workflow = gcp.workflows.Workflow(
            f"{name}-workflow",
            name=self.physical("dump"),
            project=args.ground,
            region=self.region,
            description=f"Dumps a database of {self.region} where it is the writer",
            service_account=self.email,
            source_contents=pulumi.Output.from_input(self.vault).apply(lambda vault: source(self.project, vault)),
            call_log_level="LOG_ERRORS_ONLY",
            # It holds nothing.
            deletion_protection=False,
            labels=labels(args.topology, region=self.region),
            opts=self.child(depends_on=granted),
        )
        for member in args.members:
            self.daily(member)
        self.backup_id = self.workflow.id
        self.expose(backup_id=self.backup_id)

    def physical(self, *parts: str, limit: int = NAME_LIMIT) -> str:
        return names.name(self.args.topology, self.region, *parts, limit=limit)

    def grant(self, key: str, role: str) -> pulumi.Resource:
        return gcp.projects.IAMMember(
            f"{self.name}-{key}",
            project=self.args.ground,
            role=role,
            member=pulumi.Output.format("serviceAccount:{0}", self.email),
            opts=self.child(),
        )

    def daily(self, member: str) -> None:
        """The order for one member, and its leave to write into the vault: the instance writes, not the workflow."""
        partition = self.args.topology.member(member).partition
        database = cast("Database", self.args.members[member])
        written = gcp.storage.BucketIAMMember(
            # Of the vault too: with a second region dumps begin to go there, and those already made stay here.
            f"{self.name}-{partition}-vault-{self.vault_region}",
            bucket=self.vault,
            # What Google's guide asks for (cloud.google.com/sql/docs/postgres/import-export/import-export-sql).
            role="roles/storage.objectAdmin",
            member=pulumi.Output.format("serviceAccount:{0}", database.service_account),
            opts=self.child(),
        )
        gcp.cloudscheduler.Job(
            f"{self.name}-{partition}-daily",
            name=self.physical(partition, "dump"),
            project=self.args.ground,
            region=self.region,
            schedule=windows.export(self.args.region),
            time_zone="Etc/UTC",
            retry_config=gcp.cloudscheduler.JobRetryConfigArgs(retry_count=3),
            http_target=gcp.cloudscheduler.JobHttpTargetArgs(
                http_method="POST",
                uri=pulumi.Output.format(
                    "https://workflowexecutions.googleapis.com/v1/projects/{0}/locations/{1}/workflows/{2}/executions",
                    self.project,
                    self.region,
                    self.workflow.name,
                ),
                headers={"Content-Type": "application/json"},
                body=database.member_id.apply(order),
                oauth_token=gcp.cloudscheduler.JobHttpTargetOauthTokenArgs(service_account_email=self.email),
            ),
            opts=self.child(depends_on=[written]),
        )


def order(member_id: str) -> str:
    """The body that starts an execution (Workflow Executions API: executions.create)."""
    argument = json.dumps({"instance": instance_of(member_id)}, sort_keys=True)
    return base64.b64encode(json.dumps({"argument": argument}).encode()).decode()


def source(project: str, vault: str) -> str:
    """The workflow (cloud.google.com/workflows/docs/reference/syntax). A file that exists is not written again, so each
    has the time in its name (Cloud SQL Admin API: ExportContext).
    """
    instance = {"project": project, "instance": "${args.instance}"}
    dump: dict[str, Any] = {
        "exportContext": {
            "fileType": "SQL",
            "databases": [DATABASE],
            "offload": True,
            "uri": f'${{"gs://{vault}/" + args.instance + "/" + string(int(sys.now())) + ".sql.gz"}}',
        }
    }
    call = "googleapis.sqladmin.v1.instances"
    steps: list[dict[str, Any]] = [
        {"look": {"call": f"{call}.get", "args": instance, "result": "found"}},
        {"leave": {"switch": [{"condition": '${found.instanceType != "CLOUD_SQL_INSTANCE"}', "next": "end"}]}},
        {
            "dump": {
                "try": {
                    "call": f"{call}.export",
                    "args": {**instance, "body": dump, "connector_params": {"timeout": DUMP_SECONDS}},
                },
                "retry": "${http.default_retry}",
            }
        },
    ]
    return json.dumps({"main": {"params": ["args"], "steps": steps}}, sort_keys=True)
