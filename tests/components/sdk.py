"""What the installed SDKs say of a resource type: its class, and the arguments they take, below the top as well."""

import importlib
from functools import cache
from typing import Any, get_args

from pulumi._types import input_type_py_to_pulumi_names, input_type_types


def home(type_: str) -> Any:
    """The module of a type; the provider's own is the package itself."""
    first, second, third = type_.split(":")
    package, module = (third, "index") if first == "pulumi" else (first, second.split("/")[0].lower())
    return importlib.import_module(f"pulumi_{package}" if module == "index" else f"pulumi_{package}.{module}")


def arguments_class(type_: str) -> type:
    """The SDK gives a resource's arguments another name where a nested type already has the plain one."""
    class_ = "Provider" if type_.startswith("pulumi:") else type_.split(":")[2]
    return getattr(home(type_), f"{class_}InitArgs", None) or getattr(home(type_), f"{class_}Args")


def is_registered(type_: str) -> bool:
    return type_ in getattr(home(type_), type_.split(":")[2])._internal_init.__code__.co_consts


def nested_class(annotation: Any) -> type | None:
    if hasattr(annotation, "_pulumi_input_type"):
        return annotation
    return next(filter(None, map(nested_class, get_args(annotation))), None)


@cache
def names(class_: type) -> frozenset[str]:
    return frozenset(input_type_py_to_pulumi_names(class_).values())


def exists(type_: str, argument: str) -> bool:
    class_: type | None = arguments_class(type_)
    for key in argument.split("."):
        if class_ is None or key not in names(class_):
            return False
        class_ = nested_class(input_type_types(class_)[key])
    return True


@cache
def nested_names(type_: str, depth: int) -> frozenset[str]:
    """Every argument of a type, dotted below the top, down to a depth."""
    found: set[str] = set()
    layer: list[tuple[str, type]] = [("", arguments_class(type_))]
    for _ in range(depth):
        below: list[tuple[str, type]] = []
        for prefix, class_ in layer:
            for name, annotation in input_type_types(class_).items():
                found.add(f"{prefix}{name}")
                if (nested := nested_class(annotation)) is not None:
                    below.append((f"{prefix}{name}.", nested))
        layer = below
    return frozenset(found)
