"""Passwords of a stack: made once, kept in files that only the owner reads, and adopted when they are there."""

import secrets
from pathlib import Path

from components.local.servers import paths
from components.local.servers.errors import ServerFault


def password_file(stack_folder: Path, name: str) -> Path:
    return paths.secrets_folder(stack_folder) / f"{name}.password"


def has_password(stack_folder: Path, name: str) -> bool:
    return password_file(stack_folder, name).is_file()


def read_password(stack_folder: Path, name: str) -> str:
    path = password_file(stack_folder, name)
    try:
        password = path.read_text().strip()
    except FileNotFoundError:
        raise ServerFault(f"the password file {path} is missing; `up` makes the passwords of a stack") from None
    if not password:
        raise ServerFault(f"the password file {path} is empty; restore it, or delete it before the stack's first `up`")
    return password


def ensure_password(stack_folder: Path, name: str) -> str:
    path = password_file(stack_folder, name)
    if not path.exists():
        # URL-safe, so that it needs no quoting in any file format it ends up in.
        paths.write_atomic(path, secrets.token_urlsafe(32) + "\n", durable=True)
    elif path.stat().st_mode & 0o077:
        path.chmod(0o600)
    return read_password(stack_folder, name)


def restore_password(stack_folder: Path, name: str, password: str) -> None:
    """Put back the password that the servers know."""
    paths.write_atomic(password_file(stack_folder, name), password + "\n", durable=True)


def remove_password(stack_folder: Path, name: str) -> None:
    password_file(stack_folder, name).unlink(missing_ok=True)
