"""A region's instance of the service: the image on Fargate, behind a load balancer of the region's own."""

import pulumi
import pulumi_aws as aws

from components.aws import names
from components.aws.load_balancer import LoadBalancer
from components.aws.scaling import Scaling, bounds
from components.aws.tags import tags
from components.aws.tasks import CONTAINER, Tasks, log_group
from components.component import Component
from components.contracts import ServiceArgs

# Scaling moves it with the load, and a failover raises it: a deployment would set it back to the least.
SERVICE_IGNORES = ["desired_count"]

# A task that starts is not ready at once, and without patience ECS would replace it for that.
GRACE_SECONDS = 120


class Service(Component):
    """Outputs: `service_id` (the ECS service's ARN), `endpoint` (the region's own URL), `attachments`."""

    service_id: pulumi.Output[str]
    endpoint: pulumi.Output[str]
    attachments: dict[str, pulumi.Output[str]]

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("aws", name, opts)
        self.args = args
        balancer = LoadBalancer(self, args)
        cluster = self.cluster()
        service = self.service(cluster, balancer, Tasks(self, args))
        Scaling(self, args, balancer, pulumi.Output.format("service/{0}/{1}", cluster.name, service.name))
        self.service_id = service.id  # of a service, as of a cluster, the id is the ARN
        self.endpoint = pulumi.Output.from_input(f"https://{args.region.name}.{args.topology.entry.hostname}")
        self.attachments = {
            "load_balancer_arn": balancer.balancer.id,
            "load_balancer_suffix": balancer.balancer.arn_suffix,
            "load_balancer_dns": balancer.balancer.dns_name,
            "load_balancer_zone": balancer.balancer.zone_id,
            "target_group_suffix": balancer.targets.arn_suffix,
            "cluster_name": cluster.name,
            "service_name": service.name,
            "admitted_rule_arn": balancer.admitted.id,
        }
        self.expose(service_id=self.service_id, endpoint=self.endpoint, attachments=self.attachments)

    def cluster(self) -> aws.ecs.Cluster:
        topology, region = self.args.topology, self.args.region.name
        name = names.name(topology, region, limit=255)  # ECS API: CreateCluster
        # Container Insights would make it by itself, without a key and for ever.
        insights = log_group(self, self.args, "insights", f"/aws/ecs/containerinsights/{name}/performance")
        return aws.ecs.Cluster(
            f"{self.name}-cluster",
            name=name,
            settings=[aws.ecs.ClusterSettingArgs(name="containerInsights", value="enabled")],
            tags=tags(topology, name, region=region),
            region=region,
            opts=self.child(depends_on=[insights]),
        )

    def service(self, cluster: aws.ecs.Cluster, balancer: LoadBalancer, tasks: Tasks) -> aws.ecs.Service:
        topology, region, network = self.args.topology, self.args.region, self.args.network
        assert topology.service is not None, "checked with the settings"
        name = names.name(topology, region.name, limit=255)  # ECS API: CreateService
        return aws.ecs.Service(
            f"{self.name}-service",
            name=name,
            cluster=cluster.id,
            launch_type="FARGATE",
            platform_version="LATEST",
            task_definition=tasks.definition.arn,
            desired_count=bounds(topology.service, region).minimum,
            # A deployment never has fewer tasks than load needs, and one that does not become healthy is undone.
            deployment_minimum_healthy_percent=100,
            deployment_maximum_percent=200,
            deployment_circuit_breaker=aws.ecs.ServiceDeploymentCircuitBreakerArgs(enable=True, rollback=True),
            availability_zone_rebalancing="ENABLED",
            health_check_grace_period_seconds=GRACE_SECONDS,
            network_configuration=aws.ecs.ServiceNetworkConfigurationArgs(
                subnets=network.subnet_ids["private"],
                security_groups=[network.group_ids["service"]],
                assign_public_ip=False,
            ),
            load_balancers=[
                aws.ecs.ServiceLoadBalancerArgs(
                    target_group_arn=balancer.targets.id, container_name=CONTAINER, container_port=topology.service.port
                )
            ],
            enable_ecs_managed_tags=True,
            propagate_tags="SERVICE",
            enable_execute_command=False,
            # Not waited for: the first tasks are ready only when the database's user has been made in it.
            wait_for_steady_state=False,
            tags=tags(topology, name, region=region.name),
            region=region.name,
            # ECS takes a target group only when a listener leads to it, and a task needs its rights when it starts.
            opts=self.child(depends_on=[balancer.listener, *tasks.roles.policies], ignore_changes=SERVICE_IGNORES),
        )
