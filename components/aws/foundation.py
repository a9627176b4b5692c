"""What a stack has once on AWS: the provider, each partition's global cluster and administrator's password, and the
certificates of the entry's hostname.
"""

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws
import pulumi_random as random

from components.aws import names
from components.aws.tags import tags
from components.component import Component
from components.contracts import FoundationArgs

# Letters, digits and single hyphens, 63 at most (RDS API: CreateGlobalCluster; also cfn-lint's schema).
GLOBAL_CLUSTER_LIMIT = 63

# PostgreSQL's on Aurora; it is part of the endpoints' contract ("host:port"), so it is chosen once, here.
PORT = 5432

# Aurora PostgreSQL takes 8 to 128 printable characters, but no slash, quotation mark, at sign or space (RDS API:
# CreateDBCluster, MasterUserPassword). These four need no escaping in a connection URL either (RFC 3986, unreserved).
PASSWORD_LENGTH, PASSWORD_MARKS = 40, "-_.~"

# Letters and digits: 256 bits and more, for an HMAC with SHA-256 (RFC 2104, section 3).
DIRECTORY_KEY_LENGTH = 43

GLOBAL_CLUSTER_IGNORES = [
    # It creates nothing: the origin's cluster makes the database. Unignored, an adopted cluster's name that is not
    # repeated here would replace the global cluster and expel its members (terraform-provider-aws #28187, #39368).
    "database_name",
    # Read back by nobody (SDK) and moved by every failover in programs that compute it from the writer: it would
    # replace the global cluster (cloudformation-coverage-roadmap #1856).
    "source_db_cluster_identifier",
]

# How long resolvers keep the record by which ACM proves and renews; nothing waits for a change of it.
RECORD_SECONDS = 300


class Foundation(Component):
    """Outputs: `ground` and `transit` (the account), `credentials` (the administrator's password by partition),
    `partition_ids` (global clusters), `write_endpoints`, `certificate_ids` (validated, by region that has a service).
    """

    ground: pulumi.Output[str]
    transit: pulumi.Output[str]
    credentials: dict[str, pulumi.Output[str]]
    partition_ids: dict[str, pulumi.Output[str]]
    write_endpoints: dict[str, pulumi.Output[str]]
    certificate_ids: dict[str, pulumi.Output[str]]
    provider: aws.Provider
    directory_key: pulumi.Output[str]

    def __init__(self, name: str, args: FoundationArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("aws", name, opts)
        self.topology = args.topology
        plan = args.topology.aws
        assert plan is not None, "checked with the settings"
        self.plan = plan
        self.provider = aws.Provider(
            f"{name}-provider",
            # Never the region of the moment: a provider's new region replaces all that is under it (pulumi-aws #4000).
            region=args.topology.home,
            allowed_account_ids=[plan.account_id],
            opts=self.child(),
        )
        partitions = [partition for partition in args.topology.partitions if partition.members]
        clusters = {partition.name: self.global_cluster(partition.name, partition.origin) for partition in partitions}
        self.ground = self.transit = pulumi.Output.from_input(plan.account_id)
        self.credentials = {partition.name: self.password(partition.name).result for partition in partitions}
        self.directory_key = self.secret_key()
        self.partition_ids = {partition: cluster.id for partition, cluster in clusters.items()}
        self.write_endpoints = {
            partition: pulumi.Output.format("{0}:{1}", cluster.endpoint, PORT)
            for partition, cluster in clusters.items()
        }
        self.certificate_ids = self.certificates()
        self.expose(
            ground=self.ground,
            transit=self.transit,
            credentials=self.credentials,
            partition_ids=self.partition_ids,
            write_endpoints=self.write_endpoints,
            certificate_ids=self.certificate_ids,
        )

    def on_aws(self, *, protect: bool | None = None, ignore_changes: list[str] | None = None) -> pulumi.ResourceOptions:
        """A child's options with the provider: the other components inherit it, but here it is a child itself."""
        return pulumi.ResourceOptions.merge(
            self.child(protect=protect, ignore_changes=ignore_changes), pulumi.ResourceOptions(provider=self.provider)
        )

    def global_cluster(self, partition: str, origin: str) -> aws.rds.GlobalCluster:
        """There from phase 1 on, because a cluster that stands alone cannot be put into one later in place: an
        identifier set on an existing cluster is refused (terraform-provider-aws #10965).
        """
        name = names.name(self.topology, partition, limit=GLOBAL_CLUSTER_LIMIT)
        return aws.rds.GlobalCluster(
            f"{self.name}-{partition}",
            global_cluster_identifier=name,
            engine="aurora-postgresql",
            engine_version=self.plan.engine_version,  # the one place that upgrades every member
            storage_encrypted=True,
            deletion_protection=True,
            force_destroy=False,  # True would remove the members from it, the writer last, before it goes
            tags=tags(self.topology, name, partition=partition),
            region=origin,
            opts=self.on_aws(protect=True, ignore_changes=GLOBAL_CLUSTER_IGNORES),
        )

    def secret_key(self) -> pulumi.Output[str]:
        """The same in every region and for ever: customers would not be found under another. Partitions may be added
        at any time, so it is there from phase 1 on.
        """
        return random.RandomPassword(
            f"{self.name}-directory-key",
            length=DIRECTORY_KEY_LENGTH,
            special=False,
            opts=self.child(protect=True),
        ).result

    def password(self, partition: str) -> random.RandomPassword:
        """What the partition is created with. A rotation changes the database and the secrets, and not this."""
        return random.RandomPassword(
            f"{self.name}-{partition}-password",
            length=PASSWORD_LENGTH,
            override_special=PASSWORD_MARKS,
            opts=self.child(protect=True),
        )

    def certificates(self) -> dict[str, pulumi.Output[str]]:
        """One per region with a service, each given out only when ACM has validated it.

        ACM asks for the same record for one name in one account, whichever region asks, and for a wildcard the one of
        the name below it (docs.aws.amazon.com/acm/latest/userguide/dns-validation.html): home's serves all.
        """
        regions = [region.name for region in self.topology.regions_in_use if region.has_service]
        found = {region: self.certificate(region) for region in regions}
        options = found[self.topology.home].domain_validation_options
        record = aws.route53.Record(
            f"{self.name}-validation",
            zone_id=self.plan.zone_id,
            name=options.apply(lambda known: first(known, "resource_record_name")),
            type="CNAME",
            records=[options.apply(lambda known: first(known, "resource_record_value"))],
            ttl=RECORD_SECONDS,
            opts=self.on_aws(),
        )
        return {
            region: aws.acm.CertificateValidation(
                f"{self.name}-{region}-validated",
                certificate_arn=certificate.id,  # its ARN (provider: internal/service/acm)
                validation_record_fqdns=[record.fqdn],
                region=region,
                opts=self.on_aws(),
            ).certificate_arn
            for region, certificate in found.items()
        }

    def certificate(self, region: str) -> aws.acm.Certificate:
        hostname = self.topology.entry.hostname
        assert hostname is not None, "checked with the settings"
        return aws.acm.Certificate(
            f"{self.name}-{region}-certificate",
            domain_name=hostname,
            # A region's own name lies below the entry's, so that it can be called and checked alone.
            subject_alternative_names=[f"*.{hostname}"],
            validation_method="DNS",
            tags=tags(self.topology, hostname, region=region),
            region=region,
            opts=self.on_aws(),
        )


def first(options: Sequence[aws.acm.outputs.CertificateDomainValidationOption] | None, part: str) -> str:
    """All of a certificate's records are the same one; only a recorder knows of none."""
    return next((str(getattr(option, part)) for option in options or ()), "")
