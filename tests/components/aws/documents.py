"""IAM policy documents: their form, their actions and who may use them, against what cfn-lint knows of IAM."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from tests.components.aws.schemas import faults, shipped
from tests.components.fault import Fault, Path

NAMES = frozenset(
    {"accessPolicy", "assumeRolePolicy", "inlinePolicy", "policy", "policyDocument", "resourcePolicy", "trustPolicy"}
)
SOURCE = "IAM: policy elements"


def policies(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """The texts among the inputs that are policy documents: by the argument's name, or because they look like one."""
    if isinstance(value, str):
        if (value.lstrip().startswith("{") and '"Statement"' in value) or (path and path[-1] in NAMES):
            yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from policies(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from policies(item, (*path, index))


def policy_faults(text: str, path: Path, known: Callable[[Any], Any]) -> Iterator[Fault]:
    """What is wrong in one document. `known` puts UNKNOWN in place of what only a deployment will tell."""
    try:
        document = known(json.loads(text))
    except ValueError as error:
        yield Fault(path=path, value=text, allowed=f"a JSON document ({error})", source=SOURCE)
        return
    if not isinstance(document, dict):
        yield Fault(path=path, value=text, allowed="a JSON object", source=SOURCE)
        return
    if document.get("Version") != "2012-10-17":
        yield Fault(path=(*path, "Version"), value=document.get("Version"), allowed="2012-10-17", source=SOURCE)
    found = document.get("Statement", [])
    statements = found if isinstance(found, list) else [found]
    owned = any(isinstance(one, dict) and {"Principal", "NotPrincipal"} & set(one) for one in statements)
    kind = "trust" if path[-1] == "assumeRolePolicy" else "resource" if owned else "identity"
    for fault in faults(document, _rules()[kind], source=f"cfn-lint: policy_{kind}", library=_rules()):
        yield Fault(path=(*path, *fault.path), value=fault.value, allowed=fault.allowed, source=fault.source)
    for index, statement in enumerate(statements):
        if isinstance(statement, dict):
            yield from _statement(statement, (*path, "Statement", index))


def _statement(statement: Mapping[str, Any], path: Path) -> Iterator[Fault]:
    principal = statement.get("Principal")
    users = principal.get("AWS") if isinstance(principal, dict) else principal
    everyone = users == "*" or (isinstance(users, list) and "*" in users)
    if everyone and statement.get("Effect") == "Allow" and not statement.get("Condition"):
        allowed = "a named principal, or a Condition that narrows it"
        yield Fault(path=(*path, "Principal"), value=principal, allowed=allowed, source=SOURCE)
    for name in ("Action", "NotAction"):
        found = statement.get(name, [])
        for action in found if isinstance(found, list) else [found]:
            if isinstance(action, str) and action != "*" and not _exists(action):
                allowed = "an action of an AWS service"
                yield Fault(path=(*path, name), value=action, allowed=allowed, source="cfn-lint: Policies.json")


@cache
def _exists(action: str) -> bool:
    service, _, name = action.lower().partition(":")
    actions = _services().get(service, {}).get("Actions", {})
    return any(fnmatchcase(one, name) for one in actions)


@cache
def _services() -> dict[str, Any]:
    return json.loads((shipped() / "AdditionalSpecs" / "Policies.json").read_text(encoding="utf-8"))


@cache
def _rules() -> dict[str, Any]:
    folder = shipped() / "schemas" / "other" / "iam"
    files = {"policy": "policy", "identity": "policy_identity", "resource": "policy_resource", "trust": "policy_trust"}
    return {name: json.loads((folder / f"{file}.json").read_text(encoding="utf-8")) for name, file in files.items()}
