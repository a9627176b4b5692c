"""`meridian watch`: looks at a partition's writer from every region, and alarms, or acts where the settings say so."""

import argparse
import random
import time
from collections.abc import Callable

from operations import lock
from operations.cli import parser
from operations.console import say
from operations.engines.choice import outputs_of
from operations.errors import Exit, Fault, Refused
from operations.failover import command, drivers, journal, watch
from operations.failover.driver import Driver, Observation
from operations.stack import Stack
from topology.summary import from_summary


def run(options: argparse.Namespace) -> int:
    stack = Stack.open(options.stack)
    outputs = outputs_of(stack)
    if not outputs or "topology" not in outputs:
        raise Refused(f"{stack.name} is not up: there is no writer to watch. `{stack.command('up')}` builds it.")
    running = from_summary(outputs["topology"])
    regions = drivers.members(running, options.partition)
    if options.stand is not None and running.region(options.stand) is None:
        names = ", ".join(region.name for region in running.regions)
        raise Refused(f"--from: {options.stand!r} is no region of {stack.name}. Allowed: {names}.")
    if len(regions) < 2:
        raise Refused(f"{options.partition} has one member, so there is nobody to look at it from outside its region.")
    driver = drivers.open_driver(stack, outputs, options.partition, options.stand)
    acts = stack.topology.automatic_failover and not options.once
    say(f"watching the writer of {options.partition}; an outage {'moves it' if acts else 'is told, nothing is done'}")
    return watching(
        driver, options.stand, once=options.once, act=lambda now: _act(stack, options, driver, now) if acts else None
    )


def watching(
    driver: Driver,
    stand: str | None,
    *,
    once: bool,
    act: Callable[[Observation], None],
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Until interrupted; with `once` until the first outage."""
    state, writer = watch.Watch(), None
    while True:
        began = clock()
        now = driver.observe()
        took = clock() - began
        if now.writer != writer:
            if writer is not None:
                tell(clock(), f"{now.writer or 'nobody'} writes now instead of {writer}")
            state, writer = watch.moved(state), now.writer
        if writer is not None:
            state, change = watch.look(state, clock(), reached(now, writer, stand))
            if change is not None:
                tell(clock(), WORDS[change].format(writer=writer))
            if change == "lost":
                if once:
                    return Exit.FAULT
                if state.damped:
                    tell(clock(), f"ALARM: {writer} was lost again and again; nothing is done, look at it yourself")
                else:
                    act(now)
        sleep(watch.pause(random.random(), took))  # noqa: S311 (jitter)


WAIT = 0.2

WORDS: dict[watch.Change, str] = {
    "suspected": "{writer} was missed",
    "blip": "{writer} answers again; that was a blip",
    "lost": "ALARM: {writer} is lost",
    "recovered": "{writer} is back",
}


def reached(now: Observation, writer: str, stand: str | None) -> dict[str, bool]:
    """What each vantage says of the writer's region, and the one who asks of its server.

    A server that does not answer in a region that is reached from here is down, whoever else reaches the region.
    """
    seen = {vantage: sight[writer] for vantage, sight in now.vantages.items() if vantage != writer and writer in sight}
    answers = now.members[writer].reachable
    down = not answers and (any(seen.values()) if stand is None else seen.get(stand, False))
    return {**(dict.fromkeys(seen, False) if down else seen), "here": answers}


def _act(stack: Stack, options: argparse.Namespace, driver: Driver, now: Observation) -> None:
    """As a person would: the same command, with the same refusals. A refusal is an alarm; the watch goes on.

    Where several watch, one of them is the first. The others wait for it, and act only where the writer is still lost.
    """
    lost = now.writer
    while not _acted(stack, options, now):
        while lock.holder(stack.folder, lock.OPERATION) is not None:
            time.sleep(WAIT)
        now = driver.observe()
        if lost is None or now.writer not in (None, lost) or now.members[lost].reachable:
            return


def _acted(stack: Stack, options: argparse.Namespace, now: Observation) -> bool:
    """False: somebody else acts."""
    if _told_of_another(stack):
        return False
    words = ["failover", "--stack", stack.name, "--partition", options.partition, "--yes"]
    words += ["--from", options.stand] if options.stand else []
    words += ["--resume"] if journal.unfinished(stack.folder) is not None else []
    try:
        # With --from both stand in the same place; what was just seen need not be looked at again.
        command.run("failover", parser().parse_args(words), now=now if options.stand else None)
    except (Refused, Fault) as reason:
        if _told_of_another(stack):  # who was first by a moment
            return False
        tell(time.time(), f"ALARM: not moved: {reason}")
    return True


def _told_of_another(stack: Stack) -> bool:
    holder = lock.holder(stack.folder, lock.OPERATION)
    if holder is not None:
        tell(time.time(), f"{holder} acts already; this watch waits for its end and looks again")
    return holder is not None


def tell(at: float, text: str) -> None:
    say(f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(at))} {text}")
