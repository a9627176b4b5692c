"""The same stack under the real Pulumi CLI, and its state handed over in both directions."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from tests.local.clone import Clone

pytestmark = [
    pytest.mark.servers,
    pytest.mark.cli,
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("pulumi") is None, reason="the Pulumi CLI is not on PATH"),
]


@pytest.fixture
def with_cli(clone: Clone) -> Iterator[Clone]:
    made = replace(clone, cli=True)
    yield made
    made.run("down", "--destroy-data", "--yes")


def pulumi(clone: Clone, *words: str) -> str:
    """The CLI as a user runs it, on the backend and with the passphrase that `./meridian` uses."""
    root = clone.folder / ".meridian"
    (root / "pulumi").mkdir(parents=True, exist_ok=True)
    environment = {
        **clone.variables(),
        "PULUMI_BACKEND_URL": f"file://{root / 'pulumi'}",
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(root / "passphrase"),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
    command = ["pulumi", *words, "--non-interactive"]
    done = subprocess.run(command, cwd=clone.folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def resources(deployment: str) -> dict[str, tuple[str, bool]]:
    return {
        item["urn"]: (item["type"], item.get("protect", False))
        for item in json.loads(deployment)["deployment"]["resources"]
        if not item["type"].startswith("pulumi:providers:")
    }


def place(entry: str, key: str) -> int:
    order = {"customer": "ada", "item": "book", "quantity": 1}
    return httpx.post(f"{entry}/orders", json=order, headers={"Idempotency-Key": key}, timeout=10).status_code


def test_the_ladder_under_the_cli(with_cli: Clone) -> None:
    with_cli.must("up")
    entry = with_cli.status()["entry"]
    assert place(entry, "1") == 201
    for phase in ("async-replica", "active-passive", "multi-region-reads"):
        with_cli.must("up", "--phase", phase)
        pulumi(with_cli, "preview", "--stack", "dev", "--expect-no-changes")
    assert with_cli.status()["entry"] == entry
    assert place(entry, "1") == 200
    assert {region["ready"] for region in with_cli.status()["regions"]} == {True}


def test_both_engines_build_the_same(with_cli: Clone, tmp_path: Path) -> None:
    other = Clone.make(tmp_path / "other", **with_cli.environment)
    try:
        with_cli.must("up", "--phase", "2")
        other.must("up", "--phase", "2", "--engine", "embedded")
        built = resources(pulumi(with_cli, "stack", "export", "--stack", "dev"))
        assert resources(other.must("state", "export").stdout) == built
    finally:
        other.run("down", "--destroy-data", "--yes")


def test_a_stack_of_the_embedded_engine_goes_on_under_the_cli_and_back(with_cli: Clone, tmp_path: Path) -> None:
    with_cli.must("up", "--phase", "2", "--engine", "embedded")
    entry = with_cli.status()["entry"]
    assert place(entry, "1") == 201
    refused = with_cli.run("up", "--engine", "pulumi")
    assert refused.status == 2
    assert "pulumi stack import" in refused.stderr

    pulumi(with_cli, "stack", "init", "--stack", "dev", "--no-select")
    file = tmp_path / "dev.json"
    with_cli.must("state", "export", "--release", "--file", str(file))
    pulumi(with_cli, "stack", "import", "--stack", "dev", "--file", str(file))
    pulumi(with_cli, "preview", "--stack", "dev", "--expect-no-changes")
    with_cli.must("up", "--phase", "3")
    assert place(entry, "1") == 200

    file.write_text(pulumi(with_cli, "stack", "export", "--stack", "dev"))
    pulumi(with_cli, "stack", "rm", "--stack", "dev", "--force", "--yes", "--preserve-config")
    with_cli.must("state", "import", str(file))
    preview = with_cli.must("preview", "--json").document
    assert {step["op"] for step in preview["resources"]} == {"same"}
    assert place(entry, "1") == 200


def test_pulumi_up_called_directly_does_the_same(with_cli: Clone) -> None:
    (with_cli.folder / ".meridian").mkdir(mode=0o700)
    (with_cli.folder / ".meridian" / "passphrase").write_text("correct horse")
    pulumi(with_cli, "stack", "init", "--stack", "dev", "--no-select")
    pulumi(with_cli, "up", "--stack", "dev", "--yes", "--skip-preview")
    pulumi(with_cli, "preview", "--stack", "dev", "--expect-no-changes")
    status = with_cli.status()
    assert status["phase"] == "single-region"
    assert place(status["entry"], "1") == 201
