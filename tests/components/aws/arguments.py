"""Holds every argument of every AWS resource of a graph against what the SDK and AWS know of it.

    assert check_graph(record(...)) == []

Four readings: the SDK's own input types (../signatures.py), the schemas that cfn-lint ships (properties.py), limits and
traps that it does not know (limits.py), IAM's documents (documents.py); and that no resource falls into the provider's
default region. A recorded id is its resource's name: where a value is another resource's name, nothing is said about
it. An output that no input has (an ARN) is nothing at all, or unknown if the graph was recorded with `dry_run`; only
then does a missing ARN count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from engine.recorder import Graph, Registered
from engine.values import UNKNOWN, has_unknown
from tests.components import signatures
from tests.components.aws import documents
from tests.components.aws.limits import LIMITS
from tests.components.aws.properties import regions, value_faults
from tests.components.aws.schemas import faults
from tests.components.fault import Fault, told

PACKAGES = ("aws", "random")

# What no recorder can answer: its outputs are the inputs.
_ANSWERS = ("address", "arn", "arns", "dnsname", "endpoint", "fqdn", "hostedzoneid", "zoneid")


def check_graph(graph: Graph) -> list[str]:
    """Every finding, each with the resource, the argument, its value, what is allowed, and who says so."""
    answered = any(has_unknown(resource.inputs) for resource in graph)
    return [
        told(resource, fault)
        for resource in graph
        if resource.custom and resource.type.split(":")[0] in PACKAGES
        for fault in _findings(resource)
        if answered or not fault.missing.lower().endswith(_ANSWERS)
    ]


def _findings(resource: Registered) -> Iterator[Fault]:
    inputs = resource.inputs
    sources = {urn.rsplit("::", 1)[-1]: urn.split("::")[2].rsplit("$", 1)[-1] for urn in resource.dependencies}
    yield from signatures.faults(resource.type, inputs)
    if not resource.type.startswith("aws:"):
        return
    yield from _place(resource)
    known = {name: _known(value, sources) for name, value in inputs.items()}
    region = inputs.get("region")
    yield from value_faults(resource.type, known, region if isinstance(region, str) else "us-east-1")
    if resource.type in LIMITS:
        yield from faults(known, LIMITS[resource.type], source="limits.py")
    for path, text in documents.policies(dict(inputs)):
        yield from documents.policy_faults(text, path, lambda value: _known(value, sources))


def _place(resource: Registered) -> Iterator[Fault]:
    if not re.search(r"[:$]pulumi:providers:aws::", resource.provider):  # a child of the foundation, or of the stack
        allowed = "the stack's own AWS provider"
        yield Fault(path=("provider",), value=resource.provider or None, allowed=allowed, source="facts: aws")
    found = signatures.signature(resource.type)
    if found is None or "region" not in found.types:
        return
    region = resource.inputs.get("region")
    if region is None:
        allowed = "an explicit region: without one it is the provider's"
        yield Fault(path=("region",), value=None, allowed=allowed, source="facts: aws")
    elif region is not UNKNOWN and region not in regions():
        yield Fault(path=("region",), value=region, allowed="a region of AWS", source="cfn-lint: providers")


def _known(value: Any, sources: Mapping[str, str]) -> Any:
    """The value, with UNKNOWN in place of what comes from another resource and the recorder had no real answer for.

    The id of a key stays a text: it is no ARN, and many an argument takes nothing else. `sources` is types by name.
    """
    if isinstance(value, str) and sources.get(value) == "aws:kms/key:Key":
        return f"id of {value}"
    if isinstance(value, dict):
        return {key: _known(item, sources) for key, item in value.items()}
    if isinstance(value, list):
        return [_known(item, sources) for item in value]
    if value is None or (isinstance(value, str) and (value in sources or (sources and "None" in value))):
        return UNKNOWN
    return value
