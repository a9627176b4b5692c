"""`meridian drill`: break something on purpose, under load, and measure what users see."""

import argparse
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from operations import lock
from operations.console import answer, confirm, document, say
from operations.drill import history, picture, report, scenario
from operations.drill.checks import judged
from operations.drill.places import Cast, unfit
from operations.drill.result import Result
from operations.drill.scenario import Scenario
from operations.engines.choice import holding
from operations.errors import Exit, Refused
from operations.failover import drivers
from operations.failover.journal import refuse_unfinished
from operations.stack import Stack
from topology.nearest import nearest
from topology.summary import from_summary
from topology.witnesses import keepers


def run(options: argparse.Namespace) -> int:
    known = scenario.known(Path(options.scenarios) if options.scenarios else None)
    if options.list:
        answer(report.listing(list(known.values())))
        return Exit.DONE
    stack = Stack.open(options.stack)
    if options.table:
        answer(report.table(history.read(stack.folder)))
        return Exit.DONE
    if bool(options.scenario) == options.all:
        raise Refused("name a scenario, or --all; --list shows what there is.")
    for name in options.scenario:
        if name not in known:
            raise Refused(f"scenario: {name!r} is not known. {nearest(name, known)} Known: {', '.join(known)}.")
    chosen = list(known.values()) if options.all else [known[name] for name in options.scenario]
    engine = holding(stack)
    outputs = engine.outputs() if engine is not None else None
    if outputs and stack.target != "local":
        raise Refused(
            f"target: drills break real servers of a local stack. For {stack.target} `{stack.command('runbook')}` "
            "writes what to do and what to look at in a game day."
        )
    if outputs is None or not {"topology", "ground", "entry"} <= set(outputs):
        raise Refused(f"{stack.name} is not up: there is nothing to drill. `{stack.command('up')}` builds it.")
    # Before the lock, which makes the stack's folder: what is refused leaves nothing behind.
    refuse_unfinished(stack, "drill")
    with lock.held(stack.folder, f"drill --stack {stack.name}", lock.DRILL):
        return _locked(stack, outputs, chosen, options)


def _locked(stack: Stack, outputs: Mapping[str, Any], chosen: list[Scenario], options: argparse.Namespace) -> int:
    from operations.drill.faults import Faults
    from operations.drill.runner import Drill
    from operations.drivers.local_failover import open_driver

    running = from_summary(outputs["topology"])
    drivers.members(running, options.partition)
    driver = open_driver(stack, outputs, options.partition, None)
    now = driver.observe()
    planned = tuple(region.name for region in running.regions)
    used = tuple(region.name for region in running.regions if region.in_use)
    cast = Cast.of(planned, used, now)
    probe = Faults(
        stack_folder=stack.folder,
        addresses=driver.ground.addresses,
        slots=driver.ground.slots,
        members=driver.ground.members,
        cast=cast,
    )
    fit: list[Scenario] = []
    skipped: list[tuple[str, str]] = []
    for each in chosen:
        why = unfit(
            each, cast, target=stack.target, phase=int(running.phase), keepers=bool(keepers(running))
        ) or probe.unable(each.actions)
        if why is None:
            fit.append(each)
        elif options.all:
            skipped.append((each.name, why))
        else:
            raise Refused(f"{each.name}: {why}.")
    for name, why in skipped:
        say(f"skipped   {name}: {why}")
    say(f"This breaks servers of {stack.name} on purpose, and puts orders into its database:")
    for each in fit:
        say(f"  {each.name}: {each.title.lower()}")
    confirm("Go on?", yes=options.yes)
    chance = random.Random(options.seed)  # noqa: S311
    objectives = stack.topology.objectives
    results: list[Result] = []
    met: list[bool] = []
    for each in fit:
        rounds: list[Result] = []
        for number in range(1, (options.rounds or (each.rounds if options.all else 1)) + 1):
            folder = history.new_folder(stack.folder, each.name)
            say(f"drill     {each.name}, round {number}")
            drill = Drill(
                scenario=each,
                stack=stack.name,
                stack_folder=stack.folder,
                outputs=outputs,
                running=running,
                driver=driver,
                partition=options.partition,
                folder=folder,
                automatic=stack.topology.automatic_failover,
                rate=options.rate,
                retries=options.retries,
                round=number,
                chance=chance,
            )
            found = judged(drill.run(), each, rto=objectives.rto_seconds, rpo=objectives.rpo_seconds)
            report.write(folder, found, picture.svg(found, drill.users.records))
            history.add(stack.folder, found)
            rounds.append(found)
            say(f"  {found.verdict:<8}{report.line(found)}")
            for fault in (
                *found.faults,
                *(f"{one.name}: {one.found}, wanted {one.wanted}" for one in found.checks if not one.met),
            ):
                say(f"  !       {fault}")
            if found.faults:
                break
        results += rounds
        check = report.ratio(each, rounds)
        if check is not None:
            met.append(check.met)
            say(f"  {'passed' if check.met else 'failed':<8}{check.name}: {check.found}, wanted {check.wanted}")
        if rounds[-1].faults:
            say("  the stack may not be whole: no further drill is begun. `status` shows how it is.")
            break
    _tell(stack, results, skipped, options)
    passed = all(result.verdict == "passed" for result in results) and all(met)
    return Exit.DONE if passed else Exit.FAULT


def _tell(stack: Stack, results: list[Result], skipped: list[tuple[str, str]], options: argparse.Namespace) -> None:
    if options.json:
        found: dict[str, Any] = {
            "stack": stack.name,
            "drills": [result.as_json() for result in results],
            "skipped": [{"scenario": name, "why": why} for name, why in skipped],
        }
        document(found)
        return
    answer(report.table([result.as_json() for result in results]))
    answer(f"Reports are in {history.folder(stack.folder)}.")
