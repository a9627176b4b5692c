"""The service on Cloud Run: the image in a region's own service, which the entry reaches through an endpoint group."""

import pulumi_gcp as gcp

from components.component import Component
from components.contracts import ServiceArgs
from components.gcp import names, paths
from components.gcp.environment import environment
from components.gcp.labels import labels
from components.gcp.roles import Roles
from components.gcp.scaling import bounds
from components.gcp.service_logs import ServiceLogs, of_run

# A service: fewer than 50 characters (Cloud Run API: services.create, serviceId).
NAME_LIMIT = 49

LIVE, READY = "/healthz/live", "/healthz/ready"

# A revision takes users once its instances have passed this, so it asks for all of readiness: one that never becomes
# ready is never sent anybody, and `up` says so. Connections through the network may take a minute to come up, and 240
# seconds is all there is (cloud.google.com/run/docs/configuring/vpc-direct-vpc, …/configuring/healthchecks).
STARTUP = gcp.cloudrunv2.ServiceTemplateContainerStartupProbeArgs(
    http_get=gcp.cloudrunv2.ServiceTemplateContainerStartupProbeHttpGetArgs(path=READY),
    period_seconds=10,
    timeout_seconds=5,
    failure_threshold=24,
)

# Three failures in half a minute are an outage, one is a blip. An instance that fails is sent nobody, and a region
# whose instances fail is passed over (…/configuring/configure-service-health).
READINESS = gcp.cloudrunv2.ServiceTemplateContainerReadinessProbeArgs(
    http_get=gcp.cloudrunv2.ServiceTemplateContainerReadinessProbeHttpGetArgs(path=READY),
    period_seconds=10,
    timeout_seconds=5,
    success_threshold=2,
    failure_threshold=3,
)

# Only an instance that is stuck is started anew, so it asks for nothing that lies outside.
LIVENESS = gcp.cloudrunv2.ServiceTemplateContainerLivenessProbeArgs(
    http_get=gcp.cloudrunv2.ServiceTemplateContainerLivenessProbeHttpGetArgs(path=LIVE),
    period_seconds=10,
    timeout_seconds=5,
    failure_threshold=6,
)

REQUEST_SECONDS = 60  # as long as a load balancer on AWS waits


class Run:
    """`service_id`, `name`, and `group`: the endpoint group that is the entry's backend."""

    def __init__(self, owner: Component, args: ServiceArgs) -> None:
        self.owner, self.args = owner, args
        topology, region = args.topology, args.region.name
        physical = names.name(topology, region, limit=NAME_LIMIT)
        ServiceLogs(owner, args, of_run(region, physical))
        self.roles = Roles(owner, args, machines=False)
        service = self.service(physical)
        self.service_id, self.name = service.id, service.name
        self.group = gcp.compute.RegionNetworkEndpointGroup(
            f"{owner.name}-endpoints",
            # Every argument replaces it, and none can change while the stack is what it is: so it needs no name that
            # is made anew each time.
            name=names.name(topology, region, "service", limit=paths.LIMIT),
            project=args.ground,
            region=region,
            network_endpoint_type="SERVERLESS",
            cloud_run=gcp.compute.RegionNetworkEndpointGroupCloudRunArgs(service=service.name),
            opts=owner.child(),
        ).id

    def service(self, name: str) -> gcp.cloudrunv2.Service:
        topology, region = self.args.topology, self.args.region
        assert topology.service is not None, "checked with the settings"
        return gcp.cloudrunv2.Service(
            f"{self.owner.name}-run",
            name=name,
            location=region.name,
            project=self.args.ground,
            # The entry is the one way in, and it cannot sign its requests: so nobody is asked who he is, which
            # organisations allow more often than a grant to everybody (cloud.google.com/run/docs/securing
            # /managing-access, invoker check).
            ingress="INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER",
            invoker_iam_disabled=True,
            default_uri_disabled=True,
            # Of the service and not of a revision: it can change without a deployment.
            scaling=gcp.cloudrunv2.ServiceScalingArgs(min_instance_count=bounds(topology.service, region).minimum),
            template=self.template(),
            traffics=[
                gcp.cloudrunv2.ServiceTrafficArgs(type="TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", percent=100),
            ],
            deletion_protection=True,
            labels=labels(topology, region=region.name),
            # An instance needs its rights when it starts.
            opts=self.owner.child(depends_on=[*self.roles.grants]),
        )

    def template(self) -> gcp.cloudrunv2.ServiceTemplateArgs:
        topology, region = self.args.topology, self.args.region
        assert topology.service is not None, "checked with the settings"
        return gcp.cloudrunv2.ServiceTemplateArgs(
            service_account=self.roles.email,
            encryption_key=self.args.key_ids["storage"],
            # A whole Linux, with the full network speed.
            execution_environment="EXECUTION_ENVIRONMENT_GEN2",
            timeout=f"{REQUEST_SECONDS}s",
            scaling=gcp.cloudrunv2.ServiceTemplateScalingArgs(
                max_instance_count=bounds(topology.service, region).maximum
            ),
            vpc_access=gcp.cloudrunv2.ServiceTemplateVpcAccessArgs(
                # All of it, so that the firewall and the static address hold for what goes to the internet too.
                egress="ALL_TRAFFIC",
                network_interfaces=[
                    gcp.cloudrunv2.ServiceTemplateVpcAccessNetworkInterfaceArgs(
                        network=paths.network(topology), subnetwork=self.args.network.subnet_ids["private"][0]
                    )
                ],
            ),
            containers=[self.container()],
        )

    def container(self) -> gcp.cloudrunv2.ServiceTemplateContainerArgs:
        service = self.args.topology.service
        assert service is not None, "checked with the settings"
        return gcp.cloudrunv2.ServiceTemplateContainerArgs(
            image=service.image,
            ports=gcp.cloudrunv2.ServiceTemplateContainerPortsArgs(name="http1", container_port=service.port),
            resources=gcp.cloudrunv2.ServiceTemplateContainerResourcesArgs(
                limits={"cpu": f"{service.cpu:g}", "memory": f"{service.memory_mib}Mi"},
                # Not taken away between requests: connections and tokens are kept fresh then.
                cpu_idle=False,
                startup_cpu_boost=True,
            ),
            envs=[
                gcp.cloudrunv2.ServiceTemplateContainerEnvArgs(name=name, value=value)
                for name, value in environment(self.args).items()
            ],
            startup_probe=STARTUP,
            readiness_probe=READINESS,
            liveness_probe=LIVENESS,
        )
