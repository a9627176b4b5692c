"""What AWS offers in each region, for settings to be checked before anything is registered: `offers_aws.csv`."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from topology.catalogue import catalogue

FILE = Path(__file__).with_name("offers_aws.csv")
EVERYWHERE = "*"

# A member of a global database needs a class optimised for memory, or is serverless: docs.aws.amazon.com
# /AmazonRDS/latest/AuroraUserGuide/aurora-global-database.configuration.requirements.html.
MEMORY_OPTIMISED = ("db.r", "db.x", "db.serverless")


@dataclass(frozen=True, kw_only=True)
class Offers:
    """The regions that offer a thing, by its name; engine versions are the same in every region."""

    engines: Mapping[str, frozenset[str]]  # versions of Aurora PostgreSQL
    classes: Mapping[str, frozenset[str]]  # of its instances, those that a global database takes
    nodes: Mapping[str, frozenset[str]]  # types of ElastiCache nodes


def read(text: str) -> Offers:
    found: dict[str, dict[str, frozenset[str]]] = {"engine": {}, "class": {}, "node": {}}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        kind, family, names, regions = line.split(",")
        where = frozenset(catalogue("aws")) if regions == EVERYWHERE else frozenset(regions.split())
        found[kind] |= {f"{family}.{name}": where for name in names.split()}
    return Offers(engines=found["engine"], classes=found["class"], nodes=found["node"])


@cache
def offers() -> Offers:
    return read(FILE.read_text(encoding="utf-8"))
