"""Every rule passes the real stacks, and catches what is wrong in a changed one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pytest

from components.built import HIGHEST
from policies.rules import RULES, encryption, exposure, protection, residency
from policies.rules.resource import Resource
from policies.rules.rule import ResourceRule
from policies.rules.settings import Settings
from policies.rules.table import Row
from tests.components import sdk
from tests.policies.cases import ABROAD, AWS, CASES, CLUSTER, GCP, INSTANCE, SQL, Case
from tests.policies.graphs import LADDER, STACKS, changed, config, judged, names, refused, resources, settings

THEMES = (residency, encryption, protection, exposure)
BUILT = [case for case in CASES if STACKS[case.stack] in HIGHEST]

# Those with a test of their own below: what is wrong with them lies in the settings.
BY_SETTINGS = {
    "residency-configured",
    "residency-partition",
    "residency-backup-copy",
    "residency-snapshot",
    "residency-dump",
}


@pytest.mark.parametrize(("stack", "phase"), LADDER)
def test_the_stacks_pass_at_every_phase(stack: str, phase: int) -> None:
    assert refused(judged(resources(stack, phase), settings(stack, phase))) == []


@pytest.mark.parametrize("case", BUILT, ids=lambda case: f"{case.rule}-{case.stack}-{case.says}")
def test_a_rule_catches_its_case(case: Case) -> None:
    found = judged(case.change(resources(case.stack, case.phase)), settings(case.stack, case.phase))
    caught = [each for each in found if each.rule.name == case.rule]
    assert any(case.says in each.what for each in caught), [each.message for each in found]
    assert all(each.message.endswith(each.rule.mend) for each in caught)
    assert all(each.resource is None or each.resource.name in each.message for each in caught)


def test_every_rule_of_these_themes_has_a_case() -> None:
    mine = {rule.name for theme in THEMES for rule in theme.RULES}
    assert mine == {case.rule for case in CASES} | BY_SETTINGS


def test_rules_say_who_they_are() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule.name.startswith(rule.theme.split("-")[0]) or rule.theme == "whole", rule.name
        assert rule.reason.endswith("."), rule.name
        assert rule.mend.endswith("."), rule.name
        assert rule.level in ("mandatory", "advisory")


def test_without_settings_what_carries_a_data_class_fails() -> None:
    found = judged(resources(AWS, 1), Settings.of({}))
    caught = {each.resource.name for each in found if each.rule.name == "residency-configured" and each.resource}
    assert caught == {each.name for each in resources(AWS, 1) if each.data_class}
    assert {"main-eu-west-1-cluster", "meridian-eu-west-1-keys-storage"} <= caught


def test_a_data_class_that_nobody_allowed_lives_nowhere() -> None:
    found = judged(resources(AWS, 1), settings(AWS, 1, allowed_regions={"public": ["eu-west-1"]}))
    assert any("no region" in each.what for each in found if each.rule.name == "residency-region")


def test_a_partition_narrows_what_its_class_allows() -> None:
    partitions = {"main": {"origin": "eu-west-1", "primary": ["eu-west-1"], "copies": ["eu-west-1"]}}
    found = judged(resources(AWS, 3), settings(AWS, 3, partitions=partitions))
    told = {(each.rule.name, each.resource.name) for each in found if each.resource}
    assert ("residency-partition", "main-eu-central-1-cluster") in told
    assert ("residency-partition", "main-eu-west-1-cluster") not in told
    assert ("residency-backup-copy", "meridian-eu-west-1-backup-plan") in told


def at_home(stack: str, *, copies: list[str] | None = None) -> Settings:
    """The stack's settings at phase 5, but that `americas` may be held in its own country alone."""
    origin = "us-east-1" if stack == AWS else "us-east4"
    narrow = {"origin": origin, "members": [origin], "primary": [origin], "copies": copies or [origin]}
    return settings(stack, 5, partitions={**config(stack, 5)["partitions"], "americas": narrow})


@pytest.mark.parametrize(("stack", "type_", "europe"), [(AWS, CLUSTER, "eu-west-1"), (GCP, SQL, "europe-west3")])
def test_no_member_or_backup_of_a_partition_leaves_its_residency(stack: str, type_: str, europe: str) -> None:
    """Other partitions may be there, and stay."""
    found = judged(resources(stack, 5), at_home(stack))
    caught = {each.resource.name for each in found if each.rule.name == "residency-partition" and each.resource}
    members = {each.name for each in resources(stack, 5) if each.type == type_ and europe in each.name}
    assert {name for name in members if name.startswith("americas-")} <= caught
    assert not {name for name in caught if name.startswith("main-")}


def test_a_partitions_own_backups_stay_where_it_may_be() -> None:
    path, name = "settings.backupConfiguration.location", "americas-us-east4-instance"
    legal, by = changed(resources(GCP, 5), SQL, path, "us-east4", name=name), at_home(GCP)
    abroad = changed(legal, SQL, path, "europe-west3", name=name)

    def told(found: Sequence[Resource]) -> list[str]:
        return [each.what for each in judged(found, by) if each.resource and each.resource.name == name]

    assert not [what for what in told(legal) if "backupConfiguration" in what]
    assert f"{path} is 'europe-west3', and americas may be held only in us-east4" in told(abroad)


@pytest.mark.parametrize(
    ("type_", "path"), [pytest.param(type_, path, id=type_) for type_, path in residency.SNAPSHOTS.items()]
)
def test_a_copy_of_a_snapshot_stays_where_its_partition_may_be(type_: str, path: str) -> None:
    def planted(place: str, **tags: str) -> list[str]:
        copy = Resource(urn="u", type=type_, name="copy", props={path: place, "tags": tags})
        return [each.what for each in judged([copy], at_home(AWS)) if each.rule.name == "residency-snapshot"]

    assert planted("eu-west-1", partition="main") == []
    assert planted("us-east-1", partition="americas") == []
    said = f"{path} is 'eu-west-1', and americas may be held only in us-east-1"
    assert planted("eu-west-1", partition="americas") == [said]
    assert planted("eu-west-1") == [said], "it may be anybody's"


def test_dumps_go_where_every_partition_of_their_region_may_be() -> None:
    def told(by: Settings) -> list[str]:
        return [each.message for each in judged(resources(GCP, 5), by) if each.rule.name == "residency-dump"]

    assert told(settings(GCP, 5)) == []
    (said,) = [message for message in told(at_home(GCP)) if message.startswith("meridian-us-east4-")]
    assert "it dumps into meridian-production-gcp-europe-west3" in said
    assert "location is 'europe-west3', and americas may be held only in us-east4" in said
    assert told(at_home(GCP, copies=["us-east4", "europe-west3", "europe-west1"])) == []


def test_retention_follows_the_settings() -> None:
    assert "protection-point-in-time" in names(resources(AWS, 1), settings(AWS, 1, point_in_time_days=36))
    assert "protection-vault-lock" not in names(resources(AWS, 1), settings(AWS, 1, backup_days=400))


def test_a_key_of_the_own_region_is_near() -> None:
    near = ABROAD.replace("us-west-2", "eu-west-1")
    found = changed(resources(AWS, 1), CLUSTER, "kmsKeyId", near)
    assert "encryption-regional-key" not in names(found, settings(AWS, 1))


def test_insights_that_are_off_need_no_key() -> None:
    found = changed(resources(AWS, 1), INSTANCE, "performanceInsightsKmsKeyId", None)
    off = changed(found, INSTANCE, "performanceInsightsEnabled", False)
    assert "encryption-own-key" in names(found, settings(AWS, 1))
    assert "encryption-own-key" not in names(off, settings(AWS, 1))


def rows() -> Iterator[Row]:
    """The lines of every table of rules."""
    for rule in (rule for theme in THEMES for rule in theme.RULES if isinstance(rule, ResourceRule)):
        for cell in rule.check.__closure__ or ():
            if isinstance(cell.cell_contents, Mapping):
                yield from (row for lines in cell.cell_contents.values() for row in lines if isinstance(row, Row))


@pytest.mark.parametrize("row", list(rows()), ids=lambda row: f"{row.type}-{row.path}")
def test_no_line_of_a_table_is_idle(row: Row) -> None:
    """Each refuses some value and takes another, whether an example stack has the type or not."""
    given = Settings.of({"target": "aws"})
    tried = (None, True, False, "wrong", 0, 10**9, "604800s", "enforced", "ELBSecurityPolicy-TLS13-1-2-2021-06",
             "PREVENT", "HTTPS", "AES256", "required", "SERVER_AUTHENTICATION", "ENCRYPTED_ONLY", "TLS_1_2",
             "MODERN", "443", "Enabled", "INGRESS_TRAFFIC_INTERNAL_ONLY", [{"x": 1}], "http", "monitor",
             "rds-ca-2019", "ALL_TRAFFIC")  # fmt: skip
    verdicts = {row.expect.holds(value, given) for value in tried}
    assert verdicts == {True, False}


def spoken_of() -> Iterator[tuple[str, str]]:
    """Every type and path that a table names."""
    for table in (residency.PLACES, encryption.KEYS):
        yield from ((type_, path) for type_, paths in table.items() for path in paths)
    yield from residency.SNAPSHOTS.items()
    yield from exposure.GROUPS.items()
    yield from ((type_, "policy") for type_ in ("aws:iam/policy:Policy", "aws:kms/key:Key"))
    yield from ((row.type, row.path) for row in rows())


@pytest.mark.parametrize(("type_", "path"), sorted(set(spoken_of())))
def test_the_sdk_knows_what_a_rule_speaks_of(type_: str, path: str) -> None:
    assert sdk.is_registered(type_)
    assert sdk.exists(type_, path)


def test_the_sdk_knows_the_types_of_all_rules() -> None:
    types = {
        type_ for theme in THEMES for rule in theme.RULES if isinstance(rule, ResourceRule) for type_ in rule.types
    }
    clouds = {type_ for type_ in types if type_.startswith(("aws:", "gcp:"))}
    assert len(clouds) > 40
    assert [type_ for type_ in sorted(clouds) if not sdk.is_registered(type_)] == []


def test_a_missing_value_is_named_as_missing() -> None:
    bare = Resource(urn="u", type=CLUSTER, name="bare", props={"region": "eu-west-1"}, protect=True)
    found = judged([bare], settings(AWS, 1))
    assert "bare: storageEncrypted is not given, and must be true" in " ".join(each.message for each in found)
