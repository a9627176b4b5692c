"""A region's load balancer: TLS ends here, and requests go to the tasks that are ready.

It also says by itself, at `/healthz/admitted`, whether the region takes users. See `AdmittedRule`.
"""

import pulumi_aws as aws

from components.aws import admission, names
from components.aws.access_logs import AccessLogs
from components.aws.tags import tags
from components.component import Component
from components.contracts import ServiceArgs

# Of load balancers and target groups: letters, digits and hyphens, 32 at most (ELB API: CreateLoadBalancer).
NAME_LIMIT = 32

# What AWS recommends and its console takes: TLS 1.3 and 1.2 with forward secrecy and AEAD ciphers, post-quantum key
# exchange where the client has it (docs.aws.amazon.com/elasticloadbalancing/latest/application/describe-ssl-policies).
# Without it the API's default would still speak TLS 1.0.
TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"

READY = "/healthz/ready"

# Three failures in half a minute are an outage, one is a blip. ECS replaces a task that fails, and Route 53 looks past
# a region whose tasks all fail.
HEALTH_CHECK = aws.lb.TargetGroupHealthCheckArgs(
    protocol="HTTP",
    path=READY,
    port="traffic-port",
    matcher="200",
    interval=10,
    timeout=5,
    healthy_threshold=2,
    unhealthy_threshold=3,
)

# Requests under way get this long when a task goes; the default of 300 s would make every deployment that slow.
DRAIN_SECONDS = 60
SLOW_START_SECONDS = 30  # the least there is: a new task fills its pools before it has a full share

# Operations alone admit a region or hold it out, in that region itself: a deployment that wrote the rule would undo a
# failover. What stands here is the state that a region is born with.
RULE_IGNORES = ["actions"]


class LoadBalancer:
    """The load balancer and what hangs on it. Of each the id is the ARN (provider: internal/service/elbv2)."""

    balancer: aws.lb.LoadBalancer
    targets: aws.lb.TargetGroup
    listener: aws.lb.Listener
    admitted: aws.lb.ListenerRule

    def __init__(self, owner: Component, args: ServiceArgs) -> None:
        self.owner, self.args = owner, args
        self.name = names.name(args.topology, args.region.name, limit=NAME_LIMIT)
        self.tags = tags(args.topology, self.name, region=args.region.name)
        self.balancer = self.make_balancer(AccessLogs(owner, args))
        self.targets = self.make_targets()
        self.make_redirect()
        self.listener = self.make_listener()
        self.admitted = self.make_admitted()

    def make_balancer(self, logs: AccessLogs) -> aws.lb.LoadBalancer:
        return aws.lb.LoadBalancer(
            f"{self.owner.name}-entry",
            name=self.name,
            load_balancer_type="application",
            internal=False,
            security_groups=[self.args.network.group_ids["entry"]],
            subnets=self.args.network.subnet_ids["public"],
            # Its DNS name and address stand in records, and a new one would have others.
            enable_deletion_protection=True,
            drop_invalid_header_fields=True,
            desync_mitigation_mode="defensive",
            enable_zonal_shift=True,  # so that a zone in trouble can be left by hand
            access_logs=aws.lb.LoadBalancerAccessLogsArgs(bucket=logs.bucket, enabled=True),
            tags=self.tags,
            region=self.args.region.name,
            opts=self.owner.child(depends_on=[logs.ready]),  # ELB tries out the bucket when it is named
        )

    def make_targets(self) -> aws.lb.TargetGroup:
        return aws.lb.TargetGroup(
            f"{self.owner.name}-targets",
            name=self.name,
            target_type="ip",  # the only one for tasks with an address of their own
            protocol="HTTP",
            protocol_version="HTTP1",
            # Stands for nothing: ECS registers each task with the container's port. A change of it would replace the
            # group, so a setting does not belong here.
            port=80,
            vpc_id=self.args.network.network_id,
            health_check=HEALTH_CHECK,
            deregistration_delay=DRAIN_SECONDS,
            slow_start=SLOW_START_SECONDS,
            load_balancing_algorithm_type="round_robin",  # slow start goes with no other (ELB: target group attributes)
            tags=self.tags,
            region=self.args.region.name,
            opts=self.owner.child(),
        )

    def make_redirect(self) -> None:
        redirect = aws.lb.ListenerDefaultActionRedirectArgs(protocol="HTTPS", port="443", status_code="HTTP_301")
        aws.lb.Listener(
            f"{self.owner.name}-http",
            load_balancer_arn=self.balancer.id,
            port=80,
            protocol="HTTP",
            default_actions=[aws.lb.ListenerDefaultActionArgs(type="redirect", redirect=redirect)],
            tags=self.tags,
            region=self.args.region.name,
            opts=self.owner.child(),
        )

    def make_listener(self) -> aws.lb.Listener:
        return aws.lb.Listener(
            f"{self.owner.name}-https",
            load_balancer_arn=self.balancer.id,
            port=443,
            protocol="HTTPS",
            ssl_policy=TLS_POLICY,
            certificate_arn=self.args.certificate_id,
            default_actions=[aws.lb.ListenerDefaultActionArgs(type="forward", target_group_arn=self.targets.id)],
            tags=self.tags,
            region=self.args.region.name,
            opts=self.owner.child(),
        )

    def make_admitted(self) -> aws.lb.ListenerRule:
        """Answered without any task, so that it says what operations decided and nothing else. A region keeps what it
        has when the phase goes up, because nobody but operations may tell whether it was held out on purpose.
        """
        answer = admission.at_birth(self.args.region.serving)
        return aws.lb.ListenerRule(
            f"{self.owner.name}-admitted",
            listener_arn=self.listener.id,
            priority=1,
            conditions=[
                aws.lb.ListenerRuleConditionArgs(
                    path_pattern=aws.lb.ListenerRuleConditionPathPatternArgs(values=[admission.PATH])
                )
            ],
            actions=[
                aws.lb.ListenerRuleActionArgs(
                    type="fixed-response",
                    fixed_response=aws.lb.ListenerRuleActionFixedResponseArgs(
                        content_type="text/plain", status_code=answer.status, message_body=answer.body
                    ),
                )
            ],
            tags=self.tags,
            region=self.args.region.name,
            opts=self.owner.child(ignore_changes=RULE_IGNORES),
        )
