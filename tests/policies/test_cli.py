"""The pack under the Pulumi CLI itself: at a preview, and on a state that was exported."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from operations import pack
from operations.recording import record
from operations.stack import Stack

PROJECT = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.cli,
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("pulumi") is None, reason="the Pulumi CLI is not on PATH"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project, with this interpreter's packages and a backend of its own."""
    found = tmp_path_factory.mktemp("pack") / "meridian"
    shutil.copytree(PROJECT, found, ignore=shutil.ignore_patterns(".*", "__pycache__", "tests"))
    (found / ".venv").symlink_to(sys.prefix)
    (found.parent / "backend").mkdir()
    for stack, phase in (("dev", None), ("production-aws", "3")):  # what is configured is what runs
        document = pack.document(Stack.open(stack, phase).topology)
        (found.parent / f"{stack}.json").write_text(json.dumps(document))
    return found


def pulumi(folder: Path, *words: str, given: str | None = None) -> tuple[int, str]:
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "PULUMI_CONFIG"))},
        "PULUMI_BACKEND_URL": f"file://{folder.parent / 'backend'}",
        "PULUMI_CONFIG_PASSPHRASE": "of no importance",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
    config = ["--policy-pack-config", str(folder.parent / f"{given}.json")] if given else []
    command = ["pulumi", *words, *config, "--non-interactive"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_a_preview_applies_the_pack(folder: Path) -> None:
    assert pulumi(folder, "stack", "init", "dev", "--no-select")[0] == 0
    words = ("preview", "--stack", "dev", "--suppress-outputs", "--policy-pack", "policies")
    status, said = pulumi(folder, *words, given="dev")
    assert status == 0, said
    assert "meridian@" in said
    program = folder / "components" / "local" / "database.py"
    text = program.read_text()
    program.write_text(text.replace("protect=True", "protect=False"))
    try:
        status, said = pulumi(folder, *words, given="dev")
    finally:
        program.write_text(text)
    assert status != 0
    assert "main-eu-central-postgres: protect is false" in said


@pytest.fixture(scope="module")
def export() -> dict[str, Any]:
    """A state as `pulumi stack export` would print it, if production-aws had been built."""
    graph = record("production-aws", phase=3)
    root = next(item.parent for item in graph if item.parent not in graph.resources)
    held: dict[str, dict[str, Any]] = {root: {"urn": root, "custom": False, "type": "pulumi:pulumi:Stack"}}

    def hold(item: Any) -> None:
        if item.urn in held:
            return
        if item.parent in graph.resources:
            hold(graph.resources[item.parent])
        held[item.urn] = {
            "urn": item.urn,
            "type": item.type,
            "custom": item.custom,
            **({"id": item.name} if item.custom else {}),
            "inputs": dict(item.inputs),
            "outputs": dict(item.inputs),
            "parent": item.parent,
            "protect": item.protect,
            "ignoreChanges": list(item.ignore_changes),
        }

    for item in graph:
        hold(item)
    manifest = {"time": "2026-01-01T00:00:00Z", "magic": "", "version": ""}
    return {"version": 3, "deployment": {"manifest": manifest, "resources": list(held.values())}}


def analyze(folder: Path, export: Mapping[str, Any], given: str | None) -> tuple[int, str]:
    (folder.parent / "export.json").write_text(json.dumps(export))
    path = str(folder.parent / "export.json")
    return pulumi(folder, "policy", "analyze", "--file", path, "--policy-pack", "policies", given=given)


def test_an_exported_state_is_analysed(folder: Path, export: dict[str, Any]) -> None:
    status, said = analyze(folder, export, "production-aws")
    assert status == 0, said
    changed = json.loads(json.dumps(export))
    for state in changed["deployment"]["resources"]:
        if state["urn"].endswith("::main-eu-west-1-cluster"):
            state["inputs"]["deletionProtection"] = state["outputs"]["deletionProtection"] = False
        if state["type"].endswith(":BucketPublicAccessBlock"):
            state["parent"] = changed["deployment"]["resources"][0]["urn"]
    status, said = analyze(folder, changed, "production-aws")
    assert status != 0
    assert "main-eu-west-1-cluster: deletionProtection is false" in said
    assert "the bucket has no public access block" in said


def test_without_a_configuration_it_fails(folder: Path, export: dict[str, Any]) -> None:
    status, said = analyze(folder, export, None)
    assert status != 0
    assert "residency-configured" in said


def test_a_level_can_be_changed(folder: Path, export: dict[str, Any]) -> None:
    (folder.parent / "mild.json").write_text(json.dumps({"residency-configured": {"enforcementLevel": "advisory"}}))
    status, said = analyze(folder, export, "mild")
    assert "[advisory]" in said
    assert status == 0, said
