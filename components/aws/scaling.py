"""How many tasks a region runs: between two bounds that come from the plan, and between them by load."""

import math
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.aws import names
from components.aws.load_balancer import LoadBalancer
from components.aws.tags import tags
from components.component import Component
from components.contracts import ServiceArgs
from topology import RegionPlan, ServicePlan

LEAST = 2  # one for each of two zones, or a zone's loss is an outage

CPU_PERCENT = 60.0  # with one of three zones gone, the tasks that are left run at 90
# A second measure beside the processor's, for services that mostly wait. A task that is slower than this needs more
# processors, and then this grows with them.
REQUESTS_PER_MINUTE_AND_CPU = 6000.0

# Out fast and in slowly: too few tasks cost requests, too many a little money.
OUT_SECONDS, IN_SECONDS = 60, 300


@dataclass(frozen=True, kw_only=True)
class Bounds:
    minimum: int
    maximum: int


def bounds(service: ServicePlan, region: RegionPlan) -> Bounds:
    """A standby idles at its fraction, and may grow to what a region at full capacity may: it takes over all users.

    A step from phase 3 to 4 thus raises the minimum and changes nothing else.
    """
    least = max(LEAST, math.ceil(service.minimum * region.capacity))
    return Bounds(minimum=least, maximum=max(service.maximum, least))


class Scaling:
    def __init__(
        self, owner: Component, args: ServiceArgs, balancer: LoadBalancer, resource: pulumi.Output[str]
    ) -> None:
        self.owner, self.args = owner, args
        topology, region = args.topology, args.region
        assert topology.service is not None, "checked with the settings"
        limits = bounds(topology.service, region)
        self.name = names.name(topology, region.name, limit=200)  # of 255 (API: PutScalingPolicy), with its end
        self.target = aws.appautoscaling.Target(
            f"{owner.name}-scaling",
            service_namespace="ecs",
            scalable_dimension="ecs:service:DesiredCount",
            resource_id=resource,
            min_capacity=limits.minimum,
            max_capacity=limits.maximum,
            tags=tags(topology, self.name, region=region.name),
            region=region.name,
            opts=owner.child(),
        )
        self.track("cpu", "ECSServiceAverageCPUUtilization", CPU_PERCENT)
        # "app/<balancer>/<id>/targetgroup/<group>/<id>" (API: PredefinedMetricSpecification).
        label = pulumi.Output.format("{0}/{1}", balancer.balancer.arn_suffix, balancer.targets.arn_suffix)
        requests = REQUESTS_PER_MINUTE_AND_CPU * topology.service.cpu
        self.track("requests", "ALBRequestCountPerTarget", requests, label)

    def track(self, use: str, metric: str, value: float, label: pulumi.Output[str] | None = None) -> None:
        aws.appautoscaling.Policy(
            f"{self.owner.name}-scaling-{use}",
            name=f"{self.name}-{use}",
            policy_type="TargetTrackingScaling",
            service_namespace=self.target.service_namespace,
            scalable_dimension=self.target.scalable_dimension,
            resource_id=self.target.resource_id,
            target_tracking_scaling_policy_configuration=aws.appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationArgs(
                target_value=value,
                predefined_metric_specification=aws.appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationPredefinedMetricSpecificationArgs(
                    predefined_metric_type=metric, resource_label=label
                ),
                scale_out_cooldown=OUT_SECONDS,
                scale_in_cooldown=IN_SECONDS,
            ),
            region=self.args.region.name,
            opts=self.owner.child(),
        )
