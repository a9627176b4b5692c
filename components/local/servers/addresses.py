"""The one place that says where every server and link of a local stack listens.

On Linux all of 127.0.0.0/8 is this machine, so a stack takes a block of it ("127.20" is 127.20.0.0/16) and every server
keeps its standard port. Where only 127.0.0.1 answers (macOS), or a standard port is taken on every address, the block
is a range of ports ("127.0.0.1:21000").

A block is claimed once, in a registry that all clones of this user share, and kept until it is released.
"""

import errno
import fcntl
import json
import os
import re
import socket
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from components.local.servers import paths
from components.local.servers.errors import ServerFault

SLOTS = 16  # of regions, and of places where users are
PARTITION_SLOTS = 16

ADDRESS_BLOCKS = tuple(f"127.{second}" for second in range(20, 250))

# Below 32768, where Linux starts to hand out ports for outgoing connections (ip_local_port_range); macOS at 49152.
PORTS_IN_BLOCK = 1440
PORT_BLOCKS = tuple(f"127.0.0.1:{base}" for base in range(21000, 32768 - PORTS_IN_BLOCK, PORTS_IN_BLOCK))

# Offsets in a block of ports: a row for each region slot, then the tables of links, then the entry.
_GATEWAY_HTTP, _GATEWAY_PEER, _GATEWAY_EGRESS, _GATEWAY_ADMIN, _VALKEY, _SERVICE = range(6)
_GATEWAY_DATABASE = 6
_POSTGRES = _GATEWAY_DATABASE + PARTITION_SLOTS
_KEEPER = _POSTGRES + PARTITION_SLOTS
_ROW = 40
_LINKS = _ROW * SLOTS
_USER_LINKS = _LINKS + SLOTS * SLOTS
_KEEPER_LINKS = _USER_LINKS + SLOTS * SLOTS
_ENTRY = _KEEPER_LINKS + SLOTS * SLOTS


class Endpoint(NamedTuple):
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Addresses:
    """Every endpoint of a stack, computed from its block and the slots of its regions, users and partitions."""

    block: str

    def __post_init__(self) -> None:
        if self.block not in ADDRESS_BLOCKS and not re.fullmatch(r"127\.0\.0\.1:\d{4,5}", self.block):
            raise ServerFault(f"the address block {self.block!r} is neither like 127.20 nor like 127.0.0.1:21000")

    @cached_property
    def _base(self) -> int | None:
        _, colon, base = self.block.partition(":")
        return int(base) if colon else None

    def _region(self, slot: int, last: int, port: int, offset: int) -> Endpoint:
        _check("region slot", slot, SLOTS)
        if self._base is not None:
            return Endpoint("127.0.0.1", self._base + _ROW * slot + offset)
        return Endpoint(f"{self.block}.{slot + 1}.{last}", port)

    def gateway_http(self, slot: int) -> Endpoint:
        """Where a region's users come in."""
        return self._region(slot, 1, 8080, _GATEWAY_HTTP)

    def gateway_peer(self, slot: int) -> Endpoint:
        """Where other regions come in, by mutual TLS."""
        return self._region(slot, 1, 8443, _GATEWAY_PEER)

    def gateway_egress(self, slot: int) -> Endpoint:
        """Where the region's own service reaches the service beside a partition's writer."""
        return self._region(slot, 1, 8081, _GATEWAY_EGRESS)

    def gateway_database(self, slot: int, partition_slot: int) -> Endpoint:
        """Where a region reaches the PostgreSQL that is a partition's writer, wherever that is."""
        _check("partition slot", partition_slot, PARTITION_SLOTS)
        return self._region(slot, 1, 6400 + partition_slot, _GATEWAY_DATABASE + partition_slot)

    def gateway_admin(self, slot: int) -> Endpoint:
        return self._region(slot, 1, 9901, _GATEWAY_ADMIN)

    def postgres(self, slot: int, partition_slot: int) -> Endpoint:
        _check("partition slot", partition_slot, PARTITION_SLOTS)
        return self._region(slot, 10 + partition_slot, 5432, _POSTGRES + partition_slot)

    def valkey(self, slot: int) -> Endpoint:
        return self._region(slot, 60, 6379, _VALKEY)

    def service(self, slot: int) -> Endpoint:
        return self._region(slot, 80, 8000, _SERVICE)

    def keeper(self, slot: int) -> Endpoint:
        """Where a region's keeper answers, by mutual TLS."""
        return self._region(slot, 90, 7600, _KEEPER)

    def entry(self) -> Endpoint:
        """The one address that users call."""
        return self._global(8080, 0)

    def entry_admin(self) -> Endpoint:
        return self._global(9901, 1)

    def restored(self, partition_slot: int) -> Endpoint:
        """A partition as it was at some time, restored beside its members."""
        _check("partition slot", partition_slot, PARTITION_SLOTS)
        if self._base is not None:
            return self._global(5432, 2 + partition_slot)
        return Endpoint(f"{self.block}.0.{10 + partition_slot}", 5432)

    def _global(self, port: int, offset: int) -> Endpoint:
        if self._base is not None:
            return Endpoint("127.0.0.1", self._base + _ENTRY + offset)
        return Endpoint(f"{self.block}.0.1", port)

    def link(self, source_slot: int, target_slot: int) -> Endpoint:
        """What a region sees of another region: the delay proxy, which leads to that region's peer port."""
        return self._link(source_slot, target_slot, 128, 8443, _LINKS)

    def keeper_link(self, source_slot: int, target_slot: int) -> Endpoint:
        """What a region sees of another region's keeper: the delay proxy, as for everything between the two."""
        return self._link(source_slot, target_slot, 128, 7600, _KEEPER_LINKS)

    def user_link(self, user_slot: int, target_slot: int) -> Endpoint:
        """What users in one place see of a region: the delay proxy, which leads to that region's gateway."""
        return self._link(user_slot, target_slot, 64, 8080, _USER_LINKS)

    def _link(self, source: int, target: int, third: int, port: int, offset: int) -> Endpoint:
        _check("slot", source, SLOTS)
        _check("slot", target, SLOTS)
        if self._base is not None:
            return Endpoint("127.0.0.1", self._base + offset + SLOTS * source + target)
        return Endpoint(f"{self.block}.{third + source}.{target + 1}", port)

    def every(self) -> Iterator[Endpoint]:
        """All endpoints that the block can ever use."""
        yield from (self.entry(), self.entry_admin())
        yield from map(self.restored, range(PARTITION_SLOTS))
        for slot in range(SLOTS):
            yield from (self.gateway_http(slot), self.gateway_peer(slot), self.gateway_egress(slot))
            yield from (self.gateway_admin(slot), self.valkey(slot), self.service(slot))
            yield self.keeper(slot)
            for partition in range(PARTITION_SLOTS):
                yield from (self.gateway_database(slot, partition), self.postgres(slot, partition))
            for target in range(SLOTS):
                yield from (self.link(slot, target), self.user_link(slot, target), self.keeper_link(slot, target))


def _check(what: str, slot: int, count: int) -> None:
    if not 0 <= slot < count:
        raise ServerFault(f"{what} {slot} is outside 0 to {count - 1}, which is what a local stack has addresses for")


def is_free(endpoint: Endpoint) -> bool:
    """Whether a server could listen there now. A connection that lingers from an earlier server does not count."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(endpoint)
        except OSError as fault:
            if fault.errno in (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES):
                return False
            raise
    return True


def claim(stack_folder: Path, *, kept: str | None = None) -> str:
    """The stack's block: the one it has, else a free one, which it keeps from now on.

    `kept` is the block that it is known to have, should its own record of that be lost.
    """
    with _registry() as registry:
        if kept is not None and _recorded(stack_folder) != kept:
            paths.write_json(paths.block_file(stack_folder), {"block": kept}, durable=True)
        kept = _recorded(stack_folder)
        if kept is not None:
            Addresses(kept)
            holder = _holder(registry, kept)
            if holder is not None and holder != stack_folder.resolve():
                raise ServerFault(
                    f"the address block {kept} of {stack_folder} is also in use by {holder} (was the folder copied?); "
                    "take one of the two stacks down, or delete the copied folder"
                )
            if holder is None:
                _write_claim(registry, kept, stack_folder)
            return kept
        for block in _candidates():
            if _holder(registry, block) is None and all(map(is_free, Addresses(block).every())):
                # The lock is held: whoever comes next sees both files, or after a kill a stale claim.
                _write_claim(registry, block, stack_folder)
                paths.write_json(paths.block_file(stack_folder), {"block": block}, durable=True)
                return block
    raise ServerFault(
        f"no free block of loopback addresses or ports is left; blocks in use are listed in {_registry_folder()}: "
        "take a stack down that is not needed"
    )


def claimed(stack_folder: Path) -> str | None:
    """The block that the stack has and that the registry knows as its own. Reads only."""
    kept = _recorded(stack_folder)
    if kept is None or _claimant(_registry_folder(), kept) != stack_folder.resolve():
        return None
    return kept


def release(stack_folder: Path) -> None:
    with _registry() as registry:
        kept = _recorded(stack_folder)
        if kept is not None and _claimant(registry, kept) == stack_folder.resolve():
            _claim_file(registry, kept).unlink(missing_ok=True)
        paths.block_file(stack_folder).unlink(missing_ok=True)


def _candidates() -> Iterator[str]:
    mode = os.environ.get("MERIDIAN_ADDRESSING", "")
    if mode not in ("", "addresses", "ports"):
        raise ServerFault(
            f"MERIDIAN_ADDRESSING is {mode!r}; it may be addresses or ports, or unset to choose by machine"
        )
    if mode == "addresses" or (mode == "" and is_free(Endpoint(f"{ADDRESS_BLOCKS[0]}.0.1", 0))):
        yield from _from_own_place(ADDRESS_BLOCKS)
    if mode != "addresses":
        yield from _from_own_place(PORT_BLOCKS)


def _from_own_place(blocks: tuple[str, ...]) -> tuple[str, ...]:
    """The user's own registry begins with the first block.

    Registries that were put elsewhere, as by tests, know nothing of it or of each other's stacks that are down at the
    moment, so each of them begins at another place.
    """
    state = os.environ.get("XDG_STATE_HOME")
    place = zlib.crc32(state.encode()) % len(blocks) if state else 0
    return blocks[place:] + blocks[:place]


def _registry_folder() -> Path:
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "meridian" / "blocks"


@contextmanager
def _registry() -> Iterator[Path]:
    folder = paths.make_folder(_registry_folder())
    with (folder / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def _claim_file(registry: Path, block: str) -> Path:
    return registry / block.replace(":", "-")


def _write_claim(registry: Path, block: str, stack_folder: Path) -> None:
    paths.write_json(_claim_file(registry, block), {"folder": str(stack_folder.resolve())}, durable=True)


def _claimant(registry: Path, block: str) -> Path | None:
    match paths.read_json(_claim_file(registry, block)):
        case {"folder": str(folder)}:
            return Path(folder)
    return None


def _holder(registry: Path, block: str) -> Path | None:
    """Whose block it is. A claim whose folder is gone, or says otherwise, is stale."""
    folder = _claimant(registry, block)
    if folder is None:
        return None
    try:
        return folder if _recorded(folder) == block else None
    except (PermissionError, ServerFault):
        return folder  # what cannot be read may well be in use


def _recorded(stack_folder: Path) -> str | None:
    path = paths.block_file(stack_folder)
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError:
        content = None
    match content:
        case {"block": str(block)}:
            return block
    raise ServerFault(f"{path} is damaged; it should read like " + '{"block": "127.20"}')
