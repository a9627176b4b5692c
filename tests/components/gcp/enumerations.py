"""The words that an argument takes, where the SDK's documentation lists them."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from pulumi._types import input_type_py_to_pulumi_names, input_type_types

from engine.values import UNKNOWN
from tests.components.fault import Fault, Path
from tests.components.sdk import nested_class

# Mostly "Possible values are: `A`, `B`.", in some services "Possible values:" with a word on each line.
_QUOTED = re.compile(r"[Pp]ossible values(?: are| include)?:?\s*\[?((?:[`'\"][^`'\"]+[`'\"](?:,|\s|and|or)*)+)")
_PLAIN = re.compile(r"Possible values:((?:\s+[A-Z][A-Z0-9_]+\b\.?)+)")


@cache
def words(class_: type) -> Mapping[str, frozenset[str]]:
    """By argument of a class of inputs."""
    found: dict[str, frozenset[str]] = {}
    for attribute, name in input_type_py_to_pulumi_names(class_).items():
        text = getattr(class_, attribute).fget.__doc__ or ""
        if (quoted := _QUOTED.search(text)) is not None:
            found[name] = frozenset(re.findall(r"[`'\"]([^`'\"]+)[`'\"]", quoted[1]))
        elif (plain := _PLAIN.search(text)) is not None:
            found[name] = frozenset(re.findall(r"[A-Z][A-Z0-9_]+", plain[1]))
    return found


def faults(class_: type, inputs: Mapping[str, Any], path: Path = ()) -> Iterator[Fault]:
    types, documented = input_type_types(class_), words(class_)
    for name, value in inputs.items():
        if name not in types:
            continue
        inner = nested_class(types[name])
        items = enumerate(value) if isinstance(value, list) else [(None, value)]
        for index, item in items:
            at: Path = (*path, name) if index is None else (*path, name, index)
            if inner is not None and isinstance(item, dict):
                yield from faults(inner, item, at)
            elif isinstance(item, str) and item is not UNKNOWN and item not in documented.get(name, {item}):
                allowed = f"one of {', '.join(sorted(documented[name]))}"
                yield Fault(path=at, value=item, allowed=allowed, source="pulumi_gcp, documentation")
