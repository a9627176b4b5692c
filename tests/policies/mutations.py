"""What must never be built, tried: every security- or safety-relevant argument of the example stacks, made bad.

`mutations.csv` has a line for each: the stack's file, a type (and how the names of the resources end, where not all of
that type are meant), the argument, the bad value as JSON, who refuses it (the pack by a rule's name, the `preview`, the
`topology`, or `nobody`), and, for the last, why. Arguments that are none:

    @protect, @ignore_changes   a resource option; the value is the entry that is taken off the list
    @gone                       the resource is not registered
    @added                      another resource is registered, with the value as its arguments
    @settings                   the stack's settings; the type is the setting, its place dotted

    python -m tests.policies.mutations         tries them all, on each stack of the target, and prints a table
    python -m tests.policies.mutations --open  those that nobody refuses
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from components.built import HIGHEST
from operations import consequences, pack, project
from operations.recording import record
from policies.rules.resource import Resource
from policies.rules.settings import Settings
from tests.policies.graphs import STACKS, changed, judged, put, resources, settings, without
from topology import SettingsError, load, plan

PATH = Path(__file__).with_suffix(".csv")
PHASE = 3
NOBODY = "nobody"


@dataclass(frozen=True, kw_only=True)
class Mutation:
    stack: str
    type: str
    name: str  # how the names of the resources end; empty for all of the type
    argument: str
    value: str  # JSON
    refused_by: str
    reason: str

    @property
    def bad(self) -> Any:
        return json.loads(self.value)

    def __str__(self) -> str:
        where = f"{self.type} *{self.name}" if self.name else self.type
        return f"{self.stack}: {where} {self.argument} = {self.value}"


@cache
def mutations() -> tuple[Mutation, ...]:
    with PATH.open(encoding="utf-8", newline="") as file:
        return tuple(Mutation(**row) for row in csv.DictReader(file))


def built() -> tuple[Mutation, ...]:
    """Those of stacks whose target has its components."""
    return tuple(each for each in mutations() if STACKS[each.stack] in HIGHEST)


def applied(mutation: Mutation, found: Sequence[Resource]) -> tuple[Resource, ...]:
    type_, name, argument, bad = mutation.type, mutation.name, mutation.argument, mutation.bad
    if argument == "@gone":
        return without(found, type_, name)
    if argument == "@added":
        new = Resource(urn=f"urn:pulumi:x::x::{type_}::added", type=type_, name="added", props=bad, protect=True)
        return (*found, new)
    if argument == "@protect":
        return changed(found, type_, name=name, protect=bad)
    if argument == "@ignore_changes":
        kept = tuple(
            replace(each, ignore_changes=tuple(entry for entry in each.ignore_changes if entry != bad))
            if each.type == type_ and each.name.endswith(name)
            else each
            for each in found
        )
        assert kept != tuple(found), f"{mutation}: nothing ignores it"
        return kept
    return changed(found, type_, argument, bad, name=name)


def refusals(mutation: Mutation) -> frozenset[str]:
    """Everyone who refuses it."""
    if mutation.argument == "@settings":
        return refusals_of_settings(mutation)
    before = resources(mutation.stack, PHASE)
    after = applied(mutation, before)
    assert after != before, f"{mutation}: it is so already"
    given: Settings = settings(mutation.stack, PHASE)
    found = {each.rule.name for each in judged(after, given) if each.rule.level == "mandatory"}
    if is_previewed(before, after):
        found.add("preview")
    return frozenset(found)


def refusals_of_settings(mutation: Mutation) -> frozenset[str]:
    document = yaml.safe_load((project.FOLDER / f"Pulumi.{mutation.stack}.yaml").read_text(encoding="utf-8"))["config"]
    own = {key.removeprefix("meridian:"): value for key, value in document.items()}
    top, _, path = mutation.type.partition(".")
    own[top] = put({top: own.get(top, {})}, f"{top}.{path}", mutation.bad)[top] if path else mutation.bad
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in own.items()}
    try:
        planned = plan(load(texts, mutation.stack))
    except SettingsError:
        return frozenset(("topology",))
    found = [pack.resource(item) for item in record(own, stack=mutation.stack)]
    judgement = judged(found, Settings.of(pack.configuration(planned)))
    return frozenset(each.rule.name for each in judgement if each.rule.level == "mandatory")


def is_previewed(before: Sequence[Resource], after: Sequence[Resource]) -> bool:
    """Whether a preview would end with status 3 or refuse: something that holds data would be replaced, deleted,
    promoted or detached, or the provider would stop halfway.
    """
    now = {each.urn: each for each in after}
    for was in before:
        if was.urn not in now:
            if consequences.stateful(was.type):
                return True
            continue
        if was is now[was.urn]:
            continue
        for each in consequences.found(known(was), known(now[was.urn])):
            if each.effect in (*consequences.HARMS, "refuse"):
                return True
            if each.effect in consequences.REPLACES and consequences.stateful(was.type):
                return True
    return False


def known(resource: Resource) -> consequences.Known:
    return consequences.Known(type=resource.type, inputs=resource.props, ignored=resource.ignore_changes)


def everywhere(mutation: Mutation) -> tuple[Mutation, ...]:
    """The same for each example stack of the target. Settings differ from file to file."""
    if mutation.argument == "@settings":
        return (mutation,)
    target = STACKS[mutation.stack]
    return tuple(replace(mutation, stack=stack) for stack in STACKS if STACKS[stack] == target)


def main(arguments: Sequence[str]) -> int:
    tried = [(each, refusals(each)) for mutation in built() for each in everywhere(mutation)]
    refused = [each for each, by in tried if by]
    if "--open" not in arguments:
        print("| mutation | refused by |\n| --- | --- |")
        for each, by in tried:
            print(f"| {each} | {', '.join(sorted(by)) or NOBODY} |")
        print()
    for each, by in tried:
        if not by:
            print(f"not refused: {each}: {each.reason or 'no reason is given'}")
        elif each.refused_by not in by:
            print(f"not refused by {each.refused_by}: {each}: {', '.join(sorted(by))}")
    print(f"{len(refused)} of {len(tried)} refused ({len(refused) / len(tried):.1%})")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
