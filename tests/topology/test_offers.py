"""What the checks take for AWS's offers is what cfn-lint, which takes it from AWS, says."""

import json
import re
from typing import Any

import pytest

from topology.catalogue import catalogue
from topology.checks_aws import FARGATE
from topology.offers import FILE, MEMORY_OPTIMISED, offers, read
from topology.offers_file import found_in, schemas, text_of
from topology.schema import Settings
from topology.schema_aws import AwsCacheSetting, AwsDatabaseSetting
from topology.schema_clouds import LOG_DAYS


def test_the_file_is_fresh() -> None:
    assert FILE.read_text(encoding="utf-8") == text_of(*schemas()), "run `python -m topology.offers_file`"


def test_reading_brings_back_what_was_written() -> None:
    found = read(FILE.read_text(encoding="utf-8"))
    kinds = {"engine": found.engines, "class": found.classes, "node": found.nodes}
    written = {(kind, name, region) for kind, names in kinds.items() for name in names for region in names[name]}
    assert written == set(found_in(schemas()[0]))


def test_offers_are_plausible() -> None:
    assert set(catalogue("aws")) == offers().classes["db.serverless"] == offers().engines["17.7"]
    assert "eu-west-1" in offers().classes["db.x2g.large"]
    assert "eu-central-1" not in offers().classes["db.x2g.large"]
    assert all(name.startswith(MEMORY_OPTIMISED) for name in offers().classes)
    assert "db.t4g.medium" not in offers().classes
    assert not {"13.23", "14.6", "16.4", "16.9-limitless", "17"} & set(offers().engines)


@pytest.mark.parametrize("region", sorted(catalogue("aws")))
def test_the_defaults_are_offered_in_every_region(region: str) -> None:
    database, cache = AwsDatabaseSetting(), AwsCacheSetting()
    assert region in offers().engines[database.engine_version]
    assert region in offers().classes[database.instance_class]
    assert region in offers().nodes[cache.node_type]


def listed(rule: dict[str, Any]) -> tuple[int, ...]:
    return tuple(rule.get("enum") or range(rule["minimum"], rule["maximum"] + 1, rule["multipleOf"]))


def test_sizes_are_fargates() -> None:
    rules = json.loads((schemas()[0] / "aws_ecs_taskdefinition" / "fargate_cpu_memory.json").read_text())
    pairs = [one["properties"] for one in rules["then"]["anyOf"]]
    assert {int(pair["Cpu"]["then"]["enum"][0]) / 1024: listed(pair["Memory"]["then"]) for pair in pairs} == FARGATE
    default = Settings.model_fields["service"].default
    assert default.memory_mib in FARGATE[default.cpu]


def test_days_of_logs_are_cloudwatchs() -> None:
    folder = schemas()[0].parent
    name = json.loads((folder / "providers" / "eu-west-1.json").read_text())["AWS::Logs::LogGroup"]
    schema = json.loads((folder / "resources" / f"{name}.json").read_text())
    assert tuple(schema["properties"]["RetentionInDays"]["enum"]) == LOG_DAYS


def test_the_file_says_where_it_is_from() -> None:
    assert re.search(r"from cfn-lint \d+\.\d+\.\d+, whose data is of \d{4}-\d\d-\d\d", FILE.read_text())
