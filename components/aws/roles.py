"""What a region's tasks may do, and what those may do who start them. Two roles per region, shared with no other.

IAM's control plane lies in one region of the world, so nothing here is made during a failover: from phase 3 on the
service may sign in wherever the writer may be.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_aws as aws

from components.aws import names
from components.aws.names import ARN, ROLE_LIMIT
from components.aws.tags import tags
from components.component import Component
from components.contracts import ServiceArgs
from topology import Phase
from topology.residency import Residency

# A repository of ECR, by either of its names (docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-requests.html).
ECR = re.compile(
    r"(?P<account>\d{12})\.dkr[.-]ecr\.(?P<region>[a-z0-9-]+)\.(amazonaws\.com|on\.aws)/(?P<repository>[^:@]+)"
)

Statement = Mapping[str, Any]


class Roles:
    """`execution` is ECS's when it starts a task, `task` the service's own. Tasks wait for what is in `policies`."""

    execution: aws.iam.Role
    task: aws.iam.Role
    policies: Sequence[pulumi.Resource]

    def __init__(self, owner: Component, args: ServiceArgs, *, log_group: str) -> None:
        self.owner, self.args = owner, args
        topology, region = args.topology, args.region
        assert topology.aws is not None, "checked with the settings"
        assert topology.service is not None, "checked with the settings"
        self.account = topology.aws.account_id
        self.execution = self.role("execution")
        self.task = self.role("task")
        # Names of streams cannot be known before.
        logs = f"{ARN}:logs:{region.name}:{self.account}:log-group:{log_group}:*"
        starts = [
            allow("Logs", ["logs:CreateLogStream", "logs:PutLogEvents"], logs),
            *pulls(topology.service.image),
            *self.reads_secrets("cache"),
        ]
        runs = [*self.reads_secrets("cache", "directory"), self.connects(self.own_members())]
        self.policies = (self.policy("execution", self.execution, starts), self.policy("task", self.task, runs))
        # One policy per member elsewhere: a region that is gone takes its own along and changes no other.
        for name in self.remote_members():
            self.policy(f"task-{name}", self.task, [self.connects([name])])

    def own_members(self) -> list[str]:
        return [name for name in self.args.region.members if name in self.args.databases]

    def remote_members(self) -> list[str]:
        """Members of other regions whose partition's writer may be there, once a failover is foreseen."""
        topology = self.args.topology
        if topology.phase < Phase.ACTIVE_PASSIVE:
            return []
        found: list[str] = []
        for member in topology.members:
            partition = topology.partition(member.partition)
            residency = Residency(primary=partition.primary_jurisdictions, copies=partition.copy_jurisdictions)
            elsewhere = member.region != self.args.region.name and member.name in self.args.databases
            if elsewhere and residency.allows_writer(topology.region(member.region).facts):
                found.append(member.name)
        return found

    def connects(self, members: Sequence[str]) -> Statement:
        """Sign in to members' databases with IAM, as the one user that the service has there."""
        return allow("Connect", ["rds-db:connect"], *[self.args.databases[name].access_id for name in members])

    def reads_secrets(self, *uses: str) -> list[Statement]:
        """Never the database's: that is the administrator's, and the service signs in with IAM."""
        if self.args.cache is None or self.args.secrets is None:
            return []
        through = {"StringEquals": {"kms:ViaService": f"secretsmanager.{self.args.region.name}.amazonaws.com"}}
        return [
            allow("Secret", ["secretsmanager:GetSecretValue"], *[self.args.secrets.secret_ids[use] for use in uses]),
            {**allow("SecretKey", ["kms:Decrypt"], self.args.key_ids["secrets"]), "Condition": through},
        ]

    def role(self, use: str) -> aws.iam.Role:
        topology, region = self.args.topology, self.args.region.name
        # Lies beside all regions' roles, hence the region in its name.
        name = names.name(topology, region, "service", use, limit=ROLE_LIMIT)
        return aws.iam.Role(
            f"{self.owner.name}-{use}",
            name=name,
            assume_role_policy=trust(region, self.account),
            tags=tags(topology, name, region=region),
            opts=self.owner.child(),
        )

    def policy(self, part: str, role: aws.iam.Role, statements: Sequence[Statement]) -> aws.iam.RolePolicy:
        return aws.iam.RolePolicy(
            f"{self.owner.name}-{part}-policy",
            name=part,  # one role's policies lie side by side, and nobody else's
            role=role.name,
            policy=pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": list(statements)}, sort_keys=True),
            opts=self.owner.child(),
        )


def allow(sid: str, actions: Sequence[str], *resources: pulumi.Input[str]) -> dict[str, Any]:
    return {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": list(resources)}


def trust(region: str, account: str) -> str:
    """Tasks of this account's ECS in this region, and no other service on somebody else's behalf."""
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "ecs-tasks.amazonaws.com"},
                    "Action": "sts:AssumeRole",
                    "Condition": {
                        "StringEquals": {"aws:SourceAccount": account},
                        "ArnLike": {"aws:SourceArn": f"{ARN}:ecs:{region}:{account}:*"},
                    },
                }
            ],
        },
        sort_keys=True,
    )


def pulls(image: str) -> list[Statement]:
    """Where the image lies in ECR, its repository; any other registry asks for nothing of IAM."""
    found = ECR.match(image)
    if found is None:
        return []
    repository = f"{ARN}:ecr:{found['region']}:{found['account']}:repository/{found['repository']}"
    read = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    return [
        # Belongs to no repository, so AWS takes no other resource (service authorization reference: Amazon ECR).
        allow("RegistryToken", ["ecr:GetAuthorizationToken"], "*"),
        allow("Pull", read, repository),
    ]
