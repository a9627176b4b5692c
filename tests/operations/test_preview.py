"""`preview` says what would happen, and writes nothing at all."""

import pytest

from operations.changes import Change, counts, lost
from tests.operations.conftest import Copy

STATEFUL = {"protected": True, "type": "pulumi-python:dynamic/local:Postgres"}


def change(op: str, **more: object) -> Change:
    return Change(**{"op": op, "urn": "u", "type": "pulumi-python:dynamic/local:Link", "name": "n", **more})  # pyright: ignore


def test_it_writes_nothing_and_is_one_document(copy: Copy) -> None:
    before = copy.snapshot()
    outcome = copy.run("preview", "--phase", "multi-region-reads", "--json")
    assert outcome.status == 0, outcome.stderr
    assert copy.snapshot() == before
    assert not (copy.folder.parent / "claims").exists()
    found = outcome.document
    assert (found["from"], found["phase"], found["built"]) == (None, "multi-region-reads", True)
    assert {step["op"] for step in found["resources"]} == {"create"}
    kinds = {step["kind"] for step in found["resources"]}
    assert {"Postgres", "Valkey", "OrderService", "Gateway"} <= kinds
    postgres = [step["name"] for step in found["resources"] if step["kind"] == "Postgres"]
    assert len(postgres) == 3
    subjects = [step["subject"] for step in found["steps"] if step["kind"] == "member"]
    assert subjects == ["main-eu-central", "main-us-east", "main-ap-northeast"]
    real = [step for step in found["resources"] if not step["type"].startswith("meridian:")]
    assert found["counts"] == {"create": len(real), "update": 0, "replace": 0, "delete": 0, "same": 0}


def test_for_people_it_shows_steps_and_resources(copy: Copy) -> None:
    before = copy.snapshot()
    outcome = copy.run("preview")
    assert (outcome.status, outcome.stderr) == (0, "")
    assert "dev (local): build single-region" in outcome.stdout
    assert "1. Create the keys and the network" in outcome.stdout
    assert "main-eu-central-postgres" in outcome.stdout
    assert copy.snapshot() == before


@pytest.mark.parametrize("phase", range(1, 6))
@pytest.mark.parametrize("target", ["aws", "gcp"])
def test_a_cloud_is_previewed_without_an_account(copy: Copy, target: str, phase: int) -> None:
    before = copy.snapshot()
    outcome = copy.run("preview", "--stack", f"production-{target}", "--phase", str(phase), "--json")
    assert outcome.status == 0, outcome.stderr
    found = outcome.document
    assert found["built"]
    assert found["steps"]
    kinds = [change["kind"] for change in found["resources"] if change["op"] == "create"]
    database = {"aws": "GlobalCluster", "gcp": "DatabaseInstance"}[target]
    assert kinds.count(database) >= {"aws": 1, "gcp": min(phase, 2)}[target]
    assert copy.snapshot() == before


@pytest.mark.parametrize(
    ("found", "names"),
    [
        (change("delete"), []),
        (change("update", **STATEFUL), []),
        (change("delete", **STATEFUL), ["n"]),
        (change("replace", **{**STATEFUL, "protected": False}), ["n"]),
        (change("replace", type="aws:rds/globalCluster:GlobalCluster"), ["n"]),
        (change("delete", protected=True), ["n"]),
        (change("delete", protected=True, custom=False), []),
    ],
)
def test_what_loses_data_is_found(found: Change, names: list[str]) -> None:
    assert [item.name for item in lost([found])] == names


def test_components_are_not_counted() -> None:
    assert counts([change("create"), change("create", custom=False), change("same")]) == {
        "create": 1,
        "update": 0,
        "replace": 0,
        "delete": 0,
        "same": 1,
    }
