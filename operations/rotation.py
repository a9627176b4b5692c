"""Gives a partition on AWS a new administrator password, in the database and in every region's secret.

Secrets Manager's own rotation cannot: RDS refuses managed passwords for members of a global database, and each region
has a secret of its own, so that none depends on another's health. The database has one password for all members,
because the writer's catalogue is what is copied; it can be set at the writer alone.

The order is what makes a broken run harmless: the new password is staged in every region before the database learns
it, and becomes current in every region after. Each step can be repeated, and a second run takes up the password that
the first one staged.
"""

import json
import secrets
import string
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from operations.errors import Fault

PENDING, CURRENT = "AWSPENDING", "AWSCURRENT"

# Aurora takes 8 to 128 printable characters but not / ' " @ or space
# (docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBCluster.html).
LENGTH, ALPHABET = 40, string.ascii_letters + string.digits + "-_.~"

# RDS takes the password over asynchronously, within a minute or two.
APPLY_SECONDS, POLL_SECONDS = 900.0, 5.0


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """What is rotated. `client` makes a boto3 client: of a service, in a region."""

    global_cluster: str
    home: str  # a region that can be asked who is writer
    secret_ids: Mapping[str, str]  # the partition's secret, by region
    client: Callable[[str, str], Any]
    say: Callable[[str], None]
    sleep: Callable[[float], None] = time.sleep

    def run(self) -> str:
        """Rotate, and return the writer's region. Raises `Fault` where the database does not take the password."""
        cluster, writer = self.writer()
        version, content = self.staged() or self.new(writer)
        for region in self.secret_ids:
            self.secrets(region).put_secret_value(
                SecretId=self.secret_ids[region],
                ClientRequestToken=version,
                SecretString=content,
                VersionStages=[PENDING],
            )
            self.say(f"{region}: the new password is staged")
        self.set_at_writer(cluster, writer, json.loads(content)["password"])
        self.say(f"{writer}: the writer has taken it")
        for region in self.secret_ids:
            self.promote(region, version)
            self.say(f"{region}: the new password is current")
        return writer

    def secrets(self, region: str) -> Any:
        return self.client("secretsmanager", region)

    def writer(self) -> tuple[str, str]:
        """The cluster that writes now, by ARN, and its region."""
        found = self.client("rds", self.home).describe_global_clusters(GlobalClusterIdentifier=self.global_cluster)
        members = found["GlobalClusters"][0]["GlobalClusterMembers"]
        writers = [member["DBClusterArn"] for member in members if member["IsWriter"]]
        if len(writers) != 1:
            raise Fault(f"{self.global_cluster} has {len(writers)} writers now; wait until its failover has ended")
        return writers[0], writers[0].split(":")[3]

    def staged(self) -> tuple[str, str] | None:
        """The password that a run before this one has staged and not made current, wherever it got to."""
        for region, secret in self.secret_ids.items():
            versions = self.secrets(region).describe_secret(SecretId=secret)["VersionIdsToStages"]
            for version, stages in versions.items():
                if PENDING in stages and CURRENT not in stages:
                    found = self.secrets(region).get_secret_value(SecretId=secret, VersionId=version)
                    self.say(f"{region}: taking up the password that an earlier run staged")
                    return version, found["SecretString"]
        return None

    def new(self, writer: str) -> tuple[str, str]:
        region = writer if writer in self.secret_ids else next(iter(self.secret_ids))
        content = json.loads(self.secrets(region).get_secret_value(SecretId=self.secret_ids[region])["SecretString"])
        content["password"] = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
        return secrets.token_hex(16), json.dumps(content, sort_keys=True)

    def set_at_writer(self, cluster: str, region: str, password: str) -> None:
        rds, name = self.client("rds", region), cluster.rpartition(":")[2]
        rds.modify_db_cluster(DBClusterIdentifier=name, MasterUserPassword=password, ApplyImmediately=True)
        waited = 0.0
        while waited < APPLY_SECONDS:
            # Right after the call the cluster still says that it is available.
            self.sleep(POLL_SECONDS)
            waited += POLL_SECONDS
            found = rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]
            pending = found.get("PendingModifiedValues") or {}
            if found["Status"] == "available" and "MasterUserPassword" not in pending:
                return
        raise Fault(
            f"{cluster} has not taken the new password within {APPLY_SECONDS:.0f} s (it is {found['Status']}). "
            "The old one is current in every region; run this again to carry on."
        )

    def promote(self, region: str, version: str) -> None:
        """Make the version current. What was current is kept by Secrets Manager as AWSPREVIOUS."""
        vault, secret = self.secrets(region), self.secret_ids[region]
        stages = vault.describe_secret(SecretId=secret)["VersionIdsToStages"]
        if CURRENT not in stages.get(version, ()):
            before = next(known for known, names in stages.items() if CURRENT in names)
            vault.update_secret_version_stage(
                SecretId=secret, VersionStage=CURRENT, MoveToVersionId=version, RemoveFromVersionId=before
            )
        if PENDING in stages.get(version, ()):
            vault.update_secret_version_stage(SecretId=secret, VersionStage=PENDING, RemoveFromVersionId=version)
