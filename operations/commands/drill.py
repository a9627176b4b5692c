"""`meridian drill`: break something on purpose, under load, and measure what users see."""

import argparse
import random
from collections.abc import Mapping
from functools import partial
from typing import Any

from operations import lock
from operations.console import answer, confirm, document, say
from operations.drill import comparison, history, picture, report, scenario
from operations.drill.campaign import Campaign, span, timed
from operations.drill.checks import judged
from operations.drill.places import Cast, unfit
from operations.drill.result import Result
from operations.drill.scenario import Scenario
from operations.engines.choice import outputs_of
from operations.errors import Exit, Refused
from operations.failover import drivers
from operations.failover.journal import refuse_unfinished
from operations.partitions import journal as moves
from operations.project import called_from
from operations.stack import Stack
from topology.nearest import nearest
from topology.summary import from_summary
from topology.witnesses import keepers


def run(options: argparse.Namespace) -> int:
    known = scenario.known(called_from(options.scenarios) if options.scenarios else None)
    if options.list:
        answer(report.listing(list(known.values())))
        return Exit.DONE
    stack = Stack.open(options.stack)
    if options.table:
        found = history.read(stack.folder)
        for path in options.history:
            found += history.read_file(called_from(path))
        if not found:
            raise Refused(f"--table: no drill of {stack.name} was ever recorded. Name other histories with --history.")
        answer(comparison.markdown(found))
        return Exit.DONE
    if bool(options.scenario) == options.all:
        raise Refused("name a scenario, or --all; --list shows what there is.")
    if options.proof and options.rounds:
        raise Refused("--proof: says how many rounds, as --rounds does. Leave one of them out.")
    for name in options.scenario:
        if name not in known:
            raise Refused(f"scenario: {name!r} is not known. {nearest(name, known)} Known: {', '.join(known)}.")
    chosen = list(known.values()) if options.all else [known[name] for name in options.scenario]
    outputs = outputs_of(stack)
    if outputs and stack.target != "local":
        raise Refused(
            f"target: drills break real servers of a local stack. For {stack.target} `{stack.command('runbook')}` "
            "writes what to do and what to look at in a game day."
        )
    if outputs is None or not {"topology", "ground", "entry"} <= set(outputs):
        raise Refused(f"{stack.name} is not up: there is nothing to drill. `{stack.command('up')}` builds it.")
    # Before the lock, which makes the stack's folder: what is refused leaves nothing behind.
    refuse_unfinished(stack, "drill")
    moves.refuse_unfinished(stack, "drill")
    with lock.held(stack.folder, f"drill --stack {stack.name}", lock.DRILL):
        return _locked(stack, outputs, chosen, options)


def rounds(each: Scenario, options: argparse.Namespace) -> int:
    if options.rounds:
        return options.rounds
    if options.proof:
        return each.proof or each.rounds
    return each.rounds if options.all else 1


def _locked(stack: Stack, outputs: Mapping[str, Any], chosen: list[Scenario], options: argparse.Namespace) -> int:
    from operations.drill.faults import unable
    from operations.drill.homes_drill import HomesDrill
    from operations.drill.partners import partner
    from operations.drill.runner import Drill
    from operations.drivers.local_failover import open_driver

    running = from_summary(outputs["topology"])
    drivers.members(running, options.partition)
    driver = open_driver(stack, outputs, options.partition, None)
    cast = Cast.of(running, driver.observe())
    others = {
        each.name: open_driver(stack, outputs, each.name, None)
        for each in running.partitions
        if each.name != options.partition
    }
    grounds = {options.partition: driver.ground, **{name: each.ground for name, each in others.items()}}
    writers = {name: each.observe().writer or "" for name, each in others.items()}
    target, alone = "", None
    try:
        target = partner(stack.topology, grounds, {**writers, options.partition: cast.writer}, options.partition)
    except Refused as refused:
        alone = str(refused)
    fit: list[Scenario] = []
    skipped: list[tuple[str, str]] = []
    for each in chosen:
        why = unfit(
            each, cast, target=stack.target, phase=int(running.phase), keepers=bool(keepers(running)), alone=alone
        ) or unable(each.actions)
        if why is None:
            fit.append(each)
        elif options.all:
            skipped.append((each.name, why))
        else:
            raise Refused(f"{each.name}: {why}.")
    for name, why in skipped:
        say(f"skipped   {name}: {why}")
    objectives = stack.topology.objectives
    chance = random.Random(options.seed)  # noqa: S311
    made: list[Drill] = []

    def drill(each: Scenario, number: int) -> Result:
        make = partial(HomesDrill, target=target) if each.answer.command == scenario.MOVE else Drill
        made[:] = [
            make(
                scenario=each,
                stack=stack.name,
                stack_folder=stack.folder,
                outputs=outputs,
                running=running,
                driver=driver,
                partition=options.partition,
                folder=history.new_folder(stack.folder, each.name),
                automatic=stack.topology.automatic_failover,
                rate=options.rate,
                retries=options.retries,
                round=number,
                chance=chance,
                others=others,
            )
        ]
        found = judged(made[0].run(), each, rto=objectives.rto_seconds, rpo=objectives.rpo_seconds)
        report.write(made[0].folder, found, picture.svg(found, made[0].records))
        history.add(stack.folder, found)
        return found

    campaign = Campaign(
        plan=[(each, rounds(each, options)) for each in fit],
        drill=drill,
        broken=lambda: made[0].whole(),
        tell=say,
        seconds=timed(history.read(stack.folder)),
    )
    say(f"This breaks servers of {stack.name} on purpose, and puts orders into its database:")
    for each, count in campaign.plan:
        say(f"  {each.name}: {each.title.lower()}{f', {count} rounds' if count > 1 else ''}")
    say(f"It takes about {span(campaign.left())}.")
    confirm("Go on?", yes=options.yes)
    try:
        campaign.run()
    finally:  # also of what was interrupted
        _tell(stack, campaign, skipped, options)
    return Exit.DONE if campaign.passed else Exit.FAULT


def _tell(stack: Stack, campaign: Campaign, skipped: list[tuple[str, str]], options: argparse.Namespace) -> None:
    records = [result.as_json() for result in campaign.results]
    if options.json:
        document(
            {
                "stack": stack.name,
                "drills": records,
                "skipped": [{"scenario": name, "why": why} for name, why in skipped],
                "stopped": campaign.stopped,
            }
        )
    elif records:
        answer(report.table(records))
        answer(f"Reports are in {history.folder(stack.folder)}.")
