"""`meridian down`: take the stack down. It asks, it refuses to delete data unless told so, and it leaves no process."""

import argparse
import shutil

from operations import lock
from operations.console import answer, confirm, document, say
from operations.engines.choice import has_data, holder, holding
from operations.engines.face import Engine
from operations.engines.pulumi_cli import PulumiCli
from operations.errors import Exit, Fault, Refused
from operations.progress import View
from operations.stack import Stack


def run(options: argparse.Namespace) -> int:
    stack = Stack.open(options.stack)
    readable = True
    try:
        held = holder(stack)
    except Fault as fault:
        if not options.destroy_data or stack.target != "local":
            raise
        # Everything local runs from the stack's folder: a state that cannot be read keeps nobody from ending it.
        say(f"The state is of no use: {fault}")
        held, readable = None, False
    if held is not None and options.engine is not None and options.engine != held:
        from operations.engines.choice import choose

        choose(stack, options.engine)  # says how to move the state
    if held is None and not stack.folder.exists():
        if options.json:
            document({"stack": stack.name, "destroyed": [], "engine": None})
        else:
            answer(f"{stack.name} is not up: there is nothing to take down.")
        return Exit.DONE
    if held == "pulumi":
        PulumiCli(stack)  # says how to get it
    members = _members(stack, readable=readable)
    if members and not options.destroy_data:
        raise Refused(
            f"{stack.name} holds data, which `down` would delete: {', '.join(members)}. "
            f"To delete them with everything else: `{stack.command('down', '--destroy-data')}`"
        )
    say(f"This takes {stack.name} down for good: its servers, its addresses, its passwords and certificates.")
    for member in members:
        say(f"  would delete {member}, with its data")
    confirm("Go on?", yes=options.yes)
    words = f"down --stack {stack.name}"
    # An operation that still runs would go on with servers that are taken away under it.
    with (
        lock.held(stack.folder, words),
        lock.held(stack.folder, words, lock.OPERATION),
        lock.held(stack.folder, words, lock.MOVE),
    ):
        engine = holding(stack) if readable else None
        if engine is not None:
            _destroy(engine, sweeps=stack.target == "local")
        leftovers = _sweep(stack) if stack.target == "local" else 0
        if stack.target == "local" or not _holds_resources(engine):
            shutil.rmtree(stack.folder, ignore_errors=True)
    if leftovers:
        say(f"  ended     {leftovers} process{'' if leftovers == 1 else 'es'} that no state knew of")
    if options.json:
        document({"stack": stack.name, "destroyed": members, "engine": engine.name if engine else None})
    else:
        answer(f"{stack.name} is down; nothing of it is left running.")
    return Exit.DONE


def _destroy(engine: Engine, *, sweeps: bool) -> None:
    """What the state knows, in order. A state that cannot be read keeps nobody from ending the local servers."""
    import engine as embedded

    try:
        engine.destroy(View())
    except (Fault, embedded.StateError) as fault:
        if not sweeps or engine.name != "embedded":
            raise
        say(f"  the state is of no use ({fault}); everything that runs from the stack's folder is ended instead")


def _members(stack: Stack, *, readable: bool) -> list[str]:
    """What holds data, by the state and by the folder: a copy may have been made just before a kill."""
    engine = holding(stack) if readable else None
    found = set()
    if engine is not None:
        for urn, inputs in engine.protected().items():
            found.add(str(inputs.get("member") or urn.rsplit("::", 1)[1]))
    if has_data(stack):
        found |= {path.parts[-3] for path in (stack.folder / "regions").glob("*/members/*/data/PG_VERSION")}
    return sorted(found)


def _sweep(stack: Stack) -> int:
    from operations.drivers.local import sweep

    return sweep(stack.folder)


def _holds_resources(engine: Engine | None) -> bool:
    return engine is not None and engine.has_stack()
