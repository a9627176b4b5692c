"""What a test asks a member directly, as its superuser, past the service."""

import json
import time
from pathlib import Path
from typing import Any

import psycopg

from components.local.servers.addresses import Addresses
from tests.local.clone import Clone

# Rows and a checksum for each table of the service: equal on every member once nothing is in flight.
CHECKSUM = """
select count(*), md5(coalesce(string_agg(row_text, E'\\n' order by row_text), ''))
from (select t::text as row_text from {table} t) rows
"""


def block(clone: Clone) -> Addresses:
    return Addresses(json.loads((clone.stack / "block.json").read_text())["block"])


def connect(clone: Clone, slot: int, partition: int = 0) -> "psycopg.Connection[Any]":
    endpoint = block(clone).postgres(slot, partition)
    password = (clone.stack / "secrets" / "meridian.password").read_text().strip()
    return psycopg.connect(
        host=endpoint.host, port=endpoint.port, dbname="orders", user="meridian", password=password, autocommit=True
    )


def tables(connection: "psycopg.Connection[Any]") -> list[str]:
    """All that is replicated; an unlogged table, as the lease, is the writer's own."""
    rows = connection.execute(
        "select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace "
        "where c.relkind = 'r' and c.relpersistence = 'p' and n.nspname not in ('pg_catalog', 'information_schema') "
        "order by 1"
    ).fetchall()
    return [row[0] for row in rows]


def checksums(clone: Clone, slot: int, partition: int = 0) -> dict[str, tuple[int, str]]:
    with connect(clone, slot, partition) as connection:
        return {table: connection.execute(CHECKSUM.format(table=table)).fetchone() for table in tables(connection)}  # pyright: ignore


def settle(clone: Clone, timeout: float = 20.0) -> Any:
    """Wait until no member lags, and return the status."""
    deadline = time.monotonic() + timeout
    while True:
        status = clone.status()
        lags = [member["lag_bytes"] for region in status["regions"] for member in region["members"]]
        if all(lag == 0 for lag in lags) or time.monotonic() > deadline:
            assert all(lag == 0 for lag in lags), lags
            return status
        time.sleep(0.2)


def identity(clone: Clone, region: str, member: str) -> tuple[Any, ...]:
    """What changes when a server is restarted or its data made anew."""
    folder: Path = clone.stack / "regions" / region / "members" / member
    record = json.loads((folder / "server.json").read_text())
    return record["pid"], record["nonce"], (folder / "data" / "PG_VERSION").stat().st_ino
