"""What wakes somebody: a region's alarms, and the topic they go to. Nothing here depends on another region.

Left out, because it cannot be had per region: alarms on Route 53's health checks, whose metrics are in us-east-1 only
(docs.aws.amazon.com/Route53/latest/DeveloperGuide/monitoring-health-checks.html), and on Global Accelerator, in
us-west-2 only (docs.aws.amazon.com/global-accelerator/latest/dg/cloudwatch-monitoring.html).
"""

from collections.abc import Iterator

import pulumi
import pulumi_aws as aws

from components.aws import alarms_cache, alarms_database, alarms_keeping, alarms_service, names
from components.aws.alarms import Alarm
from components.aws.names import ARN
from components.aws.tags import tags
from components.component import Component
from components.contracts import SignalsArgs

# Letters, digits, hyphens and underscores (SNS API: CreateTopic).
NAME_LIMIT = 256


class Signals(Component):
    """Outputs: `channel_id`, the topic's ARN."""

    channel_id: pulumi.Output[str]

    def __init__(self, name: str, args: SignalsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("aws", name, opts)
        self.args, self.region = args, args.region.name
        topic = self.topic()
        for alarm in self.alarms():
            alarm.register(self, args.topology, self.region, topic.id)
        self.channel_id = topic.id
        self.expose(channel_id=self.channel_id)

    def topic(self) -> aws.sns.Topic:
        topology = self.args.topology
        assert topology.aws is not None, "checked with the settings"
        physical = names.name(topology, self.region, "alarms", limit=NAME_LIMIT)
        topic = aws.sns.Topic(
            f"{self.name}-topic",
            name=physical,
            kms_master_key_id=self.args.key_ids["logs"],
            tags=tags(topology, physical, region=self.region),
            region=self.region,
            opts=self.child(),
        )
        aws.sns.TopicPolicy(
            f"{self.name}-topic-policy",
            arn=topic.id,  # its ARN (provider: internal/service/sns)
            policy=policy(topic.id, self.region, topology.aws.account_id),
            region=self.region,
            opts=self.child(),
        )
        for email in topology.alarm_emails:
            # Whoever it is confirms by the mail that SNS sends; until then the subscription cannot be deleted either
            # (SDK: sns.TopicSubscription).
            aws.sns.TopicSubscription(
                f"{self.name}-{email}",
                topic=topic.id,
                protocol="email",
                endpoint=email,
                region=self.region,
                opts=self.child(),
            )
        return topic

    def alarms(self) -> Iterator[Alarm]:
        args, topology = self.args, self.args.topology
        assert topology.aws is not None, "checked with the settings"
        for name, database in args.members.items():
            yield from alarms_database.alarms(topology.member(name), database, topology.aws, topology.objectives)
        if args.cache is not None:
            yield from alarms_cache.alarms(args.cache, topology.aws)
        if args.service is not None:
            yield from alarms_service.alarms(args.service, topology.objectives)
        if args.vault_id is not None:
            plan = next(backup for backup in topology.backups if backup.region == self.region)
            made = any(topology.member(name).instances for name in args.members)
            yield from alarms_keeping.backups(args.vault_id, made=made, copied=made and plan.copy_to is not None)
        if args.certificate_id is not None:
            yield alarms_keeping.certificate(args.certificate_id)


def policy(topic: pulumi.Input[str], region: str, account: str) -> pulumi.Output[str]:
    """This account's alarms of this region publish, nobody else's service, and whom the account's IAM lets do so."""
    publish = {
        "Sid": "Alarms",
        "Effect": "Allow",
        "Principal": {"Service": "cloudwatch.amazonaws.com"},
        "Action": "sns:Publish",
        "Resource": topic,
        "Condition": {
            "StringEquals": {"aws:SourceAccount": account},
            "ArnLike": {"aws:SourceArn": f"{ARN}:cloudwatch:{region}:{account}:alarm:*"},
        },
    }
    in_the_clear = {
        "Sid": "OnlyEncrypted",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "sns:Publish",
        "Resource": topic,
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": [publish, in_the_clear]}, sort_keys=True)
