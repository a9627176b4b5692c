"""The checker itself: a correct program has no findings, and each kind of mistake is found."""

from collections.abc import Callable
from typing import Any

import pulumi
import pulumi_gcp as gcp
import pytest

from engine.recorder import Graph, record
from tests.components.gcp.arguments import check_graph

REGION, PROJECT = "europe-west3", "example-production"
LABELS = {"environment": "production"}


def graph_of(program: Callable[[pulumi.ResourceOptions], Any]) -> Graph:
    def run() -> None:
        own = pulumi.ResourceOptions(provider=gcp.Provider("gcp", project=PROJECT, region=REGION))
        # What only a deployment knows is unknown, so that what is missing stands out from it.
        address = gcp.compute.Address("other", name="other", project=PROJECT, region=REGION, opts=own)
        record_("known", own, rrdatas=[address.address])
        program(own)

    return record(run, dry_run=True)


def record_(logical: str, own: pulumi.ResourceOptions, **arguments: Any) -> object:
    fine = {"name": "a.example.com.", "managed_zone": "zone", "type": "A", "ttl": 5, "rrdatas": ["192.0.2.1"]}
    return gcp.dns.RecordSet(logical, project=PROJECT, opts=own, **{**fine, **arguments})


def instance(own: pulumi.ResourceOptions, **arguments: Any) -> object:
    fine = {
        "name": "shop-production-main",
        "region": REGION,
        "project": PROJECT,
        "database_version": "POSTGRES_17",
        "settings": {"tier": "db-perf-optimized-N-4", "edition": "ENTERPRISE_PLUS", "user_labels": LABELS},
    }
    return gcp.sql.DatabaseInstance("it", opts=own, **{**fine, **arguments})


def cache(own: pulumi.ResourceOptions, **arguments: Any) -> object:
    fine = {"instance_id": "shop", "location": REGION, "project": PROJECT, "shard_count": 1}
    return gcp.memorystore.Instance("it", opts=own, **{**fine, **arguments})


def service(own: pulumi.ResourceOptions, **arguments: Any) -> object:
    fine = {"name": "shop", "location": REGION, "project": PROJECT, "template": {"containers": [{"image": "it:1"}]}}
    return gcp.cloudrunv2.Service("it", opts=own, **{**fine, **arguments})


def address(own: pulumi.ResourceOptions, **arguments: Any) -> object:
    fine = {"name": "shop", "project": PROJECT, "region": REGION, "labels": LABELS}
    return gcp.compute.Address("it", opts=own, **{**fine, **arguments})


def block(**values: Any) -> Any:
    """A nested argument as no type checker lets it through."""
    return values


def test_what_is_right_has_no_findings() -> None:
    for make in (instance, cache, service, address):
        assert check_graph(graph_of(make)) == []


MISTAKES: dict[str, tuple[Callable[[pulumi.ResourceOptions], object], str]] = {
    "an argument below the top that does not exist": (
        lambda own: instance(own, settings=block(tier="db-perf-optimized-N-4", editions="ENTERPRISE_PLUS")),
        "settings.editions = 'ENTERPRISE_PLUS': allowed is one of the arguments",
    ),
    "a number where a text belongs": (
        lambda own: instance(own, database_version=17),
        "databaseVersion = 17",
    ),
    "a text where a number belongs": (
        lambda own: record_("it", own, ttl="5s"),
        "ttl = '5s': allowed is a value of type int",
    ),
    "a text where a list belongs": (
        lambda own: service(own, template=block(containers="it:1")),
        "template.containers = 'it:1'",
    ),
    "what is required and missing": (
        lambda own: service(own, template={"containers": [block(name="it")]}),
        "template.containers[0] = None: allowed is needs image",
    ),
    "no project": (
        lambda own: address(own, project=None),
        "project = None: allowed is an explicit project",
    ),
    "no region": (
        lambda own: address(own, region=None),
        "region = None: allowed is an explicit region",
    ),
    "a region of another cloud": (
        lambda own: address(own, region="eu-central-1"),
        "region = 'eu-central-1': allowed is a region of Google Cloud",
    ),
    "a location that is none": (
        lambda own: service(own, location="europe"),
        "location = 'europe': allowed is a region of Google Cloud",
    ),
    "another provider": (
        lambda _own: address(pulumi.ResourceOptions()),
        "provider = None: allowed is the stack's own provider",
    ),
    "an ingress that Cloud Run does not know": (
        lambda own: service(own, ingress="INTERNAL"),
        "ingress = 'INTERNAL': allowed is one of INGRESS_TRAFFIC_ALL",
    ),
    "a mode that Memorystore does not know": (
        lambda own: cache(own, transit_encryption_mode="TLS"),
        "transitEncryptionMode = 'TLS': allowed is one of SERVER_AUTHENTICATION, TRANSIT_ENCRYPTION_DISABLED",
    ),
    "a word below the top that is none of those listed": (
        lambda own: service(own, template={"containers": [{"image": "it:1"}], "vpc_access": {"egress": "EVERYTHING"}}),
        "template.vpcAccess.egress = 'EVERYTHING': allowed is one of ALL_TRAFFIC, PRIVATE_RANGES_ONLY",
    ),
    "a service's name that is too long": (
        lambda own: service(own, name="n" * 50),
        f"name = '{'n' * 50}': allowed is what matches",
    ),
    "an address's name with an underscore": (
        lambda own: address(own, name="shop_main"),
        "name = 'shop_main': allowed is what matches",
    ),
    "an account's name that is too short": (
        lambda own: gcp.serviceaccount.Account("it", account_id="shop", project=PROJECT, opts=own),
        "accountId = 'shop'",
    ),
    "a record's name without its dot": (
        lambda own: record_("it", own, name="a.example.com"),
        "name = 'a.example.com': allowed is what matches",
    ),
    "a label's key in capitals": (
        lambda own: address(own, labels={"Environment": "production"}),
        "labels = 'Environment': allowed is a key that matches",
    ),
    "a label's value in capitals, below the top": (
        lambda own: instance(own, settings={"tier": "db-perf-optimized-N-4", "user_labels": {"owner": "Jo"}}),
        "settings.userLabels.owner = 'Jo': allowed is what matches",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found(mistake: str) -> None:
    program, expected = MISTAKES[mistake]
    found = check_graph(graph_of(program))
    assert [finding for finding in found if expected in finding], found
    assert all(finding.startswith("it (") for finding in found)
    # One mistake is not drowned in its echoes.
    assert len(found) <= 2, found
