"""The passphrase that seals a stack's secrets, as Pulumi's passphrase provider has it.

It comes from PULUMI_CONFIG_PASSPHRASE or the file that PULUMI_CONFIG_PASSPHRASE_FILE names. Where neither is set, one
is made once and kept in the runtime folder, which git ignores: whoever holds the stacks' files holds it too.
"""

import contextlib
import os
import secrets
from pathlib import Path

from components.local.servers import paths
from operations.errors import Refused

WORD = "PULUMI_CONFIG_PASSPHRASE"
FILE = "PULUMI_CONFIG_PASSPHRASE_FILE"


def own_file() -> Path:
    return paths.root() / "passphrase"


def is_given() -> bool:
    return WORD in os.environ or bool(os.environ.get(FILE))


def read() -> str | None:
    """The passphrase, None while there is none. Makes nothing."""
    if (word := os.environ.get(WORD)) is not None:
        return word
    named = os.environ.get(FILE)
    path = Path(named).expanduser() if named else own_file()
    try:
        return path.read_text().strip()  # as the CLI does
    except FileNotFoundError:
        if named:
            raise Refused(f"{FILE} names {path}, which does not exist") from None
        return None
    except OSError as fault:
        raise Refused(f"the passphrase file {path} cannot be read: {fault.strerror}") from None


def ensure() -> str:
    """The passphrase; made when there is none."""
    found = read()
    if found is not None:
        return found
    path = own_file()
    paths.make_folder(path.parent)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)  # the first of two that do this wins
        paths.sync_folder(path.parent)
    finally:
        draft.unlink(missing_ok=True)
    return path.read_text().strip()


def environment() -> dict[str, str]:
    """What a Pulumi CLI has to be told beyond what its user says already. The word itself goes nowhere."""
    return {} if is_given() else {FILE: str(own_file())}
