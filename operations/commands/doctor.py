"""`meridian doctor`: what is missing on this machine, and how to get it."""

import argparse
import os
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Literal

from components.local.servers import account, binaries, paths
from components.local.servers.addresses import ADDRESS_BLOCKS, Endpoint, is_free
from components.local.servers.errors import ServerFault
from operations import lock, project
from operations.console import document, output
from operations.drivers.local import free_bytes, platform_problem
from operations.engines.embedded import CLI_PAGE
from operations.engines.pulumi_cli import installed
from operations.errors import Exit
from operations.stack import Stack

GIGABYTE = 2**30
ROOM = 3  # GB: four phases of the dev stack, with WAL that is kept for replicas


@dataclass(frozen=True)
class Finding:
    what: str
    state: Literal["fine", "note", "missing"]
    detail: str
    remedy: str = ""


def run(options: argparse.Namespace) -> int:
    stack = Stack.open(options.stack)
    findings = list(look(stack))
    missing = any(finding.state == "missing" for finding in findings)
    if options.json:
        document({"ok": not missing, "findings": [asdict(finding) for finding in findings]})
    else:
        show(findings)
    return Exit.FAULT if missing else Exit.DONE


def look(stack: Stack) -> Iterator[Finding]:
    version = platform.python_version()
    yield Finding("python", "fine", f"{version} ({sys.executable})")
    problem = platform_problem()
    if problem is None:
        yield Finding("platform", "fine", platform.platform())
    else:
        yield Finding("platform", "note", problem, "name installed servers under `local` in the settings")
    yield _account()
    local = stack.settings.local if stack.target == "local" else None
    yield _server("postgresql", binaries.postgres, local.postgres_folder if local else None)
    yield _server("valkey", binaries.valkey, local.valkey_folder if local else None)
    yield _server("envoy", binaries.envoy, local.envoy_folder if local else None)
    yield _room()
    yield _addresses()
    yield _cli()
    for name in project.stacks(stack.source):
        who = lock.holder(paths.stack_folder(name))
        if who is not None:
            yield Finding("lock", "note", f"the stack {name} is being changed by {who}", "wait for it to end")


def _account() -> Finding:
    if os.geteuid() != 0:
        return Finding("account", "fine", "servers run as you")
    try:
        found = account.account()
    except ServerFault as fault:
        return Finding("account", "missing", str(fault), "run Meridian as an ordinary user")
    how = "in a user namespace" if found.prefix else f"as the account {found.user}"
    return Finding("account", "fine", f"you are root; servers run {how}, never as root")


def _server(name: str, find: Callable[..., object], folder: str | None) -> Finding:
    from pathlib import Path

    try:
        where = find(Path(folder) if folder else None)
    except ServerFault as fault:
        return Finding(name, "missing", str(fault), "./meridian up installs it on a supported platform")
    return Finding(name, "fine", str(where))


def _room() -> Finding:
    free = free_bytes(paths.root())
    detail = f"{free / GIGABYTE:.1f} GB free where {paths.root()} is"
    if free < ROOM * GIGABYTE:
        return Finding("disk", "missing", detail, f"make room for {ROOM} GB, or set MERIDIAN_HOME to a roomier folder")
    return Finding("disk", "fine", detail)


def _addresses() -> Finding:
    mode = os.environ.get("MERIDIAN_ADDRESSING", "")
    if mode != "ports" and is_free(Endpoint(f"{ADDRESS_BLOCKS[0]}.0.1", 0)):
        return Finding("addresses", "fine", "all of 127.0.0.0/8 answers: a loopback address for each server")
    if mode == "addresses":
        return Finding("addresses", "missing", "only 127.0.0.1 answers here", "unset MERIDIAN_ADDRESSING")
    return Finding("addresses", "fine", "only 127.0.0.1 is used: a port for each server")


def _cli() -> Finding:
    path = installed()
    if path is None:
        return Finding("pulumi", "note", "no Pulumi CLI: the embedded engine builds the target local", CLI_PAGE)
    return Finding("pulumi", "fine", path)


def show(findings: list[Finding]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("", "", "found", "how to get it"):
        table.add_column(heading, overflow="fold")
    style = {"fine": "green", "note": "yellow", "missing": "red"}
    for finding in findings:
        state = Text(finding.state, style[finding.state])
        table.add_row(finding.what, state, Text(finding.detail), Text(finding.remedy))
    output().print(table)
