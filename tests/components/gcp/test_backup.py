"""Vaults and dumps on Google Cloud: where they are, how long they last, and that no input says who is writer."""

import base64
import json
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from components.gcp.replacement import consequences
from engine.recorder import Graph, Registered
from tests.components.gcp.failover import CLOUD, INSTANCE, members, moves
from tests.components.gcp.members import cut, graph
from tests.components.gcp.stacks import topology

BUCKET = "gcp:storage/bucket:Bucket"
GRANT = "gcp:storage/bucketIAMMember:BucketIAMMember"
WORKFLOW = "gcp:workflows/workflow:Workflow"
JOB = "gcp:cloudscheduler/job:Job"
DAY = 24 * 3600


@cache
def stack(phase: int, regions: int = 3) -> Graph:
    return graph(cut(phase=phase, regions=regions))


def by_region(of: Graph, type_: str, place: str = "region") -> dict[str, Registered]:
    found = of.of_type(type_)
    assert len({each.inputs[place] for each in found}) == len(found)
    return {each.inputs[place]: each for each in found}


def buckets(of: Graph) -> dict[str, Registered]:
    return by_region(of, BUCKET, "location")


def steps(workflow: Registered) -> dict[str, Any]:
    main = json.loads(workflow.inputs["sourceContents"])["main"]
    assert main["params"] == ["args"]
    return {name: step for each in main["steps"] for name, step in each.items()}


def context(workflow: Registered) -> dict[str, Any]:
    return steps(workflow)["dump"]["try"]["args"]["body"]["exportContext"]


def ordered(job: Registered) -> str:
    body = json.loads(base64.b64decode(job.inputs["httpTarget"]["body"]))
    return json.loads(body["argument"])["instance"]


@pytest.mark.parametrize(
    ("phase", "regions", "vaults", "jobs"),
    [(1, 1, 1, 1), (1, 3, 2, 1), (2, 2, 2, 2), (3, 3, 2, 2), (4, 3, 3, 3), (4, 5, 5, 5), (5, 3, 3, 6), (5, 5, 5, 10)],
)
def test_vaults_and_jobs(phase: int, regions: int, vaults: int, jobs: int) -> None:
    of = stack(phase, regions)
    assert len(buckets(of)) == vaults
    assert len(of.of_type(JOB)) == len(of.of_type(GRANT)) == jobs
    assert set(by_region(of, WORKFLOW)) == {each.inputs["region"] for each in of.of_type(INSTANCE)}


def test_a_vault_is_closed_kept_and_encrypted_with_its_own_regions_key() -> None:
    for region, vault in buckets(stack(4)).items():
        assert vault.protect
        assert vault.inputs["forceDestroy"] is False
        assert vault.inputs["deletionPolicy"] == "PREVENT"
        assert vault.inputs["publicAccessPrevention"] == "enforced"
        assert vault.inputs["uniformBucketLevelAccess"] is True
        assert f"/locations/{region}/" in vault.inputs["encryption"]["defaultKmsKeyName"]


@pytest.mark.parametrize(("days", "recalled"), [(1, 7), (35, 35), (365, 90)])
def test_a_dump_is_kept_as_long_as_asked_and_can_be_called_back(days: int, recalled: int) -> None:
    for vault in graph(topology(phase=1, retention={"backup_days": days, "point_in_time_days": 1})).of_type(BUCKET):
        (rule,) = vault.inputs["lifecycleRules"]
        assert rule == {"action": {"type": "Delete"}, "condition": {"age": days}}
        assert vault.inputs["softDeletePolicy"] == {"retentionDurationSeconds": recalled * DAY}


def test_another_retention_changes_a_vault_in_place() -> None:
    was, now = (graph(topology(phase=1, retention={"backup_days": days})).of_type(BUCKET) for days in (35, 90))
    assert len(was) == 2
    for old, new in zip(was, now, strict=True):
        assert old.inputs != new.inputs
        assert consequences(BUCKET, old.inputs, new.inputs) == ()


def test_dumps_go_to_another_region_which_alone_lets_the_instances_write() -> None:
    planned = cut(phase=5)
    of = graph(planned)
    copies = {backup.region: backup.copy_to for backup in planned.backups}
    for region, workflow in by_region(of, WORKFLOW).items():
        elsewhere = copies[region]
        assert elsewhere is not None
        assert elsewhere != region
        bucket = buckets(of)[elsewhere].inputs["name"]
        assert context(workflow)["uri"].startswith(f'${{"gs://{bucket}/" + args.instance + "/" + ')
        granted = [each for each in of.of_type(GRANT) if f"::meridian-{region}-backup" in each.parent]
        assert {each.inputs["bucket"] for each in granted} == {bucket}
        for partition in ("main", "americas"):
            (one,) = [each for each in granted if f"-{partition}-vault-" in each.name]
            assert members(of, partition)[region].urn in one.dependencies


def test_where_residency_allows_no_copy_the_dumps_stay_in_the_region() -> None:
    planned = cut(phase=1)
    alone = replace(planned, backups=tuple(replace(each, copy_to=None) for each in planned.backups[:1]))
    of = graph(alone)
    ((region, vault),) = buckets(of).items()
    assert region == "europe-west3"
    assert vault.inputs["name"] in context(by_region(of, WORKFLOW)[region])["uri"]


def test_only_who_is_writer_at_that_time_is_dumped_and_nothing_waits_for_it() -> None:
    for workflow in stack(3).of_type(WORKFLOW):
        found = steps(workflow)
        assert list(found) == ["look", "leave", "dump"]
        assert found["look"]["call"].endswith("instances.get")
        (condition,) = found["leave"]["switch"]
        assert condition == {
            "condition": f'${{{found["look"]["result"]}.instanceType != "CLOUD_SQL_INSTANCE"}}',
            "next": "end",
        }
        assert context(workflow)["offload"] is True
        assert context(workflow)["databases"] == ["orders"]
        assert "sys.now()" in context(workflow)["uri"]  # a file that exists is not written again


def test_every_member_has_an_order_to_its_own_regions_workflow() -> None:
    of = stack(5)
    found = {ordered(job): job for job in of.of_type(JOB)}
    assert set(found) == {each.inputs["name"] for each in of.of_type(INSTANCE)}
    for instance in of.of_type(INSTANCE):
        job, region = found[instance.inputs["name"]], instance.inputs["region"]
        workflow = by_region(of, WORKFLOW)[region]
        assert job.inputs["region"] == region
        assert job.inputs["httpTarget"]["uri"].endswith(
            f"/projects/example-production/locations/{region}/workflows/{workflow.inputs['name']}/executions"
        )
        assert job.inputs["httpTarget"]["oauthToken"]["serviceAccountEmail"] == workflow.inputs["serviceAccount"]
        assert job.inputs["timeZone"] == "Etc/UTC"


@pytest.mark.parametrize("phase", [2, 3, 4, 5])
def test_a_failover_changes_no_vault_and_no_order(phase: int) -> None:
    planned, before = cut(phase=phase), stack(phase)
    for partition, region in moves(before):
        after = CLOUD.recorded_after(lambda: graph(planned), before, partition, region)
        for type_ in (BUCKET, WORKFLOW, JOB):
            assert [each.inputs for each in after.of_type(type_)] == [each.inputs for each in before.of_type(type_)]


@pytest.mark.parametrize(("low", "high"), [(1, 2), (2, 3), (3, 4), (4, 5), (1, 5)])
def test_climbing_keeps_every_vault_and_order(low: int, high: int) -> None:
    before, after = stack(low), stack(high)
    for type_ in (BUCKET, WORKFLOW, JOB, GRANT):
        for resource in before.of_type(type_):
            assert after.resources[resource.urn].inputs == resource.inputs


def test_the_longest_names_fit() -> None:
    planned = replace(cut(phase=5), environment="production-" + "x" * 60, app="a" * 20)
    of = graph(planned)
    for type_, key, limit in (
        (BUCKET, "name", 63),
        (WORKFLOW, "name", 64),
        (JOB, "name", 500),
        ("gcp:serviceaccount/account:Account", "accountId", 30),
    ):
        found = [each.inputs[key] for each in of.of_type(type_)]
        assert len(set(found)) == len(found) > 0
        assert all(len(name) <= limit and name[-1] != "-" for name in found)
