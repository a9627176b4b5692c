"""The service accounts that the regions' services run as, by names that are known beforehand.

A database takes a service account as a user only if it exists, and takes new users only where the writer is. So those
of all planned regions are made in phase 1, before the first database, whose users they become: no later phase has to
ask the origin for one, which may be a replica by then.
"""

from collections.abc import Callable

import pulumi
import pulumi_gcp as gcp

from components.gcp import names, paths
from topology import Topology

# An account's id has 6 to 30 characters (IAM API: serviceAccounts.create); the database's user is the id, the project
# (30 at most) and five characters more, and PostgreSQL cuts names after 63.
LIMIT = 28


def account_id(topology: Topology, region: str) -> str:
    return names.name(topology, region, limit=LIMIT)


def email(topology: Topology, region: str) -> str:
    return f"{account_id(topology, region)}@{paths.project(topology)}.iam.gserviceaccount.com"


def database_user(topology: Topology, region: str) -> str:
    """The address without its end (cloud.google.com/sql/docs/postgres/add-manage-iam-users;
    terraform-provider-google #14019).
    """
    return email(topology, region).removesuffix(".gserviceaccount.com")


def accounts(
    name: str, topology: Topology, options: Callable[[], pulumi.ResourceOptions]
) -> list[gcp.serviceaccount.Account]:
    return [
        gcp.serviceaccount.Account(
            f"{name}-{region.name}-account",
            account_id=account_id(topology, region.name),
            display_name=f"The service in {region.name}",
            project=paths.project(topology),
            opts=options(),
        )
        for region in topology.regions
    ]
