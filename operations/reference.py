"""Writes the tables in docs/aws/ and docs/gcp/: what a component takes and gives, what it creates at each phase, and
which of its arguments force a replacement; and those in docs/policies.md. `python -m operations.reference`

The words around the tables are written by hand; everything in them comes from the contracts, from the stacks that the
example settings make, and from the rows of replacement.csv.
"""

import ast
from collections import Counter
from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from components.built import COMPONENTS
from operations import project
from operations.recording import record

EXAMPLES = {"aws": "production-aws", "gcp": "production-gcp"}
PHASES = range(1, 6)
CONTRACTS = project.FOLDER / "components" / "contracts.py"
BEGIN = "<!-- tables, written by python -m operations.reference -->\n"
END = "<!-- end of the tables -->\n"


class Field(NamedTuple):
    name: str
    type: str
    meaning: str


def fields(kind: str) -> list[Field]:
    """The fields of a class of the contracts, with the comment that stands behind or above each."""
    source = CONTRACTS.read_text(encoding="utf-8")
    lines = source.splitlines()
    contract = next(node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == kind)
    found: list[Field] = []
    for node in contract.body:
        if not isinstance(node, ast.AnnAssign):
            continue
        above: list[str] = []
        number = node.lineno - 2
        while lines[number].strip().startswith("#"):
            above.insert(0, lines[number].strip().lstrip("# "))
            number -= 1
        behind = lines[(node.end_lineno or node.lineno) - 1].partition("  # ")[2]
        found.append(Field(ast.unparse(node.target), ast.unparse(node.annotation), behind or " ".join(above)))
    return found


@cache
def graph(target: str, phase: int) -> Any:
    return record(EXAMPLES[target], phase=phase)


def component_of(resource: Any, target: str, resources: Any) -> str:
    """The class of the component that a resource belongs to, or nothing for what belongs to the stack alone."""
    while resource is not None:
        if resource.type.startswith(f"meridian:{target}:"):
            return resource.type.rsplit(":", 1)[1]
        resource = resources.get(resource.parent)
    return ""


def created(target: str, component: str) -> dict[str, list[int]]:
    """How many resources of each type a component has at each phase, in all regions together."""
    counts = [
        Counter(
            item.type
            for item in graph(target, phase)
            if item.custom and component_of(item, target, graph(target, phase).resources) == component
        )
        for phase in PHASES
    ]
    return {type_: [count[type_] for count in counts] for type_ in sorted(set().union(*counts))}


def table(head: list[str], rows: list[list[str]]) -> str:
    cells = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in cells) + "\n"


def tables(target: str, component: str) -> str:
    effects = import_module(f"components.{target}.replacement").effects
    types = created(target, component)
    inputs = [[f"`{field.name}`", f"`{field.type}`", field.meaning] for field in fields(f"{component}Args")]
    outputs = [[f"`{field.name}`", f"`{field.type}`", field.meaning] for field in fields(f"{component}Outputs")]
    counts = [[f"`{type_}`", *(str(number or "") for number in numbers)] for type_, numbers in types.items()]
    forced = [
        [f"`{type_}`", ", ".join(f"`{argument}`" for argument in sorted(arguments))]
        for type_ in types
        if (arguments := [name for name, rules in effects(type_).items() if any_replaces(rules)])
    ]
    worse = [
        [
            f"`{type_}`",
            f"`{argument}`",
            rule.effect,
            ", ".join(filter(None, (" or ".join(rule.transitions), rule.words))),
        ]
        for type_ in types
        for argument, rules in effects(type_).items()
        for rule in rules
        if not rule.effect.startswith("replace")
    ]
    parts = [
        "## Inputs\n",
        table(["argument", "type", "meaning"], inputs),
        "## Outputs\n",
        table(["output", "type", "meaning"], outputs),
        f"## What it creates\n\nFor `{EXAMPLES[target]}` (three regions), all regions together, by phase.\n",
        table(["type", *map(str, PHASES)], counts),
        "## What forces a replacement\n\n"
        f"Some only on a condition; `components/{target}/replacement.csv` has it, with the source of each.\n",
        table(["type", "arguments"], forced),
    ]
    if worse:
        parts += ["## What does worse than replace\n", table(["type", "argument", "effect", "when"], worse)]
    return "\n".join(parts)


def any_replaces(rules: Any) -> bool:
    return any(rule.effect.startswith("replace") for rule in rules)


def billed() -> str:
    """What is paid for while nobody calls, in the units that AWS bills, by phase: prices differ by region and change,
    these counts do not.
    """
    rows: list[list[str]] = []
    for what, unit, count in BILLED:
        numbers = [count(graph("aws", phase)) for phase in PHASES]
        if any(numbers):
            rows.append([what, unit, *(f"{number:g}" if number else "" for number in numbers)])
    return table(["what", "billed by", *map(str, PHASES)], rows)


def number_of(*types: str) -> Callable[[Any], float]:
    return lambda graph: sum(len(graph.of_type(type_)) for type_ in types)


def subnets_of_endpoints(graph: Any) -> float:
    return sum(len(item.inputs.get("subnetIds", ())) for item in graph.of_type("aws:ec2/vpcEndpoint:VpcEndpoint"))


def least_capacity(graph: Any) -> float:
    """Aurora capacity units that the instances of Serverless v2 keep."""
    least = {
        cluster.inputs["clusterIdentifier"]: cluster.inputs.get("serverlessv2ScalingConfiguration", {}).get(
            "minCapacity", 0
        )
        for cluster in graph.of_type(CLUSTER)
    }
    names = {cluster.name: cluster.inputs["clusterIdentifier"] for cluster in graph.of_type(CLUSTER)}
    owners = [item.inputs["clusterIdentifier"] for item in graph.of_type(INSTANCE)]
    return sum(least[names.get(owner, owner)] for owner in owners)


def least_processors(graph: Any) -> float:
    """Virtual processors of the tasks that each region keeps."""
    size = max(float(task.inputs["cpu"]) for task in graph.of_type("aws:ecs/taskDefinition:TaskDefinition")) / 1024
    return size * sum(item.inputs["minCapacity"] for item in graph.of_type("aws:appautoscaling/target:Target"))


CLUSTER, INSTANCE = "aws:rds/cluster:Cluster", "aws:rds/clusterInstance:ClusterInstance"
BILLED: tuple[tuple[str, str, Callable[[Any], float]], ...] = (
    ("Aurora clusters, each a full copy of the data", "GB-month, I/O, replicated writes", number_of(CLUSTER)),
    ("Aurora instances", "hour, where not serverless", number_of(INSTANCE)),
    ("Aurora capacity units kept", "ACU-hour", least_capacity),
    (
        "caches",
        "hour or GB-hour",
        number_of(
            "aws:elasticache/serverlessCache:ServerlessCache", "aws:elasticache/replicationGroup:ReplicationGroup"
        ),
    ),
    ("virtual processors of tasks kept", "vCPU-hour (and GB-hour)", least_processors),
    ("load balancers", "hour and LCU", number_of("aws:lb/loadBalancer:LoadBalancer")),
    ("NAT gateways", "hour and GB", number_of("aws:ec2/natGateway:NatGateway")),
    ("interface endpoints, times zones", "hour and GB", subnets_of_endpoints),
    ("firewalls (WAF)", "month and million requests", number_of("aws:wafv2/webAcl:WebAcl")),
    ("health checks", "month", number_of("aws:route53/healthCheck:HealthCheck")),
    ("keys", "month", number_of("aws:kms/key:Key")),
    ("secrets", "month", number_of("aws:secretsmanager/secret:Secret")),
    ("alarms", "month", number_of("aws:cloudwatch/metricAlarm:MetricAlarm")),
)


def rules() -> str:
    """The rules of the policy pack, theme by theme."""
    from policies.rules import RULES

    parts: list[str] = []
    for theme in sorted({rule.theme for rule in RULES}):
        own = [[f"`{rule.name}`", rule.level, rule.reason, rule.mend] for rule in RULES if rule.theme == theme]
        parts += [f"## {theme.capitalize()}\n", table(["rule", "level", "reason", "mend"], own)]
    return "\n".join(parts)


def path(target: str, component: str) -> Path:
    return project.FOLDER / "docs" / target / f"{component.lower()}.md"


def pages() -> dict[Path, Callable[[], str]]:
    """Every page with tables, and what writes them."""
    found: dict[Path, Callable[[], str]] = {
        path(target, component): partial(tables, target, component)
        for target in EXAMPLES
        for component in COMPONENTS.get(target, ())
    }
    docs = project.FOLDER / "docs"
    return {docs / "aws" / "README.md": billed, docs / "policies.md": rules, **found}


def with_tables(text: str, content: str) -> str:
    """A page with its tables as the code has them. Raises `ValueError` where their place is not marked."""
    before, _, rest = text.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"the page lacks the lines {BEGIN.strip()} and {END.strip()}")
    return f"{before}{BEGIN}\n{content}\n{END}{after}"


def main() -> None:
    for page, content in pages().items():
        page.write_text(with_tables(page.read_text(encoding="utf-8"), content()), encoding="utf-8")


if __name__ == "__main__":
    main()
