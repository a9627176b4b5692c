"""CloudFormation's own word on the same properties, from the resource schemas that cfn-lint ships.

The schemas are read as files: importing cfn-lint costs a second, and nothing of its code is needed.
"""

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# The CloudFormation type, and the properties whose name is another one than the argument's. Of an argument that
# CloudFormation keeps inside another property, the whole path.
TWINS: dict[str, tuple[str, dict[str, str]]] = {
    "acm.Certificate": ("AWS::CertificateManager::Certificate", {"validationOptions": "DomainValidationOptions"}),
    "appautoscaling.Policy": ("AWS::ApplicationAutoScaling::ScalingPolicy", {"name": "PolicyName"}),
    "appautoscaling.Target": ("AWS::ApplicationAutoScaling::ScalableTarget", {}),
    "backup.Plan": ("AWS::Backup::BackupPlan", {"name": "BackupPlan/BackupPlanName"}),
    "backup.Selection": (
        "AWS::Backup::BackupSelection",
        {
            "conditions": "BackupSelection/Conditions",
            "iamRoleArn": "BackupSelection/IamRoleArn",
            "name": "BackupSelection/SelectionName",
            "notResources": "BackupSelection/NotResources",
            "planId": "BackupPlanId",
            "resources": "BackupSelection/Resources",
            "selectionTags": "BackupSelection/ListOfTags",
        },
    ),
    "backup.Vault": ("AWS::Backup::BackupVault", {"kmsKeyArn": "EncryptionKeyArn", "name": "BackupVaultName"}),
    "backup.VaultLockConfiguration": (
        "AWS::Backup::BackupVault",
        {
            "changeableForDays": "LockConfiguration/ChangeableForDays",
            "maxRetentionDays": "LockConfiguration/MaxRetentionDays",
            "minRetentionDays": "LockConfiguration/MinRetentionDays",
        },
    ),
    "cloudwatch.LogGroup": ("AWS::Logs::LogGroup", {"name": "LogGroupName"}),
    "cloudwatch.MetricAlarm": ("AWS::CloudWatch::Alarm", {"name": "AlarmName"}),
    "ec2.Eip": ("AWS::EC2::EIP", {}),
    "ec2.FlowLog": (
        "AWS::EC2::FlowLog",
        {
            "eniId": "ResourceId",
            "iamRoleArn": "DeliverLogsPermissionArn",
            "regionalNatGatewayId": "ResourceId",
            "subnetId": "ResourceId",
            "transitGatewayAttachmentId": "ResourceId",
            "transitGatewayId": "ResourceId",
            "vpcId": "ResourceId",
        },
    ),
    "ec2.InternetGateway": ("AWS::EC2::InternetGateway", {}),
    "ec2.NatGateway": ("AWS::EC2::NatGateway", {"privateIp": "PrivateIpAddress"}),
    "ec2.Route": ("AWS::EC2::Route", {}),
    "ec2.RouteTable": ("AWS::EC2::RouteTable", {}),
    "ec2.RouteTableAssociation": ("AWS::EC2::SubnetRouteTableAssociation", {}),
    "ec2.SecurityGroup": ("AWS::EC2::SecurityGroup", {"description": "GroupDescription", "name": "GroupName"}),
    "ec2.Subnet": ("AWS::EC2::Subnet", {}),
    "ec2.Vpc": ("AWS::EC2::VPC", {}),
    "ec2.VpcEndpoint": ("AWS::EC2::VPCEndpoint", {}),
    "ec2.VpcPeeringConnection": ("AWS::EC2::VPCPeeringConnection", {}),
    "ecs.Cluster": ("AWS::ECS::Cluster", {"name": "ClusterName"}),
    "ecs.ClusterCapacityProviders": ("AWS::ECS::ClusterCapacityProviderAssociations", {"clusterName": "Cluster"}),
    "ecs.Service": (
        "AWS::ECS::Service",
        {"capacityProviderStrategies": "CapacityProviderStrategy", "iamRole": "Role", "name": "ServiceName"},
    ),
    "ecs.TaskDefinition": ("AWS::ECS::TaskDefinition", {}),
    "elasticache.ParameterGroup": ("AWS::ElastiCache::ParameterGroup", {"family": "CacheParameterGroupFamily"}),
    "elasticache.ReplicationGroup": (
        "AWS::ElastiCache::ReplicationGroup",
        {"securityGroupNames": "CacheSecurityGroupNames", "subnetGroupName": "CacheSubnetGroupName"},
    ),
    "elasticache.ServerlessCache": ("AWS::ElastiCache::ServerlessCache", {"name": "ServerlessCacheName"}),
    "elasticache.SubnetGroup": ("AWS::ElastiCache::SubnetGroup", {"name": "CacheSubnetGroupName"}),
    "elasticache.User": ("AWS::ElastiCache::User", {}),
    "elasticache.UserGroup": ("AWS::ElastiCache::UserGroup", {}),
    "globalaccelerator.Accelerator": ("AWS::GlobalAccelerator::Accelerator", {}),
    "globalaccelerator.EndpointGroup": ("AWS::GlobalAccelerator::EndpointGroup", {}),
    "globalaccelerator.Listener": ("AWS::GlobalAccelerator::Listener", {}),
    "iam.Role": ("AWS::IAM::Role", {"name": "RoleName"}),
    "iam.RolePolicy": ("AWS::IAM::RolePolicy", {"name": "PolicyName", "role": "RoleName"}),
    "kms.Alias": ("AWS::KMS::Alias", {"name": "AliasName"}),
    "kms.Key": ("AWS::KMS::Key", {"customerMasterKeySpec": "KeySpec"}),
    "lb.Listener": ("AWS::ElasticLoadBalancingV2::Listener", {}),
    "lb.ListenerRule": ("AWS::ElasticLoadBalancingV2::ListenerRule", {}),
    "lb.LoadBalancer": (
        "AWS::ElasticLoadBalancingV2::LoadBalancer",
        {"internal": "Scheme", "loadBalancerType": "Type"},
    ),
    "lb.TargetGroup": ("AWS::ElasticLoadBalancingV2::TargetGroup", {}),
    "rds.Cluster": (
        "AWS::RDS::DBCluster",
        {
            "clusterIdentifier": "DBClusterIdentifier",
            "masterPassword": "MasterUserPassword",
            "restoreToPointInTime.restoreToTime": "RestoreToTime",
            "restoreToPointInTime.restoreType": "RestoreType",
            "restoreToPointInTime.sourceClusterIdentifier": "SourceDBClusterIdentifier",
            "restoreToPointInTime.sourceClusterResourceId": "SourceDbClusterResourceId",
            "restoreToPointInTime.useLatestRestorableTime": "UseLatestRestorableTime",
        },
    ),
    "rds.ClusterInstance": (
        "AWS::RDS::DBInstance",
        {"clusterIdentifier": "DBClusterIdentifier", "identifier": "DBInstanceIdentifier"},
    ),
    "rds.ClusterParameterGroup": ("AWS::RDS::DBClusterParameterGroup", {"name": "DBClusterParameterGroupName"}),
    "rds.GlobalCluster": ("AWS::RDS::GlobalCluster", {}),
    "rds.ParameterGroup": ("AWS::RDS::DBParameterGroup", {"name": "DBParameterGroupName"}),
    "rds.SubnetGroup": ("AWS::RDS::DBSubnetGroup", {"name": "DBSubnetGroupName"}),
    "route53.HealthCheck": (
        "AWS::Route53::HealthCheck",
        {
            "measureLatency": "HealthCheckConfig/MeasureLatency",
            "requestInterval": "HealthCheckConfig/RequestInterval",
            "routingControlArn": "HealthCheckConfig/RoutingControlArn",
            "type": "HealthCheckConfig/Type",
        },
    ),
    "route53.Record": ("AWS::Route53::RecordSet", {"zoneId": "HostedZoneId"}),
    "s3.Bucket": ("AWS::S3::Bucket", {"bucket": "BucketName", "bucketPrefix": "BucketNamePrefix"}),
    "s3.BucketPolicy": ("AWS::S3::BucketPolicy", {}),
    "secretsmanager.Secret": ("AWS::SecretsManager::Secret", {}),
    "secretsmanager.SecretPolicy": ("AWS::SecretsManager::ResourcePolicy", {"secretArn": "SecretId"}),
    "sns.Topic": ("AWS::SNS::Topic", {"name": "TopicName"}),
    "sns.TopicPolicy": ("AWS::SNS::TopicPolicy", {"arn": "Topics"}),
    "sns.TopicSubscription": ("AWS::SNS::Subscription", {"topic": "TopicArn"}),
    "vpc.SecurityGroupEgressRule": (
        "AWS::EC2::SecurityGroupEgress",
        {
            "cidrIpv4": "CidrIp",
            "prefixListId": "DestinationPrefixListId",
            "referencedSecurityGroupId": "DestinationSecurityGroupId",
            "securityGroupId": "GroupId",
        },
    ),
    "vpc.SecurityGroupIngressRule": (
        "AWS::EC2::SecurityGroupIngress",
        {
            "cidrIpv4": "CidrIp",
            "prefixListId": "SourcePrefixListId",
            "referencedSecurityGroupId": "SourceSecurityGroupId",
            "securityGroupId": "GroupId",
        },
    ),
    "wafv2.WebAcl": ("AWS::WAFv2::WebACL", {}),
    "wafv2.WebAclAssociation": ("AWS::WAFv2::WebACLAssociation", {}),
    "wafv2.WebAclLoggingConfiguration": ("AWS::WAFv2::LoggingConfiguration", {}),
}

# Parts of other resources in CloudFormation, or none of its resources at all.
WITHOUT_TWIN = {
    "aws:acm/certificateValidation:CertificateValidation",
    "aws:backup/vaultPolicy:VaultPolicy",
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
    "aws:ec2/vpcPeeringConnectionAccepter:VpcPeeringConnectionAccepter",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    "aws:s3/bucketVersioning:BucketVersioning",
    "aws:secretsmanager/secretVersion:SecretVersion",
    "pulumi:providers:aws",
    "random:index/randomId:RandomId",
    "random:index/randomPassword:RandomPassword",
}

PORTS = ("fromPort", "ipProtocol", "toPort")
IN_PLACE = "the provider changes it in place by an API call of its own"
DECLARED = (
    "the provider declares ForceNew; CloudFormation's schema promises an update, which its handler makes or refuses"
)
AT_TIMES = "the provider replaces in the case that the row names, CloudFormation's schema knows no such case"

# Where the provider replaces and CloudFormation would not, or the other way round. The provider decides here.
DISAGREEMENTS: dict[str, dict[str, str]] = {
    "acm.Certificate": {"validationMethod": DECLARED},
    "backup.Plan": {"name": DECLARED},
    "backup.VaultLockConfiguration": dict.fromkeys(
        ("changeableForDays", "maxRetentionDays", "minRetentionDays"),
        "the lock is a resource of its own on the provider, and a part of the vault on CloudFormation",
    ),
    "cloudwatch.LogGroup": {"logGroupClass": DECLARED},
    "ec2.Eip": {"domain": DECLARED, "publicIpv4Pool": DECLARED},
    "ec2.NatGateway": {"availabilityZoneAddresses": AT_TIMES, "secondaryPrivateIpAddressCount": AT_TIMES},
    "ec2.RouteTableAssociation": {"routeTableId": f"{IN_PLACE} (ReplaceRouteTableAssociation)"},
    "ec2.VpcEndpoint": {"privateDnsEnabled": AT_TIMES},
    "elasticache.ParameterGroup": {"description": DECLARED},
    "elasticache.ReplicationGroup": {
        "authToken": f"{IN_PLACE} (ModifyReplicationGroup with a strategy)",
        "durability": DECLARED,
        "engine": AT_TIMES,
        "engineVersion": AT_TIMES,
        "preferredCacheClusterAzs": "the provider passes it at creation and does nothing at all on a later change",
        "securityGroupNames": DECLARED,
        "transitEncryptionEnabled": AT_TIMES,
    },
    "elasticache.ServerlessCache": {"engine": AT_TIMES, "majorEngineVersion": AT_TIMES},
    "globalaccelerator.Accelerator": {"ipAddresses": DECLARED},
    "kms.Key": dict.fromkeys(
        ("customerMasterKeySpec", "keyUsage", "multiRegion"),
        "KMS cannot change it: CloudFormation fails the update instead of replacing the key",
    ),
    "lb.LoadBalancer": {"securityGroups": AT_TIMES, "subnetMappings": AT_TIMES, "subnets": AT_TIMES},
    "lb.TargetGroup": {"targetControlPort": DECLARED},
    "rds.Cluster": {
        "globalClusterIdentifier": "the provider detaches or refuses where CloudFormation may replace",
        "storageType": AT_TIMES,
    },
    "rds.ClusterInstance": {
        "autoMinorVersionUpgrade": IN_PLACE,
        "dbParameterGroupName": IN_PLACE,
        "performanceInsightsKmsKeyId": "the provider passes it on and RDS refuses it once a key is set",
        "preferredMaintenanceWindow": IN_PLACE,
    },
    "route53.HealthCheck": {"routingControlArn": DECLARED},
    "route53.Record": {"name": DECLARED},
    "s3.Bucket": {"objectLockConfiguration.objectLockEnabled": DECLARED, "objectLockEnabled": DECLARED},
    "secretsmanager.Secret": {"type": DECLARED},
    "sns.TopicPolicy": {"arn": "the provider's policy belongs to one topic, CloudFormation's to a list of them"},
    "vpc.SecurityGroupEgressRule": dict.fromkeys(
        ("fromPort", "ipProtocol", "toPort"), f"{IN_PLACE} (ModifySecurityGroupRules)"
    ),
    "vpc.SecurityGroupIngressRule": dict.fromkeys(
        ("fromPort", "ipProtocol", "toPort"), f"{IN_PLACE} (ModifySecurityGroupRules)"
    ),
    "wafv2.WebAclLoggingConfiguration": {"logDestinationConfigs": DECLARED},
}


def installed() -> bool:
    return find_spec("cfnlint") is not None


@cache
def schema(type_: str) -> dict[str, Any]:
    spec = find_spec("cfnlint")
    assert spec is not None
    assert spec.submodule_search_locations
    schemas = Path(spec.submodule_search_locations[0]) / "data" / "schemas"
    # North Virginia has every type, those of global services included.
    index = json.loads((schemas / "providers" / "us-east-1.json").read_text(encoding="utf-8"))
    return json.loads((schemas / "resources" / f"{index[type_]}.json").read_text(encoding="utf-8"))


def twin(type_: str, renamed: dict[str, str], argument: str) -> str | None:
    """The property's path in CloudFormation; it spells blocks in the singular and some names with a DB in front."""
    if argument in renamed:
        return renamed[argument]
    first, *below = argument.split(".")
    known = {name.lower(): name for name in schema(type_)["properties"]}
    spellings = (first.lower(), first.lower().removesuffix("s"), f"db{first.lower()}")
    top = renamed.get(first) or next((known[name] for name in spellings if name in known), None)
    return top and "/".join([top, *(name[0].upper() + name[1:] for name in below)])


def word(name: str, argument: str) -> str:
    """What the schema says of an argument: createOnly also when the property around it is."""
    type_, renamed = TWINS[name]
    path = None if argument == "region" else twin(type_, renamed, argument)
    if path is None:
        return "absent"
    steps = path.split("/")
    around = {"/properties/" + "/".join(steps[:depth]) for depth in range(1, len(steps) + 1)}
    for kind in ("createOnly", "conditionalCreateOnly"):
        if around & set(schema(type_).get(f"{kind}Properties", ())):
            return kind
    return "updatable"
