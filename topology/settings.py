"""From a stack's configuration to `Settings`, or to one message with every fault in it."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError

from topology.checks import cross_checks
from topology.errors import SettingsError
from topology.faults import fault, value_text, worth_telling
from topology.nearest import nearest
from topology.schema import KEYS, WORDS, Settings


@cache
def adapter(key: str) -> TypeAdapter[Any]:
    """The reader of one top-level key."""
    field = Settings.model_fields[key]
    form: Any = field.annotation
    if field.metadata:
        form = Annotated[(form, *field.metadata)]
    return TypeAdapter[Any](form)


def decoded(key: str, value: object) -> object:
    """The value behind the JSON text in which Pulumi hands over objects and arrays."""
    if isinstance(value, str) and key not in WORDS:
        return json.loads(value)
    return value


def load(config: Mapping[str, object], environment: str) -> Settings:
    """Read the configuration namespace of the stack `environment`, keys without their `meridian:` prefix.

    Raises `SettingsError` with every fault that was found.
    """
    problems: list[str] = []
    values: dict[str, Any] = {"environment": environment}
    unsound: set[str] = set()
    for key, value in config.items():
        if key not in KEYS:
            problems.append(
                " ".join(filter(None, (f"{key}: no such key.", nearest(key, KEYS), f"Known: {', '.join(KEYS)}.")))
            )
            continue
        if value == "" and key in WORDS:  # Pulumi.yaml's way to say that a word may be left out
            continue
        try:
            values[key] = adapter(key).validate_python(decoded(key, value))
        except ValidationError as error:
            unsound.add(key)
            for detail in worth_telling(error.errors()):
                problems.append(fault(Settings, {**detail, "loc": (key, *detail["loc"])}))
        except json.JSONDecodeError as error:
            unsound.add(key)
            problems.append(f"{key}: {value_text(value)} is neither a list nor an object: {error}.")
    for key, field in Settings.model_fields.items():
        if field.is_required() and key not in values and key not in unsound:
            unsound.add(key)
            problems.append(fault(Settings, {"type": "missing", "loc": (key,), "msg": "", "input": None}))
    settings = Settings.model_construct(**values)
    problems.extend(cross_checks(settings, frozenset(unsound)))
    if problems:
        raise SettingsError(problems)
    return settings
