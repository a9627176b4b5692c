"""Holds requests and answers against the discovery documents that google-api-python-client ships.

The documents are read as files: importing the client costs half a second, and nothing of its code is needed.
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

DOCUMENTS = {"sqladmin": "sqladmin.v1", "dns": "dns.v1", "compute": "compute.v1", "monitoring": "monitoring.v3"}
TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "array": (list, tuple),
    "object": (dict,),
}


class Unlike(AssertionError):  # noqa: N818
    """A request or an answer that Google's API does not have."""


@cache
def document(api: str) -> dict[str, Any]:
    spec = find_spec("googleapiclient")
    assert spec is not None, "in requirements-dev.txt"
    assert spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0]) / "discovery_cache" / "documents"
    return json.loads((folder / f"{DOCUMENTS[api]}.json").read_text(encoding="utf-8"))


@cache
def methods(api: str) -> tuple[tuple[str, re.Pattern[str], dict[str, Any]], ...]:
    whole = document(api)

    def of(resources: dict[str, Any]) -> Iterator[tuple[str, re.Pattern[str], dict[str, Any]]]:
        for resource in resources.values():
            yield from of(resource.get("resources", {}))
            for method in resource.get("methods", {}).values():
                path = whole["servicePath"] + method.get("flatPath", method["path"])
                pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path))
                yield method["httpMethod"], re.compile(pattern), method

    return tuple(of(whole["resources"]))


def request(
    api: str, verb: str, path: str, query: Mapping[str, str] | None, body: Any
) -> tuple[dict[str, Any], dict[str, str]]:
    """The method that a request is, and what stands in its path. Raises `Unlike` where there is none."""
    for http, pattern, method in methods(api):
        found = pattern.fullmatch(path)
        if http == verb and found:
            _query(method, query or {})
            if body is not None:
                if "request" not in method:
                    raise Unlike(f"{method['id']} takes no body")
                check(api, method["request"], body, method["id"])
            return method, found.groupdict()
    raise Unlike(f"{api} has no {verb} {path}")


def answer(api: str, method: dict[str, Any], value: Any) -> None:
    if "response" in method:
        check(api, method["response"], value, f"{method['id']}: its answer")


def _query(method: dict[str, Any], query: Mapping[str, str]) -> None:
    known = {name for name, each in method["parameters"].items() if each["location"] == "query"}
    if unknown := set(query) - known:
        raise Unlike(f"{method['id']} has no parameters {unknown}")


def check(api: str, schema: dict[str, Any], value: Any, where: str) -> None:
    schema = document(api)["schemas"][schema["$ref"]] if "$ref" in schema else schema
    kind: str = schema.get("type", "any")
    if kind == "any":
        return
    if not isinstance(value, TYPES[kind]) or (kind != "boolean" and isinstance(value, bool)):
        raise Unlike(f"{where}: {value!r} is no {kind}")
    _inside(api, schema, kind, value, where)


def _inside(api: str, schema: dict[str, Any], kind: str, value: Any, where: str) -> None:
    if kind == "array":
        for index, each in enumerate(value):
            check(api, schema["items"], each, f"{where}[{index}]")
    elif kind == "object":
        for key, inner in value.items():
            below = schema.get("properties", {}).get(key) or schema.get("additionalProperties")
            if below is None:
                raise Unlike(f"{where}: {schema.get('id', 'it')} has no {key}")
            check(api, below, inner, f"{where}.{key}")
    elif "enum" in schema and value not in schema["enum"]:
        raise Unlike(f"{where}: {value!r} is none of {schema['enum']}")
