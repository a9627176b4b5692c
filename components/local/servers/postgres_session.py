"""Short SQL sessions with a member. Passwords go from their files to the driver, and into no text."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from components.local.servers import secrets
from components.local.servers.addresses import Endpoint
from components.local.servers.errors import ServerFault

CONNECT_SECONDS = 5
STATEMENT_MS = 10_000

Connection = psycopg.Connection[tuple[Any, ...]]


def parameters(stack_folder: Path, endpoint: Endpoint, role: str, database: str, statement_ms: int) -> dict[str, Any]:
    return {
        "host": endpoint.host,
        "port": endpoint.port,
        "user": role,
        "password": secrets.read_password(stack_folder, role),
        "dbname": database,
        "connect_timeout": CONNECT_SECONDS,
        "application_name": "meridian",
        "options": f"-c statement_timeout={statement_ms}",
        # Nothing that lies about in the user's home is to change how this connects.
        "passfile": "/dev/null",
        "sslmode": "disable",
        "gssencmode": "disable",
    }


@contextmanager
def session(
    stack_folder: Path, endpoint: Endpoint, role: str, database: str = "postgres", *, statement_ms: int = STATEMENT_MS
) -> Iterator[Connection]:
    """A connection in autocommit mode; what goes wrong in it is a ServerFault that names the server."""
    try:
        with psycopg.connect(
            **parameters(stack_folder, endpoint, role, database, statement_ms), autocommit=True
        ) as connection:
            yield connection
    except psycopg.Error as fault:
        first = str(fault).strip().splitlines()[:1] or [type(fault).__name__]
        raise ServerFault(f"PostgreSQL at {endpoint}, as {role}: {first[0]}") from None
