"""The write endpoint: a record of the stack's private zone that operations own, and that leads to a member's name."""

from collections.abc import Mapping
from functools import cached_property

from operations.drivers.gcp_api import Api
from operations.errors import Fault


class WriteEndpoint:
    """`name` is "host:port"; `hosts` are the members' own names, by region."""

    def __init__(self, api: Api, project: str, name: str, hosts: Mapping[str, str]) -> None:
        self.api, self.project, self.hosts = api, project, hosts
        self.host = f"{name.rpartition(':')[0]}."

    @property
    def path(self) -> str:
        return f"dns/v1/projects/{self.project}/managedZones/{self.zone}/rrsets/{self.host}/CNAME"

    @cached_property
    def zone(self) -> str:
        """By the domain that the name lies in."""
        domain = self.host.partition(".")[2]
        found = self.api("dns", "GET", f"dns/v1/projects/{self.project}/managedZones", {"dnsName": domain})
        zones = [zone["name"] for zone in found.get("managedZones", ()) if zone["visibility"] == "private"]
        if len(zones) != 1:
            raise Fault(f"{len(zones)} private zones of {self.project} are of {domain}; there should be one")
        return zones[0]

    def leads_to(self) -> str | None:
        """The region; None where it leads to no member of this partition."""
        led = {value.rstrip(".") for value in self.api("dns", "GET", self.path).get("rrdatas", ())}
        return next((region for region, host in self.hosts.items() if host in led), None)

    def lead_to(self, region: str) -> bool:
        """Whether there was something to change."""
        now = self.api("dns", "GET", self.path)
        wanted = [f"{self.hosts[region]}."]
        if now.get("rrdatas") == wanted:
            return False
        body = {"name": self.host, "type": "CNAME", "ttl": now["ttl"], "rrdatas": wanted}
        self.api("dns", "PATCH", self.path, None, body)
        return True
