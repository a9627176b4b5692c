"""What breaks in a drill, on a local stack, and how it is taken back."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from components.local.servers import paths, postgres, process, service, wan
from components.local.servers.account import account
from components.local.servers.addresses import Addresses, Endpoint
from components.local.servers.errors import ServerFault
from components.local.servers.member import MemberSpec
from components.local.servers.postgres_files import DATABASE, OWNER, SETTINGS
from components.local.servers.postgres_session import session
from components.local.servers.process import ServerSpec
from operations.drill.places import Cast
from operations.drill.scenario import Action
from operations.errors import Fault

SPARE = 32 * 2**20  # bytes that are left free on the small disk
FILLER = "filler"
TABLE = "public.orders"
COPIED_SECONDS = 10.0

Undo = Callable[[], None]


@dataclass
class Faults:
    stack_folder: Path
    addresses: Addresses
    slots: dict[str, int]
    members: dict[str, MemberSpec]
    cast: Cast
    undo: list[Undo] = field(default_factory=list)
    killed: dict[str, float] = field(default_factory=dict)  # region -> when its member was killed
    dropped_at: float | None = None  # the last moment, by the writer's clock, at which the table was surely there
    gone_at: float | None = None  # and the first at which it was not: it waits for whoever is writing
    copied_after: float | None = None  # seconds until no member had it any more
    disks: dict[str, int] = field(default_factory=dict)  # region -> the small disk's folder, held open

    def prepare(self, action: Action) -> None:
        """What has to stand before users come."""
        if action.do == "fill-disk":
            for region in self.cast.find(action.where):
                self._small_disk(region)

    def begin(self, action: Action) -> None:
        regions = self.cast.find(action.where)
        match action.do:
            case "kill":
                for region in regions:
                    self._kill(region, action.what)
            case "cut" | "isolate":
                ends = self._ends(action) if action.do == "cut" else self._others(regions)
                self._cut(self._ways(regions, ends, users=action.users))
            case "slow":
                self._slow(self._ways(regions, self._ends(action), users=True), action.milliseconds)
            case "fill-disk":
                for region in regions:
                    self._fill(region)
            case "deploy":
                for region in regions:
                    self._deploy(region)
            case "drop-table":
                for region in regions:
                    self._drop_table(region)
            case _:
                raise Fault(f"{action.do} is not done here")

    def heal(self) -> None:
        """Take everything back, the last first. Servers that were killed are for `up` to start."""
        while self.undo:
            self.undo.pop()()

    # --- servers -----------------------------------------------------------------------------------------------------

    def _kill(self, region: str, what: str) -> None:
        if what == "region":
            # The lines go with the power: what is under way is lost, and nobody hears a last word.
            self._cut(self._ways((region,), self._others((region,)), users=True))
            folders = [path.parent for path in paths.region_folder(self.stack_folder, region).rglob(process.RECORD)]
        elif what == "member":
            folders = [self.members[region].home]
        else:
            folders = [paths.region_folder(self.stack_folder, region) / what]
        kill(folders)
        if what in ("region", "member"):
            self.killed[region] = time.time()

    def _deploy(self, region: str) -> None:
        """A version of the service that starts, and finds its database nowhere."""
        folder = paths.service_folder(self.stack_folder, region)
        config = json.loads((folder / "config.json").read_text())
        for member in config["members"].values():
            member["port"] = 1
        paths.write_json(folder / "bad.json", config)
        listen = self.addresses.service(self.slots[region])
        service.stop(self.stack_folder, region)
        process.start(
            ServerSpec(
                name=f"a bad version of the service of {region}",
                folder=folder,
                stack_folder=self.stack_folder,
                log=folder / "service.log",
                endpoints=(listen,),
                command=(sys.executable, "-m", "service", str(folder / "bad.json")),
                working_folder=paths.PROJECT,
                environment={"PYTHONPATH": str(paths.PROJECT), "PYTHONDONTWRITEBYTECODE": "1"},
            )
        )

        def take_back() -> None:
            process.stop(folder, timeout=5.0)
            (folder / "bad.json").unlink(missing_ok=True)

        self.undo.append(take_back)

    # --- paths -------------------------------------------------------------------------------------------------------

    def _others(self, regions: Iterable[str]) -> tuple[str, ...]:
        return tuple(region for region in self.cast.regions if region not in regions)

    def _ends(self, action: Action) -> tuple[str, ...]:
        return self.cast.find(action.to) if action.to else self._others(self.cast.find(action.where))

    def _ways(self, regions: Iterable[str], ends: Iterable[str], *, users: bool) -> list[str]:
        """The links between two groups of regions, both ways. Users outside lose their way into the region; its own
        users, who are near, do not."""
        found = []
        for here in regions:
            for there in ends:
                found += [wan.link_name(here, there, users=False), wan.link_name(there, here, users=False)]
                found += [wan.link_name(there, here, users=True)] if users else []
        return list(dict.fromkeys(found))

    def _cut(self, names: list[str]) -> None:
        fresh = [name for name in names if name not in wan.cuts(self.stack_folder)]
        if not fresh:
            return
        with ThreadPoolExecutor(len(fresh)) as pool:
            list(pool.map(lambda name: wan.cut(self.stack_folder, name), fresh))

        def restore() -> None:
            for name in fresh:
                wan.restore(self.stack_folder, name)

        self.undo.append(restore)

    def _slow(self, names: list[str], milliseconds: float) -> None:
        folder = paths.wan_folder(self.stack_folder) / "links"
        found = [path for name in names for path in (folder / f"{name}.json", folder / f"{name}.keeper.json")]
        before = {path.stem: link for path in found if (link := paths.read_json(path))}

        def put(delay: float | None) -> None:
            for name, link in before.items():
                wan.put_link(
                    self.stack_folder,
                    name,
                    Endpoint(**link["listen"]),
                    Endpoint(**link["target"]),
                    link["one_way_ms"] if delay is None else delay,
                )

        self.undo.append(lambda: put(None))
        put(milliseconds)

    # --- a disk ------------------------------------------------------------------------------------------------------

    def _small_disk(self, region: str) -> None:
        """Start the member with its log on a disk in memory that only it sees, little larger than what is there."""
        member = self.members[region]
        log = member.data / "pg_wal"
        size = sum(path.stat().st_size for path in log.rglob("*") if path.is_file()) + SPARE
        small = paths.make_folder(member.home / "small-disk")
        postgres.stop(member)
        user = str(os.geteuid() or 65534)
        script = (
            'set -e; mount -t tmpfs -o "size=$1" tmpfs "$2"; cp -a "$3/." "$2/"; mount --bind "$2" "$3"; shift 3; '
            'exec "$@"'
        )
        server = process.start(
            ServerSpec(
                name=f"PostgreSQL {member.member} on a small disk",
                folder=member.home,
                stack_folder=self.stack_folder,
                log=member.home / "postgres.log",
                endpoints=(member.endpoint,),
                command=(
                    *("unshare", "-U", "-r", "-m", "sh", "-c", script, "sh", str(size), str(small), str(log)),
                    *("unshare", "-U", f"--map-user={user}", f"--map-group={user}"),
                    *(str(postgres.programs(member) / "postgres"), "-D", str(member.data)),
                    *("-c", f"config_file={member.home / SETTINGS}"),
                ),
            )
        )
        process.wait_ready(
            lambda: postgres.accepts(member, server), timeout=60.0, what=f"PostgreSQL {member.member}", server=server
        )
        # Held open, the disk outlives the server: what was acknowledged is on it.
        self.disks[region] = os.open(f"/proc/{server.pid}/root{log}", os.O_RDONLY | os.O_DIRECTORY)

        def replace_disk() -> None:
            postgres.stop(member)
            descriptor = self.disks.pop(region)
            there = Path(f"/proc/self/fd/{descriptor}")
            (there / FILLER).unlink(missing_ok=True)
            for entry in log.iterdir():
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
            shutil.copytree(there, log, dirs_exist_ok=True)
            os.close(descriptor)
            small.rmdir()

        self.undo.append(replace_disk)

    def _fill(self, region: str) -> None:
        member = self.members[region]
        with contextlib.suppress(OSError), Path(f"/proc/self/fd/{self.disks[region]}", FILLER).open("wb") as file:
            while True:  # until there is no space left
                file.write(bytes(2**16))
                file.flush()
        # What users write would take a while to fill the segments that are there already.
        with contextlib.suppress(ServerFault), session(self.stack_folder, member.endpoint, OWNER) as connection:
            for _ in range(40):
                connection.execute("select pg_logical_emit_message(true, 'meridian', 'filling'), pg_switch_wal()")

    # --- a mistake ---------------------------------------------------------------------------------------------------

    def _drop_table(self, region: str) -> None:
        """What somebody types at the wrong prompt. It waits for whoever is writing, and then is everywhere."""
        member = self.members[region]
        with session(self.stack_folder, member.endpoint, OWNER, DATABASE) as connection:
            row: Any = connection.execute("select extract(epoch from clock_timestamp())::float8").fetchone()
            self.dropped_at = float(row[0])
            connection.execute(f"drop table {TABLE}")
            self.gone_at = time.time()
        begun = time.monotonic()
        waiting = set(self.members)
        while waiting and time.monotonic() - begun < COPIED_SECONDS:
            waiting = {region for region in waiting if self._has_table(region)}
        if waiting:
            raise Fault(f"{', '.join(sorted(waiting))} still has {TABLE} after {COPIED_SECONDS:.0f} s")
        self.copied_after = time.monotonic() - begun

    def _has_table(self, region: str) -> bool:
        with session(self.stack_folder, self.members[region].endpoint, OWNER, DATABASE) as connection:
            return connection.execute("select to_regclass(%s) is not null", (TABLE,)).fetchone() == (True,)


def unable(actions: Iterable[Action]) -> str | None:
    """Why this machine cannot do it."""
    if any(action.do == "fill-disk" for action in actions) and not can_mount():
        return "a small disk needs user namespaces in which this user may mount, and this machine allows none"
    return None


def kill(folders: Iterable[Path]) -> None:
    """SIGKILL to these servers and all their children: PostgreSQL's have sessions of their own."""
    doomed: list[psutil.Process] = []
    for folder in folders:
        server = process.running(folder)
        if server is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                root = psutil.Process(server.pid)
                doomed += [root, *root.children(recursive=True)]
    for one in doomed:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.send_signal(signal.SIGKILL)


@cache
def can_mount() -> bool:
    """Whether this user may make a small disk, in a user namespace."""
    if sys.platform != "linux" or shutil.which("unshare") is None or account().user is not None:
        return False
    probe = [*account().prefix, "unshare", "-U", "-r", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(probe, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0
