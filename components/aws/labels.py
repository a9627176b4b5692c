"""Tags of what AWS knows by an id alone: the tag `Name` is the only name that it has."""

from components.aws import names
from components.aws.tags import tags
from topology import Topology

# Characters of a tag's value (docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html).
VALUE_LIMIT = 256


def labels(topology: Topology, region: str, *parts: str) -> dict[str, str]:
    return tags(topology, names.name(topology, region, *parts, limit=VALUE_LIMIT), region=region)
