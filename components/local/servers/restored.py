"""A partition as it was at some time: a server of its own beside the members, which nothing follows or writes.

It begins as a standby without a writer that replays the archived log up to that time: a recovery would refuse to start
where the log ends before, and a standby shows what there is. Then it is promoted, on a timeline that nobody else ever
hears of, and read-only by its settings. Were it only paused, whatever was under way at that time would still hold its
locks, and the table that somebody is about to drop could not be read.
"""

import shutil
import signal
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from components.local.servers import account, archive, base_backup, paths, postgres, process, progress
from components.local.servers.base_backup import Backup
from components.local.servers.errors import ServerFault
from components.local.servers.member import MemberSpec
from components.local.servers.postgres_files import OWNER, UPSTREAM, quoted
from components.local.servers.postgres_session import session
from components.local.servers.process import ServerSpec
from components.local.servers.progress import OnWait

END_SECONDS = 4.0  # without anything new: the log ends here
STALL_SECONDS = 60.0
POLL = 0.05

_RECORD, _DRAFT, _TOOL = "restored.json", "data.new", "tool.json"

# Both positions stay what they were when the recovery ended.
_STANDING = """
select not pg_is_in_recovery(), pg_last_wal_replay_lsn()::text,
       extract(epoch from pg_last_xact_replay_timestamp())::float8
"""


@dataclass(frozen=True, kw_only=True)
class RestoredSpec(MemberSpec):
    """`into` holds the data; what else the server needs is in the stack's folder, which knows of it so."""

    partition: str
    into: Path

    @property
    def home(self) -> Path:
        return paths.restored_folder(self.stack_folder, self.partition)

    @property
    def data(self) -> Path:
        return self.into / "data"


@dataclass(frozen=True, kw_only=True)
class Reached:
    to: float  # what was asked for
    whole: bool  # whether the log went that far
    last: float | None  # when the last transaction that is in it was committed; None: none since the backup
    lsn: str
    backup: str


def find(stack_folder: Path, partition: str) -> Path | None:
    """Where the data of what was restored lie, if something was."""
    match paths.read_json(paths.restored_folder(stack_folder, partition) / _RECORD):
        case {"into": str(into)}:
            return Path(into)
    return None


def restore(
    spec: RestoredSpec, vault: Path, backup: Backup, to: float, *, ends: bool, on_wait: OnWait = progress.report
) -> Reached:
    """Bring it up as it was at `to`. `ends`: the log may end before, nobody having been there to ask for the rest."""
    if spec.data.exists():
        raise ServerFault(f"{spec.data} is there already; nothing is restored over data")
    paths.make_folder(spec.home)
    # From here on `drop` knows what to take away.
    paths.write_json(spec.home / _RECORD, {"into": str(spec.into), "to": to}, durable=True)
    draft = paths.make_folder(spec.into) / _DRAFT
    shutil.rmtree(draft, ignore_errors=True)
    base_backup.unpack(backup, draft)
    account.hand_over(spec.into)
    _verify(spec, backup, draft, on_wait)
    paths.write_atomic(draft / "standby.signal", "")
    paths.write_atomic(draft / "postgresql.auto.conf", "# Written by ALTER SYSTEM.\n")
    moment = datetime.fromtimestamp(to, UTC).isoformat(sep=" ")
    _settle(
        spec,
        restore_command=archive.restore_command(vault),
        recovery_target_time=moment,
        recovery_target_action="promote",
    )
    draft.rename(spec.data)
    postgres.ensure_started(spec, on_wait=on_wait)
    return _await(spec, backup, to, ends=ends, on_wait=on_wait)


def drop(stack_folder: Path, partition: str) -> bool:
    """Stop it and delete its data. Whether there was one."""
    home = paths.restored_folder(stack_folder, partition)
    into = find(stack_folder, partition)
    process.stop(home, signal.SIGKILL, record=_TOOL)
    process.stop(home, signal.SIGINT, 10.0)
    if into is not None:
        for name in ("data", _DRAFT):
            shutil.rmtree(into / name, ignore_errors=True)
        if into.is_dir() and into != home and not any(into.iterdir()):
            into.rmdir()
    shutil.rmtree(home, ignore_errors=True)
    return into is not None


def _settle(spec: RestoredSpec, **more: str) -> None:
    settings = {
        "recovery_target_timeline": "latest",  # through every failover that the archive knows of
        "wal_retrieve_retry_interval": "1s",
        "primary_conninfo": "",
        "primary_slot_name": "",
        "archive_mode": "off",
        "default_transaction_read_only": "on",
        **more,
    }
    paths.write_atomic(spec.home / UPSTREAM, "".join(f"{name} = {quoted(value)}\n" for name, value in settings.items()))


def _verify(spec: RestoredSpec, backup: Backup, draft: Path, on_wait: OnWait) -> None:
    """Hold what was unpacked against the checksums that the writer gave along."""
    log = spec.home / "verify.log"
    status = process.run(
        ServerSpec(
            name="verifying the backup",
            folder=spec.home,
            stack_folder=spec.stack_folder,
            record=_TOOL,
            log=log,
            command=(
                str(postgres.programs(spec) / "pg_verifybackup"),
                f"--manifest-path={backup.folder / base_backup.MANIFEST}",
                "--no-parse-wal",  # the recovery reads it all
                "--format=plain",
                str(draft),
            ),
        ),
        stall=STALL_SECONDS * 5,
        on_wait=on_wait,
    )
    if status != 0:
        raise ServerFault(f"the backup {backup.folder} is damaged: {postgres.reason(log)} (log: {log})")


def _await(spec: RestoredSpec, backup: Backup, to: float, *, ends: bool, on_wait: OnWait) -> Reached:
    began = moved = reported = time.monotonic()
    before = ""
    while True:
        whole, lsn, last = _standing(spec)
        now = time.monotonic()
        if lsn != before:
            before, moved = lsn, now
        if not whole and ends and now - moved > END_SECONDS:
            _end_here(spec, on_wait)
            _, lsn, last = _standing(spec)
            return Reached(to=to, whole=False, last=last, lsn=lsn, backup=backup.name)
        if whole:
            return Reached(to=to, whole=True, last=last, lsn=lsn, backup=backup.name)
        if now - moved > STALL_SECONDS:
            raise ServerFault(
                f"{spec.member} stands still at {lsn}, before the time that was asked for; its log: "
                f"{spec.home / 'postgres.log'}"
            )
        if now - reported > process.REPORT:
            reported = now
            on_wait(now - began, f"replaying the log ({lsn})")
        time.sleep(POLL)


def _standing(spec: RestoredSpec) -> tuple[bool, str, float | None]:
    with session(spec.stack_folder, spec.endpoint, OWNER) as connection:
        row = connection.execute(_STANDING).fetchone()
        assert row is not None
        return bool(row[0]), str(row[1]), row[2]


def _end_here(spec: RestoredSpec, on_wait: OnWait) -> None:
    """Promote it with what it has. The time that it waits for is taken from it, or it would refuse to; and so is the
    archive, which may go on beyond that time by now."""
    postgres.stop(spec)
    _settle(spec, restore_command="false")
    postgres.ensure_started(spec, on_wait=on_wait)
    with session(spec.stack_folder, spec.endpoint, OWNER) as connection:
        connection.execute("select pg_promote(true, 60)")
