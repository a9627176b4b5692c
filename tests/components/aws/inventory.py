"""What production on AWS is, phase by phase.

python -m tests.components.aws.inventory        writes inventory/phase-N.yaml anew
"""

from pathlib import Path

from tests.components.inventory import Inventory

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

INVENTORY = Inventory(
    stack="production-aws",
    module="tests.components.aws.inventory",
    folder=Path(__file__).with_name("inventory"),
    chosen=CHOSEN,
)

if __name__ == "__main__":
    INVENTORY.write()
