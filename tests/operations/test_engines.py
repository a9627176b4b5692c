"""A stack belongs to the engine that holds its state; the other one leaves it alone and says how to move it."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from operations.changes import Preview
from operations.engines import records
from operations.engines.face import Engine
from operations.engines.pulumi_cli import parse_preview
from operations.errors import Fault, Refused
from operations.transition import Transition
from tests.operations.conftest import MEMBER_URN, Copy, resources, write_checkpoint, write_embedded_state


def test_the_cli_leaves_the_embedded_engines_stack_alone(copy: Copy, fake_pulumi: Callable[[str], str]) -> None:
    write_embedded_state(copy.stack)
    before = copy.snapshot()
    for words in (("up",), ("preview",), ("down", "--destroy-data", "--yes")):
        outcome = copy.run(*words, "--engine", "pulumi", PATH=fake_pulumi("exit 1"))
        assert outcome.status == 2
        assert "pulumi stack import --stack dev --file dev.json" in outcome.stderr
        assert "./meridian state export --release --file dev.json" in outcome.stderr
    assert copy.snapshot() == before
    assert not (copy.folder.parent / "pulumi-calls").exists()


def test_the_embedded_engine_leaves_the_clis_stack_alone(copy: Copy, fake_pulumi: Callable[[str], str]) -> None:
    write_checkpoint(copy.folder / ".meridian" / "pulumi")
    before = copy.snapshot()
    for words, path in ((("up", "--engine", "embedded"), fake_pulumi("exit 1")), (("up",), copy.environment["PATH"])):
        outcome = copy.run(*words, PATH=path)
        assert outcome.status == 2
        assert "pulumi stack export --stack dev --file dev.json" in outcome.stderr
        assert "./meridian state import dev.json" in outcome.stderr
    assert copy.snapshot() == before


def test_a_backend_of_the_users_own_counts(copy: Copy, fake_pulumi: Callable[[str], str]) -> None:
    write_checkpoint(copy.folder.parent / "elsewhere")
    url = f"file://{copy.folder.parent / 'elsewhere'}"
    outcome = copy.run("up", "--engine", "embedded", PATH=fake_pulumi("exit 1"), PULUMI_BACKEND_URL=url)
    assert outcome.status == 2
    assert "PULUMI_BACKEND_URL" not in outcome.stderr  # it is set already
    assert "pulumi stack export" in outcome.stderr


def test_two_states_of_one_stack_are_refused(copy: Copy) -> None:
    write_embedded_state(copy.stack)
    write_checkpoint(copy.folder / ".meridian" / "pulumi")
    for command in ("up", "preview", "status"):
        outcome = copy.run(command)
        assert outcome.status == 2
        assert "both engines" in outcome.stderr
        assert "state.json" in outcome.stderr


def test_an_embedded_stack_goes_on_when_a_cli_appears(copy: Copy, fake_pulumi: Callable[[str], str]) -> None:
    write_embedded_state(copy.stack)
    (copy.folder / ".meridian" / "passphrase").write_text("correct horse")
    outcome = copy.run("preview", "--json", PATH=fake_pulumi("exit 1"))
    assert outcome.document["engine"] == "embedded"
    assert "--engine pulumi" in outcome.stderr


def test_the_cli_is_called_with_the_projects_backend_and_passphrase(
    copy: Copy, fake_pulumi: Callable[[str], str]
) -> None:
    body = 'echo "$PULUMI_BACKEND_URL|$PULUMI_CONFIG_PASSPHRASE_FILE|$PULUMI_CONFIG_PASSPHRASE"; test "$1" != up'
    outcome = copy.run("up", "--phase", "2", "--yes", PATH=fake_pulumi(body))
    assert outcome.status == 1
    assert "`pulumi up` ended with status 1" in outcome.stderr
    home = copy.folder / ".meridian"
    assert f"file://{home / 'pulumi'}|{home / 'passphrase'}|\n" in outcome.stderr
    assert outcome.stdout == ""
    calls = (copy.folder.parent / "pulumi-calls").read_text().splitlines()
    assert [call.split()[0] for call in calls] == ["stack", "up"]
    word = (home / "passphrase").read_text().strip()
    assert word not in "".join(calls) + outcome.stderr
    # The phase is written before anything is done.
    assert "meridian:phase: async-replica" in copy.settings.read_text()


def test_a_preview_of_a_new_stack_does_not_ask_the_cli(copy: Copy, fake_pulumi: Callable[[str], str]) -> None:
    before = copy.snapshot()
    outcome = copy.run("preview", "--json", PATH=fake_pulumi("exit 1"))
    assert (outcome.status, outcome.document["engine"]) == (0, "pulumi")
    assert outcome.document["counts"]["create"] > 10
    assert copy.snapshot() == before
    assert not (copy.folder.parent / "pulumi-calls").exists()


def test_an_export_without_a_stack_and_a_release_without_a_file(copy: Copy) -> None:
    assert copy.run("state", "export").status == 2
    write_embedded_state(copy.stack)
    outcome = copy.run("state", "export", "--release")
    assert outcome.status == 2
    assert "--file" in outcome.stderr
    assert (copy.stack / "state.json").exists()


def test_a_state_goes_out_and_comes_back(copy: Copy) -> None:
    (copy.folder / "other").mkdir()
    export = {"version": 3, "deployment": {"resources": resources()}}
    (copy.folder / "other" / "dev.json").write_text(json.dumps(export))
    # A path is meant as seen from where the launcher was called.
    came = copy.run("state", "import", "dev.json", MERIDIAN_CALLED_FROM=str(copy.folder / "other"))
    assert came.status == 0, came.stderr
    assert (copy.stack / "state.json").stat().st_mode & 0o777 == 0o600
    went = copy.run("state", "export")
    assert [item["urn"] for item in went.document["deployment"]["resources"]] == [item["urn"] for item in resources()]
    # Another one in its place only after a yes.
    again = copy.run("state", "import", "other/dev.json")
    assert again.status == 2
    assert "--yes" in again.stderr
    gone = copy.run("state", "export", "--release", "--file", str(copy.folder / "out.json"))
    assert gone.status == 0, gone.stderr
    written = json.loads((copy.folder / "out.json").read_text())
    assert written["deployment"]["resources"] == went.document["deployment"]["resources"]
    assert (copy.folder / "out.json").stat().st_mode & 0o777 == 0o600
    assert copy.run("state", "export").status == 2


def preview_text(**step: Any) -> str:
    state = {"type": "pulumi-python:dynamic/local:Link", "custom": True, "inputs": {"a": 1, "__provider": "x"}}
    return "warning: something\n" + json.dumps(
        {
            "steps": [
                {"op": "same", "urn": "u::stack", "newState": {"type": "pulumi:pulumi:Stack"}},
                {"op": "create-replacement", "urn": "u::n", "newState": state},
                {
                    "urn": "u::n",
                    "newState": {**state, "inputs": {"a": 2, "b": 1, "__provider": "y"}},
                    "oldState": state,
                    **step,
                },
            ]
        }
    )


def test_a_preview_of_the_cli_is_read() -> None:
    (update,) = parse_preview(preview_text(op="update", detailedDiff=None), "", 0).changes
    assert (update.op, update.name, update.kind, update.changed) == ("update", "n", "Link", ("a", "b"))
    replaced = parse_preview(preview_text(op="replace", replaceReasons=["a"], detailedDiff={"a": {}}), "", 0)
    assert [(change.op, change.changed, change.replace_keys) for change in replaced.changes] == [
        ("replace", ("a",), ("a",))
    ]


def test_what_the_cli_refuses_is_a_problem_and_what_it_cannot_say_is_a_fault() -> None:
    refused = json.dumps({"steps": [], "diagnostics": [{"severity": "error", "message": "it is protected\n"}]})
    assert parse_preview(refused, "", 255) == Preview(changes=(), problems=("it is protected",))
    with pytest.raises(Fault, match="no such plugin"):
        parse_preview("", "error: no such plugin", 255)
    with pytest.raises(Fault, match="broken"):
        parse_preview('{"steps": []}', "error: broken", 1)


def test_where_a_file_backend_keeps_a_stack(tmp_path: Path) -> None:
    url = f"file://{tmp_path}"
    assert records.checkpoint(url, "meridian", "dev") is None
    assert records.checkpoint("s3://bucket", "meridian", "dev") is None
    path = write_checkpoint(tmp_path)
    assert records.checkpoint_path(url, "meridian", "dev") == path
    found = records.checkpoint(url, "meridian", "dev")
    assert found is not None
    assert list(records.protected(found)) == [MEMBER_URN]
    path.write_text("{")
    with pytest.raises(Fault, match="damaged"):
        records.checkpoint(url, "meridian", "dev")


class Holding:
    """An engine of which only what is protected matters."""

    def __init__(self, *members: str) -> None:
        self.members = members

    def protected(self) -> Mapping[str, Mapping[str, str]]:
        return {f"urn::{name}": {"member": name, "region": name.removeprefix("main-")} for name in self.members}


def transition(phase: str, before: str | None, retire: list[str]) -> Transition:
    from topology import from_summary, load, plan, to_summary

    regions = json.dumps([{"name": "eu-central"}, {"name": "us-east"}])

    def planned(name: str) -> Any:
        config = {"target": "local", "phase": name, "regions": regions, "retire": json.dumps(retire)}
        return plan(load(config, "dev"))

    old = from_summary(to_summary(planned(before))) if before else None
    return Transition(old, planned(phase), tuple(retire))


def test_only_what_goes_loses_its_protection() -> None:
    engine = cast("Engine", Holding("main-eu-central", "main-us-east"))
    assert transition("async-replica", "single-region", []).given_up(engine) == frozenset()
    assert transition("single-region", "async-replica", ["us-east"]).given_up(engine) == {"urn::main-us-east"}


def test_a_member_that_no_output_tells_of_is_not_lost_silently() -> None:
    """`up` to phase 2 was killed after the copy was made; then phase 1 is asked for."""
    engine = cast("Engine", Holding("main-eu-central", "main-us-east"))
    with pytest.raises(Refused, match=r"main-us-east.*retire: \[us-east\]"):
        transition("single-region", "single-region", []).given_up(engine)
    with pytest.raises(Refused, match="main-us-east"):
        transition("single-region", None, []).given_up(engine)
    assert transition("single-region", None, ["us-east"]).given_up(engine) == {"urn::main-us-east"}
