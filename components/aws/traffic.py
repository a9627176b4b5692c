"""The one global entry: the hostname, and the ways that lead users to the regions that serve.

The hostname has one latency record per region that serves, from phase 1 and for ever: Route 53 lets no other policy
stand beside them, and a swap would take the name away in between. A step changes which regions have a record and which
health check stands behind it, the setting `aws.entry` where the records lead, and a failover none of them.
docs/adr/0007-entry-on-aws.md says why.
"""

import pulumi
import pulumi_aws as aws

from components.aws.accelerator import Accelerator
from components.aws.firewall import Firewall
from components.aws.health_checks import HealthChecks
from components.component import Component
from components.contracts import TrafficArgs


class Traffic(Component):
    """Outputs: `entry`, the URL users call, and `levers`: `admitted/<region>`, the listener rule that admits the region
    or holds it out, and `check/<region>`, the health check behind its record. With an accelerator,
    `endpoint-group/<region>` in their place.
    """

    entry: pulumi.Output[str]
    levers: dict[str, pulumi.Output[str]]

    def __init__(self, name: str, args: TrafficArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("aws", name, opts)
        self.args = args
        topology = args.topology
        assert topology.aws is not None, "checked with the settings"
        self.zone_id, self.hostname = topology.aws.zone_id, topology.entry.hostname
        serving = [region for region in topology.regions_in_use if region.has_service]
        own = {region.name: self.own(region.name) for region in serving}
        records: list[aws.route53.Record] = []
        self.levers = {}
        if topology.aws.entry == "global-accelerator":
            accelerator = Accelerator(self, topology, serving, args.services)
            for region in own:
                records.append(self.latency(region, own[region], accelerator.alias))
                self.levers[f"endpoint-group/{region}"] = accelerator.groups[region].id
        else:
            for region in own:
                check = HealthChecks(self, topology, region, own[region]).behind(topology.entry.policy)
                records.append(self.latency(region, own[region], self.balancer(region), check))
                self.levers[f"admitted/{region}"] = args.services[region].attachments["admitted_rule_arn"]
                self.levers[f"check/{region}"] = check
        # Known from the settings, but nobody should be told to call it before it leads anywhere.
        self.entry = pulumi.Output.all(*[record.id for record in records]).apply(lambda _: f"https://{self.hostname}")
        self.expose(entry=self.entry, levers=self.levers)

    def balancer(self, region: str) -> tuple[pulumi.Output[str], pulumi.Output[str]]:
        """The name of the region's load balancer and the hosted zone of that name."""
        found = self.args.services[region].attachments
        return found["load_balancer_dns"], found["load_balancer_zone"]

    def own(self, region: str) -> aws.route53.Record:
        """The region's own name, by which it is checked and called alone. Not before the firewall stands."""
        firewall = Firewall(
            self,
            self.args.topology,
            region,
            load_balancer=self.args.services[region].attachments["load_balancer_arn"],
            key_id=self.args.key_ids[region]["logs"],
        )
        return aws.route53.Record(
            f"{self.name}-{region}-own",
            zone_id=self.zone_id,
            name=f"{region}.{self.hostname}",
            type="A",
            aliases=[alias(self.balancer(region))],
            opts=self.child(depends_on=[firewall.association]),
        )

    def latency(
        self,
        region: str,
        own: aws.route53.Record,
        target: tuple[pulumi.Output[str], pulumi.Output[str]],
        check: pulumi.Output[str] | None = None,
    ) -> aws.route53.Record:
        """With an accelerator all of them lead to it, so that neither the setting nor a step takes a record away."""
        return aws.route53.Record(
            f"{self.name}-{region}",
            zone_id=self.zone_id,
            name=self.hostname,
            type="A",
            set_identifier=region,
            latency_routing_policies=[aws.route53.RecordLatencyRoutingPolicyArgs(region=region)],
            aliases=[alias(target)],
            health_check_id=check,
            opts=self.child(depends_on=[own]),
        )


def alias(target: tuple[pulumi.Output[str], pulumi.Output[str]]) -> aws.route53.RecordAliasArgs:
    """Without `evaluate_target_health`: the health checks look at the tasks where another region may stand in, and
    where none may, a failing home would let Route 53 answer with the standby.
    """
    name, zone_id = target
    return aws.route53.RecordAliasArgs(name=name, zone_id=zone_id, evaluate_target_health=False)
