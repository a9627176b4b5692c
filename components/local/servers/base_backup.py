"""Base backups of a partition: the writer's whole data as one compressed file, with the log that makes it whole.

One that has its name is complete and on the disk; what a run that was killed left has another name.
"""

import shutil
import signal
import tarfile
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from components.local.servers import archive, paths, postgres, process, progress, secrets
from components.local.servers.errors import ServerFault
from components.local.servers.member import MemberSpec
from components.local.servers.postgres_files import REPLICATOR, password_line
from components.local.servers.process import ServerSpec
from components.local.servers.progress import OnWait

DATA, MANIFEST = "base.tar.gz", "backup_manifest"
STALL_SECONDS = 60.0

_TAKEN, _DRAFT = "taken.json", ".new"
_TOOL = "tool.json"


@dataclass(frozen=True, kw_only=True)
class Backup:
    folder: Path
    member: str  # the one that was the writer
    began: float
    ended: float
    """From then on a restore can begin with it: its data are of no earlier time."""

    segment: str  # of the log, the first that it needs
    bytes: int

    @property
    def name(self) -> str:
        return self.folder.name


def backups(vault: Path) -> list[Backup]:
    """Every one that is complete, the oldest first."""
    found = []
    for path in (vault / "base").glob("[!.]*"):
        match paths.read_json(path / _TAKEN):
            case {
                "member": str(member),
                "began": float(began),
                "ended": float(ended),
                "segment": str(segment),
                "bytes": int(size),
            }:
                found.append(Backup(folder=path, member=member, began=began, ended=ended, segment=segment, bytes=size))
    return sorted(found, key=lambda backup: backup.ended)


def take(writer: MemberSpec, vault: Path, *, on_wait: OnWait = progress.report) -> Backup:
    """Copy the writer's data into the vault, while it goes on writing."""
    draft = vault / "base" / _DRAFT
    process.stop(draft.parent, signal.SIGKILL, record=_TOOL)
    shutil.rmtree(draft, ignore_errors=True)
    paths.make_folder(draft)
    password_file = draft.parent / ".pgpass"
    paths.write_atomic(password_file, password_line(REPLICATOR, secrets.read_password(writer.stack_folder, REPLICATOR)))
    log = draft.parent / "backup.log"
    log.unlink(missing_ok=True)
    began = time.time()
    try:
        status = process.run(
            ServerSpec(
                name=f"backing {writer.member} up",
                folder=draft.parent,
                stack_folder=writer.stack_folder,
                record=_TOOL,
                log=log,
                environment={"PGPASSFILE": str(password_file), "PGSSLMODE": "disable"},
                command=(
                    str(postgres.programs(writer) / "pg_basebackup"),
                    f"--pgdata={draft}",
                    f"--host={writer.endpoint.host}",
                    f"--port={writer.endpoint.port}",
                    f"--username={REPLICATOR}",
                    "--no-password",
                    "--format=tar",
                    "--gzip",
                    # With the log of the time that it took, so that it is of use without the archive too.
                    "--wal-method=fetch",
                    "--checkpoint=fast",
                    f"--label={writer.member}",
                ),
            ),
            stall=STALL_SECONDS,
            progress_now=lambda: str(_size(draft)),
            on_wait=lambda seconds, _what: on_wait(seconds, f"backing {writer.member} up"),
        )
    finally:
        password_file.unlink(missing_ok=True)
    if status != 0:
        shutil.rmtree(draft, ignore_errors=True)
        raise ServerFault(f"{writer.member} could not be backed up: {postgres.reason(log)} (log: {log})")
    ended = time.time()
    folder = draft.with_name(_stamp(ended))
    made = Backup(
        folder=folder,
        member=writer.member,
        began=began,
        ended=ended,
        segment=_first_segment(draft / DATA),
        bytes=_size(draft),
    )
    record = {key: value for key, value in asdict(made).items() if key != "folder"}
    paths.write_json(draft / _TAKEN, record, durable=True)
    draft.rename(folder)
    paths.sync_folder(folder.parent)
    return made


def keep(vault: Path, count: int) -> tuple[list[Backup], int]:
    """Delete all but the newest backups, and the log from before them. What went: backups, and files of the log."""
    found = backups(vault)
    old = found[:-count]
    for backup in old:
        # The record first: a deletion that is cut short must not leave what looks like a backup.
        (backup.folder / _TAKEN).unlink(missing_ok=True)
        shutil.rmtree(backup.folder)
    kept = found[-count:]
    return old, archive.forget_before(vault, kept[0].segment) if kept else 0


def unpack(backup: Backup, folder: Path) -> None:
    try:
        with tarfile.open(backup.folder / DATA) as packed:
            packed.extractall(paths.make_folder(folder), filter="data")
            folder.chmod(0o700)  # the packed folder's own entry may have changed it
    except (OSError, tarfile.TarError, EOFError) as fault:
        raise ServerFault(f"the backup {backup.folder} cannot be unpacked: {fault}") from None


def _first_segment(data: Path) -> str:
    """What the backup itself says that a restore begins with."""
    with tarfile.open(data) as packed:
        for entry in packed:
            if entry.name.removeprefix("./") == "backup_label" and (label := packed.extractfile(entry)) is not None:
                first = label.readline().decode()  # START WAL LOCATION: 0/2000028 (file 000000010000000000000002)
                return first.rpartition("(file ")[2].strip().removesuffix(")")
    raise ServerFault(f"{data} has no backup_label; it is no backup")


def _stamp(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y%m%dT%H%M%S.%fZ")


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
