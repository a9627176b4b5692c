"""What a registration asks for: its URN, its options, and which of them this engine refuses."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine import sdk
from engine.state import STACK_TYPE, Resource

# Options that would change what happens and that this engine does not honour: the request's field, the option's name.
# Not among them: custom timeouts, which dynamic providers never see under the CLI either, and are only recorded.
_REFUSED_OPTIONS = {
    "deletedWith": "deleted_with",
    "replace_with": "replace_with",
    "importId": "import_",
    "transforms": "transforms",
    "state_migrations": "state_migrations",
    "hideDiffs": "hide_diffs",
    "envVarMappings": "env_var_mappings",
    "remote": "remote components",
}
# Calls of the SDK that this engine does not answer, and how they are named to the user.
REFUSED_CALLS = {
    "ReadResource": "reading the existing resource `{0.name}` ({0.type}.get)",
    "ExistsResource": "looking for the existing resource `{0.id}`",
    "Invoke": "the function `{0.tok}`",
    "Call": "the method `{0.tok}`",
    "RegisterPackage": "the parameterised package `{0.name}`",
    "RegisterStackTransform": "stack transforms",
    "RegisterStackInvokeTransform": "invoke transforms",
    "RegisterResourceHook": "the resource hook `{0.name}`",
    "RegisterErrorHook": "the error hook `{0.name}`",
}


def refused_options(request: sdk.RegisterRequest, *, dynamic: bool) -> list[str]:
    """The names of the options that this registration uses and the engine does not honour."""
    refused = [label for field, label in _REFUSED_OPTIONS.items() if getattr(request, field)]
    if request.HasField("replacement_trigger"):
        refused.append("replacement_trigger")
    if any(names for _, names in request.hooks.ListFields()):
        refused.append("hooks")
    if request.aliases and (dynamic or not request.custom):
        refused.append("aliases")
    if dynamic and request.provider:
        refused.append("provider")
    return refused


def urn_of(stack: str, project: str, parent: str, type_: str, name: str) -> str:
    """A URN holds the types of all ancestors but the stack's."""
    above = parent.split("::")[2] if parent else STACK_TYPE
    chain = type_ if above == STACK_TYPE else f"{above}${type_}"
    return f"urn:pulumi:{stack}::{project}::{chain}::{name}"


def former_urns(request: sdk.RegisterRequest, urn: str) -> Iterator[str]:
    """The URNs under which the resource was known, by its own aliases."""
    stack, project = urn.removeprefix("urn:pulumi:").split("::")[:2]
    for alias in request.aliases:
        spec = alias.spec
        parent = "" if spec.noParent else spec.parentUrn or request.parent
        kind, name = spec.type or request.type, spec.name or request.name
        yield alias.urn or urn_of(spec.stack or stack, spec.project or project, parent, kind, name)


def goal(request: sdk.RegisterRequest, urn: str, old: Resource | None, inherited: tuple[bool, bool]) -> Resource:
    """The resource as the program wants it; `protect` and `retain_on_delete` come from the parent unless set."""
    protect, retain = inherited
    return Resource(
        urn=urn,
        type=request.type,
        custom=request.custom,
        id=old.id if old else "",
        inputs=sdk.from_struct(request.object),
        outputs=old.outputs if old else {},
        parent=request.parent,
        protect=request.protect if request.HasField("protect") else protect,
        dependencies=tuple(sorted(request.dependencies)),
        property_dependencies={key: tuple(sorted(v.urns)) for key, v in request.propertyDependencies.items()},
        additional_secret_outputs=tuple(request.additionalSecretOutputs),
        custom_timeouts={field.name: _seconds(text) for field, text in request.customTimeouts.ListFields()},
        retain_on_delete=request.retainOnDelete if request.HasField("retainOnDelete") else retain,
        created=old.created if old else "",
        modified=old.modified if old else "",
        ignore_changes=tuple(request.ignoreChanges),
        replace_on_changes=tuple(request.replaceOnChanges),
        other=old.other if old else {},
    )


def alike(one: sdk.RegisterRequest, other: sdk.RegisterRequest) -> bool:
    """Whether two registrations ask for the same; the order of dependencies is the SDK's chance."""
    return _ordered(one) == _ordered(other)


def _ordered(request: sdk.RegisterRequest) -> sdk.RegisterRequest:
    ordered = sdk.RegisterRequest()
    ordered.CopyFrom(request)
    ordered.dependencies.sort()
    for needed in ordered.propertyDependencies.values():
        needed.urns.sort()
    # Where in the program it stands says nothing about what it asks for.
    for field in ("sourcePosition", "stackTrace", "parentStackTraceHandle"):
        ordered.ClearField(field)
    return ordered


def _seconds(text: str) -> float:
    """`1h10m5s` in seconds, as Pulumi keeps custom timeouts."""
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
    return sum(float(number) * units[unit] for number, unit in re.findall(r"([\d.]+)(ms|[hms])", text))
