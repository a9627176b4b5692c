"""The service on machines of its own: a group across the region's zones, which the load balancer itself checks."""

import math

import pulumi
import pulumi_gcp as gcp

from components.component import Component
from components.contracts import ServiceArgs
from components.gcp import names, paths, startup
from components.gcp.environment import environment
from components.gcp.labels import labels
from components.gcp.roles import Roles
from components.gcp.run import LIVE
from components.gcp.scaling import CPU_FRACTION, bounds
from components.gcp.service_logs import ServiceLogs, of_machines
from topology import ServicePlan

# What the entry's backend calls the service's port by.
PORT_NAME = "http"

# A template's name begins with it; the provider adds 26 characters, and fewer to a longer one, which are more likely to
# collide (SDK: name_prefix).
PREFIX_LIMIT = 37

# Google adds a hyphen and four characters to an instance's name (SDK: base_instance_name), of 63.
INSTANCE_LIMIT = 58

# The system's share of a machine's memory, beside the service's. E2 takes an even number of processors, with 512 to
# 8192 MiB for each, in steps of 256 (cloud.google.com/compute/docs/samples/compute-custom-machine-type-helper-class).
SYSTEM_MIB, STEP_MIB, LEAST_MIB_EACH, MOST_MIB_EACH = 512, 256, 512, 8192

# Each machine that starts takes the newest image of the family.
IMAGE = "projects/cos-cloud/global/images/family/cos-stable"
DISK_GB = 20

# A fixed surge is at least the number of the group's zones (Compute API: regionInstanceGroupManagers, maxSurge); no
# region has more than four.
SURGE = 4

# A machine is up, has pulled the image and answers.
START_SECONDS = 180

# Too few machines cost requests, too many a little money.
IN_SECONDS = 300


class Machines:
    """`service_id`, `name`, and `group`: the instance group that is the entry's backend."""

    def __init__(self, owner: Component, args: ServiceArgs) -> None:
        self.owner, self.args = owner, args
        topology, region = args.topology, args.region.name
        self.physical = names.name(topology, region, "service", limit=paths.LIMIT)
        ServiceLogs(owner, args, of_machines(self.physical))
        self.roles = Roles(owner, args, machines=True)
        manager = self.manager(self.template(), self.check())
        self.scale(manager)
        self.service_id, self.name, self.group = manager.id, manager.name, manager.instance_group

    def template(self) -> gcp.compute.RegionInstanceTemplate:
        """Never changed: a new one takes its place, under a name of its own, while the group still uses the old one."""
        topology, region, compute = self.args.topology, self.args.region.name, gcp.compute
        service = topology.service
        assert service is not None, "checked with the settings"
        user_data = pulumi.Output.all(**environment(self.args)).apply(
            lambda told: startup.cloud_config(self.physical, service, told)
        )
        return compute.RegionInstanceTemplate(
            f"{self.owner.name}-template",
            name_prefix=f"{names.name(topology, region, limit=PREFIX_LIMIT - 1)}-",
            project=self.args.ground,
            region=region,
            machine_type=machine_type(service),
            disks=[
                compute.RegionInstanceTemplateDiskArgs(
                    boot=True,
                    auto_delete=True,
                    source_image=IMAGE,
                    disk_type="pd-balanced",
                    disk_size_gb=DISK_GB,
                    disk_encryption_key=compute.RegionInstanceTemplateDiskDiskEncryptionKeyArgs(
                        kms_key_self_link=self.args.key_ids["storage"]
                    ),
                )
            ],
            network_interfaces=[
                # Without an address of its own in the internet.
                compute.RegionInstanceTemplateNetworkInterfaceArgs(
                    subnetwork=self.args.network.subnet_ids["private"][0]
                )
            ],
            service_account=compute.RegionInstanceTemplateServiceAccountArgs(
                email=self.roles.email,
                scopes=["cloud-platform"],  # what it may do is IAM's to say, not this older way's (SDK)
            ),
            shielded_instance_config=compute.RegionInstanceTemplateShieldedInstanceConfigArgs(
                enable_secure_boot=True, enable_vtpm=True, enable_integrity_monitoring=True
            ),
            metadata={
                "user-data": user_data,
                "google-logging-enabled": "true",
                "google-monitoring-enabled": "true",
                # Whoever signs in does it with IAM.
                "enable-oslogin": "true",
                "block-project-ssh-keys": "true",
            },
            labels=labels(topology, region=region),
            # A machine needs its rights when it starts.
            opts=self.owner.child(depends_on=[*self.roles.grants]),
        )

    def check(self) -> gcp.compute.HealthCheck:
        """By which the group replaces a machine that is stuck. It asks for nothing outside the machine, and less often
        than the entry: an outage elsewhere must not take all machines away.
        """
        topology, region = self.args.topology, self.args.region.name
        assert topology.service is not None, "checked with the settings"
        return gcp.compute.HealthCheck(
            f"{self.owner.name}-live",
            name=names.name(topology, region, "live", limit=paths.LIMIT),
            project=self.args.ground,
            check_interval_sec=10,
            timeout_sec=5,
            healthy_threshold=2,
            unhealthy_threshold=6,
            http_health_check=gcp.compute.HealthCheckHttpHealthCheckArgs(port=topology.service.port, request_path=LIVE),
            opts=self.owner.child(),
        )

    def manager(
        self, template: gcp.compute.RegionInstanceTemplate, check: gcp.compute.HealthCheck
    ) -> gcp.compute.RegionInstanceGroupManager:
        """In the zones that Google chooses: to name them would replace the group for every one that joins."""
        topology, region, compute = self.args.topology, self.args.region.name, gcp.compute
        assert topology.service is not None, "checked with the settings"
        return compute.RegionInstanceGroupManager(
            f"{self.owner.name}-group",
            name=self.physical,
            project=self.args.ground,
            region=region,
            base_instance_name=names.name(topology, region, limit=INSTANCE_LIMIT),
            versions=[compute.RegionInstanceGroupManagerVersionArgs(instance_template=template.self_link)],
            named_ports=[
                compute.RegionInstanceGroupManagerNamedPortArgs(name=PORT_NAME, port=topology.service.port),
            ],
            auto_healing_policies=compute.RegionInstanceGroupManagerAutoHealingPoliciesArgs(
                health_check=check.id, initial_delay_sec=START_SECONDS
            ),
            # A deployment never has fewer machines than load needs.
            update_policy=compute.RegionInstanceGroupManagerUpdatePolicyArgs(
                type="PROACTIVE",
                minimal_action="REPLACE",
                max_surge_fixed=SURGE,
                max_unavailable_fixed=0,
                instance_redistribution_type="PROACTIVE",
            ),
            # Not waited for, and no `target_size`: the autoscaler says how many.
            wait_for_instances=False,
            opts=self.owner.child(),
        )

    def scale(self, manager: gcp.compute.RegionInstanceGroupManager) -> None:
        topology, region, compute = self.args.topology, self.args.region, gcp.compute
        assert topology.service is not None, "checked with the settings"
        limits = bounds(topology.service, region)
        compute.RegionAutoscaler(
            f"{self.owner.name}-scaling",
            name=self.physical,
            project=self.args.ground,
            region=region.name,
            target=manager.self_link,
            autoscaling_policy=compute.RegionAutoscalerAutoscalingPolicyArgs(
                mode="ON",
                min_replicas=limits.minimum,
                max_replicas=limits.maximum,
                cooldown_period=START_SECONDS,
                stabilization_period=IN_SECONDS,
                cpu_utilization=compute.RegionAutoscalerAutoscalingPolicyCpuUtilizationArgs(target=CPU_FRACTION),
            ),
            opts=self.owner.child(),
        )


def machine_type(service: ServicePlan) -> str:
    """The smallest that holds an instance of the service and the system around it."""
    memory = math.ceil((service.memory_mib + SYSTEM_MIB) / STEP_MIB) * STEP_MIB
    cpus = math.ceil(max(service.cpu, memory / MOST_MIB_EACH) / 2) * 2
    return f"e2-custom-{cpus}-{max(memory, cpus * LEAST_MIB_EACH)}"
