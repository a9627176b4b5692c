"""Members: PostgreSQL servers, made at the origin, copied from the writer elsewhere, started, changed and stopped.

Everything here can be repeated, also after a kill at any point. What is made lies in a folder of another name until it
is complete, so a data folder that exists is whole, and is never made again.
"""

import contextlib
import ctypes
import hashlib
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from psycopg import sql

from components.local.servers import archive, binaries, paths, process, progress, secrets
from components.local.servers.addresses import Endpoint
from components.local.servers.errors import ServerFault
from components.local.servers.member import MemberSpec, slot_name
from components.local.servers.postgres_files import (
    DATABASE,
    HOST_RULES,
    KEEPER,
    MONITOR,
    OWNER,
    PASSWORD_FILE,
    REPLICATOR,
    ROLES,
    SERVICE,
    SETTINGS,
    UPSTREAM,
    configuration,
    host_rules,
    password_line,
    synchronous_standbys,
    upstream,
)
from components.local.servers.postgres_session import Connection, session
from components.local.servers.postgres_status import MemberStatus, status, statuses
from components.local.servers.process import Running, ServerSpec
from components.local.servers.progress import OnWait

__all__ = [
    "DATABASE",
    "MemberSpec",
    "MemberStatus",
    "Reconfigured",
    "create_origin",
    "create_replica",
    "drop_departed_slots",
    "drop_slot",
    "ensure_slot",
    "ensure_started",
    "is_running",
    "reconfigure",
    "remove",
    "set_synchronous",
    "slot_name",
    "status",
    "statuses",
    "stop",
]

START_SECONDS = 60.0
SOURCE_SECONDS = 30.0
STALL_SECONDS = 60.0

_DRAFT = "data.new"
_LOG = "postgres.log"
TOOL = "tool.json"
_CREATED = "created.json"


@dataclass(frozen=True, kw_only=True)
class Reconfigured:
    changed: bool
    needs_restart: tuple[str, ...]
    """Settings that the running server takes over only at its next start; it is the caller who decides on that."""


def create_origin(member: MemberSpec, schema: str = "", *, on_wait: OnWait = progress.report) -> Running:
    """The first member of a partition: made anew if there is none, with roles, database and schema, and started."""
    for role in ROLES:
        secrets.ensure_password(member.stack_folder, role)
    if not member.data.exists():
        _refuse_to_start_over(member)
        _initialise(member, on_wait)
    server = _configure_and_start(member, on_wait)
    _furnish(member, schema)
    if not (member.home / _CREATED).exists():
        paths.write_json(member.home / _CREATED, {"member": member.member}, durable=True)
    return server


def create_replica(
    member: MemberSpec, source: Endpoint, slot: str | None = None, *, on_wait: OnWait = progress.report
) -> Running:
    """A copy of the writer that `source` leads to, and which it then follows through a slot of its own."""
    paths.write_atomic(
        member.home / PASSWORD_FILE,
        password_line(REPLICATOR, secrets.read_password(member.stack_folder, REPLICATOR)),
    )
    paths.write_if_changed(member.home / UPSTREAM, upstream(member, source, slot or member.slot))
    if not member.data.exists():
        _copy(member, source, slot or member.slot, on_wait)
    server = _configure_and_start(member, on_wait)
    process.wait_ready(
        lambda: _follows(member),
        timeout=SOURCE_SECONDS,
        what=f"PostgreSQL {member.member} catching up with its writer",
        server=server,
        on_wait=on_wait,
    )
    return server


def ensure_started(member: MemberSpec, *, on_wait: OnWait = progress.report) -> Running:
    """Start a member whose data are there, in the role in which it stopped."""
    if not member.data.exists():
        raise ServerFault(f"PostgreSQL {member.member} has no data folder at {member.data}")
    return _configure_and_start(member, on_wait)


def is_running(member: MemberSpec) -> bool:
    return process.running(member.home) is not None


def stop(member: MemberSpec, *, timeout: float = 30.0) -> bool:
    """Stop without waiting for clients; SIGTERM would wait for every idle connection. Whether it ran."""
    process.stop(member.home, signal.SIGKILL, record=TOOL)
    return process.stop(member.home, signal.SIGINT, timeout)


def remove(member: MemberSpec) -> None:
    """Stop it and delete its data. Its slot, which is on the writer, is the caller's to drop."""
    stop(member)
    if member.home.exists():
        # Away under its name first: a removal that is cut short must leave no half of a data folder.
        doomed = member.home.with_name(f".{member.home.name}.removed")
        shutil.rmtree(doomed, ignore_errors=True)
        member.home.rename(doomed)
        shutil.rmtree(doomed)


def reconfigure(member: MemberSpec) -> Reconfigured:
    """Write the configuration; a running server takes over at once what it can. It is never restarted here."""
    paths.make_folder(member.home)
    changed = [
        paths.write_if_changed(member.home / HOST_RULES, host_rules()),
        paths.write_if_changed(member.home / SETTINGS, configuration(member)),
        archive.prepare(member),
    ]
    if not any(changed) or not is_running(member):
        return Reconfigured(changed=any(changed), needs_restart=())
    with session(member.stack_folder, member.endpoint, OWNER) as connection:
        # Reads the files afresh; this error is how it marks what only a start can change.
        rows = connection.execute(
            "select distinct name from pg_file_settings where error = 'setting could not be applied' order by name"
        ).fetchall()
        connection.execute("select pg_reload_conf()")
    return Reconfigured(changed=True, needs_restart=tuple(str(row[0]) for row in rows))


def set_synchronous(members: Sequence[MemberSpec], durability: str) -> None:
    """How long commits wait, set on every member of a partition, because any of them may become writer.

    `quorum`: for one of the other members; `async`: for none. Through ALTER SYSTEM, which keeps it in the data folder.
    """
    if durability not in ("async", "quorum"):
        raise ServerFault(f"durability is {durability!r}; it may be async or quorum")
    if durability == "quorum" and len(members) < 2:
        raise ServerFault("durability quorum needs a second member, which the writer could wait for")
    for member in members:
        others = [other.member for other in members if other.member != member.member]
        set_standbys(member, others if durability == "quorum" else [])


def set_standbys(member: MemberSpec, others: list[str]) -> None:
    """One of these others must have every commit of this member; none of them where there are none."""
    wanted = synchronous_standbys(others)
    with session(member.stack_folder, member.endpoint, OWNER) as connection:
        if _value(connection, "select current_setting('synchronous_standby_names')") == wanted:
            return
        connection.execute(sql.SQL("alter system set synchronous_standby_names = {}").format(sql.Literal(wanted)))
        connection.execute("select pg_reload_conf()")


def ensure_slot(stack_folder: Path, writer: Endpoint, slot: str, *, afresh: bool = False) -> None:
    """The physical slot that makes a writer keep what a replica still needs.

    `afresh` ends whatever still uses it, such as the copy of a run that was killed, and lets it begin here.
    """
    make = (
        "select pg_create_physical_replication_slot(%s, true) "
        "where not exists (select from pg_replication_slots where slot_name = %s)"
    )
    with session(stack_folder, writer, REPLICATOR) as connection:
        # Making it first costs one trip to the writer where there is none yet, which is the usual case.
        if connection.execute(make, (slot, slot)).fetchone() is None and afresh:
            _drop_slot(connection, slot)
            connection.execute(make, (slot, slot))


def drop_slot(stack_folder: Path, writer: Endpoint, slot: str) -> None:
    """Give up a replica's slot, so that the writer stops keeping WAL for it."""
    with session(stack_folder, writer, REPLICATOR) as connection:
        _drop_slot(connection, slot)


def drop_departed_slots(members: Sequence[MemberSpec], partition: str) -> None:
    """Give up the slots of members that the partition no longer has. One in use is its member's own to drop."""
    kept = [member.slot for member in members]
    for member in members:
        with session(member.stack_folder, member.endpoint, OWNER) as connection:
            connection.execute(
                "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_type = 'physical' "
                "and not active and starts_with(slot_name, %s) and slot_name <> all(%s)",
                (slot_name(f"{partition}-"), kept),
            )


def _drop_slot(connection: Connection, slot: str) -> None:
    deadline = time.monotonic() + 5
    while True:
        connection.execute(
            "select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = %s and active", (slot,)
        )
        dropped = "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = %s"
        if time.monotonic() > deadline:
            connection.execute(dropped, (slot,))
            return
        connection.execute(f"{dropped} and not active", (slot,))
        if not connection.execute("select from pg_replication_slots where slot_name = %s", (slot,)).fetchall():
            return
        time.sleep(process.POLL)


def _refuse_to_start_over(member: MemberSpec) -> None:
    if (member.home / _CREATED).exists():
        raise ServerFault(
            f"PostgreSQL {member.member} had data at {member.data} and they are gone; an empty database in their place "
            f"would hide the loss. Restore the folder, or delete {member.home} to give the data up"
        )


def _initialise(member: MemberSpec, on_wait: OnWait) -> None:
    draft = _clean_draft(member)
    log = member.home / "initdb.log"
    status_ = process.run(
        ServerSpec(
            name=f"initdb for {member.member}",
            folder=member.home,
            stack_folder=member.stack_folder,
            record=TOOL,
            log=log,
            command=(
                str(programs(member) / "initdb"),
                f"--pgdata={draft}",
                f"--username={OWNER}",
                f"--pwfile={secrets.password_file(member.stack_folder, OWNER)}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                # The same order of text on every machine, whatever it has installed.
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--data-checksums",
                # A log that is archived is filled up to a whole segment every minute, and when a writer is stopped for
                # a switchover, and sent so to every replica: with 1 MB nobody notices, 16 MB hold up what comes behind.
                "--wal-segsize=1",
                "--no-sync",  # a thousand single ones; one for all of them follows
            ),
        ),
        stall=STALL_SECONDS * 2,
        progress_now=lambda: str(_size(draft)),
        on_wait=lambda seconds, _what: on_wait(seconds, f"initdb for {member.member}"),
    )
    if status_ != 0:
        shutil.rmtree(draft, ignore_errors=True)
        raise ServerFault(f"PostgreSQL {member.member} could not be made: {reason(log)} (log: {log})")
    _complete(member)


def _copy(member: MemberSpec, source: Endpoint, slot: str, on_wait: OnWait) -> None:
    what = f"copying {member.member} from its writer"
    log = member.home / "basebackup.log"
    draft = _clean_draft(member)
    # The slot comes with the backup: a session of its own for it would cost five more round trips between regions.
    if _back_up(member, source, slot, what, log, on_wait, "--create-slot") != 0:
        # A killed run may have left its slot, or the way to the writer has come up only just now.
        draft = _clean_draft(member)
        _await_slot(member, source, slot, on_wait)
        log.unlink(missing_ok=True)
        if _back_up(member, source, slot, what, log, on_wait) != 0:
            shutil.rmtree(draft, ignore_errors=True)
            raise ServerFault(f"{what} failed: {reason(log)} (log: {log})")
    # Before the folder gets its name: without this file it would start as a second writer.
    (draft / "standby.signal").touch(mode=0o600)
    # The writer's own ALTER SYSTEM settings are the writer's. What all members share is set on each of them.
    paths.write_atomic(draft / "postgresql.auto.conf", "# Written by ALTER SYSTEM.\n")
    _complete(member)


def _back_up(
    member: MemberSpec, source: Endpoint, slot: str, what: str, log: Path, on_wait: OnWait, *options: str
) -> int:
    """The exit status of pg_basebackup."""
    draft = member.home / _DRAFT
    return process.run(
        ServerSpec(
            name=what,
            folder=member.home,
            stack_folder=member.stack_folder,
            record=TOOL,
            log=log,
            environment={"PGPASSFILE": str(member.home / PASSWORD_FILE), "PGSSLMODE": "disable"},
            command=(
                str(programs(member) / "pg_basebackup"),
                f"--pgdata={draft}",
                f"--host={source.host}",
                f"--port={source.port}",
                f"--username={REPLICATOR}",
                "--no-password",
                "--wal-method=stream",
                f"--slot={slot}",
                "--checkpoint=fast",
                "--no-manifest",  # nobody would verify against it; the pages carry checksums
                "--no-sync",
                *options,
            ),
        ),
        stall=STALL_SECONDS,
        progress_now=lambda: f"({_size(draft) / 2**20:.0f} MB)",
        on_wait=on_wait,
    )


def _await_slot(member: MemberSpec, source: Endpoint, slot: str, on_wait: OnWait) -> None:
    """The way to the writer may have come up just now, and the gateway may still be learning it."""
    began = time.monotonic()
    while True:
        try:
            return ensure_slot(member.stack_folder, source, slot, afresh=True)
        except ServerFault:
            waited = time.monotonic() - began
            if waited > SOURCE_SECONDS:
                raise
            on_wait(waited, f"the writer of {member.member}")
            time.sleep(0.05 if waited < 2 else 0.5)


def _clean_draft(member: MemberSpec) -> Path:
    """Where to make the data; what a run that was killed left there is gone, and so is what still wrote to it."""
    process.stop(member.home, signal.SIGKILL, record=TOOL)
    paths.make_folder(member.home)
    draft = member.home / _DRAFT
    if draft.exists():
        shutil.rmtree(draft)
    return draft


def _complete(member: MemberSpec) -> None:
    draft = member.home / _DRAFT
    _sync_tree(draft)
    draft.rename(member.data)
    paths.sync_folder(member.home)


def _sync_tree(folder: Path) -> None:
    """Everything below a folder onto the disk: with one call where there is one for the whole file system."""
    if sys.platform == "linux":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
                number = ctypes.get_errno()
                raise ServerFault(f"{folder} could not be written to the disk: {os.strerror(number)}")
        finally:
            os.close(descriptor)
        return
    for parent, _, files in os.walk(folder):
        for name in files:
            paths.sync_folder(Path(parent, name))
        paths.sync_folder(Path(parent))


def clear_stale_lock(member: MemberSpec) -> None:
    """Take away the lock file of a server that was killed, if its number is another process's by now, or a zombie's.

    PostgreSQL only asks whether a process of that number exists, and would refuse to start after a reboot. Whatever
    may still write to the data is ended first; a server that somebody started by hand keeps its lock.
    """
    lock = member.data / "postmaster.pid"
    if process.running(member.home) is not None or not lock.exists():
        return
    process.end_survivors(member.home)
    with contextlib.suppress(ValueError, IndexError, psutil.NoSuchProcess):
        holder = psutil.Process(int(lock.read_text().splitlines()[0]))
        if holder.status() != psutil.STATUS_ZOMBIE and Path(holder.cwd()).resolve() == member.data.resolve():
            return
    lock.unlink(missing_ok=True)


def _configure_and_start(member: MemberSpec, on_wait: OnWait) -> Running:
    clear_stale_lock(member)
    reconfigure(member)
    server = process.start(
        ServerSpec(
            name=f"PostgreSQL {member.member}",
            folder=member.home,
            stack_folder=member.stack_folder,
            log=member.home / _LOG,
            endpoints=(member.endpoint,),
            command=(
                str(programs(member) / "postgres"),
                "-D",
                str(member.data),
                "-c",
                f"config_file={member.home / SETTINGS}",
            ),
        )
    )
    process.wait_ready(
        lambda: accepts(member, server),
        timeout=START_SECONDS,
        what=f"PostgreSQL {member.member}",
        server=server,
        on_wait=on_wait,
    )
    return server


def accepts(member: MemberSpec, server: Running) -> bool:
    """Whether it takes connections, by its own word: pg_ctl looks there too (pidfile.h, LOCK_FILE_LINE_PM_STATUS)."""
    try:
        lines = (member.data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[0] == str(server.pid) and lines[7].strip() == "ready"


def _follows(member: MemberSpec) -> bool:
    """A member that meanwhile is writer follows nobody, and that is right."""
    with session(member.stack_folder, member.endpoint, MONITOR) as connection:
        return bool(
            _value(
                connection,
                "select not pg_is_in_recovery() "
                "or exists (select from pg_stat_wal_receiver where status = 'streaming')",
            )
        )


def _furnish(member: MemberSpec, schema: str) -> None:
    """Roles, database and schema. On a member that is no longer writer they came with the data."""
    mark = f"meridian schema {hashlib.sha256(schema.encode()).hexdigest()[:16]}"
    with session(member.stack_folder, member.endpoint, OWNER) as connection:
        connection.execute("set synchronous_commit = local")  # must not wait for standbys that are not there yet
        if _value(connection, "select pg_is_in_recovery()"):
            return
        furnished = connection.execute(
            "select shobj_description(oid, 'pg_database') from pg_database where datname = %s", (DATABASE,)
        ).fetchone()
        if furnished == (mark,):
            return
        known = {str(row[0]) for row in connection.execute("select rolname from pg_roles").fetchall()}
        connection.execute(_roles(member, connection, known))
        if furnished is None:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(DATABASE)))
    with session(member.stack_folder, member.endpoint, OWNER, DATABASE) as connection, connection.transaction():
        connection.execute("set local synchronous_commit = local")
        connection.execute(
            sql.SQL(
                "revoke all on database {0} from public; grant connect on database {0} to service, monitor, keeper, "
                "replicator;"
            ).format(sql.Identifier(DATABASE))
        )
        if schema.strip():
            connection.execute(schema.encode())
        connection.execute(sql.SQL("comment on database {} is {}").format(sql.Identifier(DATABASE), sql.Literal(mark)))


def _roles(member: MemberSpec, connection: Connection, known: set[str]) -> sql.Composed:
    """The roles that are missing. What the server sees, and may log, is a verifier and not the password."""
    attributes = {
        REPLICATOR: sql.SQL("login replication"),
        SERVICE: sql.SQL("login"),
        MONITOR: sql.SQL("login in role pg_monitor"),
        KEEPER: sql.SQL("login"),
    }
    statements = []
    for role, words in attributes.items():
        if role not in known:
            verifier = connection.pgconn.encrypt_password(
                secrets.read_password(member.stack_folder, role).encode(), role.encode(), b"scram-sha-256"
            )
            statements.append(
                sql.SQL("create role {} {} password {};").format(
                    sql.Identifier(role),
                    words,
                    sql.Literal(verifier.decode()),
                )
            )
    return sql.Composed([*statements, sql.SQL("select 1")])


def _value(connection: Connection, query: str) -> object:
    row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None


def programs(member: MemberSpec) -> Path:
    return binaries.postgres(Path(member.folder) if member.folder else None)


def _size(folder: Path) -> int:
    total = 0
    for parent, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(FileNotFoundError):
                total += Path(parent, name).stat().st_size
    return total


def reason(log: Path) -> str:
    """The line that says why, out of those that say that: the server's own before the tool's, and the first of them."""
    lines = process.last_lines(log, count=40)
    for pattern in (r"\b(?:PANIC|FATAL):\s+(.*)", r"\bERROR:\s+(.*)", r"\berror:\s+(.*)"):
        for line in lines:
            if found := re.search(pattern, line):
                return found[1]
    return lines[-1] if lines else "it left no message"
