"""The recorder that users import for tests of their own stacks."""

import re
from typing import Any

import pulumi
import pytest

from operations import project
from operations.recording import record

ONE = {"target": "local", "regions": [{"name": "eu-central"}, {"name": "us-east"}]}


def test_a_stack_by_name_is_what_its_settings_file_says() -> None:
    graph = record("dev")
    assert graph.outputs["topology"]["phase"] == "single-region"
    assert [member.name for member in graph if member.type.endswith("Postgres")] == ["main-eu-central-postgres"]


def test_the_phase_can_be_another() -> None:
    members = [member for member in record("dev", phase=4) if member.type.endswith("Postgres")]
    assert len(members) == 3
    assert all(member.protect for member in members)
    assert all(member.ignore_changes == ("network", "source") for member in members)


def test_settings_stand_in_for_a_file() -> None:
    with_prefix = {f"meridian:{key}": value for key, value in ONE.items()}
    assert set(record(ONE, phase=2).resources) == set(record(with_prefix, phase="async-replica").resources)


def test_a_parent_is_visible() -> None:
    graph = record(ONE)
    server = graph.named("main-eu-central-postgres")
    assert graph.resources[server.parent].name == "main-eu-central"


def test_bad_settings_say_why() -> None:
    with pytest.raises(pulumi.RunError, match="eu-centra"):
        record({"target": "local", "regions": [{"name": "eu-centra"}]})


def test_the_example_in_the_readme_passes() -> None:
    readme = (project.FOLDER / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    names: dict[str, Any] = {}
    exec(example, names)
    tests = [run for name, run in names.items() if name.startswith("test_")]
    assert tests
    for run in tests:
        run()
