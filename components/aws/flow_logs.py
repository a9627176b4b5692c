"""A record of who talked to whom in a network, for the day when somebody has to know."""

import json
from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_aws as aws

from components.aws import names
from components.aws.names import ARN, ROLE_LIMIT
from components.aws.tags import tags
from components.component import Component
from components.contracts import NetworkArgs

# 512 characters (CloudWatch Logs API: CreateLogGroup).
LOG_GROUP_LIMIT = 512

# A change of it replaces the flow log (replacement.csv). The longer of the two that there are: the same traffic in
# fewer lines, which are what is paid for.
INTERVAL_SECONDS = 600


class FlowLogs:
    def __init__(self, owner: Component, args: NetworkArgs, network_id: pulumi.Input[str]) -> None:
        self.owner, self.args, self.region = owner, args, args.region.name
        topology = args.topology
        assert topology.aws is not None, "checked with the settings"
        assert topology.retention is not None, "checked with the settings"
        self.account = topology.aws.account_id
        name = names.name(topology, self.region, "flow-logs", limit=LOG_GROUP_LIMIT)
        group = aws.cloudwatch.LogGroup(
            f"{owner.name}-flow-logs",
            name=name,
            retention_in_days=topology.retention.log_days,
            kms_key_id=args.key_ids["logs"],
            deletion_protection_enabled=True,
            tags=tags(topology, name, region=self.region),
            region=self.region,
            opts=owner.child(protect=True),
        )
        role, policy = self.role(name)
        aws.ec2.FlowLog(
            f"{owner.name}-flow-log",
            vpc_id=network_id,
            traffic_type="ALL",
            log_destination_type="cloud-watch-logs",
            log_destination=group.arn,
            iam_role_arn=role.arn,
            max_aggregation_interval=INTERVAL_SECONDS,
            tags=tags(topology, name, region=self.region),
            region=self.region,
            opts=owner.child(depends_on=[policy]),
        )

    def role(self, log_group: str) -> tuple[aws.iam.Role, aws.iam.RolePolicy]:
        """The region's own: docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-role.html, narrowed to the group."""
        name = names.name(self.args.topology, self.region, "flow-logs", limit=ROLE_LIMIT)
        groups = f"{ARN}:logs:{self.region}:{self.account}:log-group"
        role = aws.iam.Role(
            f"{self.owner.name}-flow-logs-role",
            name=name,
            assume_role_policy=document(
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "vpc-flow-logs.amazonaws.com"},
                    "Action": "sts:AssumeRole",
                    "Condition": {
                        "StringEquals": {"aws:SourceAccount": self.account},
                        "ArnLike": {"aws:SourceArn": f"{ARN}:ec2:{self.region}:{self.account}:vpc-flow-log/*"},
                    },
                }
            ),
            tags=tags(self.args.topology, name, region=self.region),
            opts=self.owner.child(),
        )
        policy = aws.iam.RolePolicy(
            f"{self.owner.name}-flow-logs-policy",
            name="flow-logs",
            role=role.name,
            policy=document(
                {
                    "Effect": "Allow",
                    "Action": ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
                    "Resource": [f"{groups}:{log_group}", f"{groups}:{log_group}:*"],
                },
                # Lists groups, so it names none.
                {"Effect": "Allow", "Action": ["logs:DescribeLogGroups"], "Resource": [f"{groups}:*"]},
            ),
            opts=self.owner.child(),
        )
        return role, policy


def document(*statements: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, sort_keys=True)
