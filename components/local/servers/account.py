"""Under which account servers run: never as root.

Root starts them in a user namespace where they are `nobody`. Nothing has to change hands for that: the files stay
root's, and a virtual environment in a private folder still works. Where user namespaces are blocked, servers run as the
account `nobody` itself, and the stack's files are handed to it. Everybody else's servers run as themselves.
"""

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from components.local.servers.errors import ServerFault

NOBODY = 65534


@dataclass(frozen=True)
class Account:
    prefix: tuple[str, ...] = ()
    """What goes before a command."""

    user: str | None = None
    """The account to switch to, to which the files have to belong."""


@cache
def account() -> Account:
    if os.geteuid() != 0:
        return Account()
    if (unshare := shutil.which("unshare")) is not None:
        prefix = (unshare, "-U", f"--map-user={NOBODY}", f"--map-group={NOBODY}")
        probe = subprocess.run([*prefix, "true"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if probe.returncode == 0:
            return Account(prefix=prefix)
    try:
        pwd.getpwnam("nobody")
    except KeyError:
        raise ServerFault(
            "servers do not run as root, and neither user namespaces nor an account `nobody` are available here; "
            "run Meridian as an ordinary user"
        ) from None
    return Account(user="nobody")


def hand_over(folder: Path) -> None:
    """Give a folder to the account that servers run as, where that is another one."""
    user = account().user
    if user is None or not folder.exists():
        return
    entry = pwd.getpwnam(user)
    for parent, _, files in os.walk(folder):
        for path in (Path(parent), *(Path(parent, name) for name in files)):
            if path.lstat().st_uid != entry.pw_uid:
                os.chown(path, entry.pw_uid, entry.pw_gid, follow_symlinks=False)
