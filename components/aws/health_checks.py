"""How Route 53 sees one region: from outside, by the region's own name, whoever is in the hostname's records."""

import pulumi
import pulumi_aws as aws

from components.aws.admission import ADMITTED, PATH
from components.aws.labels import labels
from components.aws.load_balancer import READY
from components.component import Component
from topology import Topology

# Checkers on four continents: Route 53 calls an endpoint unhealthy when 18 % of them or fewer reach it, so that one
# continent's trouble is nobody's outage (docs.aws.amazon.com/Route53/latest/DeveloperGuide/
# dns-failover-determining-health-of-endpoints.html). Three at least; once set, the list can only be changed (SDK).
CHECKERS = ("ap-northeast-1", "ap-southeast-1", "eu-west-1", "sa-east-1", "us-east-1", "us-west-2")

# Three failures at this interval are half a minute and an outage, one is a blip. Another interval replaces the check.
INTERVAL_SECONDS, FAILURES = 10, 3


class HealthChecks:
    """All of them from the day that the region serves, whatever the phase needs: a new check counts as healthy until
    there is data, so one that came with a step would let users into a region that is held out.
    """

    home: aws.route53.HealthCheck
    nearest: aws.route53.HealthCheck

    def __init__(self, owner: Component, topology: Topology, region: str, name: aws.route53.Record) -> None:
        self.owner, self.topology, self.region = owner, topology, region
        self.fqdn = f"{region}.{topology.entry.hostname}"
        self.name = name
        # Admission alone. With one region admitted at a time there is nowhere better to send users when its tasks
        # fail, and when all checks fail Route 53 answers with every record: the standby would get users unpromoted.
        self.home = self.endpoint("admitted", PATH, search=ADMITTED.body)
        # Not held out, and ready: any region can stand in for another.
        both = [self.endpoint("open", PATH), self.endpoint("ready", READY)]
        self.nearest = aws.route53.HealthCheck(
            f"{owner.name}-{region}-serves",
            type="CALCULATED",
            child_healthchecks=[check.id for check in both],
            child_health_threshold=len(both),
            tags=labels(topology, region, "serves"),
            opts=owner.child(),
        )

    def endpoint(self, use: str, path: str, *, search: str | None = None) -> aws.route53.HealthCheck:
        """Never `disabled`, which counts as healthy (SDK). The certificate is not looked at; an alarm does that."""
        return aws.route53.HealthCheck(
            f"{self.owner.name}-{self.region}-{use}",
            type="HTTPS" if search is None else "HTTPS_STR_MATCH",
            search_string=search,
            fqdn=self.fqdn,
            port=443,
            resource_path=path,
            enable_sni=True,
            request_interval=INTERVAL_SECONDS,
            failure_threshold=FAILURES,
            measure_latency=True,
            regions=list(CHECKERS),
            tags=labels(self.topology, self.region, use),
            # Before the name exists resolvers would learn that it does not, and keep that for minutes.
            opts=self.owner.child(depends_on=[self.name]),
        )

    def behind(self, policy: str) -> pulumi.Output[str]:
        return self.home.id if policy == "home" else self.nearest.id
