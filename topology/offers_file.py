"""Writes `offers_aws.csv` anew: `python -m topology.offers_file`.

The source is the data that the installed cfn-lint ships, which its makers take from AWS's own API; nothing else in the
project needs cfn-lint.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, cast

from topology.catalogue import catalogue
from topology.offers import EVERYWHERE, FILE, MEMORY_OPTIMISED

Kind = Literal["engine", "class", "node"]

# No version that is left runs on db.r4 (cfn-lint, aws_rds_dbinstance/db_instance_class.json). No new cluster takes a t2
# node (docs.aws.amazon.com/AmazonElastiCache/latest/dg/CacheNodes.SupportedTypes.html), and one of r6gd nodes must turn
# data tiering on (pulumi_aws, elasticache.ReplicationGroup), which a cache has no use for.
UNFIT = ("db.r4.", "cache.t2.", "cache.r6gd.")

# The first minor version of each major one that forwards writes, as phase 4 does; 16 and later all do:
# docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database-write-forwarding-apg.html.
FORWARDS_WRITES = {14: 9, 15: 4}

# Names that are no number, small to large; the others come after: 2xlarge, 4xlarge, and the minor versions.
NAMED = ("serverless", "micro", "small", "medium", "large", "xlarge")


def rank(name: str) -> int:
    return NAMED.index(name) if name in NAMED else len(NAMED) + int(name.removesuffix("xlarge"))


def forwards_writes(engine: str) -> bool:
    major, _, minor = engine.partition(".")
    return int(major) > max(FORWARDS_WRITES) or int(minor) >= FORWARDS_WRITES.get(int(major), 100)


def schemas() -> tuple[Path, str]:
    """The folder of cfn-lint's data, and which data it is. Raises `ModuleNotFoundError` where it is not installed."""
    spec = find_spec("cfnlint")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("cfn-lint is not installed: it is in requirements-dev.txt")
    folder = Path(spec.origin).parent / "data" / "schemas"
    date = json.loads((folder / "version.json").read_text(encoding="utf-8"))["schema_date"][:10]
    return folder / "extensions", f"cfn-lint {version('cfn-lint')}, whose data is of {date}"


def for_engine(rules: Mapping[str, Any], key: str) -> list[str]:
    """What the rule for Aurora PostgreSQL lists under a property, or names as deprecated."""
    for rule in cast("list[dict[str, Any]]", rules["allOf"]):
        asked = rule["if"]["properties"]
        if asked["Engine"].get("const") == "aurora-postgresql":
            listed = asked[key] if rule["then"] is False else rule["then"]["properties"][key]
            return list(listed["enum"])
    raise LookupError(f"no rule for aurora-postgresql with {key}")


def found_in(folder: Path) -> Iterator[tuple[Kind, str, str]]:
    """Every offer: its kind, its name, and a region."""

    def data(path: str) -> dict[str, Any]:
        return json.loads((folder / path).read_text(encoding="utf-8"))

    deprecated = for_engine(data("aws_rds_dbinstance/engine_version_deprecated.json"), "EngineVersion")
    versions = for_engine(data("aws_rds_dbinstance/engine_version.json"), "EngineVersion")
    classes = data("aws_rds_dbinstance/dbinstanceclass_enum.json")
    nodes = data("aws_elasticache_cachecluster/cachenodetype_enum.json")
    for region in catalogue("aws"):
        for name in versions:
            if name not in deprecated and "-" not in name and forwards_writes(name):  # not 16.9-limitless
                yield "engine", name, region
        for name in for_engine(classes[region], "DBInstanceClass"):
            if name.startswith(MEMORY_OPTIMISED) and not name.startswith(UNFIT):
                yield "class", name, region
        for name in nodes[region]["enum"]:
            if not name.startswith(UNFIT):
                yield "node", name, region


def text_of(folder: Path, source: str) -> str:
    """The file: names of one family that the same regions offer share a line."""
    where: dict[tuple[Kind, str], set[str]] = defaultdict(set)
    for kind, name, region in found_in(folder):
        where[kind, name].add(region)
    lines: dict[tuple[Kind, str, str], list[str]] = defaultdict(list)
    for (kind, name), regions in where.items():
        family, _, last = name.rpartition(".")
        places = EVERYWHERE if regions == set(catalogue("aws")) else " ".join(sorted(regions))
        lines[kind, family, places].append(last)
    head = (
        "# What AWS offers in the regions of topology/regions_aws.py: versions of Aurora PostgreSQL that can forward\n"
        "# writes, classes that members of its global databases may have, and types of ElastiCache nodes.\n"
        f"# Written by `python -m topology.offers_file` from {source}.\n"
        "# kind,family,names,regions (* for all)\n"
    )
    rows = (
        f"{kind},{family},{' '.join(sorted(names, key=rank))},{regions}"
        for (kind, family, regions), names in sorted(lines.items())
    )
    return head + "\n".join(rows) + "\n"


if __name__ == "__main__":
    FILE.write_text(text_of(*schemas()), encoding="utf-8")
