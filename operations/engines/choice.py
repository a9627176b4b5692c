"""Which engine acts on a stack: the one that holds its state, else the one asked for, else the CLI if there is one."""

import shlex
from collections.abc import Mapping
from typing import Any

from components.local.servers import paths
from operations import passphrase
from operations.console import say
from operations.engines import records
from operations.engines.embedded import CLI_PAGE, Embedded
from operations.engines.face import Engine
from operations.engines.pulumi_cli import PulumiCli, installed
from operations.errors import Fault, Refused
from operations.stack import Stack


def holder(stack: Stack) -> str | None:
    """The name of the engine that holds the stack's state; None where neither does."""
    embedded = Embedded(stack).has_stack()
    backend = records.backend(stack.target)
    if backend is not None and records.checkpoint_path(backend, stack.project, stack.name):
        pulumi = bool(records.checkpoint(backend, stack.project, stack.name))
    else:
        pulumi = not embedded and installed() is not None and PulumiCli(stack).has_stack()
    if embedded and pulumi:
        raise Refused(
            f"both engines hold a state of {stack.name}: {records.embedded_path(stack.name)} and the Pulumi backend "
            f"{backend}. One is out of date: move that file away, or run `{_rm(stack)}`."
        )
    return "embedded" if embedded else "pulumi" if pulumi else None


def choose(stack: Stack, asked: str | None) -> Engine:
    """The engine for a command that changes or previews the stack."""
    held = holder(stack)
    if held is None:
        refuse_orphans(stack)
    name = asked or held or ("pulumi" if installed() else "embedded")
    if held is not None and name != held:
        raise Refused(_moving(stack, held, name))
    if name == "pulumi" and held == "pulumi" and installed() is None:
        raise Refused(_moving(stack, held, "embedded"))
    if asked is None and held == "embedded" and installed():
        say(f"The embedded engine holds {stack.name} and goes on with it; `--engine pulumi` says how to move it.")
    return PulumiCli(stack) if name == "pulumi" else Embedded(stack)


def holding(stack: Stack) -> Engine | None:
    """The engine that holds the stack, for a command that only looks."""
    held = holder(stack)
    if held is None:
        return None
    return PulumiCli(stack) if held == "pulumi" else Embedded(stack)


def outputs_of(stack: Stack) -> Mapping[str, Any] | None:
    """What the stack exports; None where it is not up."""
    engine = holding(stack)
    return None if engine is None else engine.outputs()


def has_data(stack: Stack) -> bool:
    """Whether database servers of this stack left data in its folder."""
    return any((stack.folder / "regions").glob("*/members/*/data/PG_VERSION"))


def refuse_orphans(stack: Stack) -> None:
    """Data of a stack whose state is nowhere: beginning anew would build beside it or on top of it."""
    if has_data(stack):
        raise Fault(
            f"{stack.folder} holds data of {stack.name}, but there is no state that knows of it: neither "
            f"{records.embedded_path(stack.name)} nor one in the Pulumi backend {records.backend(stack.target)}. "
            f"Put the state file back, or import an export (`{stack.command('state', 'import', 'FILE')}`), or name "
            f"the right backend in PULUMI_BACKEND_URL. To give the data up: `{stack.command('down', '--destroy-data')}`"
        )


def _moving(stack: Stack, held: str, wanted: str) -> str:
    who = {"embedded": "the embedded engine", "pulumi": "the Pulumi CLI"}
    way = f"Use --engine {held}"
    if held == "pulumi" and installed() is None:
        way = f"Put the CLI on PATH ({CLI_PAGE})"
    return (
        f"engine: {who[held]} holds the state of {stack.name}, so {who[wanted]} leaves it alone. {way}, "
        f"or move the state:{_commands(stack, held)}"
    )


def _commands(stack: Stack, held: str) -> str:
    name = shlex.quote(stack.name)
    if held == "embedded":
        lines = [
            *_exports(stack),
            f"pulumi stack init --stack {name} --no-select",
            stack.command("state", "export", "--release", "--file", f"{stack.name}.json"),
            f"pulumi stack import --stack {name} --file {name}.json",
        ]
    else:
        lines = [
            *_exports(stack),
            f"pulumi stack export --stack {name} --file {name}.json",
            stack.command("state", "import", f"{stack.name}.json"),
            _rm(stack),
        ]
    return "".join(f"\n  {line}" for line in lines)


def _exports(stack: Stack) -> list[str]:
    backend = records.backend(stack.target)
    lines = []
    if backend is not None and backend == records.own_backend():
        lines = [
            f"mkdir -p {shlex.quote(str(paths.root() / 'pulumi'))}",
            f"export PULUMI_BACKEND_URL={shlex.quote(backend)}",
        ]
    if not passphrase.is_given():
        lines.append(f"export {passphrase.FILE}={shlex.quote(str(passphrase.own_file()))}")
    return lines


def _rm(stack: Stack) -> str:
    return f"pulumi stack rm --stack {shlex.quote(stack.name)} --force --yes --preserve-config"
