"""A partition of a local stack as an operator finds it: where its servers are, and what can be reached from a place.

All of it is one machine, so nothing but this file keeps an operation honest: what lies behind a link that is cut, and
what belongs to a region of which nothing runs any more, is not touched. That is what a shell in another region can do.
"""

import socket
import ssl
from collections.abc import Iterable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from components.local.servers import certificates, gateway, keeper, paths, process, wan
from components.local.servers.addresses import Addresses, Endpoint
from components.local.servers.errors import ServerFault
from components.local.servers.member import MemberSpec
from components.local.servers.postgres_files import OWNER
from components.local.servers.postgres_session import Connection, session
from operations.errors import Fault
from topology.catalogue import catalogue
from topology.distances import link

if TYPE_CHECKING:
    from collections.abc import Iterator

    from topology import Summary
    from topology.summary import PartitionSummary

# What an answer may take beyond the way there and back, on a busy machine: gateways and keepers take a few ms.
GRACE_SECONDS = 0.25
FAR_MS = 320.0  # the longest way round the world and back, for a region that the catalogue does not know


@contextmanager
def as_faults() -> "Iterator[None]":
    """What a server says, as the fault that a driver may raise."""
    try:
        yield
    except ServerFault as fault:
        raise Fault(str(fault)) from None


@dataclass(frozen=True, kw_only=True)
class Ground:
    folder: Path  # the stack's
    addresses: Addresses
    summary: "Summary"
    partition: "PartitionSummary"
    vantage: str | None
    programs: str | None  # the folder of an installed PostgreSQL, instead of the wheel's

    @cached_property
    def slots(self) -> dict[str, int]:
        return {region.name: region.slot for region in self.summary.regions}

    @cached_property
    def used(self) -> tuple[str, ...]:
        return tuple(region.name for region in self.summary.regions if region.in_use)

    @cached_property
    def members(self) -> dict[str, MemberSpec]:
        """The partition's members, by region."""
        return {
            region.name: MemberSpec(
                stack_folder=self.folder,
                region=region.name,
                member=name,
                endpoint=self.addresses.postgres(region.slot, self.partition.slot),
                size="minimal" if size == "minimal" else "full",
                folder=self.programs,
            )
            for name, size in self.partition.members.items()
            for region in self.summary.regions
            if name in region.members
        }

    def of(self, partition: str) -> "Ground":
        """The same place, and another partition of the stack."""
        found = self.summary.partition(partition)
        if found is None:
            raise Fault(f"the stack has no partition {partition!r}")
        return replace(self, partition=found)

    def member(self, region: str) -> MemberSpec:
        if region not in self.members:
            raise Fault(f"{region} has no member of {self.partition.name}")
        return self.members[region]

    # --- reach -------------------------------------------------------------------------------------------------------

    def reaches(self, region: str) -> bool:
        """Whether a shell could be opened in the region from where the operator stands."""
        return self._lives(region) and (self.vantage is None or self.path(self.vantage, region))

    def path(self, source: str, target: str) -> bool:
        """Whether anything gets through from one region to another and back."""
        if source == target:
            return True
        cut = set(wan.cuts(self.folder))
        ways = {wan.link_name(source, target, users=False), wan.link_name(target, source, users=False)}
        return wan.is_running(self.folder) and not ways & cut

    def _lives(self, region: str) -> bool:
        """A region of which nothing runs has lost its power."""
        home = paths.region_folder(self.folder, region)
        return any(process.running(record.parent) for record in home.rglob(process.RECORD))

    def patience(self, source: str | None, target: str, trips: int) -> float:
        """How long to wait for something that takes so many trips from one region to another and back.

        A region that is gone is waited for in vain, each time somebody looks.
        """
        if source is None or source == target:
            return GRACE_SECONDS
        known = catalogue("local")
        there = source in known and target in known
        return GRACE_SECONDS + trips * (link(known[source], known[target]).rtt_ms if there else FAR_MS) / 1000

    def require(self, region: str) -> None:
        if not self.reaches(region):
            place = f"from {self.vantage}" if self.vantage else "from here"
            raise Fault(f"{region} cannot be reached {place}, or nothing runs there")

    def reachable(self, regions: Iterable[str]) -> tuple[str, ...]:
        return tuple(region for region in regions if self.reaches(region))

    def answers(self, source: str, target: str) -> bool:
        """Whether the target's gateway answers one in the source region: a vantage that is no operator's shell."""
        key, certificate, authority = certificates.region_files(self.folder, source)
        context = ssl.create_default_context(cafile=str(authority))
        context.load_cert_chain(certificate, key)
        address = gateway.writer_endpoint(
            self.addresses, source_slot=self.slots[source], writer_slot=self.slots[target]
        )
        try:
            with (
                # TLS 1.3 takes one trip; the delay proxy takes the connection itself at once.
                socket.create_connection(address, self.patience(source, target, 1)) as plain,
                context.wrap_socket(plain, server_hostname=gateway.service_name(target)),
            ):
                return True
        except OSError:
            return False

    # --- servers -----------------------------------------------------------------------------------------------------

    @contextmanager
    def owner(self, region: str, database: str = "postgres") -> "Iterator[Connection]":
        with session(self.folder, self.member(region).endpoint, OWNER, database) as connection:
            yield connection

    def way_to_writer(self, region: str) -> Endpoint:
        """What a region's member follows: its own gateway, which leads to the writer."""
        return self.addresses.gateway_database(self.slots[region], self.partition.slot)

    def pointed_at(self, region: str, kind: gateway.Pointer) -> str | None:
        return gateway.pointed_at(paths.gateway_folder(self.folder, region), self.partition.name, kind)

    def point(self, region: str, kind: gateway.Pointer, target: str) -> bool:
        endpoint = gateway.writer_endpoint(
            self.addresses, source_slot=self.slots[region], writer_slot=self.slots[target]
        )
        return gateway.point(paths.gateway_folder(self.folder, region), kind, self.partition.name, target, endpoint)

    def other_members(self, region: str) -> list[str]:
        return [spec.member for name, spec in self.members.items() if name != region]

    @cached_property
    def keepers(self) -> keeper.Keepers | None:
        """The keepers that were set up; None where the stack has no lease."""
        regions = [name for name in self.slots if (paths.keeper_folder(self.folder, name) / "config.json").exists()]
        if not regions:
            return None
        return keeper.Keepers(
            stack=self.folder,
            addresses=self.addresses,
            slots={name: self.slots[name] for name in regions},
            vantage=self.vantage,
        )

    def keepers_from(self, region: str) -> keeper.Keepers | None:
        """The keepers as a shell in that region sees them, which is how a region's own one is spoken to."""
        return replace(self.keepers, vantage=region) if self.keepers and region in self.keepers.slots else None
