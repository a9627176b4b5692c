"""What a change of an argument does to an AWS resource: replace it, cut it off its peers, or fail.

The rows of replacement.csv were taken from the provider's Go source: ForceNew, RequiresReplace, CustomizeDiff and the
resources' update functions. `cloudformation` is what the resource schemas of cfn-lint say of the same property. No row
says that a `region` that goes from empty to the provider's own region stays: here it is never empty.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from components.replacement import Rule, Table, UnknownTypeError

# Every input of this SDK was looked up by name in the schemas of that provider. pulumi-aws 7.43.0 wraps v6.61.0 (its
# release notes), so 7.51.1 wraps a later one, whose source could not be read. The inputs it has beyond v6.58.0 are
# publiclyAccessible of rds.Cluster (a row of its own), warningEventCategories of rds.Cluster and rds.ClusterInstance,
# authTokenWo and authTokenWoVersion of elasticache.ReplicationGroup, evaluationWindow and warmUpConfiguration of
# cloudwatch.MetricAlarm, maximumMessageSize of sns.Topic, monetizationConfig of wafv2.WebAcl. Pulumi itself adds no
# replacement to any of these types (pulumi-aws: provider/resource_overrides.go at 015d343).
SDK_VERSION = "7.51.1"
PROVIDER_VERSION = "v6.58.0"  # hashicorp/terraform-provider-aws, 2026-08-05

EFFECTS = {
    "replace": "replaces it",
    "replace-if": "replaces it",
    "detach": "takes it out of its global cluster for good: both sides then accept writes",
    "promote": "promotes the replica: both sides then accept writes",
    "refuse": "is refused by the provider or by AWS, halfway through the update",
}

# What is lost when a resource of this type is deleted. A cache is none: it is never a system of record.
STATEFUL: Mapping[str, str] = MappingProxyType(
    {
        "aws:backup/vault:Vault": "its recovery points",
        "aws:cloudwatch/logGroup:LogGroup": "its log events",
        "aws:kms/key:Key": "everything encrypted under it, for ever",
        "aws:rds/cluster:Cluster": "its data",
        "aws:rds/globalCluster:GlobalCluster": "the replication between its members",
        "aws:s3/bucket:Bucket": "its objects",
        "aws:secretsmanager/secret:Secret": "its value and its replicas",
        "random:index/randomPassword:RandomPassword": "the password that a database was made with",
    }
)

_TABLE = Table(
    path=Path(__file__).with_name("replacement.csv"),
    provider_version=PROVIDER_VERSION,
    effects_known=EFFECTS,
    stateful=STATEFUL,
    column="cloudformation",
    words=("createOnly", "conditionalCreateOnly", "updatable", "absent"),
)
table, parse, effects, consequences = _TABLE.rules, _TABLE.parse, _TABLE.effects, _TABLE.consequences

__all__ = [
    "EFFECTS",
    "PROVIDER_VERSION",
    "SDK_VERSION",
    "STATEFUL",
    "Rule",
    "UnknownTypeError",
    "consequences",
    "effects",
    "parse",
    "table",
]
