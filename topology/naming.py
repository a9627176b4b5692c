"""Names: logical ones, that Pulumi knows a resource by, and physical ones, that a cloud knows it by.

Both carry the region and never a role or a phase: roles move, and a renamed resource is a new one.
"""

from hashlib import sha256
from typing import Literal

Kind = Literal["keys", "network", "cache", "service"]

# What a truncated name keeps of its hash: 8 hex digits, so that two long names that begin alike stay apart.
HASH = 8


def member_name(partition: str, region: str) -> str:
    return f"{partition}-{region}"


def resource_name(app: str, region: str, kind: Kind) -> str:
    return f"{app}-{region}-{kind}"


def entry_name(app: str) -> str:
    return f"{app}-entry"


def physical_name(*parts: str, limit: int) -> str:
    """The parts joined by hyphens; where the service allows fewer characters, the start and a hash of the whole."""
    if limit < HASH + 2:
        raise ValueError(f"a physical name needs {HASH + 2} characters or more, not {limit}")
    whole = "-".join(parts)
    if len(whole) <= limit:
        return whole
    digest = sha256(whole.encode()).hexdigest()[:HASH]
    return f"{whole[: limit - HASH - 1].rstrip('-')}-{digest}"
