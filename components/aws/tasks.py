"""What one task of the service is: the image, its limits, and what it is told. docs/service.md lists the variables."""

import json
from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_aws as aws

from components.aws import names
from components.aws.roles import Roles
from components.aws.tags import tags
from components.component import Component
from components.contracts import ServiceArgs
from topology.homes import newcomers

CONTAINER = "service"
USER = "service"  # in the databases, which it signs in to with IAM, and in the cache
NOBODY = "65532:65532"  # any number but root's; this one is what distroless images call nonroot
# The one place to write to; in memory, so that nothing outlives the task (Fargate has it since January 2026).
SCRATCH = {"containerPath": "/tmp", "size": 64, "mountOptions": ["nodev", "noexec", "nosuid"]}  # noqa: S108

# SIGTERM comes when the load balancer has let go of the task; Fargate allows 120 (ECS API: ContainerDefinition).
STOP_SECONDS = 60


class Tasks:
    """The log group, the roles and the task definition."""

    log_group: aws.cloudwatch.LogGroup
    roles: Roles
    definition: aws.ecs.TaskDefinition

    def __init__(self, owner: Component, args: ServiceArgs) -> None:
        topology, region = args.topology, args.region.name
        assert topology.service is not None, "checked with the settings"
        name = names.name(topology, region, "service", limit=255)  # ECS API: RegisterTaskDefinition
        self.log_group = log_group(owner, args, "logs", f"/meridian/{name}")
        self.roles = Roles(owner, args, log_group=f"/meridian/{name}")
        self.definition = aws.ecs.TaskDefinition(
            f"{owner.name}-task",
            family=name,
            requires_compatibilities=["FARGATE"],
            network_mode="awsvpc",
            cpu=str(round(topology.service.cpu * 1024)),
            memory=str(topology.service.memory_mib),
            runtime_platform=aws.ecs.TaskDefinitionRuntimePlatformArgs(
                operating_system_family="LINUX", cpu_architecture="X86_64"
            ),
            execution_role_arn=self.roles.execution.arn,
            task_role_arn=self.roles.task.arn,
            container_definitions=pulumi.Output.json_dumps([container(args, self.log_group.name)], sort_keys=True),
            # Every change makes a revision, and ECS rolls back to the one before: it must not be deregistered, for a
            # service cannot be set to a revision that is not active (ECS: deregister-task-definition-v2).
            skip_destroy=True,
            tags=tags(topology, name, region=region),
            region=region,
            opts=owner.child(),
        )


def log_group(owner: Component, args: ServiceArgs, part: str, name: str) -> aws.cloudwatch.LogGroup:
    topology, region = args.topology, args.region.name
    assert topology.retention is not None, "checked with the settings"
    return aws.cloudwatch.LogGroup(
        f"{owner.name}-{part}",
        name=name,
        retention_in_days=topology.retention.log_days,
        kms_key_id=args.key_ids["logs"],
        deletion_protection_enabled=True,
        tags=tags(topology, name, region=region),
        region=region,
        opts=owner.child(protect=True),
    )


def container(args: ServiceArgs, logs: pulumi.Input[str]) -> Mapping[str, Any]:
    """The container definition. No health check of its own: it would run a program that the image may not have."""
    service = args.topology.service
    assert service is not None, "checked with the settings"
    return {
        "name": CONTAINER,
        "image": service.image,
        "essential": True,
        "portMappings": [{"containerPort": service.port, "hostPort": service.port, "protocol": "tcp"}],
        "environment": environment(args),
        "secrets": secrets(args),
        "user": NOBODY,
        "readonlyRootFilesystem": True,
        "linuxParameters": {
            "initProcessEnabled": True,
            "capabilities": {"drop": ["ALL"]},
            "tmpfs": [SCRATCH],
        },
        "stopTimeout": STOP_SECONDS,
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": logs,
                "awslogs-region": args.region.name,
                "awslogs-stream-prefix": CONTAINER,
                # Blocking, the service would stand still whenever CloudWatch does (ECS: using_awslogs).
                "mode": "non-blocking",
                "max-buffer-size": "10m",
            },
        },
    }


def environment(args: ServiceArgs) -> list[Mapping[str, Any]]:
    """By name, as ECS returns them. Nothing here says who is writer, and no other region's member is named."""
    topology, region = args.topology, args.region
    service, hostname = topology.service, topology.entry.hostname
    assert service is not None, "checked with the settings"
    assert hostname is not None, "checked with the settings"
    values: dict[str, pulumi.Input[str]] = {
        "MERIDIAN_STACK": topology.environment,
        "MERIDIAN_REGION": region.name,
        "MERIDIAN_REGIONS": ",".join(sorted(planned.name for planned in topology.regions)),
        "MERIDIAN_PORT": str(service.port),
        "MERIDIAN_HOSTNAME": hostname,
        "MERIDIAN_REGION_HOSTNAME": f"{region.name}.{hostname}",
        "MERIDIAN_DATABASE_USER": USER,
        "MERIDIAN_PARTITIONS": partitions(args),
        "MERIDIAN_NEWCOMERS": json.dumps(newcomers(topology), sort_keys=True),
    }
    if args.secrets is not None:
        values["MERIDIAN_DIRECTORY_SECRET"] = args.secrets.secret_ids["directory"]
    if args.cache is not None:
        values["MERIDIAN_CACHE"] = args.cache.endpoint
        values["MERIDIAN_CACHE_USER"] = USER
        if args.secrets is not None:
            values["MERIDIAN_CACHE_SECRET"] = args.secrets.secret_ids["cache"]
    return [{"name": name, "value": values[name]} for name in sorted(values)]


def partitions(args: ServiceArgs) -> pulumi.Output[str]:
    """By partition: where this region reads it (its own member, or nowhere), where writes go, and whose it is."""
    topology = args.topology
    own = {topology.member(name).partition: name for name in args.region.members}
    found: dict[str, Any] = {}
    for partition in topology.partitions:
        member = own.get(partition.name)
        found[partition.name] = {
            "read": args.databases[member].endpoint if member is not None and member in args.databases else None,
            "write": args.write_endpoints.get(partition.name),
            "slot": partition.slot,
            "serves": list(partition.serves),
        }
    return pulumi.Output.json_dumps(found, sort_keys=True)


def secrets(args: ServiceArgs) -> list[Mapping[str, Any]]:
    """ECS reads the key `password` of the secret when a task starts; a task that runs on reads it anew by its ARN."""
    if args.cache is None or args.secrets is None:
        return []
    secret = pulumi.Output.format("{0}:password::", args.secrets.secret_ids["cache"])
    return [{"name": "MERIDIAN_CACHE_PASSWORD", "valueFrom": secret}]
