"""Where a region's load balancer writes down every request: a bucket of the region's own."""

import json

import pulumi
import pulumi_aws as aws

from components.aws import names
from components.aws.names import ARN
from components.aws.tags import tags
from components.component import Component
from components.contracts import ServiceArgs

# Kept after a log was deleted or overwritten, so that neither hides what happened.
NONCURRENT_DAYS = 30


class AccessLogs:
    """`bucket` is the name; whoever has logs written there waits for `ready`."""

    bucket: pulumi.Output[str]
    ready: pulumi.Resource

    def __init__(self, owner: Component, args: ServiceArgs) -> None:
        topology, region = args.topology, args.region.name
        assert topology.aws is not None, "checked with the settings"
        assert topology.retention is not None, "checked with the settings"
        part, account = f"{owner.name}-access-logs", topology.aws.account_id
        # Names are shared by all of AWS, hence the account; 63 characters at most (S3: bucketnamingrules).
        name = names.name(topology, account, region, "access-logs", limit=63)
        bucket = aws.s3.Bucket(
            part,
            bucket=name,
            force_destroy=False,
            tags=tags(topology, name, region=region),
            region=region,
            opts=owner.child(protect=True),
        )
        # S3's own keys: a load balancer cannot write to a bucket with any other (ELB: enable-access-logging).
        encryption = aws.s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
            sse_algorithm="AES256"
        )
        aws.s3.BucketServerSideEncryptionConfiguration(
            f"{part}-encryption",
            bucket=bucket.bucket,
            rules=[
                aws.s3.BucketServerSideEncryptionConfigurationRuleArgs(
                    apply_server_side_encryption_by_default=encryption
                )
            ],
            region=region,
            opts=owner.child(),
        )
        versioning = aws.s3.BucketVersioning(
            f"{part}-versioning",
            bucket=bucket.bucket,
            versioning_configuration=aws.s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
            region=region,
            opts=owner.child(),
        )
        aws.s3.BucketLifecycleConfiguration(
            f"{part}-lifecycle",
            bucket=bucket.bucket,
            rules=[
                aws.s3.BucketLifecycleConfigurationRuleArgs(
                    id="expire",
                    status="Enabled",
                    filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix="AWSLogs/"),
                    expiration=aws.s3.BucketLifecycleConfigurationRuleExpirationArgs(days=topology.retention.log_days),
                    noncurrent_version_expiration=aws.s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
                        noncurrent_days=NONCURRENT_DAYS
                    ),
                    abort_incomplete_multipart_upload=aws.s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
                        days_after_initiation=7
                    ),
                )
            ],
            region=region,
            opts=owner.child(depends_on=[versioning]),  # a rule for old versions needs them
        )
        block = aws.s3.BucketPublicAccessBlock(
            f"{part}-public-access",
            bucket=bucket.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            region=region,
            opts=owner.child(),
        )
        self.bucket = bucket.bucket
        self.ready = aws.s3.BucketPolicy(
            f"{part}-policy",
            bucket=bucket.bucket,
            policy=policy(name, account),
            region=region,
            opts=owner.child(depends_on=[block]),  # S3 refuses two such changes of one bucket at the same time
        )


def policy(bucket: str, account: str) -> str:
    """ELB writes below the account's own folder, and nobody speaks to the bucket in plain text.

    The folder is what keeps other accounts' load balancers out: `aws:SourceArn` is not reliably there when ELB tries
    out whether it may write.
    """
    arn = f"{ARN}:s3:::{bucket}"
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "Delivery",
                    "Effect": "Allow",
                    "Principal": {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"},
                    "Action": "s3:PutObject",
                    "Resource": f"{arn}/AWSLogs/{account}/*",
                },
                {
                    "Sid": "OnlyEncrypted",
                    "Effect": "Deny",
                    "Principal": "*",
                    "Action": "s3:*",
                    "Resource": [arn, f"{arn}/*"],
                    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                },
            ],
        },
        sort_keys=True,
    )
