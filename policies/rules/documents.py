"""Statements of AWS policy documents (IAM's JSON policy language), whatever they are attached to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .resource import UNKNOWN, NotKnownError, Resource, is_list

# The arguments that hold a document, by type.
ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "aws:backup/vaultPolicy:VaultPolicy": ("policy",),
    "aws:ec2/vpcEndpoint:VpcEndpoint": ("policy",),
    "aws:iam/policy:Policy": ("policy",),
    "aws:iam/role:Role": ("assumeRolePolicy",),
    "aws:iam/rolePolicy:RolePolicy": ("policy",),
    "aws:iam/userPolicy:UserPolicy": ("policy",),
    "aws:kms/key:Key": ("policy",),
    "aws:s3/bucketPolicy:BucketPolicy": ("policy",),
    "aws:secretsmanager/secretPolicy:SecretPolicy": ("policy",),
    "aws:sns/topicPolicy:TopicPolicy": ("policy",),
    "aws:sqs/queuePolicy:QueuePolicy": ("policy",),
}


@dataclass(frozen=True, kw_only=True)
class Statement:
    name: str  # its Sid, or its place
    allows: bool
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    principals: tuple[str, ...]  # the values alone: "*", an ARN, a service
    conditions: frozenset[str]  # the keys that they look at


def statements(resource: Resource) -> Iterator[Statement]:
    """Those of every document of the resource. Raises `NotKnownError` for one that only the deployment knows."""
    for argument in ARGUMENTS.get(resource.type, ()):
        text = resource.at(argument)
        if text is UNKNOWN:
            raise NotKnownError
        yield from parse(text)


def parse(text: Any) -> Iterator[Statement]:
    try:
        document = json.loads(text) if isinstance(text, str) and text else text or {}
    except ValueError:
        return  # no JSON: AWS refuses it
    found: Any = document.get("Statement", ()) if isinstance(document, Mapping) else ()
    for place, each in enumerate(found if is_list(found) else [found]):
        yield Statement(
            name=each.get("Sid") or f"statement {place}",
            allows=each.get("Effect") == "Allow",
            actions=_words(each.get("Action")),
            resources=_words(each.get("Resource")),
            principals=_principals(each.get("Principal")),
            conditions=frozenset(key for test in (each.get("Condition") or {}).values() for key in test),
        )


def _words(value: Any) -> tuple[str, ...]:
    return () if value is None else tuple(map(str, value)) if is_list(value) else (str(value),)


def _principals(value: Any) -> tuple[str, ...]:
    if isinstance(value, Mapping):
        return tuple(word for inner in value.values() for word in _words(inner))
    return _words(value)
