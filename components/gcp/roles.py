"""What a region's service account may do. Each region's service has its own, which accounts.py names.

IAM is one for the whole world, so nothing here is made during a failover: from phase 3 on the service may sign in
wherever the writer may be.
"""

import re
from collections.abc import Sequence

import pulumi
import pulumi_gcp as gcp

from components.component import Component
from components.contracts import ServiceArgs
from components.gcp import accounts, paths
from components.gcp.database import instance_of
from topology import Phase
from topology.residency import Residency

# A repository of Artifact Registry (cloud.google.com/artifact-registry/docs/docker/names).
ARTIFACTS = re.compile(
    r"(?P<host>(?P<location>[a-z0-9-]+)-docker\.pkg\.dev)/(?P<project>[a-z0-9.:-]+?)/(?P<repository>[a-z0-9-]+)/"
)

# To reach an instance through Google's connectors, and to sign in to it with IAM.
SIGNS_IN = {"client": "roles/cloudsql.client", "user": "roles/cloudsql.instanceUser"}
USES_CACHE = "roles/memorystore.dbConnectionUser"
READS_SECRET = "roles/secretmanager.secretAccessor"  # noqa: S105

# On a machine; Cloud Run writes by itself. For the project as a whole, because neither belongs to anything smaller.
REPORTS = {"log-writer": "roles/logging.logWriter", "metric-writer": "roles/monitoring.metricWriter"}


class Roles:
    """`email` is the service account; what runs as it waits for `grants`.

    Of its region's secrets it reads one, the key of the customers' digests; the others are the databases'
    administrators'.
    """

    email: str
    grants: Sequence[pulumi.Resource]

    def __init__(self, owner: Component, args: ServiceArgs, *, machines: bool) -> None:
        self.owner, self.args = owner, args
        assert args.topology.gcp is not None, "checked with the settings"
        assert args.topology.service is not None, "checked with the settings"
        self.email = accounts.email(args.topology, args.region.name)
        grants: list[pulumi.Resource] = []
        # One by one: a region that is gone takes its own along and changes no other. IAM takes 20 conditions for one
        # account and role (cloud.google.com/iam/quotas).
        for name in [*self.own_members(), *self.remote_members()]:
            grants += self.signs_in(name)
        if args.cache is not None:
            condition = only("cache", args.cache.cache_id, "memorystore.googleapis.com")
            grants.append(self.grant("cache", USES_CACHE, condition))
        if args.secrets is not None:
            grants.append(self.reads("directory", args.secrets.secret_ids["directory"]))
        if machines:
            grants += [self.grant(part, role) for part, role in REPORTS.items()]
            grants += self.pulls(args.topology.service.image)
        self.grants = grants

    def own_members(self) -> list[str]:
        return [name for name in self.args.region.members if name in self.args.databases]

    def remote_members(self) -> list[str]:
        """Members of other regions whose partition's writer may be there, once a failover is foreseen."""
        topology = self.args.topology
        if topology.phase < Phase.ACTIVE_PASSIVE:
            return []
        found: list[str] = []
        for member in topology.members:
            partition = topology.partition(member.partition)
            residency = Residency(primary=partition.primary_jurisdictions, copies=partition.copy_jurisdictions)
            elsewhere = member.region != self.args.region.name and member.name in self.args.databases
            if elsewhere and residency.allows_writer(topology.region(member.region).facts):
                found.append(member.name)
        return found

    def signs_in(self, member: str) -> list[pulumi.Resource]:
        instance = pulumi.Output.from_input(self.args.databases[member].access_id).apply(instance_of)
        resource = pulumi.Output.format("projects/{0}/instances/{1}", paths.project(self.args.topology), instance)
        condition = only(member, resource, "sqladmin.googleapis.com")
        return [self.grant(f"{member}-{part}", role, condition) for part, role in SIGNS_IN.items()]

    def reads(self, use: str, secret_id: pulumi.Input[str]) -> pulumi.Resource:
        """On the secret itself, which is narrower than a condition on the project."""
        return gcp.secretmanager.SecretIamMember(
            f"{self.owner.name}-{use}-secret",
            project=self.args.ground,
            secret_id=secret_id,
            role=READS_SECRET,
            member=f"serviceAccount:{self.email}",
            opts=self.owner.child(),
        )

    def pulls(self, image: str) -> list[pulumi.Resource]:
        """The image's repository where it is in this project; whoever owns another has to let the account in there. On
        Cloud Run Google's own agent pulls (cloud.google.com/artifact-registry/docs/integrate-cloud-run).
        """
        found = ARTIFACTS.match(image)
        if found is None or found["project"] != paths.project(self.args.topology):
            return []
        return [
            gcp.artifactregistry.RepositoryIamMember(
                f"{self.owner.name}-image",
                project=self.args.ground,
                location=found["location"],
                repository=found["repository"],
                role="roles/artifactregistry.reader",
                member=f"serviceAccount:{self.email}",
                opts=self.owner.child(),
            )
        ]

    def grant(
        self, part: str, role: str, condition: gcp.projects.IAMMemberConditionArgs | None = None
    ) -> gcp.projects.IAMMember:
        """One member of one role, so that it takes nothing away from whom somebody else lets in."""
        return gcp.projects.IAMMember(
            f"{self.owner.name}-{part}",
            project=self.args.ground,
            role=role,
            member=f"serviceAccount:{self.email}",
            condition=condition,
            opts=self.owner.child(),
        )


def only(title: str, resource: pulumi.Input[str], service: str) -> gcp.projects.IAMMemberConditionArgs:
    """Roles are granted on the project, and this narrows them to one thing in it
    (cloud.google.com/sql/docs/postgres/iam-conditions, …/memorystore/docs/valkey/about-iam-auth).
    """
    return gcp.projects.IAMMemberConditionArgs(
        title=title,
        expression=pulumi.Output.format('resource.name == "{0}" && resource.service == "{1}"', resource, service),
    )
