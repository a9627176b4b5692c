"""Holds a value against a JSON schema, as far as cfn-lint's schemas and the tables beside this file use the language.

One keyword is our own, `atLeast`: a property and what it must reach, another one plus a distance. An unknown value fits
every schema. In a partial reading a missing property is no fault: what was translated from
another model may lack properties that this model only spells in another way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path as FilePath
from typing import Any

import regex  # the schemas' patterns are ECMAScript's, with classes such as \p{L}

from engine.values import UNKNOWN
from tests.components.fault import Fault, Path

Schema = Mapping[str, Any] | bool

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


def shipped() -> FilePath:
    """The folder of cfn-lint's data. Its files are read as files: nothing of its code is needed."""
    spec = find_spec("cfnlint")
    assert spec is not None, "pip install cfn-lint"
    assert spec.submodule_search_locations
    return FilePath(spec.submodule_search_locations[0]) / "data"


_FORMATS: dict[str, Callable[[str], object]] = {
    "ipv4": IPv4Address,
    "ipv6": IPv6Address,
    "ipv4-network": IPv4Network,
    "ipv6-network": IPv6Network,
}


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a schema is read: where its references lead, and whether a missing property counts."""

    root: Mapping[str, Any]
    library: Mapping[str, Mapping[str, Any]]
    partial: bool
    source: str

    def target(self, reference: str) -> tuple[Schema, Reading]:
        document, _, pointer = reference.partition("#")
        root = self.library[document] if document else self.root
        found: Any = root
        for step in pointer.strip("/").split("/"):
            found = found[step]
        return found, Reading(root=root, library=self.library, partial=self.partial, source=self.source)

    def whole(self) -> Reading:
        return Reading(root=self.root, library=self.library, partial=False, source=self.source)

    def said_by(self, source: str | None) -> Reading:
        if source is None:
            return self
        return Reading(root=self.root, library=self.library, partial=self.partial, source=source)


def faults(
    value: Any,
    schema: Schema,
    *,
    source: str,
    root: Mapping[str, Any] | None = None,
    library: Mapping[str, Mapping[str, Any]] | None = None,
    partial: bool = False,
) -> Iterator[Fault]:
    """Everything about the value that the schema forbids. A `$comment` in the schema names a nearer source."""
    if root is None:
        root = schema if isinstance(schema, Mapping) else {}
    yield from _check(value, schema, Reading(root=root, library=library or {}, partial=partial, source=source), ())


def _check(value: Any, schema: Schema, reading: Reading, path: Path) -> Iterator[Fault]:
    if schema is False:
        yield Fault(path=path, value=value, allowed="nothing: leave it out here", source=reading.source)
        return
    if schema is True or value is UNKNOWN:
        return
    assert isinstance(schema, Mapping)
    reading = reading.said_by(schema.get("$comment"))
    if "$ref" in schema:
        target, elsewhere = reading.target(schema["$ref"])
        yield from _check(value, target, elsewhere, path)
    allowed = [text for text in _plain(value, schema, reading) if text]
    for text in allowed:
        yield Fault(path=path, value=value, allowed=text, source=reading.source)
    if isinstance(value, dict):
        yield from _members(value, schema, reading, path)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _check(item, schema.get("items", True), reading, (*path, index))
        if "contains" in schema and not any(_fits(item, schema["contains"], reading) for item in value):
            yield Fault(path=path, value=value, allowed=f"one of {schema['contains']}", source=reading.source)
    yield from _combined(value, schema, reading, path)


def _plain(value: Any, schema: Mapping[str, Any], reading: Reading) -> Iterator[str]:
    """What is allowed instead, per keyword that looks at the value itself."""
    if "type" in schema and not reading.partial and not is_type(value, schema["type"]):
        yield f"a value of type {schema['type']}"
    if "enum" in schema and not any(_same(value, one) for one in schema["enum"]):
        yield _listed(schema["enum"])
    if "enumCaseInsensitive" in schema and str(value).lower() not in map(str.lower, schema["enumCaseInsensitive"]):
        yield _listed(schema["enumCaseInsensitive"])
    if "const" in schema and not _same(value, schema["const"]):
        yield repr(schema["const"])
    if isinstance(value, str):
        if "pattern" in schema and not _pattern(schema["pattern"]).search(value):
            yield f"what matches {schema['pattern']}"
        if schema.get("format") in _FORMATS and not _parses(value, schema["format"]):
            yield f"an {schema['format']} address"
        if len(value) > schema.get("maxLength", len(value)):
            yield f"at most {schema['maxLength']} characters (it has {len(value)})"
        if len(value) < schema.get("minLength", 0):
            yield f"at least {schema['minLength']} characters"
    if isinstance(value, list) and not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
        yield f"{schema.get('minItems', 0)} to {schema.get('maxItems', 'any number of')} items"
    number = _number(value)
    if number is not None:
        low, high = schema.get("minimum", number), schema.get("maximum", number)
        if not low <= number <= high or number <= schema.get("exclusiveMinimum", number - 1):
            bounds = (schema.get("minimum", schema.get("exclusiveMinimum")), schema.get("maximum"))
            yield f"from {bounds[0]} to {bounds[1]}"
        if "multipleOf" in schema and abs(number / schema["multipleOf"] - round(number / schema["multipleOf"])) > 1e-9:
            yield f"a multiple of {schema['multipleOf']}"


def _members(value: dict[str, Any], schema: Mapping[str, Any], reading: Reading, path: Path) -> Iterator[Fault]:
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name, item in value.items():
        below = (*path, name)
        matched = [rule for pattern, rule in patterns.items() if _pattern(pattern).search(name)]
        for rule in (*([known[name]] if name in known else []), *matched):
            yield from _check(item, rule, reading, below)
        if name not in known and not matched and not reading.partial:
            if schema.get("additionalProperties") is False:
                yield Fault(path=below, value=item, allowed=_listed([*known, *patterns]), source=reading.source)
            else:
                yield from _check(item, schema.get("additionalProperties", True), reading, below)
    for name, (other, distance) in schema.get("atLeast", {}).items():
        high, low = _number(value.get(name)), _number(value.get(other))
        if high is not None and low is not None and high < low + distance:
            text = f"at least {other} + {distance} = {low + distance}"
            yield Fault(path=(*path, name), value=high, allowed=text, source=reading.source)
    names = schema.get("propertyNames", {}).get("enum")
    for name in value if names else ():
        if name not in names:
            yield Fault(path=(*path, name), value=value[name], allowed=_listed(names), source=reading.source)
    for name, others in schema.get("dependentExcluded", {}).items():
        for other in others if name in value else ():
            if other in value:
                text = f"either it or {other}, not both"
                yield Fault(path=(*path, name), value=value[name], allowed=text, source=reading.source)
    if reading.partial:
        return
    for name in schema.get("required", ()):
        if name not in value:
            yield Fault(path=path, value=None, allowed=f"needs {name}", source=reading.source, missing=name)
    one = schema.get("requiredXor", ())
    if one and sum(name in value for name in one) != 1:
        yield Fault(path=path, value=None, allowed=f"exactly one of {', '.join(one)}", source=reading.source)


def _combined(value: Any, schema: Mapping[str, Any], reading: Reading, path: Path) -> Iterator[Fault]:
    for part in schema.get("allOf", ()):
        yield from _check(value, part, reading, path)
    if "not" in schema and _fits(value, schema["not"], reading.whole()):
        shown = _named(value, [schema["not"]])
        yield Fault(path=path, value=shown, allowed=f"anything but {schema['not']}", source=reading.source)
    fitting = [
        sum(_fits(value, part, reading) for part in schema[keyword])
        for keyword in ("anyOf", "oneOf")
        if keyword in schema
    ]
    # Read in part, two forms that only differ in what they require both fit.
    if 0 in fitting or (not reading.partial and "oneOf" in schema and fitting[-1] > 1):
        forms = schema.get("anyOf") or schema.get("oneOf") or []
        text = f"one of {len(forms)} combinations: {_forms(forms)}"
        yield Fault(path=path, value=_named(value, forms), allowed=text, source=reading.source)
    if "if" in schema:
        fits = _fits(value, schema["if"], reading.whole())
        branch = schema.get("then" if fits else "else", True)
        if branch is False:
            shown = _named(value, [schema["if"]])
            yield Fault(path=path, value=shown, allowed="any other combination", source=reading.source)
        else:
            yield from _check(value, branch, reading, path)


def _fits(value: Any, schema: Schema, reading: Reading) -> bool:
    return next(_check(value, schema, reading, ()), None) is None


def is_type(value: Any, types: str | list[str]) -> bool:
    names = [types] if isinstance(types, str) else types
    if isinstance(value, bool):
        return "boolean" in names
    return any(isinstance(value, _TYPES[name]) for name in names)


def _same(value: Any, one: Any) -> bool:
    """Equal; a number is equal to its digits, as in CloudFormation."""
    return isinstance(value, bool) == isinstance(one, bool) and (value == one or str(value) == str(one))


def _number(value: Any) -> float | None:
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _parses(value: str, form: str) -> bool:
    try:
        _FORMATS[form](value)
    except ValueError:
        return False
    return True


@cache
def _pattern(text: str) -> Any:
    return regex.compile(text)


def _listed(values: Any, most: int = 12) -> str:
    shown = [str(value) for value in values]
    rest = f" and {len(shown) - most} more" if len(shown) > most else ""
    return f"one of {', '.join(shown[:most])}{rest}"


def _forms(forms: list[Schema], most: int = 160) -> str:
    text = "; ".join(str(form) for form in forms)
    return text if len(text) <= most else f"{text[:most]}…"


def _named(value: Any, forms: list[Schema]) -> Any:
    """Of an object, only the properties that the forms speak of."""
    names = {name for form in forms if isinstance(form, Mapping) for name in form.get("properties", ())}
    return (
        {name: value[name] for name in sorted(names) if name in value} if isinstance(value, dict) and names else value
    )
