"""`meridian state export|import`: how a stack changes engines."""

import argparse
import json
import sys
from typing import Any

from components.local.servers.paths import write_atomic
from operations import lock
from operations.console import answer, confirm, document, say
from operations.engines import records
from operations.engines.choice import holding
from operations.engines.embedded import Embedded
from operations.errors import Exit, Refused
from operations.project import called_from
from operations.stack import Stack


def run(options: argparse.Namespace) -> int:
    stack = Stack.open(options.stack)
    return _export(stack, options) if options.direction == "export" else _import(stack, options)


def _export(stack: Stack, options: argparse.Namespace) -> int:
    engine = holding(stack)
    if engine is None:
        raise Refused(f"{stack.name} has no state: it is not up. `{stack.command('up')}` builds it")
    if not options.release:
        _put(engine.export(), options.file)
        return Exit.DONE
    if engine.name != "embedded":
        raise Refused(f"--release: the Pulumi CLI holds {stack.name}; `pulumi stack rm` is its way to give a stack up")
    if options.file is None:
        raise Refused("--release: needs --file, so that the state is on disk before it is given up")
    with lock.held(stack.folder, "state export"):
        _put(engine.export(), options.file)
        path = records.embedded_path(stack.name)
        path.rename(path.with_name(f"{path.name}.released"))
        path.with_name(f"{path.name}.bak").unlink(missing_ok=True)
    say(f"The embedded engine has given {stack.name} up; its last state is kept as {path.name}.released.")
    return Exit.DONE


def _put(content: Any, file: str | None) -> None:
    if file is None:
        document(content)
    else:
        write_atomic(called_from(file), json.dumps(content, indent=2) + "\n", durable=True)


def _import(stack: Stack, options: argparse.Namespace) -> int:
    content = read(options.file)
    engine = Embedded(stack)
    if engine.has_stack():
        say(f"The embedded engine holds a state of {stack.name} already: {engine.path}")
        confirm("Put the imported one in its place?", yes=options.yes)
    with lock.held(stack.folder, "state import"):
        count = engine.take_over(content)
    answer(f"The embedded engine holds {stack.name} now, with {count} resources.")
    return Exit.DONE


def read(name: str) -> Any:
    try:
        text = sys.stdin.read() if name == "-" else called_from(name).read_text()
    except OSError as fault:
        raise Refused(f"file: {name} cannot be read: {fault.strerror}") from None
    except UnicodeDecodeError:
        raise Refused(f"file: {name} is not text; it should be the JSON of `pulumi stack export`") from None
    try:
        content = json.loads(text)
    except ValueError as fault:
        raise Refused(f"file: {name} is not the JSON of `pulumi stack export`: {fault}") from None
    if not isinstance(content, dict):
        raise Refused(f"file: {name} is not the JSON of `pulumi stack export`: it holds no object")
    return content
