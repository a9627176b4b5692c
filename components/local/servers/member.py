"""What is known about a member before it exists: a partition's PostgreSQL in one region."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from components.local.servers import paths
from components.local.servers.addresses import Endpoint

Size = Literal["minimal", "full"]


@dataclass(frozen=True, kw_only=True)
class Vault:
    """A partition's place for backups."""

    region: str
    folder: Path


@dataclass(frozen=True, kw_only=True)
class MemberSpec:
    stack_folder: Path
    region: str
    member: str
    endpoint: Endpoint
    size: Size = "full"

    folder: str | Path | None = None
    """An installed PostgreSQL's programs, instead of the wheel's."""

    vault: Vault | None = None
    """Where its log is archived; None: wherever it was said to be before."""

    @property
    def home(self) -> Path:
        return paths.member_folder(self.stack_folder, self.region, self.member)

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def slot(self) -> str:
        """The name of its physical slot on whichever member is writer."""
        return slot_name(self.member)


def slot_name(member: str) -> str:
    """Slots know only lower-case letters, digits and underscores (PostgreSQL, ReplicationSlotValidateName)."""
    return re.sub(r"[^a-z0-9_]", "_", member.lower())
