"""What a cloud's provider would make of the updates that an engine sees: replace, promote, detach, refuse.

The embedded engine compares inputs and knows no provider's schema, and Pulumi's own preview does not tell that an
update in place cuts a replica off. Both are held here against the clouds' tables (components/replacement.py). What is
replaced takes along what hangs on its id or on another value that the new one will not share.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from operations.changes import Change

if TYPE_CHECKING:
    from components.replacement import Consequence

REPLACES = ("replace", "replace-if")
# Updates in place that harm data as much as a replacement does.
HARMS = ("promote", "detach", "demote", "overwrite", "orphan")

# Stands for a value that only the replacement will have: equal to nothing.
ANOTHER = object()


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known of a resource on one side of a change; secrets are opened."""

    type: str
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any] = field(default_factory=dict)
    id: str = ""
    ignored: tuple[str, ...] = ()


@cache
def cloud(type_: str) -> Any:
    """The module with the table of a type; None for what belongs to no cloud."""
    if type_.startswith("gcp:"):
        return import_module("components.gcp.replacement")
    # The passwords that both clouds' databases are made with are in both tables, alike.
    if type_.startswith(("aws:", "random:")):
        return import_module("components.aws.replacement")
    return None


def stateful(type_: str) -> bool:
    module = cloud(type_)
    return module is not None and type_ in module.STATEFUL


def found(was: Known, now: Known) -> "tuple[Consequence, ...]":
    """What the provider makes of a change of one resource's inputs; nothing for a type that nobody has looked up."""
    module = cloud(was.type)
    if module is None:
        return ()
    try:
        return module.consequences(was.type, was.inputs, now.inputs, now.ignored)
    except LookupError:
        return ()


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from leaves(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from leaves(inner)
    elif isinstance(value, str) and value:  # numbers and switches are in too many places to tell whose they are
        yield value


def another(value: Any, gone: frozenset[str]) -> Any:
    if isinstance(value, Mapping):
        return {key: another(inner, gone) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [another(inner, gone) for inner in value]
    return ANOTHER if isinstance(value, str) and value in gone else value


def judged(changes: Iterable[Change], olds: Mapping[str, Known], news: Mapping[str, Known]) -> tuple[Change, ...]:
    """The changes with what the provider would make of them."""
    by_urn = {change.urn: change for change in changes}
    news = dict(news)
    waiting = [urn for urn in by_urn if urn in olds and urn in news]
    gone: frozenset[str] = frozenset()
    while waiting:
        urn = waiting.pop(0)
        change, was, now = by_urn[urn], olds[urn], news[urn]
        if change.op not in ("update", "same", "replace"):
            continue
        effects = found(was, now)
        keys = tuple(each.argument for each in effects if each.effect in REPLACES)
        if effects:
            op = "replace" if keys or change.op == "replace" else "update"
            change = by_urn[urn] = replace(
                change,
                op=op,
                changed=change.changed or tuple(each.argument for each in effects),
                replace_keys=tuple(dict.fromkeys((*change.replace_keys, *keys))),
                consequences=tuple(each.line for each in effects),
                harms=any(each.effect in HARMS for each in effects),
                refused=any(each.effect == "refuse" for each in effects),
            )
        if change.op == "replace" and (lost := volatile(was, now) - gone):
            gone |= lost
            for other, known in news.items():
                if other != urn and other in olds and (inputs := another(known.inputs, lost)) != known.inputs:
                    news[other] = replace(known, inputs=inputs)
                    waiting.append(other)
    return tuple(by_urn.values())


def volatile(was: Known, now: Known) -> frozenset[str]:
    """The values of a resource that the one in its place will not share: its id, and outputs that are no inputs."""
    kept = frozenset(each for each in leaves(now.inputs))
    return frozenset({was.id, *leaves(was.outputs)} - {""}) - kept


def refusals(changes: Iterable[Change]) -> tuple[str, ...]:
    """What would fail halfway, as problems of the preview."""
    return tuple(f"{change.name}: {line}" for change in changes if change.refused for line in change.consequences)


def of_plan(changes: Iterable[Change], plan: Any) -> tuple[Change, ...]:
    """The changes of an embedded engine's plan, judged."""
    changes = tuple(changes)
    _, state = plan.basis
    updated = any(change.op in ("update", "replace") and change.custom for change in changes)
    if not updated:
        return changes
    from engine import sdk
    from engine.values import bare

    olds = {
        item.urn: Known(type=item.type, inputs=bare(item.inputs), outputs=bare(item.outputs), id=item.id)
        for item in state.resources
        if item.custom and not item.delete
    }
    news = {
        urn: Known(
            type=request.type, inputs=bare(sdk.from_struct(request.object)), ignored=tuple(request.ignoreChanges)
        )
        for urn, request in plan.requests.items()
        if request.custom
    }
    return judged(changes, olds, news)


def of_steps(changes: Iterable[Change], steps: Iterable[Mapping[str, Any]]) -> tuple[Change, ...]:
    """The changes of the Pulumi CLI's own preview, judged."""
    olds: dict[str, Known] = {}
    news: dict[str, Known] = {}
    for step in steps:
        for side, state in ((olds, step.get("oldState")), (news, step.get("newState"))):
            if state and state.get("custom"):
                side[step["urn"]] = Known(
                    type=state["type"],
                    inputs=state.get("inputs") or {},
                    outputs=state.get("outputs") or {},
                    id=state.get("id") or "",
                    ignored=tuple(state.get("ignoreChanges") or ()),
                )
    return judged(changes, olds, news)
