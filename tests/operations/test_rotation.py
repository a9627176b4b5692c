"""A rotation of the administrator's password, against moto's RDS and Secrets Manager in three regions."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from operations.errors import Fault
from operations.rotation import CURRENT, PENDING, Rotation

REGIONS = ("eu-west-1", "eu-central-1", "us-east-1")


def client(service: str, region: str) -> Any:
    return boto3.client(service, region_name=region)  # type: ignore[call-overload]


@pytest.fixture
def rotation(monkeypatch: pytest.MonkeyPatch) -> Iterator[Rotation]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        client("rds", REGIONS[0]).create_global_cluster(
            GlobalClusterIdentifier="main", Engine="aurora-postgresql", EngineVersion="16.4"
        )
        client("rds", REGIONS[0]).create_db_cluster(
            DBClusterIdentifier="main-eu-west-1",
            Engine="aurora-postgresql",
            EngineVersion="16.4",
            MasterUsername="meridian",
            MasterUserPassword="the first one",
            GlobalClusterIdentifier="main",
        )
        secret_ids = {
            region: client("secretsmanager", region).create_secret(
                Name="database-main", SecretString=json.dumps({"username": "meridian", "password": "the first one"})
            )["ARN"]
            for region in REGIONS
        }
        yield Rotation(
            global_cluster="main",
            home=REGIONS[0],
            secret_ids=secret_ids,
            client=client,
            say=lambda _: None,
            sleep=lambda _: None,
        )


def passwords(rotation: Rotation, stage: str = CURRENT) -> list[str]:
    return [
        json.loads(
            client("secretsmanager", region).get_secret_value(SecretId=secret, VersionStage=stage)["SecretString"]
        )["password"]
        for region, secret in rotation.secret_ids.items()
    ]


class Watched:
    """A client that keeps what the writer was told, and can break at a call."""

    def __init__(self, real: Any, told: list[str], broken: str = "") -> None:
        self.real, self.told, self.broken = real, told, broken

    def __getattr__(self, name: str) -> Any:
        def call(**arguments: Any) -> Any:
            if name == self.broken:
                raise ConnectionError(name)
            if name == "modify_db_cluster":
                self.told.append(arguments["MasterUserPassword"])
            return getattr(self.real, name)(**arguments)

        return call


def watched(told: list[str], broken: str = "", where: str = "") -> Any:
    def make(service: str, region: str) -> Any:
        return Watched(client(service, region), told, broken if where in ("", region) else "")

    return make


def test_every_region_has_the_password_that_the_writer_took(rotation: Rotation) -> None:
    told: list[str] = []
    assert replace(rotation, client=watched(told)).run() == "eu-west-1"
    assert passwords(rotation) == told * 3
    assert told != ["the first one"]
    # The old one is kept until the next rotation, and nothing is left staged.
    assert passwords(rotation, "AWSPREVIOUS") == ["the first one"] * 3
    for region, secret in rotation.secret_ids.items():
        stages = client("secretsmanager", region).describe_secret(SecretId=secret)["VersionIdsToStages"]
        assert not any(PENDING in names for names in stages.values())


@pytest.mark.parametrize(
    ("call", "region"),
    [
        ("put_secret_value", "us-east-1"),
        ("modify_db_cluster", ""),
        ("describe_db_clusters", ""),
        ("update_secret_version_stage", "eu-west-1"),
        ("update_secret_version_stage", "us-east-1"),
    ],
)
def test_a_broken_run_is_taken_up_with_the_same_password(rotation: Rotation, call: str, region: str) -> None:
    told: list[str] = []
    with pytest.raises(ConnectionError):
        replace(rotation, client=watched(told, call, region)).run()
    # Before the writer knows it no region does; after that, the staged one and the current one both exist.
    if not told:
        assert passwords(rotation) == ["the first one"] * 3
    replace(rotation, client=watched(told)).run()
    assert set(passwords(rotation)) == set(told)
    assert len(set(told)) == 1


def test_nothing_changes_in_the_middle_of_a_failover(rotation: Rotation) -> None:
    class Failing(Watched):
        def __getattr__(self, name: str) -> Any:
            found = super().__getattr__(name)
            if name != "describe_global_clusters":
                return found
            members = [
                {"DBClusterArn": f"arn:aws:rds:{region}:1:cluster:main", "IsWriter": False} for region in REGIONS
            ]
            return lambda **_: {"GlobalClusters": [{"GlobalClusterMembers": members}]}

    told: list[str] = []
    with pytest.raises(Fault, match="0 writers"):
        replace(rotation, client=lambda service, region: Failing(client(service, region), told)).run()
    assert told == []
    assert passwords(rotation) == ["the first one"] * 3


def test_a_writer_that_does_not_take_it_leaves_the_old_one_current(rotation: Rotation) -> None:
    class Stuck(Watched):
        def __getattr__(self, name: str) -> Any:
            found = super().__getattr__(name)
            if name != "describe_db_clusters":
                return found
            return lambda **arguments: {"DBClusters": [{**found(**arguments)["DBClusters"][0], "Status": "modifying"}]}

    told: list[str] = []
    with pytest.raises(Fault, match="has not taken the new password"):
        replace(rotation, client=lambda service, region: Stuck(client(service, region), told)).run()
    assert passwords(rotation) == ["the first one"] * 3
