"""A region as a cloud would have it, made up: the resources that a target with real clouds needs for one region.

The types, and the shape and size of the inputs, are those of AWS; nothing here can be built, only previewed. It stands
in until the components of a cloud exist, so that a preview of realistic size can be timed before.
"""

import json
from typing import Any, ClassVar

import pulumi
from pulumi.dynamic import Resource, ResourceProvider

ZONES = ("a", "b", "c")
TIERS = ("public", "service", "data")
ROLES = ("gateway", "service", "database", "backup")
ALARMS = ("cpu", "memory", "replica-lag", "connections", "errors-5xx", "latency")


class MembershipProvider(ResourceProvider):
    """What clouds leave to a program's own code: joining a member to the others."""

    serialize_as_secret_always = False


class Membership(Resource, module="synthetic", name="Membership"):
    def __init__(self, name: str, props: dict[str, Any], opts: pulumi.ResourceOptions) -> None:
        super().__init__(MembershipProvider(), name, props, opts)


class Region(pulumi.ComponentResource):
    """Network, keys, database, cache, service, watch: every resource an input of later ones, as in a real program."""

    prefix: ClassVar[str] = "aws"

    def __init__(self, region: str, slot: int, others: tuple[str, ...]) -> None:
        super().__init__("meridian:synthetic:Region", f"cloud-{region}", None)
        self.region, self.slot, self.others = region, slot, others
        self.network()
        self.security()
        self.database()
        self.service()
        self.watch()
        self.register_outputs({"network": self.vpc.id, "endpoint": self.cluster.id})

    def make(self, type_: str, name: str, **props: Any) -> pulumi.CustomResource:
        full = f"{self.region}-{name}"
        tags = {"Name": full, "meridian:app": "meridian", "meridian:environment": "bench", "meridian:region": "yes"}
        return pulumi.CustomResource(
            f"{self.prefix}:{type_}",
            full,
            {**props, "region": self.region, "tags": tags},
            pulumi.ResourceOptions(parent=self),
        )

    def network(self) -> None:
        block = f"10.{self.slot * 16}"
        self.vpc = self.make(
            "ec2/vpc:Vpc", "vpc", cidrBlock=f"{block}.0.0/16", enableDnsSupport=True, enableDnsHostnames=True
        )
        outside = self.make("ec2/internetGateway:InternetGateway", "internet", vpcId=self.vpc.id)
        self.subnets: dict[tuple[str, str], pulumi.CustomResource] = {}
        for place, tier in enumerate(TIERS):
            for number, zone in enumerate(ZONES):
                self.subnets[tier, zone] = self.make(
                    "ec2/subnet:Subnet",
                    f"{tier}-{zone}",
                    vpcId=self.vpc.id,
                    cidrBlock=f"{block}.{place * 64 + number * 16}.0/20",
                    availabilityZone=f"{self.region}-1{zone}",
                    mapPublicIpOnLaunch=tier == "public",
                )
        for tier in TIERS:
            routes = [{"cidrBlock": "0.0.0.0/0", "gatewayId": outside.id}] if tier == "public" else []
            routes += [{"cidrBlock": f"10.{16 * other}.0.0/16", "transitGatewayId": "tgw"} for other in range(4)]
            table = self.make("ec2/routeTable:RouteTable", f"{tier}-routes", vpcId=self.vpc.id, routes=routes)
            for zone in ZONES:
                self.make(
                    "ec2/routeTableAssociation:RouteTableAssociation",
                    f"{tier}-{zone}-routes",
                    subnetId=self.subnets[tier, zone].id,
                    routeTableId=table.id,
                )
        transit = self.make(
            "ec2transitgateway/transitGateway:TransitGateway", "transit", amazonSideAsn=64512 + self.slot
        )
        for other in self.others:
            self.make(
                "ec2transitgateway/peeringAttachment:PeeringAttachment",
                f"to-{other}",
                transitGatewayId=transit.id,
                peerRegion=other,
            )

    def security(self) -> None:
        self.keys = {
            use: self.make(
                "kms/key:Key",
                f"{use}-key",
                description=f"{use} of {self.region}",
                enableKeyRotation=True,
                deletionWindowInDays=30,
                policy=json.dumps({"Version": "2012-10-17", "Statement": [statement(use, "kms:*", "*")]}),
            )
            for use in ("database", "backup", "logs")
        }
        self.groups = {
            role: self.make(
                "ec2/securityGroup:SecurityGroup",
                f"{role}-group",
                vpcId=self.vpc.id,
                ingress=[
                    {"protocol": "tcp", "fromPort": port, "toPort": port, "cidrBlocks": ["10.0.0.0/8"]}
                    for port in (5432, 6379, 8443)
                ],
                egress=[{"protocol": "-1", "fromPort": 0, "toPort": 0, "cidrBlocks": ["0.0.0.0/0"]}],
            )
            for role in ROLES
        }
        self.roles = {
            role: self.make(
                "iam/role:Role",
                f"{role}-role",
                assumeRolePolicy=json.dumps(
                    {"Version": "2012-10-17", "Statement": [statement(role, "sts:AssumeRole")]}
                ),
            )
            for role in ROLES
        }
        for role in ROLES:
            self.make(
                "iam/rolePolicy:RolePolicy",
                f"{role}-policy",
                role=self.roles[role].id,
                policy=pulumi.Output.all(**{use: key.id for use, key in self.keys.items()}).apply(
                    lambda ids: json.dumps([statement(use, "kms:Decrypt", id_) for use, id_ in ids.items()])
                ),
            )

    def database(self) -> None:
        data = [self.subnets["data", zone].id for zone in ZONES]
        subnets = self.make("rds/subnetGroup:SubnetGroup", "database-subnets", subnetIds=data)
        parameters = self.make(
            "rds/clusterParameterGroup:ClusterParameterGroup",
            "database-parameters",
            family="aurora-postgresql17",
            parameters=[{"name": f"parameter_{number}", "value": str(number)} for number in range(12)],
        )
        self.cluster = self.make(
            "rds/cluster:Cluster",
            "database",
            engine="aurora-postgresql",
            dbSubnetGroupName=subnets.id,
            dbClusterParameterGroupName=parameters.id,
            vpcSecurityGroupIds=[self.groups["database"].id],
            kmsKeyId=self.keys["database"].id,
            masterPassword=pulumi.Output.secret(f"a password of {self.region}"),
            storageEncrypted=True,
            deletionProtection=True,
            backupRetentionPeriod=14,
        )
        for number in range(2):
            member = self.make(
                "rds/clusterInstance:ClusterInstance",
                f"database-{number}",
                clusterIdentifier=self.cluster.id,
                instanceClass="db.r8g.large",
                engine="aurora-postgresql",
                performanceInsightsKmsKeyId=self.keys["database"].id,
            )
            Membership(
                f"{self.region}-membership-{number}",
                {"member": member.id, "others": list(self.others), "promotionTier": number},
                pulumi.ResourceOptions(parent=self),
            )
        self.make(
            "elasticache/serverlessCache:ServerlessCache",
            "cache",
            engine="valkey",
            subnetIds=data,
            securityGroupIds=[self.groups["service"].id],
        )

    def service(self) -> None:
        inside = [self.subnets["service", zone].id for zone in ZONES]
        cluster = self.make("ecs/cluster:Cluster", "services", settings=[{"name": "containerInsights", "value": "on"}])
        logs = self.make("cloudwatch/logGroup:LogGroup", "logs", retentionInDays=30, kmsKeyId=self.keys["logs"].id)
        container = pulumi.Output.all(self.cluster.id, logs.id).apply(
            lambda ids: json.dumps(
                [
                    {
                        "name": "orders",
                        "image": "orders:1",
                        "environment": [{"name": f"SETTING_{number}", "value": ids[0]} for number in range(10)],
                        "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": ids[1]}},
                    }
                ]
            )
        )
        task = self.make(
            "ecs/taskDefinition:TaskDefinition",
            "orders-task",
            family="orders",
            cpu="1024",
            memory="2048",
            taskRoleArn=self.roles["service"].id,
            containerDefinitions=container,
        )
        balancer = self.make("lb/loadBalancer:LoadBalancer", "gateway", subnets=inside, loadBalancerType="network")
        target = self.make(
            "lb/targetGroup:TargetGroup",
            "gateway-target",
            vpcId=self.vpc.id,
            port=8000,
            protocol="TCP",
            healthCheck={"path": "/healthz/ready", "interval": 5, "healthyThreshold": 2},
        )
        self.make(
            "lb/listener:Listener",
            "gateway-listener",
            loadBalancerArn=balancer.id,
            port=443,
            defaultActions=[{"type": "forward", "targetGroupArn": target.id}],
        )
        self.make(
            "ecs/service:Service",
            "orders",
            cluster=cluster.id,
            taskDefinition=task.id,
            desiredCount=3,
            networkConfiguration={"subnets": inside, "securityGroups": [self.groups["service"].id]},
            loadBalancers=[{"targetGroupArn": target.id, "containerName": "orders", "containerPort": 8000}],
        )

    def watch(self) -> None:
        for alarm in ALARMS:
            self.make(
                "cloudwatch/metricAlarm:MetricAlarm",
                f"alarm-{alarm}",
                comparisonOperator="GreaterThanThreshold",
                evaluationPeriods=3,
                metricName=alarm,
                threshold=80,
                dimensions={"cluster": self.cluster.id},
            )


def statement(who: str, action: str, resource: str | None = None) -> dict[str, Any]:
    made = {"Sid": who, "Effect": "Allow", "Action": action, "Principal": {"Service": f"{who}.amazonaws.com"}}
    return made if resource is None else {**made, "Resource": resource}
