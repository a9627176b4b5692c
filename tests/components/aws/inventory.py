"""What a reviewer reads instead of assertions: per phase, how many resources of each type production on AWS has, and a
few attributes of those that make the topology, by logical name.

    python -m tests.components.aws.inventory        writes inventory/phase-N.yaml anew
"""

import io
from collections import Counter
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from engine.recorder import Graph
from operations.recording import record

FOLDER = Path(__file__).with_name("inventory")
STACK = "production-aws"

CHOSEN: dict[str, tuple[str, ...]] = {
    "aws:ec2/vpc:Vpc": ("region", "cidrBlock"),
    "aws:ec2/subnet:Subnet": ("region", "availabilityZoneId", "cidrBlock"),
    "aws:ec2/natGateway:NatGateway": ("region",),
    "aws:ec2/vpcPeeringConnection:VpcPeeringConnection": ("region", "peerRegion"),
    "aws:kms/key:Key": ("region", "enableKeyRotation"),
    "aws:secretsmanager/secret:Secret": ("region",),
    "aws:rds/globalCluster:GlobalCluster": ("region", "engineVersion", "deletionProtection"),
    "aws:rds/cluster:Cluster": (
        "region",
        "globalClusterIdentifier",
        "backupRetentionPeriod",
        "enableGlobalWriteForwarding",
        "deletionProtection",
    ),
    "aws:rds/clusterInstance:ClusterInstance": ("region", "instanceClass"),
    "aws:elasticache/serverlessCache:ServerlessCache": ("region", "engine"),
    "aws:elasticache/replicationGroup:ReplicationGroup": ("region", "engine", "nodeType", "numCacheClusters"),
    "aws:ecs/service:Service": ("region", "desiredCount"),
    "aws:appautoscaling/target:Target": ("region", "minCapacity", "maxCapacity"),
    "aws:lb/loadBalancer:LoadBalancer": ("region",),
    "aws:route53/record:Record": ("name", "type", "setIdentifier"),
    "aws:route53/healthCheck:HealthCheck": ("type", "fqdn", "resourcePath"),
    "aws:backup/vault:Vault": ("region",),
    "aws:backup/plan:Plan": ("region",),
    "aws:cloudwatch/metricAlarm:MetricAlarm": ("region",),
}


def inventory(graph: Graph) -> dict[str, Any]:
    resources = [resource for resource in graph if resource.custom]
    values: dict[str, Any] = {}
    for resource in resources:
        if resource.type in CHOSEN:
            kind = resource.type.rsplit(":", 1)[1]
            chosen = {key: resource.inputs[key] for key in CHOSEN[resource.type] if key in resource.inputs}
            values.setdefault(kind, {})[resource.name] = {**chosen, **({"protect": True} if resource.protect else {})}
    return {
        "counts": dict(sorted(Counter(resource.type for resource in resources).items())),
        "values": {kind: dict(sorted(found.items())) for kind, found in sorted(values.items())},
    }


def text(phase: int) -> str:
    yaml, out = YAML(), io.StringIO()
    yaml.width = 200
    yaml.dump(inventory(record(STACK, phase=phase)), out)
    return f"# {STACK} at phase {phase}: written by `python -m tests.components.aws.inventory`.\n{out.getvalue()}"


def path(phase: int) -> Path:
    return FOLDER / f"phase-{phase}.yaml"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for number in range(1, 6):
        path(number).write_text(text(number))
        print(path(number).name)
