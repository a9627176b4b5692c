"""The certificate of the entry's hostname, which Google renews, proved by a record in its zone.

By DNS, because the other proof works only once the load balancer serves traffic
(cloud.google.com/certificate-manager/docs/domain-authorization). The certificate's domains never change: an edit of
`managed` replaces it (replacement.csv), so another hostname would be another certificate and another entry.
"""

from collections.abc import Sequence
from typing import Any

import pulumi
import pulumi_gcp as gcp

from components.gcp import names, paths
from components.gcp.labels import labels
from components.gcp.ordering import after
from components.gcp.vpc import Options
from topology import Topology

# How long resolvers keep the record by which Google proves and renews; nothing waits for a change of it.
RECORD_SECONDS = 300


class Certificates:
    """`map_id`, given out when the certificate is in the map. Google issues it some minutes later."""

    map_id: pulumi.Output[str]
    entries: list[gcp.certificatemanager.CertificateMapEntry]

    def __init__(self, name: str, topology: Topology, options: Options) -> None:
        hostname, plan = topology.entry.hostname, topology.gcp
        assert hostname is not None, "checked with the settings"
        assert plan is not None, "checked with the settings"
        common: dict[str, Any] = {"project": plan.project, "labels": labels(topology)}
        physical = names.name(topology, "entry", limit=paths.LIMIT)
        # For the domain and for the wildcard below it (SDK: DnsAuthorization, domain).
        authorization = gcp.certificatemanager.DnsAuthorization(
            f"{name}-authorization",
            name=physical,
            domain=hostname,
            location="global",
            type="FIXED_RECORD",
            **common,
            opts=options(),
        )
        records = authorization.dns_resource_records
        record = gcp.dns.RecordSet(
            f"{name}-validation",
            project=plan.project,
            managed_zone=plan.zone_name,
            name=records.apply(lambda known: first(known, "name")),
            type="CNAME",
            rrdatas=[records.apply(lambda known: first(known, "data"))],
            ttl=RECORD_SECONDS,
            opts=options(),
        )
        # A region's own name lies below the entry's, so that it can be called and checked alone.
        domains = {"hostname": hostname, "wildcard": f"*.{hostname}"}
        certificate = gcp.certificatemanager.Certificate(
            f"{name}-certificate",
            name=physical,
            location="global",
            managed=gcp.certificatemanager.CertificateManagedArgs(
                domains=list(domains.values()), dns_authorizations=[authorization.id]
            ),
            **common,
            opts=options(depends_on=[record]),
        )
        certificate_map = gcp.certificatemanager.CertificateMap(
            f"{name}-certificates", name=paths.certificate_map_name(topology), **common, opts=options()
        )
        entries = [
            gcp.certificatemanager.CertificateMapEntry(
                f"{name}-certificates-{kind}",
                name=names.name(topology, kind, limit=paths.LIMIT),
                map=certificate_map.name,
                hostname=domain,
                certificates=[certificate.id],
                **common,
                opts=options(),
            )
            for kind, domain in domains.items()
        ]
        self.entries = entries
        self.map_id = after(certificate_map.id, *entries)


def first(records: Sequence[gcp.certificatemanager.outputs.DnsAuthorizationDnsResourceRecord] | None, part: str) -> str:
    """There is one record per authorization; only a recorder knows of none."""
    return next((str(getattr(record, part)) for record in records or ()), "")
