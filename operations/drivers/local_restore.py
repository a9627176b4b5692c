"""The backups of a partition of a local stack: taken, listed, and restored beside its members."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.local.servers import archive, base_backup, paths, postgres_status, restored, table_copy
from components.local.servers.addresses import Addresses
from components.local.servers.base_backup import Backup
from components.local.servers.errors import ServerFault
from components.local.servers.member import MemberSpec, Vault
from components.local.servers.postgres_files import OWNER
from components.local.servers.postgres_session import session
from components.local.servers.restored import Reached, RestoredSpec
from operations.errors import Fault, Refused
from operations.failover.drivers import members
from operations.stack import Stack
from topology.summary import Summary
from topology.vaults import vault

KEEP = 3
ARCHIVE_SECONDS = 15.0
POLL = 0.02

_ARCHIVER = """
select extract(epoch from last_archived_time)::float8,
       coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false), current_setting('archive_mode')
from pg_stat_archiver
"""


@dataclass(frozen=True, kw_only=True)
class Archiver:
    """What the writer says of its archiving."""

    last: float | None  # when it kept something last
    problem: str | None


@dataclass(frozen=True, kw_only=True)
class Backups:
    """One partition's backups, and who they are of."""

    stack_folder: Path
    addresses: Addresses
    partition: str
    partition_slot: int
    specs: Mapping[str, MemberSpec]  # by region
    vault: Vault
    programs: str | None

    @classmethod
    def of(cls, stack: Stack, outputs: Mapping[str, Any], running: Summary, partition: str) -> "Backups":
        regions = members(running, partition)
        known = running.partition(partition)
        assert known is not None
        if not any(item.name == partition for item in stack.topology.partitions):
            raise Refused(
                f"partition: the settings no longer have {partition!r}, and say where its backups may lie. "
                f"Put it back into {stack.settings_file.path.name}."
            )
        addresses = Addresses(str(outputs["ground"]))
        programs = stack.settings.local.postgres_folder
        region = vault(stack.topology, partition)
        return cls(
            stack_folder=stack.folder,
            addresses=addresses,
            partition=partition,
            partition_slot=known.slot,
            specs={
                item.name: MemberSpec(
                    stack_folder=stack.folder,
                    region=item.name,
                    member=next(name for name in item.members if name in known.members),
                    endpoint=addresses.postgres(item.slot, known.slot),
                    folder=programs,
                )
                for item in running.regions
                if item.name in regions
            },
            vault=Vault(region=region, folder=paths.vault_folder(stack.folder, region, partition)),
            programs=programs,
        )

    # --- backups -----------------------------------------------------------------------------------------------------

    def all(self) -> list[Backup]:
        return base_backup.backups(self.vault.folder)

    def take(self) -> Backup:
        return base_backup.take(self.need_writer(), self.vault.folder)

    def keep(self, count: int) -> tuple[list[Backup], int]:
        return base_backup.keep(self.vault.folder, count)

    def writer(self) -> MemberSpec | None:
        found = postgres_status.statuses(
            self.stack_folder, {region: spec.endpoint for region, spec in self.specs.items()}
        )
        # An old writer that came back is still on the older timeline.
        writers = {region: status for region, status in found.items() if status is not None and status.role == "writer"}
        return self.specs[max(writers, key=lambda region: writers[region].timeline)] if writers else None

    def need_writer(self) -> MemberSpec:
        found = self.writer()
        if found is None:
            raise Fault(f"{self.partition} has no writer that answers; `./meridian status` shows its members")
        return found

    def archiver(self) -> Archiver | None:
        """None where no writer answers."""
        writer = self.writer()
        if writer is None:
            return None
        with session(self.stack_folder, writer.endpoint, OWNER) as connection:
            row = connection.execute(_ARCHIVER).fetchone()
        assert row is not None
        last, failing, mode = row
        problem = None
        if mode != "on":
            problem = f"{writer.member} was started by a version without backups and archives from its next start on"
        elif failing:
            problem = f"{writer.member} cannot archive: {writer.home / 'postgres.log'} has why"
        return Archiver(last=last, problem=problem)

    # --- restoring ---------------------------------------------------------------------------------------------------

    def spec(self, into: Path | None = None) -> RestoredSpec:
        folder = into or self.restored() or paths.restored_folder(self.stack_folder, self.partition)
        return RestoredSpec(
            stack_folder=self.stack_folder,
            region=self.vault.region,
            member=f"restored-{self.partition}",
            endpoint=self.addresses.restored(self.partition_slot),
            folder=self.programs,
            partition=self.partition,
            into=folder,
        )

    def restored(self) -> Path | None:
        return restored.find(self.stack_folder, self.partition)

    def base(self, to: float) -> Backup:
        """The newest backup from before a time, which has to be one that can be restored."""
        found = self.all()
        now = time.time()
        if not found:
            raise Refused(f"--to: {self.partition} has no base backup. `./meridian backup` takes one, for later.")
        if not found[0].ended <= to <= now:
            which = "in the future" if to > now else "before the oldest base backup"
            raise Refused(
                f"--to: {iso(to)} is {which}. Allowed for {self.partition}: {iso(found[0].ended)} to {iso(now)}."
            )
        return max((backup for backup in found if backup.ended <= to), key=lambda backup: backup.ended)

    def restore(self, to: float, into: Path | None) -> Reached:
        backup = self.base(to)
        spec = self.spec(into)
        if spec.data.exists():
            raise Refused(f"--into: {spec.into} holds data already. Name a folder that is empty or not there yet.")
        pushed = self.push()
        return restored.restore(spec, self.vault.folder, backup, to, ends=not pushed)

    def push(self) -> bool:
        """Have the writer archive all that it has now. Whether it did; its region may be lost, or its way here cut."""
        writer = self.writer()
        if writer is None:
            return False
        try:
            with session(self.stack_folder, writer.endpoint, OWNER) as connection:
                connection.execute("set synchronous_commit = local")  # it need not be on a replica to be archived
                # Replay only stops at a commit later than the time that it is to stop at: this is one.
                connection.execute("select pg_current_xact_id()")
                row = connection.execute("select pg_walfile_name(pg_switch_wal())").fetchone()
        except ServerFault:
            return False
        assert row is not None
        kept = archive.log_folder(self.vault.folder) / f"{row[0]}{archive.SUFFIX}"
        deadline = time.monotonic() + ARCHIVE_SECONDS
        while not kept.exists():
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL)
        return True

    def drop(self) -> bool:
        return restored.drop(self.stack_folder, self.partition)

    @contextmanager
    def copying(self, table: str) -> Iterator[table_copy.Pending]:
        """The rows of a table, `orders` or `public.orders`, that the writer lacks."""
        if self.restored() is None:
            raise Refused(f"--copy: nothing of {self.partition} is restored. Add --to TIME.")
        schema, dot, name = table.partition(".")
        with table_copy.pending(
            self.spec(), self.need_writer(), *((schema, name) if dot else ("public", schema))
        ) as found:
            yield found


def iso(moment: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
