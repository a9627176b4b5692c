"""A region's own keys, one per use: what one of them opens is in one region and of one kind.

No multi-region keys: whether a key is one is fixed at its creation, and such a key opens the same data wherever it is.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_aws as aws

from components.aws import names
from components.aws.names import ARN
from components.aws.tags import tags
from components.component import Component
from components.contracts import KeysArgs

# 256 characters with the "alias/" before them (KMS API: CreateAlias).
ALIAS_LIMIT = 256 - len("alias/")

# The longest that KMS takes (7 to 30), because what it opened is lost for ever afterwards.
DELETION_DAYS = 30

# Who asks a key on behalf of the account's own people and roles, by use. A backup of Aurora is a snapshot that RDS
# makes, also where it is copied into a vault of another region, under that vault's key
# (docs.aws.amazon.com/aws-backup/latest/devguide/encryption.html).
THROUGH: Mapping[str, Sequence[str]] = {
    "database": ("rds",),
    "cache": ("elasticache",),
    "storage": ("backup", "rds", "s3"),
    "logs": ("logs", "sns"),
    "secrets": ("secretsmanager",),
}

# Everything but the use of the key: who may administer it cannot read with it.
ADMINISTRATION = [
    "kms:CancelKeyDeletion",
    "kms:CreateAlias",
    "kms:DeleteAlias",
    "kms:Describe*",
    "kms:DisableKey",
    "kms:DisableKeyRotation",
    "kms:EnableKey",
    "kms:EnableKeyRotation",
    "kms:Get*",
    "kms:List*",
    "kms:PutKeyPolicy",
    "kms:RevokeGrant",
    "kms:RotateKeyOnDemand",
    "kms:ScheduleKeyDeletion",
    "kms:TagResource",
    "kms:UntagResource",
    "kms:UpdateAlias",
    "kms:UpdateKeyDescription",
]
CRYPTOGRAPHY = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]

Statement = dict[str, Any]


class Keys(Component):
    """Outputs: `key_ids`, the keys' ARNs by use: database, cache, storage, logs, secrets."""

    key_ids: dict[str, pulumi.Output[str]]

    def __init__(self, name: str, args: KeysArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("aws", name, opts)
        self.topology, self.region = args.topology, args.region.name
        assert args.topology.aws is not None, "checked with the settings"
        self.account = args.topology.aws.account_id
        self.key_ids = {use: self.arn(self.key(use)) for use in THROUGH}
        self.expose(key_ids=self.key_ids)

    def key(self, use: str) -> aws.kms.Key:
        name = names.name(self.topology, self.region, use, limit=ALIAS_LIMIT)
        key = aws.kms.Key(
            f"{self.name}-{use}",
            description=name,
            policy=policy(use, self.region, self.account),
            enable_key_rotation=True,
            deletion_window_in_days=DELETION_DAYS,
            multi_region=False,
            tags=tags(self.topology, name, region=self.region),
            region=self.region,
            opts=self.child(protect=True),
        )
        aws.kms.Alias(
            f"{self.name}-{use}-alias",
            name=f"alias/{name}",
            target_key_id=key.id,
            region=self.region,
            opts=self.child(),
        )
        return key

    def arn(self, key: aws.kms.Key) -> pulumi.Output[str]:
        """Put together from the id, so that a recorder, which knows no ARN, shows which key encrypts what."""
        return pulumi.Output.concat(f"{ARN}:kms:{self.region}:{self.account}:key/", key.id)


def policy(use: str, region: str, account: str) -> str:
    """The account decides by IAM who administers the key, and who uses it through the services it is for. Nobody else's
    account, and nobody at all by hand.
    """
    owner = {"AWS": f"{ARN}:iam::{account}:root"}
    through = {"kms:ViaService": [f"{service}.{region}.amazonaws.com" for service in THROUGH[use]]}
    statements = [
        allow("Administer", owner, ADMINISTRATION),
        {**allow("Use", owner, CRYPTOGRAPHY), "Condition": {"StringEquals": through}},
        {
            # Services keep working with what they stored long after the request that stored it.
            **allow("Grant", owner, ["kms:CreateGrant"]),
            "Condition": {"StringEquals": through, "Bool": {"kms:GrantIsForAWSResource": "true"}},
        },
    ]
    if use == "logs":
        statements += [writes_logs(region, account), raises_alarms(region, account)]
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, sort_keys=True)


def writes_logs(region: str, account: str) -> Statement:
    """docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html"""
    return {
        **allow("Logs", {"Service": f"logs.{region}.amazonaws.com"}, CRYPTOGRAPHY),
        "Condition": {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": f"{ARN}:logs:{region}:{account}:*"}},
    }


def raises_alarms(region: str, account: str) -> Statement:
    """An alarm's message to an encrypted topic (docs.aws.amazon.com/sns/latest/dg/sns-key-management.html)."""
    return {
        **allow("Alarms", {"Service": "cloudwatch.amazonaws.com"}, ["kms:Decrypt", "kms:GenerateDataKey*"]),
        "Condition": {
            "StringEquals": {"aws:SourceAccount": account},
            "ArnLike": {"aws:SourceArn": f"{ARN}:cloudwatch:{region}:{account}:alarm:*"},
        },
    }


def allow(sid: str, principal: Mapping[str, str], actions: Sequence[str]) -> Statement:
    # In a key's policy "*" is the key itself (docs.aws.amazon.com/kms/latest/developerguide/key-policy-overview.html).
    return {"Sid": sid, "Effect": "Allow", "Principal": principal, "Action": list(actions), "Resource": "*"}
