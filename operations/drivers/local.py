"""The servers of a local stack: how they are, what is left of them, where their logs are."""

import contextlib
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from components.local.servers import (
    binaries,
    entry,
    gateway,
    keeper,
    partition_map,
    paths,
    postgres_status,
    process,
    valkey,
)
from components.local.servers.addresses import Addresses, Endpoint, release
from components.local.servers.errors import ServerFault
from components.local.servers.loopback import opened
from components.local.servers.member import MemberSpec
from components.local.servers.postgres_demotion import is_away
from operations.console import say
from operations.errors import Fault, Refused
from operations.partitions import homes
from topology.homes import born
from topology.witnesses import keepers

if TYPE_CHECKING:
    from operations.stack import Stack
    from topology import Summary, Topology

Health = Literal["up", "down", "absent"]

SECONDS = 2.0  # how long any one question may take


@dataclass(frozen=True, kw_only=True)
class MemberView:
    name: str
    partition: str
    role: Literal["writer", "replica"] | None
    lag_bytes: int | None
    lag_ms: float | None


@dataclass(frozen=True, kw_only=True)
class RegionView:
    name: str
    serving: str
    ready: bool
    gateway: Health
    cache: Health
    service: Health
    members: tuple[MemberView, ...]
    entry: str | None  # what the entry thinks of the region; None where it does not answer


def look(stack_folder: Path, block: str, stack: "Summary") -> list[RegionView]:
    """Every region in use, all servers asked at the same time."""
    addresses = Addresses(block)
    used = [region for region in stack.regions if region.in_use]
    # psycopg and asyncio take a while to import; two threads that import at once would only wait for each other.
    with ThreadPoolExecutor(max(4, 4 * len(used) + 4), thread_name_prefix="look") as pool:

        def ask(question: Callable[..., Any], *words: Any, **more: Any) -> "Future[Any]":
            return pool.submit(question, *words, **more)

        partitions = {
            partition.name: ask(
                postgres_status.statuses,
                stack_folder,
                {
                    member: addresses.postgres(region.slot, partition.slot)
                    for region in used
                    for member in region.members
                    if member in partition.members
                },
                timeout=SECONDS,
            )
            for partition in stack.partitions
        }
        view = ask(entry.view, addresses.entry_admin(), [region.name for region in used])
        ready = {region.name: ask(is_ready, addresses.service(region.slot)) for region in used}
        alive = {region.name: ask(gateway.is_ready, addresses, region.slot) for region in used}
        caches = {
            region.name: ask(valkey.is_up, stack_folder, region.name, addresses.valkey(region.slot)) for region in used
        }
        answers = {name: question.result() for name, question in partitions.items()}
        seen = view.result()
        return [
            RegionView(
                name=region.name,
                serving=region.serving.value,
                # Users come in through the gateway: without it the region serves nobody, whatever its service says.
                ready=_has_service(region) and ready[region.name].result() is True and alive[region.name].result(),
                gateway="up" if alive[region.name].result() else "down",
                cache=("up" if caches[region.name].result() else "down") if region.has_cache else "absent",
                service=("down" if ready[region.name].result() is None else "up") if _has_service(region) else "absent",
                members=tuple(_members(region.members, stack, answers)),
                entry=seen[region.name].state if seen is not None else None,
            )
            for region in used
        ]


def keepers_of(stack_folder: Path, block: str, stack: "Summary") -> dict[str, Health]:
    """How the keeper of each planned region is, by its own answer at its own door; witnesses have one too."""
    slots = {region.name: region.slot for region in stack.regions if region.name in keepers(stack)}
    asked = keeper.Keepers(stack=stack_folder, addresses=Addresses(block), slots=slots)
    found = keeper.views(asked, timeout=SECONDS)
    return {
        region.name: "absent" if region.name not in found else "up" if found[region.name] else "down"
        for region in stack.regions
    }


def _has_service(region: Any) -> bool:
    return region.serving.value != "none"


def _members(names: tuple[str, ...], stack: "Summary", answers: Mapping[str, Mapping[str, Any]]) -> list[MemberView]:
    found = []
    for name in names:
        partition = next(partition.name for partition in stack.partitions if name in partition.members)
        status = answers[partition].get(name)
        found.append(
            MemberView(
                name=name,
                partition=partition,
                role=status.role if status else None,
                lag_bytes=status.lag_bytes if status else None,
                lag_ms=round(status.lag_ms, 1) if status and status.lag_ms is not None else None,
            )
        )
    return found


def is_ready(service: Endpoint, seconds: float = SECONDS) -> bool | None:
    """Whether a region's service takes users; None where it does not answer."""
    try:
        with opened(f"http://{service}/healthz/ready", timeout=seconds) as reply:
            return reply.status == 200
    except urllib.error.HTTPError as fault:
        fault.close()
        return False
    except OSError:
        return None


def await_ready(stack_folder: Path, block: str, stack: "Summary", seconds: float = 15.0) -> None:
    """Return once every region that has a service serves all users; a fault names the regions that serve nobody."""
    waiting = away(stack_folder, block, stack)
    for member in waiting.values():
        say(f"{member} stays down since a failover: `failback` brings it back")
    deadline = time.monotonic() + seconds
    while True:
        serving = [
            region
            for region in look(stack_folder, block, stack)
            if region.service != "absent" and region.name not in waiting
        ]
        if all(region.ready and region.entry in ("healthy", "held out") for region in serving):
            return
        if time.monotonic() > deadline:
            break
        time.sleep(0.2)
    # A region that some users do not reach, as when a link is cut on purpose, is no fault of what was started.
    lame = [region.name for region in serving if not region.ready or region.entry in (None, "unhealthy", "absent")]
    if lame:
        raise Fault(
            f"not serving after {seconds:g} s: {', '.join(lame)}. Everything was started; "
            f"`./meridian logs {lame[0]}` has what its servers say"
        )


def away(stack_folder: Path, block: str, stack: "Summary") -> dict[str, str]:
    """By region, the members that were writers and must not start as such."""
    addresses = Addresses(block)
    return {
        region.name: member
        for region in stack.regions
        for partition in stack.partitions
        for member in region.members
        if member in partition.members
        and is_away(
            MemberSpec(
                stack_folder=stack_folder,
                region=region.name,
                member=member,
                endpoint=addresses.postgres(region.slot, partition.slot),
            ),
            partition.name,
        )
    }


def require_writers_kept(
    stack_folder: Path,
    before: "Summary | None",
    planned: Collection[str],
    writing: Callable[[str], str | None],
) -> None:
    """Refuse a plan without the member that writes now, whichever the settings and the origin say.

    Writes go where the partition map says, and `writing` tells who takes them as far as that can be seen: where they
    are two, neither is dropped.
    """
    if before is None:
        return
    for partition in before.partitions:
        dropped = set(partition.members) - set(planned)
        if not dropped or dropped == set(partition.members):
            continue
        mapped = partition_map.writers(stack_folder, {partition.name: partition.origin})[partition.name]
        for writer in dict.fromkeys((mapped, writing(partition.name))):
            region = before.region(writer) if writer else None
            for name in dropped & set(region.members if region else ()):
                raise Refused(
                    f"regions: {name} writes {partition.name} now, and would be dropped. Move the writer first: "
                    f"`./meridian switchover --partition {partition.name} --to REGION`."
                )


def require_new_slots(stack_folder: Path, planned: "Topology") -> None:
    """Refuse a partition in the slot of one that was given up: some may still know its customers by their old homes."""
    taken = partition_map.retired(stack_folder)
    for partition in planned.partitions:
        if born(partition.slot)[0] in taken:
            raise Refused(
                f"partitions: {partition.name} has slot {partition.slot}, which a partition had that was given up with "
                f"its customers. Give it a `slot` that none ever had, 1 to 15."
            )


def require_homes_kept(stack: "Stack", before: "Summary | None", planned: "Topology") -> None:
    """Refuse to give up a partition that has customers of one that stays: they were moved there."""
    known = partition_map.newest(stack.folder)
    if before is None or known is None:
        return
    kept = [partition.name for partition in planned.partitions]
    given_up = [partition.name for partition in before.partitions if partition.name not in kept]
    found = homes.of_others(partition_map.ranges(known), known.get("born", {}), given_up, kept)
    problems: list[str] = []
    for name, holder, first, last in found:
        text = homes.written(first, last)
        words = ("move", "--homes", text, "--to", name) if text else ("merge", holder, "--to", name)
        span = text or f"{first or 'the first'} to {last}"
        problems.append(
            f"partitions: {holder} has the homes {span}, which {name} began with, and would take their customers "
            f"along. Bring them back first: `{stack.command('partition', *words)}`."
        )
    if problems:
        raise Refused("\n".join(problems))


def check_programs(settings: Any) -> None:
    """The servers' programs, before anything is built: a folder that a setting names is a matter of settings."""
    for key, find, folder in (
        ("postgres_folder", binaries.postgres, settings.postgres_folder),
        ("valkey_folder", binaries.valkey, settings.valkey_folder),
        ("envoy_folder", binaries.envoy, settings.envoy_folder),
    ):
        try:
            find(Path(folder) if folder else None)
        except ServerFault as fault:
            if not folder:
                raise
            raise Refused(f"local.{key}: {folder!r} cannot be used. {fault}") from None


# --- taking down -----------------------------------------------------------------------------------------------------


def sweep(stack_folder: Path) -> int:
    """End every server that still runs from this folder, whoever knows of it, and give the addresses back."""
    ended = 0
    if stack_folder.exists():
        for record in sorted(stack_folder.rglob("*.json")):
            match paths.read_json(record):
                case {"nonce": str(), "boot": str()}:
                    ended += process.stop(record.parent, record=record.name, timeout=5.0)
        ended += _end_marked(stack_folder)
        release(stack_folder)
    return ended


def _end_marked(stack_folder: Path) -> int:
    """Processes that carry the folder in their environment, though no record says so any more."""
    import psutil

    inside = f"{stack_folder}{os.sep}"
    found = []
    for candidate in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if candidate.environ().get(process.MARK_FOLDER, "").startswith(inside):
                found.append(candidate)
    for candidate in found:
        with contextlib.suppress(psutil.Error):
            candidate.terminate()
    _, stubborn = psutil.wait_procs(found, timeout=3.0)
    for candidate in stubborn:
        with contextlib.suppress(psutil.Error):
            candidate.kill()
    psutil.wait_procs(stubborn, timeout=3.0)
    return len(found)


# --- logs ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Log:
    """One file, and the words by which it can be asked for."""

    label: str  # "eu-central/gateway"
    path: Path
    words: frozenset[str]


def logs(stack_folder: Path) -> list[Log]:
    found = []
    for path in sorted(stack_folder.rglob("*.log")):
        where = path.relative_to(stack_folder).parts[:-1]
        if "data" in where:
            continue
        words = tuple(part for part in where if part not in ("regions", "members"))
        stem = path.stem
        label = "/".join(words) or stem
        found.append(Log(label if stem in _MAIN else f"{label}:{stem}", path, frozenset((*words, stem, label))))
    return found


_MAIN = ("postgres", "envoy", "valkey", "service", "wan", "server")


# --- this machine ----------------------------------------------------------------------------------------------------


def platform_problem() -> str | None:
    """Why the servers' wheels may not run here."""
    import platform
    import sys

    supported = "supported are Linux with glibc 2.31 or newer and macOS 15 or newer on Apple silicon"
    elsewhere = "elsewhere the settings under `local` can name the folders of installed servers"
    if sys.platform == "linux":
        library, version = platform.libc_ver()
        if library != "glibc":
            return f"this Linux has no glibc; {supported}; {elsewhere}"
        if tuple(map(int, version.split(".")[:2])) < (2, 31):
            return f"this Linux has glibc {version}; {supported}; {elsewhere}"
    elif sys.platform == "darwin":
        release_ = platform.mac_ver()[0]
        if platform.machine() != "arm64" or int((release_ or "0").split(".")[0]) < 15:
            return f"this is macOS {release_} on {platform.machine()}; {supported}; {elsewhere}"
    else:
        return f"this is {sys.platform}; {supported}; {elsewhere}"
    return None


def free_bytes(folder: Path) -> int:
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def tail(path: Path, lines: int) -> tuple[list[str], int]:
    """The last lines of a file, and where it ends."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - 400 * max(lines, 1)))
            text = file.read(end - file.tell()).decode(errors="replace")
    except OSError:
        return [], 0
    return text.splitlines()[-lines:] if lines else [], end


def follow(found: Callable[[], list[Log]], ends: dict[Path, int], tell: Callable[[Log, str], None]) -> None:
    """Tell every new line, also of logs that appear later, until interrupted."""
    rest: dict[Path, bytes] = {}
    while True:
        for log in found():
            with contextlib.suppress(OSError), log.path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                begin = ends.get(log.path, 0)
                if size < begin:  # set aside, and begun anew
                    begin, rest[log.path] = 0, b""
                file.seek(begin)
                *whole, last = (rest.get(log.path, b"") + file.read()).split(b"\n")
                ends[log.path], rest[log.path] = file.tell(), last
                for line in whole:
                    tell(log, line.decode(errors="replace"))
        time.sleep(0.25)
