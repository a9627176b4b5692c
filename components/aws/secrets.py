"""A region's own copies of what its operators and its service must know.

Copies and not Secrets Manager's replicas: a replica takes no write of its own, so while the first region is gone no
password could be changed anywhere (terraform-aws-secrets-manager by lgallard, #188).
"""

import json
from collections.abc import Mapping

import pulumi
import pulumi_aws as aws
import pulumi_random as random

from components.aws import names
from components.aws.cache import USER
from components.aws.tags import tags
from components.component import Component
from components.contracts import SecretsArgs

ADMINISTRATOR = "meridian"

# 512 characters (Secrets Manager API: CreateSecret). A name must not end with a hyphen and six characters, because an
# ARN ends so, and a search by half an ARN would find the wrong one: so the use comes last, and none has six letters.
NAME_LIMIT = 512

# How long a deleted secret can be called back; 30 is the longest.
RECOVERY_DAYS = 30

# ElastiCache takes 16 to 128 characters and not all marks (User Guide: Authenticating with the AUTH command), so there
# are none in it.
CACHE_PASSWORD_LENGTH = 64

# A rotation writes further versions by API and moves the label AWSCURRENT to them. Unignored, the first password would
# be written again as a new current version, which the database no longer takes (provider: secretString replaces).
VERSION_IGNORES = ["secret_string", "version_stages"]


class Secrets(Component):
    """Outputs: `secret_ids` (ARNs; `database-<partition>` of every partition, `directory` and `cache`).
    `cache_password` is handed to the cache and is no output.
    """

    secret_ids: dict[str, pulumi.Output[str]]
    cache_password: pulumi.Output[str]

    def __init__(self, name: str, args: SecretsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("aws", name, opts)
        self.args, self.region = args, args.region.name
        self.cache_password = random.RandomPassword(
            f"{name}-cache-password", length=CACHE_PASSWORD_LENGTH, special=False, opts=self.child(protect=True)
        ).result
        self.secret_ids = {
            f"database-{partition}": self.login(
                f"database-{partition}", (partition, "database"), ADMINISTRATOR, password
            )
            for partition, password in args.credentials.items()
        }
        self.secret_ids["directory"] = self.secret(
            "directory", ("directory",), "Key of the customers' digests", {"key": args.directory_key}
        )
        self.secret_ids["cache"] = self.login("cache", ("cache",), USER, self.cache_password)
        self.expose(secret_ids=self.secret_ids)

    def login(self, use: str, parts: tuple[str, ...], username: str, password: pulumi.Input[str]) -> pulumi.Output[str]:
        return self.secret(use, parts, f"{username} of {use}", {"username": username, "password": password})

    def secret(
        self, use: str, parts: tuple[str, ...], what: str, holds: Mapping[str, pulumi.Input[str]]
    ) -> pulumi.Output[str]:
        topology = self.args.topology
        assert topology.aws is not None, "checked with the settings"
        name = names.name(topology, self.region, *parts, limit=NAME_LIMIT)
        secret = aws.secretsmanager.Secret(
            f"{self.name}-{use}",
            name=name,
            description=f"{what} in {self.region}",
            kms_key_id=self.args.key_ids["secrets"],
            recovery_window_in_days=RECOVERY_DAYS,
            tags=tags(topology, name, region=self.region),
            region=self.region,
            opts=self.child(protect=True),
        )
        policy = aws.secretsmanager.SecretPolicy(
            f"{self.name}-{use}-policy",
            secret_arn=secret.id,  # its ARN (provider: internal/service/secretsmanager)
            policy=resource_policy(topology.aws.account_id),
            block_public_policy=True,
            region=self.region,
            opts=self.child(),
        )
        aws.secretsmanager.SecretVersion(
            f"{self.name}-{use}-first",
            secret_id=secret.id,
            secret_string=pulumi.Output.json_dumps(holds, sort_keys=True),
            region=self.region,
            opts=self.child(depends_on=[policy], ignore_changes=VERSION_IGNORES),
        )
        return secret.id


def resource_policy(account: str) -> str:
    """Only denials: who of the account may read is for IAM to say, but nobody from outside, and nobody in the clear."""
    everyone = {"Effect": "Deny", "Principal": "*", "Action": "secretsmanager:*", "Resource": "*"}
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {**everyone, "Sid": "InTheClear", "Condition": {"Bool": {"aws:SecureTransport": "false"}}},
                {
                    **everyone,
                    "Sid": "FromOutside",
                    # A service of AWS that asks for itself has no account.
                    "Condition": {
                        "StringNotEquals": {"aws:PrincipalAccount": account},
                        "BoolIfExists": {"aws:PrincipalIsAWSService": "false"},
                    },
                },
            ],
        },
        sort_keys=True,
    )
