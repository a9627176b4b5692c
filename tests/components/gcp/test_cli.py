"""The example stack before the real provider, which checks every argument and plans creation without calling an API."""

import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[3]

# The token is never sent: a plan from nothing asks Google for nothing. The provider would look the region up.
NEVER_USED = {"GOOGLE_OAUTH_ACCESS_TOKEN": "never-used", "PULUMI_GCP_SKIP_REGION_VALIDATION": "true"}

pytestmark = [
    pytest.mark.cli,
    pytest.mark.timeout(900),
    pytest.mark.skipif(shutil.which("pulumi") is None, reason="the Pulumi CLI is not on PATH"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project, with this interpreter's packages and a backend of its own."""
    found = tmp_path_factory.mktemp("gcp") / "meridian"
    shutil.copytree(PROJECT, found, ignore=shutil.ignore_patterns(".*", "__pycache__", "tests"))
    (found / ".venv").symlink_to(sys.prefix)
    (found.parent / "backend").mkdir()
    for name in ("gcp", "random"):
        plugin = subprocess.run(
            ["pulumi", "plugin", "install", "resource", name, version(f"pulumi-{name}")],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if plugin.returncode != 0:
            pytest.skip(f"the provider {name} cannot be installed here: {plugin.stderr.strip().splitlines()[-1]}")
    pulumi(found, "stack", "init", "production-gcp", "--no-select")
    return found


def pulumi(folder: Path, *words: str) -> str:
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("GOOGLE", "PYTEST", "PULUMI_CONFIG"))
    }
    environment = {
        **kept,
        **NEVER_USED,
        "PULUMI_BACKEND_URL": f"file://{folder.parent / 'backend'}",
        "PULUMI_CONFIG_PASSPHRASE": "of no importance",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
    command = ["pulumi", *words, "--non-interactive"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout[-8000:]}\n{done.stderr[-8000:]}"
    return done.stdout


@pytest.mark.parametrize("phase", range(1, 6))
def test_the_real_provider_plans_the_example(folder: Path, phase: int) -> None:
    pulumi(folder, "config", "set", "phase", str(phase), "--stack", "production-gcp")
    steps = json.loads(pulumi(folder, "preview", "--stack", "production-gcp", "--json"))["steps"]
    assert {step["op"] for step in steps} == {"create"}
    assert len(steps) > 100
