"""Holds the rooms apart: who may import whom, and what an import may cost."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
ROOMS = ("topology", "components", "engine", "operations", "service", "policies")

# A room, or a part of one, and the rooms it may import besides itself. The longest prefix counts.
MAY_IMPORT: dict[str, set[str]] = {
    "topology": set(),
    "components": {"topology"},
    "components/local/servers": set(),
    "engine": set(),
    "operations": {"topology", "engine", "components"},
    "service": set(),
}
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
                assert name.startswith(("components.local.servers", "components.built")), f"{path.name} imports {name}"


@pytest.mark.parametrize(
    ("statement", "forbidden"),
    [
        ("import topology", ("pulumi", "psycopg", "cryptography", *CLOUDS)),
        ("import components.local.servers.process", ("pulumi", "pydantic", *CLOUDS)),
        ("import components.deploy, components.local.traffic, components.local.database", CLOUDS),
        ("import engine", CLOUDS),
    ],
)
def test_an_import_pays_only_for_what_it_uses(statement: str, forbidden: tuple[str, ...]) -> None:
    script = f"{statement}\nimport sys\nprint([name for name in {forbidden!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_targets_mirror_each_other() -> None:
    """Every target that is built has the same files with the same public component class in each."""
    shapes: dict[str, dict[str, set[str]]] = {}
    for target in ("aws", "gcp", "local"):
        folder = PROJECT / "components" / target
        if not folder.is_dir():
            continue
        shapes[target] = {}
        for name in ("foundation", "keys", "network", "database", "replication", "cache", "service", "traffic"):
            tree = ast.parse((folder / f"{name}.py").read_text())
            component = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name.capitalize())
            shapes[target][name] = {
                key.arg or ""
                for call in ast.walk(component)
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "expose"
                for key in call.keywords
            }
    assert shapes
    first = next(iter(shapes.values()))
    for target, shape in shapes.items():
        assert shape == first, target
        assert all(shape.values()), f"a component of {target} exposes nothing"


def test_contracts_are_what_components_expose() -> None:
    """Every output that the contracts promise is registered by the local components."""
    contracts = ast.parse((PROJECT / "components" / "contracts.py").read_text())
    for node in contracts.body:
        if isinstance(node, ast.ClassDef) and node.name.endswith("Outputs"):
            promised = {
                item.target.id
                for item in node.body
                if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
            }
            source = (PROJECT / "components" / "local" / f"{node.name.removesuffix('Outputs').lower()}.py").read_text()
            for name in promised:
                assert f"self.{name} =" in source, f"{node.name}.{name}"
