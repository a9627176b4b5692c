"""What a stack has once on Google Cloud: the provider, Google's own service agents, the services' accounts, the network
and its firewall, each partition's administrator's password, and the certificate of the entry's hostname.
"""

from typing import Any

import pulumi
import pulumi_gcp as gcp
import pulumi_random as random

from components.component import Component
from components.contracts import FoundationArgs
from components.gcp import paths
from components.gcp.accounts import accounts
from components.gcp.certificates import Certificates
from components.gcp.firewall import Firewall
from components.gcp.ordering import after
from components.gcp.vpc import Vpc

# PostgreSQL's; it is part of the endpoints' contract ("host:port"), so it is chosen once, here.
PORT = 5432

# A password that needs no escaping in a connection URL (RFC 3986, unreserved).
PASSWORD_LENGTH, PASSWORD_MARKS = 40, "-_.~"

# Letters and digits: 256 bits and more, for an HMAC with SHA-256 (RFC 2104, section 3).
DIRECTORY_KEY_LENGTH = 43

# Whose agents do not exist until somebody asks for them, and must before a key is opened to them
# (cloud.google.com/iam/docs/create-service-agents). Their addresses are in keys.py. Cloud Storage's cannot be asked for
# in this way (terraform-google-project-factory #803); keys.py says how.
AGENTS_OF = ("memorystore", "run", "secretmanager", "sqladmin")


class Foundation(Component):
    """Outputs: `ground` (the project, once its service agents, the services' accounts, the private zone and
    the certificate map exist),
    `transit` (the network, once the databases' network is connected and the firewall holds), `credentials` (the
    administrator's password by partition), `write_endpoints` (names whose records the origins make), `certificate_ids`
    (the certificate map, for every region that has a service). `partition_ids` is empty: members find each other by
    their names.
    """

    ground: pulumi.Output[str]
    transit: pulumi.Output[str]
    credentials: dict[str, pulumi.Output[str]]
    partition_ids: dict[str, pulumi.Output[str]]
    write_endpoints: dict[str, pulumi.Output[str]]
    certificate_ids: dict[str, pulumi.Output[str]]
    provider: gcp.Provider
    directory_key: pulumi.Output[str]

    def __init__(self, name: str, args: FoundationArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gcp", name, opts)
        topology = args.topology
        self.project = paths.project(topology)
        self.provider = gcp.Provider(
            f"{name}-provider",
            project=self.project,
            # Never the region of the moment: it replaces what does not name its own (replacement.csv).
            region=topology.home,
            # The labels are labels.py's: one that the provider adds would show in no resource's inputs.
            add_pulumi_attribution_label=False,
            opts=self.child(),
        )
        agents = [self.agent(service) for service in AGENTS_OF]
        vpc = Vpc(name, topology, self.on_gcp)
        firewall = Firewall(name, topology, vpc.network, self.on_gcp)
        certificates = Certificates(name, topology, self.on_gcp)
        partitions = [partition.name for partition in topology.partitions if partition.members]
        # The entry's proxy names the certificate map by its path: it has to come after it, and to go before it.
        self.ground = after(
            self.project, *agents, *accounts(name, topology, self.on_gcp), vpc.zone, *certificates.entries
        )
        self.transit = after(vpc.network.id, vpc.connection, firewall.association)
        self.credentials = {partition: self.password(partition).result for partition in partitions}
        self.directory_key = self.secret_key()
        self.partition_ids = {}
        self.write_endpoints = {
            partition: pulumi.Output.from_input(f"{paths.write_host(topology, partition)}:{PORT}")
            for partition in partitions
        }
        self.certificate_ids = {
            region.name: certificates.map_id for region in topology.regions_in_use if region.has_service
        }
        self.expose(
            ground=self.ground,
            transit=self.transit,
            credentials=self.credentials,
            partition_ids=self.partition_ids,
            write_endpoints=self.write_endpoints,
            certificate_ids=self.certificate_ids,
        )

    def on_gcp(self, **guards: Any) -> pulumi.ResourceOptions:
        """A child's options with the provider: the other components inherit it, but here it is a child itself."""
        return pulumi.ResourceOptions.merge(self.child(**guards), pulumi.ResourceOptions(provider=self.provider))

    def agent(self, service: str) -> gcp.projects.ServiceIdentity:
        """Asking again changes nothing, and nothing deletes it (SDK)."""
        return gcp.projects.ServiceIdentity(
            f"{self.name}-{service}-agent",
            project=self.project,
            service=f"{service}.googleapis.com",
            opts=self.on_gcp(),
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
