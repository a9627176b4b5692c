"""`meridian psql MEMBER`: a SQL session with a member, with psql from the same package as the server."""

import argparse
import os
import secrets
import signal
import subprocess
from difflib import get_close_matches
from pathlib import Path

from components.local.servers import binaries, paths
from components.local.servers import secrets as passwords
from components.local.servers.addresses import Addresses
from components.local.servers.postgres_files import DATABASE, MONITOR, OWNER, password_line
from operations.engines.choice import outputs_of
from operations.errors import Refused
from operations.stack import Stack


def run(options: argparse.Namespace) -> int:
    stack = Stack.open(options.stack)
    outputs = outputs_of(stack)
    if not outputs or "topology" not in outputs:
        raise Refused(f"{stack.name} is not up. `{stack.command('up')}` builds it")
    from topology import from_summary

    summary = from_summary(outputs["topology"])
    members = {
        member: (region.slot, partition.slot)
        for partition in summary.partitions
        for region in summary.regions
        for member in region.members
        if member in partition.members
    }
    addresses = Addresses(str(outputs["ground"]))
    endpoints = {name: addresses.postgres(*slots) for name, slots in members.items()} | {
        f"restored-{partition.name}": addresses.restored(partition.slot)
        for partition in summary.partitions
        if paths.restored_folder(stack.folder, partition.name).exists()
    }
    if options.member not in endpoints:
        near = get_close_matches(options.member, endpoints, 1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise Refused(f"member: {stack.name} has no member {options.member!r}.{hint} Allowed: {', '.join(endpoints)}.")
    endpoint = endpoints[options.member]
    role = OWNER if options.owner else MONITOR
    folder = stack.settings.local.postgres_folder
    program = binaries.postgres(Path(folder) if folder else None) / "psql"
    if not program.exists():
        raise Refused(f"there is no psql beside PostgreSQL's other programs in {program.parent}")
    # The password goes by a file that only this user reads: neither arguments nor the environment show it to others.
    password_file = passwords.password_file(stack.folder, role).with_name(f".psql-{secrets.token_hex(6)}")
    descriptor = os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(password_line(role, passwords.read_password(stack.folder, role)))
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
        command = [
            program,
            "-h",
            endpoint.host,
            "-p",
            str(endpoint.port),
            "-U",
            role,
            "-d",
            DATABASE,
            *options.passed_on,
        ]
        # Ctrl-C is psql's, which cancels the query and goes on.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            return subprocess.run(
                command,
                env={
                    **environment,
                    "PGPASSFILE": str(password_file),
                    "PGSSLMODE": "disable",
                    "PGAPPNAME": "meridian psql",
                },
                preexec_fn=_default_interrupt,
                check=False,
            ).returncode
        finally:
            signal.signal(signal.SIGINT, before)
    finally:
        password_file.unlink(missing_ok=True)


def _default_interrupt() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
