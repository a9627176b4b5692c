"""What the SDK itself declares of a resource's inputs: names, types, what is required.

Read from the input classes of the installed SDK with the reader that Pulumi itself uses for them (pulumi._types).
"""

from __future__ import annotations

import inspect
import typing
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from importlib import import_module
from keyword import iskeyword
from typing import Any

from pulumi import Archive, Asset
from pulumi._types import input_type_py_to_pulumi_names, input_type_types, is_input_type

from engine.values import SIGNATURE, UNKNOWN
from tests.components.fault import Fault, Path


@dataclass(frozen=True, kw_only=True)
class Signature:
    """The inputs of one class, under Pulumi's names."""

    types: Mapping[str, Any]
    required: frozenset[str]


@cache
def signature(token: str) -> Signature | None:
    """The inputs of a resource by its type token; None for a type that the SDK does not have."""
    package, place, name = token.split(":")
    module = place.split("/")[0]
    module = f"pulumi_{package}" if module == "index" else f"pulumi_{package}.{module}{'_' * iskeyword(module)}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            found = import_module(module)
        except ModuleNotFoundError:
            return None
        # The generator says InitArgs where a nested type has the shorter name already.
        arguments = getattr(found, f"{name}InitArgs", None) or getattr(found, f"{name}Args", None)
    return None if arguments is None else _of_class(arguments)


@cache
def _of_class(arguments: type) -> Signature:
    names = input_type_py_to_pulumi_names(arguments)
    parameters = inspect.signature(arguments.__init__).parameters
    required = (name for name, parameter in parameters.items() if parameter.default is inspect.Parameter.empty)
    return Signature(
        types=input_type_types(arguments), required=frozenset(names[name] for name in required if name in names)
    )


def faults(token: str, inputs: Mapping[str, Any]) -> Iterator[Fault]:
    """Every input that the SDK has no such name for, or another type, and every required one that is missing."""
    found = signature(token)
    source = f"pulumi_{token.split(':', 1)[0]}"
    if found is None:
        yield Fault(path=(), value=token, allowed="a resource type of the installed SDK", source=source)
    else:
        yield from _inputs(inputs, found, source, ())


def _inputs(inputs: Mapping[str, Any], found: Signature, source: str, path: Path) -> Iterator[Fault]:
    for name, value in inputs.items():
        if name in found.types:
            yield from _typed(value, found.types[name], source, (*path, name))
        else:
            known = ", ".join(sorted(found.types))
            yield Fault(path=(*path, name), value=value, allowed=f"one of the arguments {known}", source=source)
    for name in sorted(found.required - set(inputs)):
        yield Fault(path=path, value=None, allowed=f"needs {name}", source=source, missing=name)


def _typed(value: Any, declared: Any, source: str, path: Path) -> Iterator[Fault]:
    if value is None or value is UNKNOWN:
        return
    kinds = _alternatives(declared)
    for kind in kinds:
        origin = typing.get_origin(kind)
        if isinstance(value, list) and origin in (Sequence, list):
            for index, item in enumerate(value):
                yield from _typed(item, typing.get_args(kind)[0], source, (*path, index))
            return
        if isinstance(value, dict) and origin in (Mapping, dict):
            for key, item in value.items():
                yield from _typed(item, typing.get_args(kind)[1], source, (*path, key))
            return
        if isinstance(value, dict) and isinstance(kind, type) and is_input_type(kind):
            yield from _inputs(value, _of_class(kind), source, path)
            return
        if _is_scalar(value, kind):
            return
    allowed = " or ".join(getattr(kind, "__name__", str(kind)) for kind in kinds)
    yield Fault(path=path, value=value, allowed=f"a value of type {allowed}", source=source)


@cache
def _alternatives(declared: Any) -> tuple[Any, ...]:
    """The plain types in an annotation, without the forms in which a value may still be pending."""
    if typing.get_origin(declared) is not typing.Union:
        return (declared,)
    pending = ("Output", "Awaitable", "NoneType")
    kinds = [kind for kind in typing.get_args(declared) if getattr(kind, "__name__", "") not in pending]
    return tuple(inner for kind in kinds for inner in _alternatives(kind))


def _is_scalar(value: Any, kind: Any) -> bool:
    if kind is Any:
        return True
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    if kind is float:
        return isinstance(value, int | float)
    if isinstance(kind, type) and issubclass(kind, Asset | Archive):
        return isinstance(value, dict) and SIGNATURE in value
    if isinstance(kind, type) and issubclass(kind, Enum):
        return value in [member.value for member in kind]
    return isinstance(kind, type) and isinstance(value, kind)
