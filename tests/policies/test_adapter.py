"""The pack as the Pulumi CLI asks it: over pulumi-policy, with its proxies and its unknown values."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import pulumi_policy
import pytest
import yaml
from pulumi_policy import policy as pulumi_policies
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, unknown_checking_proxy

from operations import pack, project
from policies.rules import RULES, adapter
from policies.rules.resource import UNKNOWN
from policies.rules.settings import SCHEMA
from tests.policies.cases import CLUSTER
from tests.policies.graphs import AWS, changed, config, resources

PACK = project.FOLDER / "policies"
POLICIES = {each.name: each for each in adapter.policies()}


def options(*, protect: bool = True, parent: str | None = None) -> Any:
    none = pulumi_policy.PolicyCustomTimeouts(0, 0, 0)
    return pulumi_policy.PolicyResourceOptions(protect, ["engineVersion"], None, [], none, [], parent)


def asked(name: str, type_: str, props: dict[str, Any], *, protect: bool = True, given: Any = None) -> list[str]:
    args = pulumi_policy.ResourceValidationArgs(
        type_, unknown_checking_proxy(props), "urn:x", "thing", options(protect=protect), None, given
    )
    said: list[str] = []
    POLICIES[name].validate(args, lambda message, urn=None: said.append(message))  # type: ignore[attr-defined]
    return said


def test_there_is_a_policy_for_every_rule() -> None:
    assert list(POLICIES) == [rule.name for rule in RULES]
    for rule in RULES:
        each = POLICIES[rule.name]
        assert each.enforcement_level is not None
        assert each.enforcement_level.value == rule.level
        assert each.description == rule.reason
        assert each.config_schema is not None
        assert each.config_schema.properties == SCHEMA


def test_a_wrong_value_is_reported_with_its_mend() -> None:
    said = asked("encryption-at-rest", CLUSTER, {"storageEncrypted": False})
    assert said == [
        "thing: storageEncrypted is false, and must be true. Switch the encryption on, before there is data."
    ]
    assert asked("encryption-at-rest", CLUSTER, {"storageEncrypted": True}) == []


def test_an_unknown_value_is_not_reported_and_hides_no_other() -> None:
    props = {"skipFinalSnapshot": UNKNOWN_STRING_VALUE, "deleteAutomatedBackups": True, "finalSnapshotIdentifier": "x"}
    said = asked("protection-final-copy", CLUSTER, props)
    assert len(said) == 1
    assert "deleteAutomatedBackups is true" in said[0]


def test_numbers_lists_and_unknown_values_become_plain() -> None:
    proxied = unknown_checking_proxy({"days": 7.0, "list": [{"late": UNKNOWN_STRING_VALUE}, 0.5], "text": "x"})
    found = adapter.known(proxied)
    assert found["days"] == 7
    assert isinstance(found["days"], int)
    assert found["list"][0]["late"] is UNKNOWN
    assert found["list"][1] == 0.5


def test_options_arrive() -> None:
    assert asked("protection-protect", CLUSTER, {}, protect=False)
    assert not asked("protection-protect", CLUSTER, {}, protect=True)


def test_the_configuration_arrives() -> None:
    props = {"region": "us-west-2", "tags": {"data-class": "confidential"}}
    assert "not told" in asked("residency-configured", CLUSTER, props)[0]
    assert "'us-west-2'" in asked("residency-region", CLUSTER, props, given=config(AWS, 1))[0]
    assert not asked("residency-configured", CLUSTER, props, given=config(AWS, 1))


@pytest.mark.parametrize("broken", [False, True])
def test_stack_rules_see_the_whole(broken: bool) -> None:
    found = resources(AWS, 1)
    if broken:
        block = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
        found = changed(found, block, parent="urn:elsewhere")
    whole = [
        pulumi_policy.PolicyResource(
            each.type,
            unknown_checking_proxy(dict(each.props)),
            each.urn,
            each.name,
            options(parent=each.parent),
            None,
            None,
            [],
            {},
        )
        for each in found
    ]
    said: list[tuple[str, str | None]] = []
    POLICIES["exposure-bucket-block"].validate(  # type: ignore[attr-defined]
        pulumi_policy.StackValidationArgs(whole, config(AWS, 1)),
        lambda message, urn=None: said.append((message, urn)),
    )
    assert [urn.rsplit("::")[-1] for _, urn in said if urn] == (
        ["meridian-eu-west-1-service-access-logs"] if broken else []
    )


def test_the_pack_starts_with_all_policies(monkeypatch: pytest.MonkeyPatch) -> None:
    """`__main__` serves for ever, so the server is all that is taken away; its folder is first on the path."""
    started: list[Any] = []
    monkeypatch.setattr(pulumi_policies.PolicyPack, "__init__", lambda _, **given: started.append(given))
    monkeypatch.syspath_prepend(str(PACK))
    for name in [name for name in sys.modules if name.split(".")[0] == "rules"]:
        monkeypatch.delitem(sys.modules, name)
    try:
        runpy.run_path(str(PACK / "__main__.py"), run_name="__main__")
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "rules"]:
            del sys.modules[name]
    assert started[0]["name"] == "meridian"
    assert [each.name for each in started[0]["policies"]] == [rule.name for rule in RULES]


def test_the_pack_needs_nothing_of_the_project() -> None:
    """The CLI runs it with its own folder on the path, where the other rooms are not."""
    rooms = {path.name for path in project.FOLDER.iterdir() if path.is_dir()} - {"policies"}
    for path in PACK.rglob("*.py"):
        words = {line.split()[1].split(".")[0] for line in path.read_text().splitlines() if _imports(line)}
        assert not words & rooms, path.name
        assert "pulumi_policy" not in words or path.name in ("__main__.py", "adapter.py"), path.name


def _imports(line: str) -> bool:
    return line.lstrip().startswith(("import ", "from ")) and len(line.split()) > 1


def test_the_pack_shares_the_project_s_environment() -> None:
    runtime = yaml.safe_load((PACK / "PulumiPolicy.yaml").read_text())["runtime"]
    program = yaml.safe_load((project.FOLDER / "Pulumi.yaml").read_text())["runtime"]
    assert (PACK / runtime["options"]["virtualenv"]).resolve() == project.FOLDER / program["options"]["virtualenv"]


def test_the_cli_is_given_the_pack_and_its_configuration() -> None:
    from operations.stack import Stack

    with pack.options(Stack.open("dev", "1").topology) as words:
        assert words[::2] == ["--policy-pack", "--policy-pack-config"]
        assert words[1] == str(PACK)
        given = yaml.safe_load(Path(words[3]).read_text())
    assert set(given) == {rule.name for rule in RULES}
    assert given["residency-region"]["target"] == "local"
    assert not Path(words[3]).exists()
