"""The rules as policies of pulumi-policy, for the Pulumi CLI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyConfigSchema,
    PolicyResource,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

from . import RULES
from .resource import UNKNOWN, Resource
from .rule import ResourceRule, Rule, StackRule, judge, judge_stack
from .settings import SCHEMA, Settings

# A registration of a provider or of the stack itself is nothing that a rule speaks of.
BOOKKEEPING = ("pulumi:providers:", "pulumi:pulumi:")


def policies() -> list[Policy]:
    return [stack_policy(rule) if isinstance(rule, StackRule) else resource_policy(rule) for rule in RULES]


def resource_policy(rule: ResourceRule) -> ResourceValidationPolicy:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        if rule.types and args.resource_type not in rule.types:
            return  # before its properties are converted, which is most of the work
        for found in judge(rule, resource(args), Settings.of(args.get_config())):
            report(found.message, None)

    return ResourceValidationPolicy(validate=validate, **described(rule))


def stack_policy(rule: StackRule) -> StackValidationPolicy:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        resources = [resource(each) for each in args.resources if not each.resource_type.startswith(BOOKKEEPING)]
        for found in judge_stack(rule, resources, Settings.of(args.get_config())):
            report(found.message, found.resource.urn if found.resource else None)

    return StackValidationPolicy(validate=validate, **described(rule))


def described(rule: Rule) -> dict[str, Any]:
    return {
        "name": rule.name,
        "description": rule.reason,
        "enforcement_level": EnforcementLevel(rule.level),
        "config_schema": PolicyConfigSchema(properties=dict(SCHEMA)),
        "remediation_steps": rule.mend,
        "tags": [rule.theme],
    }


def resource(args: ResourceValidationArgs | PolicyResource) -> Resource:
    parent = args.opts.parent
    if parent is None and isinstance(args, PolicyResource) and args.parent is not None:
        parent = args.parent.urn
    return Resource(
        urn=args.urn,
        type=args.resource_type,
        name=args.name,
        props=known(args.props),
        protect=args.opts.protect,
        ignore_changes=tuple(args.opts.ignore_changes),
        parent=parent or "",
    )


def known(value: Any) -> Any:
    """Plain values out of pulumi-policy's, which raise where one is not known. On the wire every number is a float."""
    if isinstance(value, Mapping):
        return {key: _item(value, key) for key in value}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_item(value, index) for index in range(len(value))]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _item(within: Any, key: Any) -> Any:
    try:
        return known(within[key])
    except UnknownValueError:
        return UNKNOWN
