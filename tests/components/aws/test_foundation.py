"""The foundation on AWS: one provider, a global cluster and a password per partition, certificates by region."""

import re
from itertools import pairwise
from typing import Any

import pulumi
import pytest

from components.aws.foundation import Foundation, first
from components.aws.replacement import consequences
from components.contracts import FoundationArgs
from engine.recorder import Graph
from tests.components.aws.ground import ACCOUNT, REGIONS, built, changed, of_component, planned
from tests.components.aws.stacks import recorded
from topology import Topology

GLOBAL_CLUSTER = "aws:rds/globalCluster:GlobalCluster"
PASSWORD = "random:index/randomPassword:RandomPassword"


def foundation(of: Topology, seen: dict[str, Any] | None = None) -> Graph:
    """`seen` takes up the component's attributes: what is known of each, and its keys."""
    found: dict[str, Any] = {} if seen is None else seen

    def program() -> None:
        made = Foundation(f"{of.app}-foundation", FoundationArgs(topology=of))
        for name in ("ground", "transit"):
            getattr(made, name).apply(lambda value, name=name: found.update({name: value}))
        for name in ("partition_ids", "write_endpoints", "certificate_ids", "credentials"):
            found[name] = set(getattr(made, name))
            pulumi.Output.all(**getattr(made, name)).apply(
                lambda values, name=name: found.update({f"{name} known": values})
            )

    return recorded(program)


@pytest.mark.parametrize("phase", range(1, 6))
def test_everything_comes_from_one_provider_that_takes_one_account_only(phase: int) -> None:
    graph = foundation(planned(phase))
    (provider,) = graph.of_type("pulumi:providers:aws")
    assert provider.inputs["region"] == REGIONS[0]
    assert provider.inputs["allowedAccountIds"] == f'["{ACCOUNT}"]'
    resources = of_component(graph, "Foundation")
    assert {one.provider.split("::")[-2] for one in resources if one.type.startswith("aws:")} == {provider.name}
    # A password is nobody's in AWS, and the provider of AWS knows no such type.
    assert {one.provider for one in graph.of_type(PASSWORD)} == {""}


def test_the_provider_is_of_the_home_region_wherever_the_list_begins() -> None:
    assert changed(foundation(planned(3, REGIONS[:2])), foundation(planned(3, REGIONS[:2][::-1]))) == []


@pytest.mark.parametrize(("phase", "expected"), [(1, {"main"}), (4, {"main"}), (5, {"main", "europe"})])
def test_a_global_cluster_and_a_password_per_partition(phase: int, expected: set[str]) -> None:
    of, seen = planned(phase), dict[str, Any]()
    graph = foundation(of, seen)
    assert seen["partition_ids"] == seen["write_endpoints"] == seen["credentials"] == expected
    assert seen["ground"] == seen["transit"] == ACCOUNT
    clusters = {one.name.rsplit("-", 1)[1]: one for one in graph.of_type(GLOBAL_CLUSTER)}
    assert set(clusters) == expected
    for partition, cluster in clusters.items():
        assert cluster.inputs["region"] == of.partition(partition).origin
        assert cluster.inputs["globalClusterIdentifier"] == f"meridian-production-aws-{partition}"
        assert cluster.inputs["storageEncrypted"] is True
        assert cluster.inputs["deletionProtection"] is True
        assert cluster.protect
        assert cluster.inputs["forceDestroy"] is False
        assert not {"databaseName", "sourceDbClusterIdentifier"} & set(cluster.inputs)
        assert seen["write_endpoints known"][partition].endswith(":5432")
    assert {one.name for one in graph.of_type(PASSWORD)} == {
        "meridian-foundation-directory-key",
        *(f"meridian-foundation-{partition}-password" for partition in expected),
    }


def test_what_an_adopted_or_failed_over_global_cluster_shows_replaces_nothing() -> None:
    (cluster,) = foundation(planned(2)).of_type(GLOBAL_CLUSTER)
    found = {**cluster.inputs, "databaseName": "orders", "sourceDbClusterIdentifier": "the first writer"}
    assert consequences(GLOBAL_CLUSTER, found, cluster.inputs, cluster.ignore_changes) == ()
    for kept in cluster.ignore_changes:
        others = [name for name in cluster.ignore_changes if name != kept]
        assert [each.effect for each in consequences(GLOBAL_CLUSTER, found, cluster.inputs, others)] == ["replace"]


def test_passwords_are_what_aurora_takes() -> None:
    password = foundation(planned(1)).named("meridian-foundation-main-password")
    assert password.protect
    assert password.ignore_changes == ()
    assert 8 <= password.inputs["length"] <= 128
    assert not re.search(r"""[/'"@\s]""", password.inputs["overrideSpecial"])


@pytest.mark.parametrize(
    ("phase", "expected"), [(1, REGIONS[:1]), (2, REGIONS[:1]), (3, REGIONS[:2]), (4, REGIONS[:3])]
)
def test_every_region_with_a_service_has_a_certificate_of_its_own(phase: int, expected: tuple[str, ...]) -> None:
    seen: dict[str, Any] = {}
    graph = foundation(planned(phase), seen)
    assert seen["certificate_ids"] == set(expected)
    certificates = graph.of_type("aws:acm/certificate:Certificate")
    assert {one.inputs["region"] for one in certificates} == set(expected)
    for one in certificates:
        assert one.inputs["domainName"] == "api.example.com"
        assert one.inputs["subjectAlternativeNames"] == ["*.api.example.com"]
        assert one.inputs["validationMethod"] == "DNS"


def test_one_record_validates_all_certificates_and_none_is_given_out_before() -> None:
    seen: dict[str, Any] = {}
    graph = foundation(planned(4), seen)
    (record,) = graph.of_type("aws:route53/record:Record")
    assert record.inputs["type"] == "CNAME"
    assert record.inputs["zoneId"] == "Z0123456789ABCDEFGHIJ"
    validated = graph.of_type("aws:acm/certificateValidation:CertificateValidation")
    assert len(validated) == 3
    for one in validated:
        assert record.urn in one.dependencies
        assert seen["certificate_ids known"][one.inputs["region"]] == one.inputs["certificateArn"]


def test_the_record_is_the_one_that_acm_asks_for() -> None:
    class Option:
        resource_record_name = "_a.api.example.com."
        resource_record_value = "_b.acm-validations.aws."

    options: Any = [Option(), Option()]
    assert first(options, "resource_record_name") == "_a.api.example.com."
    assert first(options, "resource_record_value") == "_b.acm-validations.aws."
    assert first(None, "resource_record_name") == ""


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_climbing_changes_nothing_that_is_there(count: int) -> None:
    """Every phase that as many regions can have, as plans refuse the others."""
    highest = 1 if count == 1 else 5
    graphs = [built(phase, REGIONS[:count]) for phase in range(1, highest + 1)]
    for low, high in pairwise(graphs):
        assert changed(low, high) == []


def test_the_comparison_can_fail() -> None:
    """Another port or zone id is a change, and so is a region that goes."""
    assert changed(built(4), built(2)) != []
    assert changed(built(3), built(3, nat="regional")) != []


def test_the_directorys_key_is_one_for_the_stack_from_the_first_phase_on() -> None:
    """Under another key no customer would be found again."""
    first, last = (foundation(planned(phase)).named("meridian-foundation-directory-key") for phase in (1, 5))
    assert first.inputs == last.inputs
    assert first.protect
    # 62 signs: log2(62) * 43 = 256 bits.
    assert (first.inputs["length"], first.inputs["special"]) == (43, False)
