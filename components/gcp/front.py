"""A way in: an address that is the same everywhere, and where TLS ends. A map says which backend service is next."""

from collections.abc import Sequence

import pulumi
import pulumi_gcp as gcp

from components.component import Component
from components.gcp import names, paths
from components.gcp.labels import labels
from topology import Topology

# As long as resolvers keep the address, which never changes.
RECORD_SECONDS = 300


class Front:
    """`address` and `rules`, by which it listens: TLS, and plain HTTP to be sent there."""

    def __init__(
        self,
        owner: Component,
        topology: Topology,
        project: pulumi.Input[str],
        part: str,
        *,
        url_map: gcp.compute.URLMap,
        tls: gcp.compute.SSLPolicy,
    ) -> None:
        self.owner, self.topology, self.project, self.part = owner, topology, project, part
        self.address = self.reserve()
        https = gcp.compute.TargetHttpsProxy(
            f"{owner.name}-{part}-https-proxy",
            name=self.physical(),
            project=project,
            url_map=url_map.id,
            certificate_map=f"//certificatemanager.googleapis.com/{paths.certificate_map(topology)}",
            ssl_policy=tls.id,
            opts=owner.child(),
        )
        redirect = gcp.compute.URLMap(
            f"{owner.name}-{part}-redirect",
            name=self.physical("redirect"),
            project=project,
            default_url_redirect=gcp.compute.URLMapDefaultUrlRedirectArgs(
                https_redirect=True, redirect_response_code="MOVED_PERMANENTLY_DEFAULT", strip_query=False
            ),
            opts=owner.child(),
        )
        http = gcp.compute.TargetHttpProxy(
            f"{owner.name}-{part}-http-proxy",
            name=self.physical("redirect"),
            project=project,
            url_map=redirect.id,
            opts=owner.child(),
        )
        self.rules = [self.listen("https", 443, https.id), self.listen("http", 80, http.id)]

    def physical(self, *parts: str) -> str:
        return names.name(self.topology, self.part, *parts, limit=paths.LIMIT)

    def reserve(self) -> gcp.compute.GlobalAddress:
        """Others have it in their firewalls, and nobody gets a deleted one back. IPv6 would be another one beside it,
        and change nothing here.
        """
        return gcp.compute.GlobalAddress(
            f"{self.owner.name}-{self.part}-address",
            name=self.physical(),
            project=self.project,
            address_type="EXTERNAL",
            ip_version="IPV4",
            labels=labels(self.topology),
            deletion_policy="PREVENT",
            opts=self.owner.child(protect=True),
        )

    def listen(self, scheme: str, port: int, proxy: pulumi.Input[str]) -> gcp.compute.GlobalForwardingRule:
        return gcp.compute.GlobalForwardingRule(
            f"{self.owner.name}-{self.part}-{scheme}",
            name=self.physical(scheme),
            project=self.project,
            # The number: what refers to the address is not what a refresh reads (provider: InternalIpDiffSuppress).
            ip_address=self.address.address,
            ip_protocol="TCP",
            port_range=str(port),
            target=proxy,
            # As the backend services' (backends.py).
            load_balancing_scheme="EXTERNAL_MANAGED",
            # The only one that is global; a project's default may be another.
            network_tier="PREMIUM",
            labels=labels(self.topology),
            opts=self.owner.child(),
        )

    def names(self, hostnames: Sequence[tuple[str, str]]) -> list[gcp.dns.RecordSet]:
        """The records that lead here, each with its part of the logical name. Not before somebody listens."""
        assert self.topology.gcp is not None, "checked with the settings"
        return [
            gcp.dns.RecordSet(
                f"{self.owner.name}-{part}",
                project=self.project,
                managed_zone=self.topology.gcp.zone_name,
                name=f"{hostname}.",
                type="A",
                ttl=RECORD_SECONDS,
                rrdatas=[self.address.address],
                opts=self.owner.child(depends_on=[*self.rules]),
            )
            for part, hostname in hostnames
        ]
