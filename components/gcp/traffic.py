"""The one global entry: an address that is the same everywhere, and behind it the regions that serve.

Google's proxies nearest to the user take a request and hand it to the nearest region behind the backend service that
the map leads to. `up` writes what lies behind each backend service, operations where the map leads, and a failover
changes nothing else. docs/adr/0008-entry-on-gcp.md says why.
"""

from collections.abc import Mapping

import pulumi
import pulumi_gcp as gcp

from components.component import Component
from components.contracts import TrafficArgs
from components.gcp import admission, names, paths
from components.gcp.armor import Armor
from components.gcp.backends import Backends
from components.gcp.entry_logs import EntryLogs
from components.gcp.front import Front

# A step changes nothing else in the map either: an update of one thing in it sends all the others as the last refresh
# found them (provider: resourceComputeUrlMapUpdate), so it would take a failover back, or be refused for what it does
# not know of. That is why the regions' own names have a map of their own.
MAP_IGNORES = [
    # The backend service that operations lead users to. Unignored, `up` would send them back where they were held out.
    "defaultService",
    # In its place while they move users little by little: weights of two backend services.
    "defaultRouteAction",
]


class Traffic(Component):
    """Outputs: `entry`, the URL users call, and `levers`: `map`, whose default service is what operations change;
    `planned`, the backend service it has at birth; `without/<region>`, the one that holds the region out, where another
    could take its users; `alone/<region>`, the region's own.
    """

    entry: pulumi.Output[str]
    levers: dict[str, pulumi.Output[str]]

    def __init__(self, name: str, args: TrafficArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gcp", name, opts)
        self.args, self.topology = args, args.topology
        assert self.topology.entry.hostname is not None, "checked with the settings"
        self.hostname = self.topology.entry.hostname
        self.regions = [region.name for region in admission.serving(self.topology)]
        services = Backends(self, args, Armor(self, self.topology, args.ground).policy_id).services
        users, own = self.of_users(services), self.of_regions(services)
        EntryLogs(self, args, [users, own])
        tls = self.tls()
        front = Front(self, self.topology, args.ground, "entry", url_map=users, tls=tls)
        (record,) = front.names([("record", self.hostname)])
        beside = Front(self, self.topology, args.ground, "regions", url_map=own, tls=tls)
        beside.names([(f"{region}-own", f"{region}.{self.hostname}") for region in self.regions])
        # Known from the settings, but nobody should be told to call it before it leads anywhere.
        self.entry = record.id.apply(lambda _: f"https://{self.hostname}")
        self.levers = {"map": users.id, admission.PLANNED: services[admission.PLANNED].id}
        for region in self.regions:
            self.levers[f"alone/{region}"] = services[admission.alone(region)].id
            if admission.without(region) in services:
                self.levers[f"without/{region}"] = services[admission.without(region)].id
        self.expose(entry=self.entry, levers=self.levers)

    def physical(self, part: str) -> str:
        return names.name(self.topology, part, limit=paths.LIMIT)

    def of_users(self, services: Mapping[str, gcp.compute.BackendService]) -> gcp.compute.URLMap:
        """Leads where operations say. It waits for all that they may say: what it leads to cannot be deleted first."""
        return gcp.compute.URLMap(
            f"{self.name}-map",
            name=self.physical("entry"),
            project=self.args.ground,
            default_service=services[admission.PLANNED].id,
            opts=self.child(depends_on=[*services.values()], ignore_changes=MAP_IGNORES),
        )

    def of_regions(self, services: Mapping[str, gcp.compute.BackendService]) -> gcp.compute.URLMap:
        """A region's own name leads to it alone whatever was decided, so that it can be tried before it is admitted.
        Any other is sent to the entry.
        """
        return gcp.compute.URLMap(
            f"{self.name}-regions-map",
            name=self.physical("regions"),
            project=self.args.ground,
            default_url_redirect=gcp.compute.URLMapDefaultUrlRedirectArgs(
                host_redirect=self.hostname,
                https_redirect=True,
                redirect_response_code="TEMPORARY_REDIRECT",
                strip_query=False,
            ),
            host_rules=[
                gcp.compute.URLMapHostRuleArgs(hosts=[f"{region}.{self.hostname}"], path_matcher=region)
                for region in self.regions
            ],
            path_matchers=[
                gcp.compute.URLMapPathMatcherArgs(name=region, default_service=services[admission.alone(region)].id)
                for region in self.regions
            ],
            opts=self.child(),
        )

    def tls(self) -> gcp.compute.SSLPolicy:
        return gcp.compute.SSLPolicy(
            f"{self.name}-tls",
            name=self.physical("entry"),
            project=self.args.ground,
            profile="MODERN",
            min_tls_version="TLS_1_2",
            opts=self.child(),
        )
