"""`preview` of a step: against a state held elsewhere, with another region, in each form, and what it warns of."""

import re
from collections.abc import Callable
from functools import cache
from typing import Any
from xml.etree import ElementTree

import pytest

from engine.recorder import Graph
from operations.changes import Change, lost
from operations.consequences import Known, judged
from operations.recording import record
from tests.operations.conftest import Copy, Outcome
from tests.operations.exports import export, write

CLUSTER = "aws:rds/cluster:Cluster"
STACK = "production-aws"


@cache
def graph(phase: int, stack: str = STACK) -> Graph:
    return record(stack, stack=stack, phase=phase)


def against(
    copy: Copy, edit: Callable[[dict[str, Any]], None], *words: str, phase: int = 3, stack: str = STACK
) -> Outcome:
    """A preview of what stands in the settings against an export of that phase."""
    file = write(copy.folder / "export.json", export(graph(phase, stack), stack, edit))
    return copy.run("preview", "--stack", stack, "--state", file, *words)


def keep(_entry: dict[str, Any]) -> None:
    """Nothing is edited."""


def test_an_export_is_what_the_step_starts_from(copy: Copy) -> None:
    outcome = against(copy, keep, "--phase", "4", "--json")
    found = outcome.document
    assert outcome.status == 0, outcome.stderr
    assert (found["from"], found["phase"], found["before_is_exact"]) == ("active-passive", "multi-region-reads", True)
    assert found["compared_with"].startswith("the export ")
    assert found["engine"] == "export"
    assert found["counts"]["delete"] == 0
    assert found["counts"]["create"] > 50
    kept = {*found["untouched"], *found["changed_in_place"]}
    assert {each.name for each in graph(3).of_type(CLUSTER)} <= kept
    assert not any(change["stateful"] and change["consequences"] for change in found["resources"])
    assert "Slot 2 belongs to us-east-1 for ever." in found["irreversible"]
    by_name = {each["name"]: each for each in found["after"]["scenarios"]}
    assert by_name["a partition of the network"]["cover"] == "partly"
    assert found["before"]["phase"] == "active-passive"
    rto = found["after"]["objectives"][0]
    assert (rto["asked_seconds"], rto["met"], rto["reached"]["unit"]) == (900, True, "s")


def test_the_same_phase_is_no_step(copy: Copy) -> None:
    outcome = against(copy, keep, phase=1, stack="dev")
    assert outcome.status == 0, outcome.stderr
    assert "stays at single-region" in outcome.stdout
    assert "No step: what is planned is what is there." in outcome.stdout
    assert "create" not in outcome.stdout.split("Resources:")[1].splitlines()[0]


def test_an_update_that_the_provider_makes_a_replacement_of_is_said(copy: Copy) -> None:
    def other_key(entry: dict[str, Any]) -> None:
        if entry["type"] == CLUSTER and "eu-west-1" in entry["urn"]:
            entry["inputs"] = {**entry["inputs"], "clusterIdentifier": "another"}

    outcome = against(copy, other_key)
    assert outcome.status == 3
    assert "data would be lost: main-eu-west-1" in outcome.stderr
    assert "The provider would do more than update" in outcome.stdout
    assert "a change of clusterIdentifier replaces it and loses its data" in outcome.stdout


def test_what_the_export_has_and_the_program_has_not_is_deleted(copy: Copy) -> None:
    """The phase is below that of the export and nobody gave the region up: it is refused, and said to lose data."""
    outcome = against(copy, keep, phase=4)
    assert outcome.status == 3
    assert "data would be lost" in outcome.stderr
    assert "retire: [us-east-1]" in outcome.stderr


def test_a_state_of_another_stack_is_refused(copy: Copy) -> None:
    file = write(copy.folder / "export.json", export(graph(3), "another"))
    outcome = copy.run("preview", "--stack", STACK, "--state", file)
    assert (outcome.status, outcome.stdout) == (2, "")
    assert "is of the stack another" in outcome.stderr
    assert copy.run("preview", "--state", "nowhere.json").status == 2


def test_a_state_with_sealed_secrets_says_how_to_read_it(copy: Copy) -> None:
    def seal(entry: dict[str, Any]) -> None:
        if entry["type"] == CLUSTER:
            sealed = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "v1:x"}
            entry["inputs"] = {**entry["inputs"], "masterPassword": sealed}

    outcome = against(copy, seal)
    assert outcome.status == 2
    assert "--show-secrets" in outcome.stderr


@pytest.mark.parametrize("form", ["--json", "--markdown"])
def test_another_region_as_if_it_were_listed(copy: Copy, form: str) -> None:
    before = copy.snapshot()
    outcome = copy.run("preview", "--phase", "4", "--add-region", "sa-east", form)
    assert outcome.status == 0, outcome.stderr
    assert copy.snapshot() == before
    if form == "--json":
        assert outcome.document["added_regions"] == {"sa-east": 3}
        members = [step["subject"] for step in outcome.document["steps"] if step["kind"] == "member"]
        assert members[-1] == "main-sa-east"
    else:
        assert "`{name: sa-east, slot: 3}`" in outcome.stdout


def test_a_region_that_is_none_is_refused(copy: Copy) -> None:
    outcome = copy.run("preview", "--add-region", "atlantis")
    assert outcome.status == 2
    assert "atlantis" in outcome.stderr
    assert "listed twice" in copy.run("preview", "--add-region", "us-east").stderr


def test_markdown_is_whole(copy: Copy) -> None:
    outcome = against(copy, keep, "--phase", "4", "--markdown", stack="dev")
    assert outcome.status == 0, outcome.stderr
    assert outcome.stdout.startswith("## dev (local): from active-passive to multi-region-reads\n")
    for title in (
        "Steps",
        "Resources",
        "Holds data, and is changed in place",
        "Cannot be undone",
        "When a region is lost",
        "Failures",
    ):
        assert f"### {title}" in outcome.stdout
    width = 0
    for line in outcome.stdout.splitlines():
        cells = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
        assert not (cells and width) or cells == width, line
        width = cells


def test_the_picture_shows_before_and_after(copy: Copy) -> None:
    picture = copy.folder / "step.svg"
    outcome = against(copy, keep, "--phase", "4", "--picture", str(picture), stack="dev")
    assert outcome.status == 0, outcome.stderr
    rooms = ElementTree.fromstring(picture.read_text()).findall("{http://www.w3.org/2000/svg}svg")
    titles = [room.findtext("{http://www.w3.org/2000/svg}title") or "" for room in rooms]
    assert ["phase 3" in titles[0], "phase 4" in titles[1]] == [True, True]
    first, second = (float(room.get("y", "0")) for room in rooms)
    assert second >= first + float(rooms[0].get("height", "0"))
    assert copy.run("preview", "--picture", "step.png").status == 2


def known(type_: str, inputs: dict[str, Any], *, ignored: tuple[str, ...] = (), **outputs: Any) -> Known:
    return Known(type=type_, inputs=inputs, outputs={**inputs, **outputs}, id="the-id", ignored=ignored)


def updated(type_: str, op: str = "update") -> Change:
    return Change(op=op, urn=type_, type=type_, name=type_.rpartition(":")[2])


def test_a_detachment_is_said_and_counts_as_a_loss() -> None:
    was = {CLUSTER: known(CLUSTER, {"globalClusterIdentifier": "all"})}
    (found,) = judged([updated(CLUSTER)], was, {CLUSTER: known(CLUSTER, {})})
    assert (found.op, found.harms, lost([found])) == ("update", True, [found])
    assert "both sides then accept writes" in found.consequences[0]
    kept = known(CLUSTER, {}, ignored=("globalClusterIdentifier",))
    (found,) = judged([updated(CLUSTER)], was, {CLUSTER: kept})
    assert (found.consequences, lost([found])) == ((), [])


def test_a_promotion_on_google_cloud_is_said() -> None:
    instance = "gcp:sql/databaseInstance:DatabaseInstance"
    was = {instance: known(instance, {"instanceType": "READ_REPLICA_INSTANCE"})}
    now = {instance: known(instance, {"instanceType": "CLOUD_SQL_INSTANCE"})}
    (found,) = judged([updated(instance)], was, now)
    assert found.harms
    assert "promotes the replica" in " ".join(found.consequences)


def test_what_is_replaced_takes_along_what_hangs_on_it() -> None:
    key = "aws:kms/key:Key"
    was = {key: known(key, {"multiRegion": False}, arn="arn:key"), CLUSTER: known(CLUSTER, {"kmsKeyId": "arn:key"})}
    now = {key: known(key, {"multiRegion": True}), CLUSTER: known(CLUSTER, {"kmsKeyId": "arn:key"})}
    found = judged([updated(CLUSTER, "same"), updated(key)], was, now)
    assert {change.type: change.op for change in found} == {key: "replace", CLUSTER: "replace"}
    # Whoever hangs on a value that the new one shares is left alone.
    was[CLUSTER] = now[CLUSTER] = known(CLUSTER, {"kmsKeyId": "arn:other"})
    found = judged([updated(CLUSTER, "same"), updated(key)], was, now)
    assert {change.type: change.op for change in found} == {key: "replace", CLUSTER: "same"}
    kept = {"multiRegion": False, "description": "orders"}
    was = {key: known(key, kept), CLUSTER: known(CLUSTER, {"kmsKeyId": "orders"})}
    now = {key: known(key, {**kept, "multiRegion": True}), CLUSTER: was[CLUSTER]}
    found = judged([updated(CLUSTER, "same"), updated(key)], was, now)
    assert {change.type: change.op for change in found} == {key: "replace", CLUSTER: "same"}


def test_a_step_to_several_partitions_says_whose_customers_go_where(copy: Copy) -> None:
    found = against(copy, keep, "--phase", "5", "--json", phase=4, stack="dev").document
    opened = {step["subject"]: step for step in found["steps"] if step["kind"] == "partition"}
    assert set(opened) == {"americas", "asia"}
    assert "Who is new in US belongs to it: users of us-east." in opened["americas"]["text"]
    assert "`./meridian partition move --homes 00/us-east --to americas`" in opened["americas"]["text"]
    assert "their writes pause" in opened["americas"]["estimate"]
    made = {step["subject"] for step in found["steps"] if step["kind"] == "member"}
    assert {f"americas-{region}" for region in ("us-east", "eu-central", "ap-northeast")} <= made
    assert found["counts"]["delete"] == found["counts"]["replace"] == 0


def test_on_a_cloud_it_promises_no_command(copy: Copy) -> None:
    found = against(copy, keep, "--phase", "5", "--json", phase=4).document
    (opened,) = [step for step in found["steps"] if step["kind"] == "partition"]
    assert opened["text"].endswith("Customers of before stay where they are: on aws no command moves them.")
    assert opened["estimate"] == ""


def test_another_place_that_a_partition_serves_is_a_step(copy: Copy) -> None:
    settings = copy.folder / f"Pulumi.{STACK}.yaml"
    text = settings.read_text()
    assert "serves: [US, CA, MX, BR]" in text
    settings.write_text(text.replace("serves: [US, CA, MX, BR]", "serves: [CA]"))
    outcome = against(copy, keep, "--phase", "5", phase=5)
    assert "Let americas no longer serve BR, MX, US." in outcome.stdout
    assert "who is new in no listed region belongs to it" in outcome.stdout


@pytest.mark.parametrize("model", ["last-writer-wins", "consensus"])
def test_a_conflict_model_that_is_refused_is_refused_in_the_preview(copy: Copy, model: str) -> None:
    text = copy.settings.read_text()
    assert "model: home-partition" in text
    copy.settings.write_text(text.replace("model: home-partition", f"model: {model}"))
    outcome = copy.run("preview", "--phase", "5")
    assert outcome.status == 2
    assert f'conflicts.model: "{model}" is not supported.' in outcome.stderr
    assert "docs/adr/0011-one-home-for-each-customer.md" in outcome.stderr


@pytest.mark.parametrize("stack", ["production-aws", "production-gcp"])
@pytest.mark.parametrize("words", [("list",), ("move", "--homes", "00", "--to", "americas")])
def test_moving_customers_is_refused_on_a_cloud_with_what_works_there(
    copy: Copy, stack: str, words: tuple[str, ...]
) -> None:
    outcome = copy.run("partition", words[0], *words[1:], "--stack", stack)
    assert (outcome.status, outcome.stdout) == (2, "")
    assert f"{stack} is a stack of the target {stack.removeprefix('production-')}" in outcome.stderr
    assert f"./meridian preview --stack {stack}" in outcome.stderr
    assert "switchover and failback move a partition's writer with --partition" in outcome.stderr
