"""Where a stack keeps what runs: the layout of the runtime folder, and how files in it are written."""

import json
import os
import secrets
from pathlib import Path
from typing import Any

from components.local.servers.errors import ServerFault

PROJECT = Path(__file__).resolve().parents[3]


def root() -> Path:
    """`$MERIDIAN_HOME`, else `.meridian` in the project."""
    named = os.environ.get("MERIDIAN_HOME")
    return Path(named).expanduser().absolute() if named else PROJECT / ".meridian"


def stack_folder(stack: str) -> Path:
    return root() / "stacks" / stack


def block_file(stack: Path) -> Path:
    return stack / "block.json"


def secrets_folder(stack: Path) -> Path:
    return stack / "secrets"


def region_folder(stack: Path, region: str) -> Path:
    return stack / "regions" / region


def keys_folder(stack: Path, region: str) -> Path:
    return region_folder(stack, region) / "keys"


def partition_map(stack: Path, region: str) -> Path:
    return region_folder(stack, region) / "partitions.json"


def gateway_folder(stack: Path, region: str) -> Path:
    return region_folder(stack, region) / "gateway"


def member_folder(stack: Path, region: str, member: str) -> Path:
    return region_folder(stack, region) / "members" / member


def cache_folder(stack: Path, region: str) -> Path:
    return region_folder(stack, region) / "cache"


def service_folder(stack: Path, region: str) -> Path:
    return region_folder(stack, region) / "service"


def keeper_folder(stack: Path, region: str) -> Path:
    return region_folder(stack, region) / "keeper"


def vault_folder(stack: Path, region: str, partition: str) -> Path:
    """What a region keeps for a partition of another one: base backups and the log."""
    return region_folder(stack, region) / "vault" / partition


def restored_folder(stack: Path, partition: str) -> Path:
    return stack / "restored" / partition


def wan_folder(stack: Path) -> Path:
    return stack / "wan"


def entry_folder(stack: Path) -> Path:
    return stack / "entry"


def make_folder(folder: Path) -> Path:
    """Make it and its missing parents, for the owner only. A new folder belongs to whom its parent belongs."""
    if folder.is_dir():
        return folder
    make_folder(folder.parent)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        return folder
    parent = folder.parent.stat()
    if os.geteuid() == 0 and parent.st_uid != 0 and not parent.st_mode & 0o002:
        os.chown(folder, parent.st_uid, parent.st_gid)
    return folder


def write_atomic(path: Path, content: str | bytes, mode: int = 0o600, *, durable: bool = False) -> None:
    """Replace `path` in one step: readers see the old content or the new, and watchers a move (all Envoy notices).

    Where root had to hand a folder to another user (process accounts), files that replace others stay that user's.
    `durable` also survives a power cut; it is for what cannot be made again.
    """
    try:
        _write(path, content, mode, durable=durable)
    except OSError as fault:
        raise ServerFault(f"{path} could not be written: {fault.strerror}") from None


def _write(path: Path, content: str | bytes, mode: int, *, durable: bool) -> None:
    make_folder(path.parent)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            if os.geteuid() == 0 and (owner := path.parent.stat()).st_uid != 0 and not owner.st_mode & 0o002:
                os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        draft.rename(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def write_if_changed(path: Path, content: str) -> bool:
    """Replace `path` unless it reads so already. Whether it did not."""
    try:
        if path.read_text() == content:
            return False
    except FileNotFoundError:
        pass
    write_atomic(path, content)
    return True


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, content: Any, mode: int = 0o600, *, durable: bool = False) -> None:
    write_atomic(path, json.dumps(content, indent=2) + "\n", mode, durable=durable)


def read_json(path: Path) -> Any | None:
    """The content, or None where there is no such file or it is damaged: both mean that nothing is known."""
    try:
        return json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
