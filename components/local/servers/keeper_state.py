"""What a keeper must not forget, on its disk before it says so to anybody."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from components.local.servers import paths
from components.local.servers.errors import ServerFault
from components.local.servers.keeper_lease import Claim, Promise

FILE = "lease.json"


@dataclass(frozen=True, kw_only=True)
class Kept:
    promises: Mapping[str, Promise] = field(default_factory=dict)  # by partition
    claims: Mapping[str, Claim] = field(default_factory=dict)  # by partition
    settled: frozenset[str] | None = None


def read(folder: Path) -> Kept:
    path = folder / FILE
    if not path.exists():
        return Kept()
    content: Any = paths.read_json(path)
    try:
        return Kept(
            promises={name: Promise(**promise) for name, promise in content["promises"].items()},
            claims={name: Claim(**claim) for name, claim in content["claims"].items()},
            settled=None if content["settled"] is None else frozenset(content["settled"]),
        )
    except (KeyError, TypeError, AttributeError):
        # A keeper that forgot what it promised could promise the opposite.
        raise ServerFault(
            f"{path} is damaged. Take the keeper's region out and in again, or restore the file; "
            "deleting it is safe only while no region can have been granted a lease in the last seconds"
        ) from None


def write(folder: Path, kept: Kept) -> None:
    content = {
        "promises": {name: asdict(promise) for name, promise in kept.promises.items()},
        "claims": {name: asdict(claim) for name, claim in kept.claims.items()},
        "settled": None if kept.settled is None else sorted(kept.settled),
    }
    paths.write_json(folder / FILE, content, durable=True)
