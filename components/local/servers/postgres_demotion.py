"""A member that was writer and is to follow another: kept from writing, rewound, and read apart from everybody.

`standby.signal` is what makes a data folder a replica's. It is written as soon as the old writer is stopped, so that
whoever starts the server by then starts one that cannot write.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from components.local.servers import partition_map, paths, postgres, process, progress, secrets
from components.local.servers.addresses import Endpoint
from components.local.servers.errors import ServerFault
from components.local.servers.member import MemberSpec
from components.local.servers.postgres_files import (
    OWNER,
    PASSWORD_FILE,
    REPLICATOR,
    SETTINGS,
    UPSTREAM,
    password_line,
    quoted,
    synchronous_standbys,
    upstream,
)
from components.local.servers.postgres_session import session
from components.local.servers.process import ServerSpec
from components.local.servers.progress import OnWait

SIGNAL = "standby.signal"
AUTO = "postgresql.auto.conf"
REWINDING = "rewinding.json"

HOLD = "default_transaction_read_only"
APART_SECONDS = 60.0
STALL_SECONDS = 60.0

# What pg_controldata calls a writer that ended in order (pg_controldata.c, dbState): its checkpoint is the last that it
# wrote. A replica that was "shut down in recovery" may have received far more than it had replayed.
_CLEAN = "shut down"


@dataclass(frozen=True, kw_only=True)
class Control:
    """What a data folder says of itself while no server runs on it."""

    clean: bool
    checkpoint: int
    timeline: int
    recovery_end: int
    """How far a replica's data reach at least; 0 for a writer's."""

    segment: int
    """The size of a file of the log."""

    @property
    def last(self) -> int:
        return max(self.checkpoint, self.recovery_end)


@dataclass(frozen=True, kw_only=True)
class Fork:
    """Where two members' histories part."""

    timeline: int  # the one that was left
    at: int


def control(member: MemberSpec) -> Control:
    done = subprocess.run(
        [postgres.programs(member) / "pg_controldata", member.data],
        env={"LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    words = dict(re.findall(r"^([^:]+):\s+(.*)$", done.stdout, re.MULTILINE))
    try:
        return Control(
            clean=words["Database cluster state"] == _CLEAN,
            checkpoint=lsn(words["Latest checkpoint location"]),
            # A replica's last restart point may be older than its last timeline.
            timeline=max(
                int(words["Latest checkpoint's TimeLineID"]), int(words["Min recovery ending loc's timeline"])
            ),
            recovery_end=lsn(words["Minimum recovery ending location"]),
            segment=int(words["Bytes per WAL segment"]),
        )
    except KeyError:
        raise ServerFault(f"pg_controldata cannot read {member.data}: {done.stderr.strip() or done.stdout}") from None


def is_replica(member: MemberSpec) -> bool:
    return (member.data / SIGNAL).exists()


def is_away(member: MemberSpec, partition: str) -> bool:
    """Whether only a rejoin may start it.

    A failover that could not reach it left it with a writer's data, and the newest map says that another region writes:
    it would be a second one. Or a rewind was cut short, and nobody knows what its data are.
    """
    if rewind_was_cut_short(member):
        return True
    known = partition_map.newest(member.stack_folder)
    writer = known["partitions"].get(partition, {}).get("writer", member.region) if known else member.region
    return writer != member.region and member.data.exists() and not is_replica(member)


def demote(member: MemberSpec, source: Endpoint) -> bool:
    """Whoever starts this stopped member from now on starts a replica. Whether it was none."""
    if member.data.exists() and not is_replica(member):
        paths.write_atomic(member.data / SIGNAL, "", durable=True)
        changed = True
    else:
        changed = False
    paths.write_atomic(
        member.home / PASSWORD_FILE, password_line(REPLICATOR, secrets.read_password(member.stack_folder, REPLICATOR))
    )
    paths.write_if_changed(member.home / UPSTREAM, upstream(member, source, member.slot))
    return changed


def restore(member: MemberSpec) -> bool:
    """The stopped member is the writer's again. Whether it was not."""
    if not is_replica(member):
        return False
    (member.data / SIGNAL).unlink()
    paths.sync_folder(member.data)
    return True


def settle_settings(member: MemberSpec, synchronous: list[str]) -> None:
    """The ALTER SYSTEM settings of a stopped member: its own, without a hold on writes, and with its own standbys.

    A rewind brings the writer's file along, in which this member itself is a standby and the writer is none.
    """
    path = member.data / AUTO
    own = member.home / f"{AUTO}.own"
    text = (own if own.exists() else path).read_text()
    kept = [
        line for line in text.splitlines() if line.partition("=")[0].strip() not in (HOLD, "synchronous_standby_names")
    ]
    if synchronous:
        # In this file PostgreSQL writes double quotes as they are (guc.c, write_auto_conf_file).
        kept.append(f"synchronous_standby_names = {quoted(synchronous_standbys(synchronous))}")
    paths.write_atomic(path, "\n".join(kept) + "\n", durable=True)
    own.unlink(missing_ok=True)


def rewind_was_cut_short(member: MemberSpec) -> bool:
    """Data that a rewind was killed on are of no use (PostgreSQL, pg_rewind, "Warning")."""
    return (member.home / REWINDING).exists()


def rewind(member: MemberSpec, source: Endpoint, *, on_wait: OnWait = progress.report) -> None:
    """Take back what this member has and the writer behind `source` never had. A ServerFault says why it cannot."""
    postgres.clear_stale_lock(member)
    own = member.home / f"{AUTO}.own"
    if not own.exists():
        shutil.copyfile(member.data / AUTO, own)
    password_file = member.home / ".rewind.pgpass"
    paths.write_atomic(password_file, password_line(OWNER, secrets.read_password(member.stack_folder, OWNER)))
    paths.write_json(member.home / REWINDING, {"source": str(source)}, durable=True)
    log = member.home / "rewind.log"
    log.unlink(missing_ok=True)
    try:
        status = process.run(
            ServerSpec(
                name=f"rewinding {member.member}",
                folder=member.home,
                stack_folder=member.stack_folder,
                record=postgres.TOOL,
                log=log,
                environment={"PGPASSFILE": str(password_file)},
                command=(
                    str(postgres.programs(member) / "pg_rewind"),
                    f"--target-pgdata={member.data}",
                    f"--source-server=host={source.host} port={source.port} user={OWNER} dbname=postgres "
                    "sslmode=disable gssencmode=disable connect_timeout=5",
                    # The configuration lies beside the data.
                    f"--config-file={member.home / SETTINGS}",
                    "--no-ensure-shutdown",  # by a single-user server, which data with standby.signal refuse
                    "--progress",
                ),
            ),
            stall=STALL_SECONDS,
            progress_now=lambda: str(log.stat().st_size),
            on_wait=lambda seconds, _what: on_wait(seconds, f"rewinding {member.member}"),
        )
    finally:
        password_file.unlink(missing_ok=True)
    if status != 0:
        raise ServerFault(f"{member.member} could not be rewound: {postgres.reason(log)} (log: {log})")
    # The writer's folder has no such file, so the rewind took it away.
    paths.write_atomic(member.data / SIGNAL, "", durable=True)
    paths.sync_folder(member.home)


def rewound(member: MemberSpec) -> None:
    """The data are whole again: to be said after `settle_settings`."""
    (member.home / REWINDING).unlink(missing_ok=True)
    paths.sync_folder(member.home)


def set_aside(member: MemberSpec) -> None:
    """Give up the data, so that `create_replica` copies them anew."""
    postgres.stop(member)
    doomed = member.home / "data.given_up"
    shutil.rmtree(doomed, ignore_errors=True)
    if member.data.exists():
        member.data.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)
    (member.home / f"{AUTO}.own").unlink(missing_ok=True)
    rewound(member)


@contextmanager
def apart(member: MemberSpec, *, on_wait: OnWait = progress.report) -> Iterator[None]:
    """The stopped member's server, with all that is on its disk, for its owner alone: it writes and follows nothing.

    It recovers first what a kill left unfinished, and ends cleanly; that is what a rewind needs too.
    """
    if not is_replica(member):
        raise ServerFault(f"{member.member} would start as a writer; it has to be demoted first")
    process.stop(member.home, 9, record=postgres.TOOL)
    postgres.clear_stale_lock(member)
    postgres.reconfigure(member)
    rules, settings = member.home / "apart.hba", member.home / "apart.conf"
    paths.write_atomic(rules, f"host all {OWNER} 127.0.0.0/8 scram-sha-256\n")
    paths.write_atomic(
        settings,
        f"include {quoted(str(member.home / SETTINGS))}\n"
        f"hba_file = {quoted(str(rules))}\n"
        "primary_conninfo = ''\nprimary_slot_name = ''\n",
    )
    server = process.start(
        ServerSpec(
            name=f"PostgreSQL {member.member}, apart",
            folder=member.home,
            stack_folder=member.stack_folder,
            record=postgres.TOOL,  # whoever starts the member ends this one first
            log=member.home / "apart.log",
            endpoints=(member.endpoint,),
            command=(
                str(postgres.programs(member) / "postgres"),
                "-D",
                str(member.data),
                "-c",
                f"config_file={settings}",
            ),
        )
    )
    try:
        process.wait_ready(
            lambda: postgres.accepts(member, server),
            timeout=APART_SECONDS,
            what=f"PostgreSQL {member.member}, apart,",
            server=server,
            on_wait=on_wait,
        )
        yield
    finally:
        process.stop(member.home, 2, 30.0, record=postgres.TOOL)  # SIGINT
        for path in (rules, settings):
            path.unlink(missing_ok=True)


def fork(stack_folder: Path, writer: Endpoint, timeline: int) -> Fork | None:
    """Where the writer left this timeline; None where it is on it still. A ServerFault where it never was on it."""
    with session(stack_folder, writer, OWNER) as connection:
        row = connection.execute("select substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)").fetchone()
        assert row is not None
        name = str(row[0])
        if int(name, 16) == timeline:
            return None
        history = connection.execute("select pg_read_file(%s)", (f"pg_wal/{name}.history",)).fetchone()
        assert history is not None
    for line in str(history[0]).splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == str(timeline):
            return Fork(timeline=timeline, at=lsn(words[1]))
    raise ServerFault(f"the writer at {writer} never was on timeline {timeline}: this is another database's history")


def lsn(text: str) -> int:
    high, low = text.strip().split("/")
    return int(high, 16) << 32 | int(low, 16)


def lsn_text(position: int) -> str:
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"
