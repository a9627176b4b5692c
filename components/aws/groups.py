"""A network's security groups, one per use, and the rules between them.

No group may open what it does not need: AWS's own rule that lets everything out is taken away by the provider when it
makes a group (SDK, ec2.SecurityGroup: NOTE on Egress rules). Databases and caches answer and call nobody.
"""

from typing import TypeAlias

import pulumi
import pulumi_aws as aws

from components.aws import names
from components.aws.cache import PORT as CACHE_PORT
from components.aws.foundation import PORT as DATABASE_PORT
from components.aws.subnets import EVERYWHERE
from components.aws.tags import tags
from components.component import Component
from components.contracts import NetworkArgs

# 255 characters (EC2 API: CreateSecurityGroup).
NAME_LIMIT = 255

# A change of a group's description replaces it (replacement.csv), so these say nothing that may change.
USES = {
    "entry": "Load balancers",
    "service": "Services",
    "database": "Databases",
    "cache": "Caches",
    "endpoints": "Endpoints of AWS services",
}
HTTP, HTTPS = 80, 443

Ingress, Egress = aws.vpc.SecurityGroupIngressRule, aws.vpc.SecurityGroupEgressRule
RuleType: TypeAlias = type[aws.vpc.SecurityGroupIngressRule] | type[aws.vpc.SecurityGroupEgressRule]


class Groups:
    """`ids` by use. What comes from other regions is in peering.py."""

    ids: dict[str, pulumi.Output[str]]

    def __init__(self, owner: Component, args: NetworkArgs, network_id: pulumi.Input[str]) -> None:
        self.owner, self.args = owner, args
        service, plan = args.topology.service, args.topology.aws
        assert service is not None, "checked with the settings"
        assert plan is not None, "checked with the settings"
        self.ids = {use: self.group(use, network_id) for use in USES}
        for port in (HTTP, HTTPS):
            self.open(Ingress, f"entry-{port}", "entry", port, cidr=EVERYWHERE)
        self.between("entry", "service", service.port)
        self.between("service", "database", DATABASE_PORT)
        # A serverless cache answers reads on the next port too
        # (docs.aws.amazon.com/AmazonElastiCache/latest/dg/set-up.html).
        self.between("service", "cache", CACHE_PORT, CACHE_PORT + (plan.cache_mode == "serverless"))
        # Images and other people's APIs lie beyond the NAT gateway; AWS's own endpoints are in here too.
        self.open(Egress, "service-to-internet", "service", HTTPS, cidr=EVERYWHERE)
        self.open(Ingress, "endpoints-from-network", "endpoints", HTTPS, cidr=str(args.region.cidr))

    def group(self, use: str, network_id: pulumi.Input[str]) -> pulumi.Output[str]:
        topology, region = self.args.topology, self.args.region.name
        name = names.name(topology, region, use, limit=NAME_LIMIT)
        return aws.ec2.SecurityGroup(
            f"{self.owner.name}-{use}",
            name=name,
            description=USES[use],
            vpc_id=network_id,
            tags=tags(topology, name, region=region),
            region=region,
            opts=self.owner.child(),
        ).id

    def between(self, source: str, target: str, port: int, last: int | None = None) -> None:
        self.open(Egress, f"{source}-to-{target}", source, port, last, group=self.ids[target])
        self.open(Ingress, f"{target}-from-{source}", target, port, last, group=self.ids[source])

    def open(
        self,
        kind: RuleType,
        part: str,
        use: str,
        port: int,
        last: int | None = None,
        *,
        cidr: str | None = None,
        group: pulumi.Input[str] | None = None,
    ) -> None:
        region = self.args.region.name
        rule(self.owner, self.args, kind, part, self.ids[use], region, port, last, cidr=cidr, group=group)


def rule(
    owner: Component,
    args: NetworkArgs,
    kind: RuleType,
    part: str,
    of: pulumi.Input[str],
    region: str,
    port: int,
    last: int | None = None,
    *,
    side: str = "",
    cidr: str | None = None,
    group: pulumi.Input[str] | None = None,
) -> None:
    """One rule of the group `of`, in that group's region. `group` may only be one of the same region: across regions
    none can be named (docs.aws.amazon.com/vpc/latest/peering/vpc-peering-security-groups.html). `side` tells rules
    apart that a path brings to both of its ends.
    """
    kind(
        f"{owner.name}-{side}{part}",
        security_group_id=of,
        description=part,
        ip_protocol="tcp",
        from_port=port,
        to_port=last or port,
        cidr_ipv4=cidr,
        referenced_security_group_id=group,
        tags=tags(args.topology, part, region=region),
        region=region,
        opts=owner.child(),
    )
