"""Holds the rooms apart: who may import whom, and what an import may cost."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from components.built import COMPONENTS

PROJECT = Path(__file__).resolve().parents[1]
ROOMS = ("topology", "components", "engine", "operations", "service", "policies")

# A room, or a part of one, and the rooms it may import besides itself. The longest prefix counts.
MAY_IMPORT: dict[str, set[str]] = {
    "topology": set(),
    "components": {"topology"},
    "components/local/servers": set(),
    "engine": set(),
    "operations": {"topology", "engine", "components", "policies"},
    "policies": set(),
    "service": set(),
}
# A provider, and a password: no output of a component, only handed from one to the next.
NOT_REGISTERED = {"provider", "cache_password", "directory_key"}
PULUMI_FREE = (
    "components.local.servers",
    "components.built",
    "components.replacement",
    "components.aws.admission",
    "components.aws.replacement",
    "components.gcp.admission",
    "components.gcp.replacement",
    "components.gcp.windows",
)
CLOUDS = ("pulumi_aws", "pulumi_gcp")


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def sources(folder: str) -> list[Path]:
    return sorted((PROJECT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", [path for room in MAY_IMPORT for path in sources(room)], ids=str)
def test_rooms_import_only_what_they_may(path: Path) -> None:
    relative = path.relative_to(PROJECT).as_posix()
    place = max((place for place in MAY_IMPORT if relative.startswith(f"{place}/")), key=len)
    allowed = MAY_IMPORT[place] | {place.split("/")[0]}
    for name in imports(path):
        room = name.split(".")[0]
        if room in ROOMS:
            assert room in allowed, f"{relative} imports {name}"
        assert room not in CLOUDS or relative.startswith(("components/aws/", "components/gcp/")), relative


def test_the_servers_know_nothing_of_pulumi_or_of_plans() -> None:
    for path in sources("components/local/servers"):
        for name in imports(path):
            assert name.split(".")[0] not in ("pulumi", "topology"), f"{path.name} imports {name}"
            assert not name.startswith("components.") or name.startswith("components.local.servers"), path.name


def test_operations_reach_components_through_their_pulumi_free_parts() -> None:
    for path in sources("operations"):
        for name in imports(path):
            if name.startswith("components."):
                assert name.startswith(PULUMI_FREE), f"{path.name} imports {name}"


@pytest.mark.parametrize(
    ("statement", "forbidden"),
    [
        ("import topology", ("pulumi", "psycopg", "cryptography", *CLOUDS)),
        ("import components.local.servers.process", ("pulumi", "pydantic", *CLOUDS)),
        ("import components.deploy, components.local.traffic, components.local.database", CLOUDS),
        ("import engine", CLOUDS),
        # Every command goes by the engines; these say "it is not up" without a plan.
        ("import operations.engines.choice", ("pulumi", "pydantic", *CLOUDS)),
        ("from operations.commands import backup, down, psql, status", ("pulumi", "pydantic", *CLOUDS)),
    ],
)
def test_an_import_pays_only_for_what_it_uses(statement: str, forbidden: tuple[str, ...]) -> None:
    script = f"{statement}\nimport sys\nprint([name for name in {forbidden!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def exposed(target: str, name: str) -> tuple[set[str], set[str]]:
    """The keys that a component registers as outputs, and the attributes that its instances have."""
    tree = ast.parse((PROJECT / "components" / target / f"{name.lower()}.py").read_text())
    component = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    keys = {
        key.arg or ""
        for call in ast.walk(component)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "expose"
        for key in call.keywords
    }
    attributes = {
        node.target.id
        for node in component.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    return keys, attributes


def promised(name: str) -> set[str]:
    contracts = ast.parse((PROJECT / "components" / "contracts.py").read_text())
    protocol = next(node for node in contracts.body if isinstance(node, ast.ClassDef) and node.name == f"{name}Outputs")
    return {
        node.target.id
        for node in protocol.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


@pytest.mark.parametrize(("target", "name"), [(target, name) for target, names in COMPONENTS.items() for name in names])
def test_every_target_has_what_the_contracts_promise(target: str, name: str) -> None:
    """The same classes with the same outputs on every target, whatever they create."""
    keys, attributes = exposed(target, name)
    assert keys == promised(name) - NOT_REGISTERED
    assert promised(name) <= attributes


def test_a_component_is_left_out_only_where_the_contracts_say_so() -> None:
    everything = {name for names in COMPONENTS.values() for name in names}
    reasons = (PROJECT / "components" / "contracts.py").read_text().split('"""')[1]
    for target, names in COMPONENTS.items():
        for name in everything - set(names):
            assert name in reasons, f"{target} has no {name}"
