"""The command line: what may be written, which command does it, and how it ends."""

import argparse
import os
import re
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from operations.console import NAME, complain
from operations.errors import Exit, Fault, Refused

PHASES = "single-region, async-replica, active-passive, multi-region-reads, active-active, or 1 to 5"


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog=NAME,
        description="Builds a multi-region backend and climbs it up the ladder, one phase at a time.",
        epilog="Exit status: 0 done, 1 a fault at run time, 2 bad settings or a refusal, 3 a preview found that "
        "something stateful would be replaced or deleted.",
        allow_abbrev=False,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str, *, stack: bool = True) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", allow_abbrev=False)
        if stack:
            made.add_argument(
                "--stack",
                default=os.environ.get("MERIDIAN_STACK") or "dev",
                metavar="NAME",
                help="the stack: its settings are in Pulumi.NAME.yaml (default: MERIDIAN_STACK, else dev)",
            )
        return made

    def engine(made: argparse.ArgumentParser) -> None:
        made.add_argument(
            "--engine",
            choices=("embedded", "pulumi"),
            help="what runs the program (default: the one that holds the stack, else the Pulumi CLI if there is one)",
        )

    def as_json(made: argparse._ActionsContainer) -> None:
        made.add_argument("--json", action="store_true", help="print one JSON document on stdout, all else on stderr")

    def phase(made: argparse.ArgumentParser, text: str) -> None:
        made.add_argument("--phase", metavar="PHASE", help=f"{text}: {PHASES}")

    def of_partition(made: argparse.ArgumentParser) -> None:
        made.add_argument("--partition", default="main", metavar="NAME", help="the partition (default: main)")

    def yes(made: argparse.ArgumentParser) -> None:
        made.add_argument("--yes", "-y", action="store_true", help="do not ask")

    up = command("up", "make what the settings describe, and say where to call it")
    phase(up, "climb to this phase, and write it into the settings")
    engine(up)
    yes(up)
    as_json(up)

    preview = command("preview", "show what `up` would do; write nothing")
    phase(preview, "as if the settings said this phase")
    preview.add_argument(
        "--add-region", action="append", default=[], metavar="REGION", help="as if the settings listed this region too"
    )
    preview.add_argument("--state", metavar="FILE", help="compare with an export of `pulumi stack export`, - for stdin")
    engine(preview)
    form = preview.add_mutually_exclusive_group()
    as_json(form)
    form.add_argument("--markdown", action="store_true", help="print Markdown, to paste into a pull request")
    preview.add_argument("--picture", metavar="FILE.svg", help="also draw before and after into this file")

    def moves(name: str, text: str, to: str) -> argparse.ArgumentParser:
        made = command(name, text)
        of_partition(made)
        made.add_argument("--to", metavar="REGION", help=to)
        made.add_argument(
            "--from",
            dest="stand",
            metavar="REGION",
            help="where you stand: what is not reached from there is left alone",
        )
        made.add_argument(
            "--old-writer-is-fenced",
            action="store_true",
            help="you made sure that the old writer takes no writes; needed where there is no lease",
        )
        made.add_argument(
            "--despite-capacity", action="store_true", help="also to a region that is too small or has no service"
        )
        again = made.add_mutually_exclusive_group()
        again.add_argument("--resume", action="store_true", help="carry on with the unfinished operation")
        again.add_argument(
            "--undo", action="store_true", help="let the old writer of the unfinished operation write again"
        )
        yes(made)
        as_json(made)
        made.set_defaults(max_loss=None)
        return made

    failover = moves(
        "failover",
        "make another member the writer because the writer is gone",
        "preferred; a member that has received more goes before it",
    )
    failover.add_argument(
        "--max-loss",
        metavar="AMOUNT",
        help="seconds (10s), bytes of log (1MB), 0 or `any` (default: the setting objectives.rpo_seconds)",
    )
    moves(
        "switchover", "make another member the writer, in order", "the new writer (default: the origin, else the next)"
    )
    failback = moves(
        "failback", "bring a region back that was away, and make it the writer", "the region (default: the origin)"
    )
    failback.add_argument("--rejoin-only", action="store_true", help="bring it back as a replica, and leave the writer")

    watch = command("watch", "watch the writers; alarm, or fail over where `failover.automatic` is set")
    of_partition(watch)
    watch.add_argument("--from", dest="stand", metavar="REGION", help="where the watcher stands")
    watch.add_argument("--once", action="store_true", help="end with the first outage, status 1, and do nothing")

    drill = command("drill", "break something on purpose, under load, and measure what users see")
    drill.add_argument("scenario", nargs="*", metavar="SCENARIO", help="what to drill; --list shows them")
    drill.add_argument("--all", action="store_true", help="every scenario that this stack can be drilled in")
    drill.add_argument("--list", action="store_true", help="show the scenarios, and do nothing")
    drill.add_argument("--table", action="store_true", help="print what this stack's drills found so far as Markdown")
    drill.add_argument(
        "--history", action="append", default=[], metavar="FILE", help="--table: with this history.jsonl; repeatable"
    )
    drill.add_argument("--scenarios", metavar="FOLDER", help="also the scenarios in this folder")
    drill.add_argument("--rounds", type=_count, metavar="N", help="how often each (default: 1; with --all its own)")
    drill.add_argument("--proof", action="store_true", help="as often each as its promise asks: the scenarios' `proof`")
    of_partition(drill)
    drill.add_argument("--rate", type=_rate, default=200.0, metavar="N", help="requests a second (default: 200)")
    drill.add_argument("--retries", type=_count, default=1, metavar="N", help="tries after the first (default: 1)")
    drill.add_argument("--seed", type=int, metavar="N", help="where a killed operation is killed, the same each time")
    yes(drill)
    as_json(drill)

    partition = command("partition", "say which customers each partition has, move some, or check (local)", stack=False)
    acting = partition.add_subparsers(dest="action", required=True, metavar="list|move|split|merge|check")
    for name, text in (
        ("list", "show the partitions, their writers, and the homes that they have"),
        ("move", "move homes to another partition while their customers order"),
        ("split", "move half of a partition's customers to another one"),
        ("merge", "move all of a partition's customers to another one"),
        ("check", "compare partitions and their members while users write; change nothing"),
    ):
        made = acting.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", allow_abbrev=False)
        made.add_argument("--stack", default=os.environ.get("MERIDIAN_STACK") or "dev", metavar="NAME")
        as_json(made)
        if name == "check":
            made.add_argument("--partition", metavar="NAME", help="this one, and what others know of it (default: all)")
        if name in ("list", "check"):
            continue
        if name == "move":
            made.add_argument(
                "--homes", metavar="HOMES", help="like 00/us-east, or 00/us-east/00-7f for a part of them"
            )
        else:
            made.add_argument("name", metavar="PARTITION", help="the partition whose customers go")
        made.add_argument("--to", metavar="PARTITION", help="the partition that gets them")
        again = made.add_mutually_exclusive_group()
        again.add_argument("--resume", action="store_true", help="carry on with the unfinished move")
        again.add_argument("--undo", action="store_true", help="give the unfinished move up")
        yes(made)

    runbook = command("runbook", "write the runbook of this stack, as it stands now, as Markdown")
    runbook.add_argument("--file", metavar="FILE.md", help="write it there instead of to stdout")

    status = command("status", "show how each region is doing")
    as_json(status)

    backup = command("backup", "take a base backup of a partition (local)")
    of_partition(backup)
    backup.add_argument("--keep", type=_count, default=3, metavar="N", help="how many are kept (default: 3)")
    backup.add_argument("--list", action="store_true", help="take none; show what there is")
    as_json(backup)

    restore = command("restore", "restore a partition as it was, beside its members (local)")
    restore.add_argument("--to", metavar="TIME", help="the time, ISO 8601 with a zone, as 2026-03-01T14:05:00Z")
    of_partition(restore)
    restore.add_argument("--into", metavar="FOLDER", help="where its data go (default: in the stack's folder)")
    restore.add_argument("--copy", metavar="TABLE", help="bring a table's missing rows from there to the writer")
    restore.add_argument("--drop", action="store_true", help="take away what was restored")
    yes(restore)
    as_json(restore)

    down = command("down", "take the stack down; nothing of it is left running")
    down.add_argument("--destroy-data", action="store_true", help="also delete the databases and what they hold")
    engine(down)
    yes(down)
    as_json(down)

    test = command("test", "format, lint, types and every test; what follows goes to pytest", stack=False)
    test.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="passed on to pytest")

    doctor = command("doctor", "say what is missing on this machine and how to get it")
    as_json(doctor)

    logs = command("logs", "print the servers' logs")
    logs.add_argument("where", nargs="?", metavar="REGION|SERVER", help="one region, or one server such as gateway")
    logs.add_argument("-f", "--follow", action="store_true", help="go on printing as the logs grow")
    logs.add_argument("-n", "--lines", type=_count, default=20, metavar="N", help="lines of each log (default: 20)")

    psql = command("psql", "open a SQL session with a member; what follows -- goes to psql")
    psql.add_argument("member", metavar="MEMBER", help="such as main-eu-central; `status` lists them")
    psql.add_argument("--owner", action="store_true", help="as the owner, who may change everything")

    reconcile = command("reconcile", "what a failover left behind at the old writer: list it, export it, send it again")
    reconcile.add_argument(
        "action",
        choices=("list", "export", "replay"),
        help="list the tails; print their orders as JSON lines; or place what is open again, each with its own key",
    )
    reconcile.add_argument("--tail", metavar="NAME", help="this one only; `reconcile list` names them")
    reconcile.add_argument("--file", metavar="FILE", help="export: write it there instead of to stdout")
    yes(reconcile)
    as_json(reconcile)

    policies = command("policies", "write the policy pack's configuration, for the Pulumi CLI's own commands")
    phase(policies, "as if the settings said this phase")
    policies.add_argument("--file", metavar="FILE", help="write it there instead of to stdout")

    rotate = command("rotate", "give the database's administrator a new password (aws)")
    of_partition(rotate)
    rotate.add_argument(
        "--without-region", action="append", default=[], metavar="REGION", help="leave out a region that is gone"
    )
    yes(rotate)

    state = command("state", "hand the stack's state to the other engine, or take it", stack=False)
    handing = state.add_subparsers(dest="direction", required=True, metavar="export|import")
    export = handing.add_parser("export", help="print the state as `pulumi stack export` would", allow_abbrev=False)
    import_ = handing.add_parser("import", help="take a state that was exported", allow_abbrev=False)
    for made in (export, import_):
        made.add_argument("--stack", default=os.environ.get("MERIDIAN_STACK") or "dev", metavar="NAME")
    export.add_argument("--file", metavar="FILE", help="write it there instead of to stdout")
    export.add_argument("--release", action="store_true", help="give the stack up, so that the other engine holds it")
    import_.add_argument("file", metavar="FILE", help="the export, or - for stdin")
    yes(import_)
    return top


def _count(text: str) -> int:
    if not re.fullmatch(r"\d{1,6}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 999999")
    return int(text)


def _rate(text: str) -> float:
    if not re.fullmatch(r"\d{1,5}(\.\d{1,3})?", text) or float(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of requests a second above 0")
    return float(text)


def main(arguments: Sequence[str]) -> int:
    # Before argparse, which would take what is meant for pytest as its own.
    if arguments[:1] == ["test"] and arguments[1:2] not in (["-h"], ["--help"]):
        return _guarded("test", lambda: _command("test").run(list(arguments[1:])))
    if not arguments:
        parser().print_help(sys.stderr)
        return Exit.REFUSED
    own, passed_on = list(arguments), []
    if arguments[0] == "psql" and "--" in arguments:
        own, passed_on = own[: own.index("--")], own[own.index("--") + 1 :]
    try:
        options = parser().parse_args(own, argparse.Namespace(passed_on=passed_on))
    except SystemExit as end:  # argparse has said why
        return int(end.code or 0)
    return _guarded(options.command, lambda: _command(options.command).run(options))


def _command(name: str) -> Any:
    """The module of a command. Imported when it is called, so that `--help` and bad options cost nothing."""
    return import_module(f"operations.commands.{name}")


def _guarded(command: str, run: Callable[[], int]) -> int:
    """Every way a command can end, with one message and the right status."""
    try:
        status = run()
        sys.stdout.flush()
        return int(status)
    except KeyboardInterrupt:
        again = "; run it again to carry on" if command in ("up", "down") else ""
        complain(f"{command} was interrupted{again}")
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; nothing more can be said there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return Exit.DONE
    except Exception as fault:
        return _ended(command, fault)


def _ended(command: str, fault: Exception) -> int:
    status = _status_of(fault)
    if status is not None:
        complain(str(fault))
        return status
    if isinstance(fault, OSError) and fault.strerror:
        where = f": {fault.filename}" if fault.filename else ""
        complain(f"{command}: {fault.strerror}{where}{_write_traceback(command, fault)}")
        return Exit.FAULT
    first = (str(fault).strip().splitlines() or ["no message"])[0]
    complain(f"{command} failed unexpectedly: {type(fault).__name__}: {first}{_write_traceback(command, fault)}")
    return Exit.FAULT


def _status_of(fault: Exception) -> Exit | None:
    """What an exception with a message for the user means; None for every other one."""
    if isinstance(fault, Refused):
        return Exit.REFUSED
    if isinstance(fault, Fault):
        return Exit.FAULT
    # By the names of their modules: one that raised was imported, and no other needs to be.
    for module, name, status in (
        ("topology.errors", "SettingsError", Exit.REFUSED),
        ("pulumi.errors", "RunError", Exit.REFUSED),
        ("engine.errors", "Refusal", Exit.REFUSED),
        ("engine.errors", "EngineError", Exit.FAULT),
        ("components.local.servers.errors", "ServerFault", Exit.FAULT),
    ):
        kind = getattr(sys.modules.get(module), name, None)
        if kind is not None and isinstance(fault, kind):
            return status
    return None


def _write_traceback(command: str, fault: Exception) -> str:
    """Keep the whole story of an unexpected exception; outside the project, where a preview writes nothing."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    try:
        path = Path(tempfile.mkdtemp(prefix=f"{NAME}-")) / f"{command}-{stamp}.log"
        path.write_text("".join(traceback.format_exception(fault)))
    except OSError:  # a full disk, which may be what the message is about
        return ""
    return f". The whole story: {path}"
