"""Who may talk to whom in the network: nobody, but for what stands here.

One policy for all planned regions, so that a phase changes nothing in it. It says nothing of databases and caches
themselves: they are in networks of Google's, which take in only what comes from this one. Instances always reach the
metadata server and with it DNS and time (cloud.google.com/firewall/docs/firewalls, "always allowed traffic").
"""

from collections.abc import Sequence

import pulumi_gcp as gcp

from components.gcp import names, paths, ranges
from components.gcp.vpc import Options
from topology import Topology

EVERYWHERE = "0.0.0.0/0"

# PostgreSQL's own port, and the one of Cloud SQL's connectors (cloud.google.com/sql/docs/postgres/sql-proxy).
DATABASE_PORTS = ("5432", "3307")

# The discovery endpoint's, and those of the nodes (Network Management API: REDIS_CLUSTER_UNSUPPORTED_PORT).
CACHE_PORTS = ("6379", "11000-13047")

HTTPS = ("443",)

# restricted.googleapis.com (cloud.google.com/vpc/docs/configure-private-google-access): its own rule, so that it stays
# open to those who narrow the one to the internet.
RESTRICTED_APIS = ("199.36.153.4/30",)

# Where Google's front ends and health checks come from (cloud.google.com/load-balancing/docs/health-check-concepts).
HEALTH_CHECKS = ("35.191.0.0/16", "130.211.0.0/22")

# What a rule is known by at Google, so a change replaces it (replacement.csv). There is room between them; those from
# 2147483644 on are Google's own (cloud.google.com/firewall/docs/network-firewall-policies).
PRIORITIES = {
    "databases": 1000,
    "caches": 1100,
    "google-apis": 1200,
    "internet": 1300,
    "health-checks": 2000,
    "deny-ingress": 1_000_000,
    "deny-egress": 1_000_100,
}


class Firewall:
    """`association`: from then on the policy holds."""

    def __init__(self, name: str, topology: Topology, network: gcp.compute.Network, options: Options) -> None:
        self.name, self.project, self.options = name, paths.project(topology), options
        assert topology.service is not None, "checked with the settings"
        assert topology.gcp is not None, "checked with the settings"
        physical = names.name(topology, "firewall", limit=paths.LIMIT)
        self.policy = gcp.compute.NetworkFirewallPolicy(
            f"{name}-firewall", name=physical, project=self.project, opts=options()
        )
        regions = sorted(topology.regions, key=lambda region: region.slot)
        services = [str(ranges.private(region)) for region in regions]
        rules = [
            # To every region's: writes go wherever the writer is, and it moves.
            self.leave("databases", services, [str(ranges.services(region)) for region in regions], DATABASE_PORTS),
            self.leave("caches", services, [str(ranges.isolated(region)) for region in regions], CACHE_PORTS),
            self.leave("google-apis", services, RESTRICTED_APIS, HTTPS),
            # Images and other people's APIs lie beyond the NAT gateway.
            self.leave("internet", services, [EVERYWHERE], HTTPS),
        ]
        if topology.gcp.service == "instance-group":  # Cloud Run checks its instances without the network
            port = (str(topology.service.port),)
            rules.append(self.rule("health-checks", "INGRESS", "allow", "tcp", HEALTH_CHECKS, services, port))
        rules.append(self.rule("deny-ingress", "INGRESS", "deny", "all", [EVERYWHERE], [], []))
        rules.append(self.rule("deny-egress", "EGRESS", "deny", "all", [], [EVERYWHERE], []))
        self.association = gcp.compute.NetworkFirewallPolicyAssociation(
            f"{name}-firewall-network",
            name=physical,
            project=self.project,
            firewall_policy=self.policy.name,
            attachment_target=network.id,
            opts=options(depends_on=rules),
        )

    def leave(
        self, part: str, sources: Sequence[str], destinations: Sequence[str], ports: Sequence[str]
    ) -> gcp.compute.NetworkFirewallPolicyRule:
        return self.rule(part, "EGRESS", "allow", "tcp", sources, destinations, ports)

    def rule(
        self,
        part: str,
        direction: str,
        action: str,
        protocol: str,
        sources: Sequence[str],
        destinations: Sequence[str],
        ports: Sequence[str],
    ) -> gcp.compute.NetworkFirewallPolicyRule:
        return gcp.compute.NetworkFirewallPolicyRule(
            f"{self.name}-firewall-{part}",
            rule_name=part,
            project=self.project,
            firewall_policy=self.policy.name,
            priority=PRIORITIES[part],
            direction=direction,
            action=action,
            match=gcp.compute.NetworkFirewallPolicyRuleMatchArgs(
                src_ip_ranges=list(sources) or None,
                dest_ip_ranges=list(destinations) or None,
                layer4_configs=[
                    gcp.compute.NetworkFirewallPolicyRuleMatchLayer4ConfigArgs(
                        ip_protocol=protocol, ports=list(ports) or None
                    )
                ],
            ),
            # What is let through is in the flow logs already.
            enable_logging=action == "deny",
            opts=self.options(),
        )
