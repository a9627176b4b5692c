"""The checker itself: a correct program has no findings, and each kind of mistake is found."""

import json
from collections.abc import Callable
from time import perf_counter
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_random as random
import pytest

from engine.recorder import Graph, record
from tests.components.aws.arguments import check_graph

REGION = "eu-west-1"
TAGS = {"Name": "shop-production", "environment": "production"}
ACCOUNT = "123456789012"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)


def document(**statement: Any) -> str:
    base = {"Effect": "Allow", "Action": ["logs:PutLogEvents"], "Resource": "arn:aws:logs:eu-west-1:123456789012:*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [{**base, **statement}]})


def key_policy(**statement: Any) -> str:
    owner = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    return document(**{"Principal": owner, "Action": "kms:*", "Resource": "*", **statement})


def topic_policy() -> str:
    return document(Principal={"Service": "cloudwatch.amazonaws.com"}, Action="sns:Publish", Resource="*")


def graph_of(program: Callable[[pulumi.ResourceOptions], None], *, dry_run: bool = False) -> Graph:
    def run() -> None:
        provider = aws.Provider("aws", region="us-east-1")
        program(pulumi.ResourceOptions(provider=provider))

    return record(run, dry_run=dry_run)


def findings(program: Callable[[pulumi.ResourceOptions], object]) -> list[str]:
    def with_an_unknown(own: pulumi.ResourceOptions) -> None:
        topic = aws.sns.Topic("other", region=REGION, opts=own)
        aws.sns.TopicPolicy("policy", region=REGION, arn=topic.arn, policy=topic_policy(), opts=own)
        program(own)

    return check_graph(graph_of(with_an_unknown, dry_run=True))


def region_of(region: str, own: pulumi.ResourceOptions) -> None:
    """A region's worth of resources, as the components make them, all of it correct."""
    here: dict[str, Any] = {"region": region, "opts": own}
    tagged: dict[str, Any] = {**here, "tags": TAGS}
    vpc = aws.ec2.Vpc(f"{region}-vpc", cidr_block="10.1.0.0/16", enable_dns_hostnames=True, **tagged)
    subnets = [
        aws.ec2.Subnet(
            f"{region}-{zone}",
            vpc_id=vpc.id,
            cidr_block=f"10.1.{zone}.0/24",
            availability_zone_id=f"euw1-az{zone}",
            **tagged,
        )
        for zone in (1, 2, 3)
    ]
    group = aws.ec2.SecurityGroup(
        f"{region}-group", name="shop-production-entry", description="Entry", vpc_id=vpc.id, **tagged
    )
    aws.vpc.SecurityGroupIngressRule(
        f"{region}-https",
        security_group_id=group.id,
        cidr_ipv4="0.0.0.0/0",
        from_port=443,
        to_port=443,
        ip_protocol="tcp",
        **here,
    )
    key = aws.kms.Key(
        f"{region}-key",
        policy=key_policy(),
        enable_key_rotation=True,
        rotation_period_in_days=365,
        deletion_window_in_days=30,
        **tagged,
    )
    aws.kms.Alias(f"{region}-alias", name="alias/shop-production", target_key_id=key.id, **here)
    logs = aws.cloudwatch.LogGroup(
        f"{region}-logs", name="/shop/production/service", retention_in_days=90, kms_key_id=key.arn, **tagged
    )
    role = aws.iam.Role(f"{region}-role", name=f"shop-{region}", assume_role_policy=TRUST, opts=own)
    aws.iam.RolePolicy(
        f"{region}-writes",
        name="write-logs",
        role=role.id,
        policy=logs.arn.apply(lambda arn: document(Resource=[f"{arn}:*"])),
        opts=own,
    )
    task = aws.ecs.TaskDefinition(
        f"{region}-task",
        family="shop-production",
        cpu="512",
        memory="1024",
        network_mode="awsvpc",
        requires_compatibilities=["FARGATE"],
        execution_role_arn=role.arn,
        container_definitions=json.dumps(
            [
                {
                    "name": "service",
                    "image": "example.com/shop:1",
                    "essential": True,
                    "portMappings": [{"containerPort": 8080, "protocol": "tcp"}],
                    "environment": [{"name": "REGION", "value": region}],
                    "logConfiguration": {
                        "logDriver": "awslogs",
                        "options": {
                            "awslogs-group": "/shop",
                            "awslogs-region": region,
                            "awslogs-stream-prefix": "service",
                        },
                    },
                }
            ]
        ),
        **tagged,
    )
    cluster = aws.ecs.Cluster(
        f"{region}-cluster", name="shop", settings=[{"name": "containerInsights", "value": "enhanced"}], **tagged
    )
    balancer = aws.lb.LoadBalancer(
        f"{region}-balancer",
        name="shop-production",
        internal=False,
        load_balancer_type="application",
        subnets=[subnet.id for subnet in subnets],
        security_groups=[group.id],
        idle_timeout=60,
        **tagged,
    )
    targets = aws.lb.TargetGroup(
        f"{region}-targets",
        name="shop-production",
        port=8080,
        protocol="HTTP",
        target_type="ip",
        vpc_id=vpc.id,
        deregistration_delay=30,
        health_check={"path": "/ready", "interval": 10, "timeout": 5, "healthy_threshold": 2, "matcher": "200"},
        **tagged,
    )
    certificate = aws.acm.Certificate(
        f"{region}-certificate", domain_name="shop.example.com", validation_method="DNS", **tagged
    )
    aws.lb.Listener(
        f"{region}-listener",
        load_balancer_arn=balancer.arn,
        port=443,
        protocol="HTTPS",
        ssl_policy="ELBSecurityPolicy-TLS13-1-2-2021-06",
        certificate_arn=certificate.arn,
        default_actions=[{"type": "forward", "target_group_arn": targets.arn}],
        **tagged,
    )
    aws.ecs.Service(
        f"{region}-service",
        name="shop",
        cluster=cluster.id,
        task_definition=task.arn,
        desired_count=3,
        launch_type="FARGATE",
        network_configuration={"subnets": [subnet.id for subnet in subnets], "assign_public_ip": False},
        load_balancers=[{"target_group_arn": targets.arn, "container_name": "service", "container_port": 8080}],
        deployment_circuit_breaker={"enable": True, "rollback": True},
        **tagged,
    )
    aws.elasticache.ReplicationGroup(
        f"{region}-cache",
        replication_group_id="shop-production",
        description="Cache",
        engine="valkey",
        engine_version="8.1",
        node_type="cache.r7g.large",
        num_cache_clusters=2,
        transit_encryption_enabled=True,
        at_rest_encryption_enabled=True,
        snapshot_retention_limit=1,
        kms_key_id=key.arn,
        **tagged,
    )
    subnet_group = aws.rds.SubnetGroup(
        f"{region}-subnets", name="shop-production", subnet_ids=[subnet.id for subnet in subnets], **tagged
    )
    database = aws.rds.Cluster(
        f"{region}-database",
        cluster_identifier="shop-production-main",
        engine="aurora-postgresql",
        engine_version="17.9",
        db_subnet_group_name=subnet_group.name,
        master_username="meridian",
        master_password=random.RandomPassword(f"{region}-password", length=40, special=False).result,
        backup_retention_period=14,
        storage_encrypted=True,
        enabled_cloudwatch_logs_exports=["postgresql"],
        serverlessv2_scaling_configuration={"min_capacity": 0.5, "max_capacity": 16},
        **tagged,
    )
    aws.rds.ClusterInstance(
        f"{region}-writer",
        identifier="shop-production-main-1",
        cluster_identifier=database.id,
        instance_class="db.r6g.large",
        engine=aws.rds.EngineType.AURORA_POSTGRESQL,
        performance_insights_enabled=True,
        performance_insights_retention_period=31,
        monitoring_interval=30,
        monitoring_role_arn=role.arn,
        **tagged,
    )
    vault = aws.backup.Vault(f"{region}-vault", name="shop-production", kms_key_arn=key.arn, **tagged)
    aws.backup.Plan(
        f"{region}-plan",
        name="shop-production",
        rules=[
            {
                "rule_name": "daily",
                "target_vault_name": vault.name,
                "schedule": "cron(0 3 * * ? *)",
                "lifecycle": {"delete_after": 35},
            }
        ],
        **tagged,
    )
    aws.cloudwatch.MetricAlarm(
        f"{region}-alarm",
        name="shop-production-5xx",
        namespace="AWS/ApplicationELB",
        metric_name="HTTPCode_ELB_5XX_Count",
        comparison_operator="GreaterThanThreshold",
        statistic="Sum",
        period=60,
        evaluation_periods=5,
        threshold=1.5,
        treat_missing_data="notBreaching",
        dimensions={"LoadBalancer": "app/shop/1"},
        **tagged,
    )
    aws.wafv2.WebAcl(
        f"{region}-firewall",
        name="shop-production",
        scope="REGIONAL",
        default_action={"allow": {}},
        visibility_config={
            "cloudwatch_metrics_enabled": True,
            "metric_name": "shop",
            "sampled_requests_enabled": True,
        },
        rules=[
            {
                "name": "rate",
                "priority": 0,
                "action": {"block": {}},
                "statement": {"rate_based_statement": {"limit": 2000, "aggregate_key_type": "IP"}},
                "visibility_config": {
                    "cloudwatch_metrics_enabled": True,
                    "metric_name": "rate",
                    "sampled_requests_enabled": True,
                },
            }
        ],
        **tagged,
    )


def edge(own: pulumi.ResourceOptions) -> None:
    """What belongs to no region."""
    check = aws.route53.HealthCheck(
        "check",
        type="HTTPS",
        fqdn="eu-west-1.shop.example.com",
        port=443,
        resource_path="/health",
        request_interval=10,
        failure_threshold=3,
        tags=TAGS,
        opts=own,
    )
    aws.route53.Record(
        "record",
        zone_id="Z0123456789ABCDEFGHIJ",
        name="shop.example.com",
        type="A",
        set_identifier=REGION,
        health_check_id=check.id,
        latency_routing_policies=[{"region": REGION}],
        aliases=[{"name": "shop.elb.example.com", "zone_id": "Z32O12XQLNTSW2", "evaluate_target_health": True}],
        opts=own,
    )
    accelerator = aws.globalaccelerator.Accelerator("accelerator", name="shop-production", tags=TAGS, opts=own)
    listener = aws.globalaccelerator.Listener(
        "listener",
        accelerator_arn=accelerator.arn,
        protocol="TCP",
        port_ranges=[{"from_port": 443, "to_port": 443}],
        opts=own,
    )
    aws.globalaccelerator.EndpointGroup(
        "endpoints",
        listener_arn=listener.arn,
        endpoint_group_region=REGION,
        health_check_interval_seconds=10,
        endpoint_configurations=[
            {"endpoint_id": accelerator.id, "weight": 128, "client_ip_preservation_enabled": True}
        ],
        opts=own,
    )


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_correct_program_has_no_findings(dry_run: bool) -> None:
    def program(own: pulumi.ResourceOptions) -> None:
        region_of(REGION, own)
        edge(own)

    graph = graph_of(program, dry_run=dry_run)
    assert len(graph.resources) > 30
    assert check_graph(graph) == []


def block(**arguments: Any) -> Any:
    """A block with a mistake in it, which a type checker would otherwise find first."""
    return arguments


def test_a_large_graph_is_checked_quickly() -> None:
    # What the check knows of a type or a region it reads once.
    check_graph(graph_of(lambda own: region_of(REGION, own)))
    areas = {"eu-west": 3, "us-east": 2, "us-west": 2, "eu-central": 2, "ap-northeast": 3, "ap-southeast": 5}
    regions = [f"{area}-{number + 1}" for area, numbers in areas.items() for number in range(numbers)]

    def program(own: pulumi.ResourceOptions) -> None:
        for region in regions:
            region_of(region, own)

    graph = graph_of(program)
    assert len(graph.resources) > 400
    started = perf_counter()
    check_graph(graph)
    # Well above what it takes, so that a busy machine does not fail the test.
    assert perf_counter() - started < 4


MISTAKES: dict[str, tuple[Callable[[pulumi.ResourceOptions], object], str]] = {
    "an argument of a block that does not exist": (
        lambda own: aws.lb.TargetGroup("it", region=REGION, health_check=block(intervall=10), opts=own),
        "healthCheck.intervall = 10: allowed is one of the arguments",
    ),
    "a required argument of a block that is missing": (
        lambda own: aws.backup.Plan("it", region=REGION, rules=[block(rule_name="daily")], opts=own),
        "rules[0] = None: allowed is needs targetVaultName",
    ),
    "a text for a number": (
        lambda own: aws.lb.TargetGroup("it", region=REGION, port="http", opts=own),  # type: ignore[arg-type]
        "port = 'http': allowed is a value of type int",
    ),
    "a number for a flag": (
        lambda own: aws.ec2.Vpc("it", region=REGION, enable_dns_support=1, opts=own),  # type: ignore[arg-type]
        "enableDnsSupport = 1: allowed is a value of type bool",
    ),
    "a text for a list": (
        lambda own: aws.lb.LoadBalancer("it", region=REGION, subnets="subnet-1", opts=own),  # type: ignore[arg-type]
        "subnets = 'subnet-1': allowed is a value of type Sequence",
    ),
    "no region": (
        lambda own: aws.ec2.Vpc("it", cidr_block="10.0.0.0/16", opts=own),
        "region = None: allowed is an explicit region",
    ),
    "a region that AWS does not have": (
        lambda own: aws.ec2.Vpc("it", region="eu-west-9", cidr_block="10.0.0.0/16", opts=own),
        "region = 'eu-west-9': allowed is a region of AWS",
    ),
    "the default provider": (
        lambda own: aws.ec2.Vpc("it", region=REGION, cidr_block="10.0.0.0/16"),
        "provider = None: allowed is the stack's own AWS provider",
    ),
    "an instance class that does not exist": (
        lambda own: instance(own, "db.r99g.large"),
        "instanceClass = 'db.r99g.large': allowed is one of",
    ),
    "an instance class that another region has": (
        lambda own: instance(own, "db.r8i.large", region="ap-east-2"),
        "[cfn-lint: aws_rds_dbinstance/dbinstanceclass_enum]",
    ),
    "an engine version that does not exist": (
        lambda own: cluster(own, engine_version="17.99"),
        "engineVersion = '17.99': allowed is one of",
    ),
    "an engine version that is no longer offered": (
        lambda own: cluster(own, engine_version="14.3"),
        "allowed is any other combination [cfn-lint: aws_rds_dbcluster/engine_version_deprecated]",
    ),
    "a global cluster of a version that does not exist": (
        lambda own: aws.rds.GlobalCluster(
            "it",
            region=REGION,
            global_cluster_identifier="shop",
            engine="aurora-postgresql",
            engine_version="16.99",
            opts=own,
        ),
        "engineVersion = '16.99'",
    ),
    "backups kept for too long": (
        lambda own: cluster(own, backup_retention_period=40),
        "backupRetentionPeriod = 40: allowed is from 1 to 35",
    ),
    "capacity in steps that Aurora does not have": (
        lambda own: cluster(own, serverlessv2_scaling_configuration={"min_capacity": 0.7, "max_capacity": 4}),
        "serverlessv2ScalingConfiguration.minCapacity = 0.7: allowed is a multiple of 0.5",
    ),
    "a monitoring interval that RDS does not have": (
        lambda own: cluster(own, monitoring_interval=20),
        "monitoringInterval = 20: allowed is one of 0, 1, 5, 10, 15, 30, 60",
    ),
    "a node type that the region does not have": (
        lambda own: cache(own, node_type="cache.r99g.large"),
        "nodeType = 'cache.r99g.large': allowed is one of",
    ),
    "a version of Valkey that does not exist": (
        lambda own: cache(own, engine_version="7.9"),
        "engineVersion = '7.9': allowed is one of 7.2",
    ),
    "too many nodes": (
        lambda own: cache(own, num_cache_clusters=9),
        "numCacheClusters = 9: allowed is from 1 to 6",
    ),
    "a cache's name in capitals": (
        lambda own: cache(own, replication_group_id="Shop"),
        "replicationGroupId = 'Shop'",
    ),
    "memory that Fargate does not offer with the processor": (
        lambda own: task(own, cpu="256", memory="8192"),
        "{'Cpu': '256', 'Memory': '8192'}",
    ),
    "a log driver without its group": (
        lambda own: task(own, container={"logConfiguration": {"logDriver": "awslogs", "options": {}}}),
        "allowed is needs awslogs-group",
    ),
    "a health check that is too rare": (
        lambda own: aws.lb.TargetGroup("it", region=REGION, health_check={"interval": 301}, opts=own),
        "healthCheck.interval = 301: allowed is from 5 to 300",
    ),
    "a health check that one failure ends": (
        lambda own: aws.lb.TargetGroup("it", region=REGION, health_check={"unhealthy_threshold": 1}, opts=own),
        "healthCheck.unhealthyThreshold = 1: allowed is from 2 to 10",
    ),
    "a load balancer's name that is too long": (
        lambda own: aws.lb.LoadBalancer("it", region=REGION, name="n" * 33, opts=own),
        f"name = '{'n' * 33}'",
    ),
    "a target group's name with an underscore": (
        lambda own: aws.lb.TargetGroup("it", region=REGION, name="shop_main", opts=own),
        "name = 'shop_main'",
    ),
    "a listener without a certificate": (
        lambda own: aws.lb.Listener(
            "it",
            region=REGION,
            load_balancer_arn="arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/shop/1",
            protocol="HTTPS",
            default_actions=[{"type": "fixed-response"}],
            opts=own,
        ),
        "allowed is needs certificateArn",
    ),
    "logs kept for fifteen days": (
        lambda own: aws.cloudwatch.LogGroup("it", region=REGION, retention_in_days=15, opts=own),
        "retentionInDays = 15: allowed is one of 1, 3, 5, 7, 14, 30",
    ),
    "a key that is gone in a day": (
        lambda own: aws.kms.Key("it", region=REGION, deletion_window_in_days=1, opts=own),
        "deletionWindowInDays = 1: allowed is from 7 to 30",
    ),
    "logs under a key's id": (
        lambda own: aws.cloudwatch.LogGroup("it", region=REGION, kms_key_id=key(own).id, opts=own),
        "kmsKeyId = 'id of key': allowed is what matches ^arn:",
    ),
    "a database under a key's id": (
        lambda own: cluster(own, kms_key_id=key(own).id),
        "kmsKeyId = 'id of key': allowed is what matches ^arn:",
    ),
    "a backup that leaves cold storage too early": (
        lambda own: aws.backup.Plan(
            "it",
            region=REGION,
            rules=[
                {
                    "rule_name": "daily",
                    "target_vault_name": "main",
                    "lifecycle": {"cold_storage_after": 30, "delete_after": 100},
                }
            ],
            opts=own,
        ),
        "rules[0].lifecycle.deleteAfter = 100: allowed is at least coldStorageAfter + 90 = 120",
    ),
    "a vault that keeps for less than its least": (
        lambda own: aws.backup.VaultLockConfiguration(
            "it", region=REGION, backup_vault_name="main", min_retention_days=30, max_retention_days=7, opts=own
        ),
        "maxRetentionDays = 7: allowed is at least minRetentionDays + 0 = 30",
    ),
    "a schedule with five fields": (
        lambda own: aws.backup.Plan(
            "it",
            region=REGION,
            rules=[{"rule_name": "daily", "target_vault_name": "main", "schedule": "cron(0 3 * * *)"}],
            opts=own,
        ),
        "rules[0].schedule = 'cron(0 3 * * *)'",
    ),
    "a health check that is disabled": (
        lambda own: aws.route53.HealthCheck("it", type="HTTPS", fqdn="shop.example.com", disabled=True, opts=own),
        "disabled = True: allowed is False [Route 53: a disabled check counts as healthy",
    ),
    "a health check of an unknown type": (
        lambda own: aws.route53.HealthCheck("it", type="HTTP2", fqdn="shop.example.com", opts=own),
        "type = 'HTTP2': allowed is one of CALCULATED",
    ),
    "a health check that fails too late": (
        lambda own: aws.route53.HealthCheck("it", type="TCP", failure_threshold=11, opts=own),
        "failureThreshold = 11: allowed is from 1 to 10",
    ),
    "an address record without an address": (
        lambda own: aws.route53.Record(
            "it", zone_id="Z1", name="shop.example.com", type="A", records=["shop"], ttl=60, opts=own
        ),
        "records[0] = 'shop'",
    ),
    "a record under a policy without its name": (
        lambda own: aws.route53.Record(
            "it",
            zone_id="Z1",
            name="shop.example.com",
            type="A",
            ttl=60,
            records=["192.0.2.1"],
            latency_routing_policies=[{"region": REGION}],
            opts=own,
        ),
        "allowed is needs setIdentifier",
    ),
    "a network with a host's address": (
        lambda own: aws.ec2.Vpc("it", region=REGION, cidr_block="10.1.2.3/16", opts=own),
        "cidrBlock = '10.1.2.3/16': allowed is an ipv4-network address",
    ),
    "an alias with a lifetime": (
        lambda own: aws.route53.Record(
            "it",
            zone_id="Z1",
            name="shop.example.com",
            type="A",
            ttl=60,
            aliases=[{"name": "x.example.com", "zone_id": "Z2", "evaluate_target_health": True}],
            opts=own,
        ),
        "ttl = ",
    ),
    "an endpoint without weight": (
        lambda own: endpoint(own, client_ip_preservation_enabled=True),
        "endpointConfigurations[0] = None: allowed is needs weight",
    ),
    "an endpoint that weighs too much": (
        lambda own: endpoint(own, weight=256, client_ip_preservation_enabled=True),
        "endpointConfigurations[0].weight = 256: allowed is from 0 to 255",
    ),
    "a firewall's name with a space": (
        lambda own: firewall(own, name="the shop"),
        "name = 'the shop'",
    ),
    "an alarm that compares in a new way": (
        lambda own: alarm(own, comparison_operator="MoreThan"),
        "comparisonOperator = 'MoreThan'",
    ),
    "an alarm with a statistic of its own": (
        lambda own: alarm(own, statistic="Median"),
        "statistic = 'Median': allowed is one of Average, Maximum, Minimum, SampleCount, Sum",
    ),
    "an alarm with an odd period": (
        lambda own: alarm(own, period=90),
        "period = 90: allowed is a multiple of 60",
    ),
    "a tag that is too long": (
        lambda own: aws.ec2.InternetGateway("it", region=REGION, tags={"Name": "n" * 257}, opts=own),
        "allowed is at most 256 characters (it has 257)",
    ),
    "a policy that is no JSON": (
        lambda own: aws.iam.RolePolicy("it", role="role", policy="allow everything", opts=own),
        "policy = 'allow everything': allowed is a JSON document",
    ),
    "a policy of the old version": (
        lambda own: aws.iam.RolePolicy(
            "it", role="role", policy=document().replace("2012-10-17", "2008-10-17"), opts=own
        ),
        "policy.Version = '2008-10-17': allowed is 2012-10-17",
    ),
    "a policy for everyone": (
        lambda own: aws.kms.Key("it", region=REGION, policy=key_policy(Principal={"AWS": "*"}), opts=own),
        "policy.Statement[0].Principal = {'AWS': '*'}: allowed is a named principal",
    ),
    "a policy of a service that does not exist": (
        lambda own: aws.iam.RolePolicy("it", role="role", policy=document(Action="log:PutLogEvents"), opts=own),
        "policy.Statement[0].Action = 'log:PutLogEvents': allowed is an action of an AWS service",
    ),
    "a policy with an action that does not exist": (
        lambda own: aws.iam.RolePolicy(
            "it", role="role", policy=document(Action=["logs:Put*", "logs:Write"]), opts=own
        ),
        "policy.Statement[0].Action = 'logs:Write'",
    ),
    "a policy with a condition that does not exist": (
        lambda own: aws.iam.RolePolicy(
            "it", role="role", policy=document(Condition={"StringIs": {"aws:RequestedRegion": REGION}}), opts=own
        ),
        "policy.Statement[0].Condition.StringIs",
    ),
    "a policy with a resource that is no ARN": (
        lambda own: aws.iam.RolePolicy("it", role="role", policy=document(Resource="the-bucket"), opts=own),
        "policy.Statement[0].Resource = 'the-bucket'",
    ),
    "a role that trusts without saying whom": (
        lambda own: aws.iam.Role(
            "it", assume_role_policy=document(Action="sts:AssumeRole").replace('"Resource"', '"Resources"'), opts=own
        ),
        "assumeRolePolicy.Statement[0] = None: allowed is exactly one of Principal, NotPrincipal",
    ),
}


def key(own: pulumi.ResourceOptions) -> aws.kms.Key:
    return aws.kms.Key("key", region=REGION, opts=own)


def instance(own: pulumi.ResourceOptions, class_: str, region: str = REGION) -> object:
    engine = aws.rds.EngineType.AURORA_POSTGRESQL
    return aws.rds.ClusterInstance(
        "it", region=region, cluster_identifier="main", engine=engine, instance_class=class_, opts=own
    )


def cluster(own: pulumi.ResourceOptions, **arguments: Any) -> object:
    return aws.rds.Cluster("it", region=REGION, engine="aurora-postgresql", opts=own, **arguments)


def cache(own: pulumi.ResourceOptions, **arguments: Any) -> object:
    fine = {"engine": "valkey", "transit_encryption_enabled": True}
    return aws.elasticache.ReplicationGroup("it", region=REGION, description="it", opts=own, **{**fine, **arguments})


def task(own: pulumi.ResourceOptions, *, container: dict[str, Any] | None = None, **arguments: Any) -> object:
    fine = {"cpu": "256", "memory": "512", "network_mode": "awsvpc", "requires_compatibilities": ["FARGATE"]}
    containers = json.dumps([{"name": "it", "image": "it:1", "essential": True, **(container or {})}])
    return aws.ecs.TaskDefinition(
        "it", region=REGION, family="it", container_definitions=containers, opts=own, **{**fine, **arguments}
    )


def endpoint(own: pulumi.ResourceOptions, **configuration: Any) -> object:
    return aws.globalaccelerator.EndpointGroup(
        "it",
        listener_arn="arn:aws:globalaccelerator::123456789012:accelerator/1/listener/2",
        endpoint_group_region=REGION,
        endpoint_configurations=[block(endpoint_id="eipalloc-1", **configuration)],
        opts=own,
    )


def firewall(own: pulumi.ResourceOptions, **arguments: Any) -> object:
    seen = {"cloudwatch_metrics_enabled": True, "metric_name": "it", "sampled_requests_enabled": True}
    fine = {"scope": "REGIONAL", "default_action": {"allow": {}}, "visibility_config": seen}
    return aws.wafv2.WebAcl("it", region=REGION, opts=own, **{**fine, **arguments})


def alarm(own: pulumi.ResourceOptions, **arguments: Any) -> object:
    fine = {
        "comparison_operator": "GreaterThanThreshold",
        "evaluation_periods": 1,
        "namespace": "AWS/RDS",
        "metric_name": "CPUUtilization",
        "statistic": "Average",
        "period": 60,
        "threshold": 80,
    }
    return aws.cloudwatch.MetricAlarm("it", region=REGION, opts=own, **{**fine, **arguments})


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found(mistake: str) -> None:
    program, expected = MISTAKES[mistake]
    told = findings(program)
    assert [finding for finding in told if expected in finding], told
    assert all(finding.startswith("it (") for finding in told)
    # One mistake is not drowned in its echoes.
    assert len(told) <= 2, told
