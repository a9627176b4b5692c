"""What a physical name may be, by type: the argument, the pattern, and who says so."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.components.fault import Fault

# RFC 1035: what Compute Engine and most of the network's APIs take.
_LABEL = r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?"

NAMES: Mapping[str, tuple[str, str, str]] = {
    "gcp:certificatemanager/": ("name", r"[A-Za-z][A-Za-z0-9_-]{0,63}", "SDK: certificatemanager.Certificate, name"),
    "gcp:cloudrunv2/service:Service": ("name", r"[a-z]([a-z0-9-]{0,47}[a-z0-9])?", "Cloud Run API: serviceId"),
    "gcp:cloudscheduler/job:Job": ("name", r"[A-Za-z0-9_-]{1,500}", "Cloud Scheduler API: Job"),
    "gcp:compute/": ("name", _LABEL, "RFC 1035"),
    "gcp:compute/regionInstanceTemplate:RegionInstanceTemplate": (
        "namePrefix",
        r"[a-z][a-z0-9-]{0,53}",
        "SDK: compute.RegionInstanceTemplate, name_prefix",
    ),
    "gcp:dns/managedZone:ManagedZone": ("name", _LABEL, "Cloud DNS API: ManagedZone"),
    # Empty is what a recorder knows of the record that a certificate's authorization asks for.
    "gcp:dns/recordSet:RecordSet": ("name", r"|(\*\.)?([a-z0-9_]([a-z0-9-]{0,61}[a-z0-9])?\.)+", "RFC 1035"),
    "gcp:kms/cryptoKey:CryptoKey": ("name", r"[A-Za-z0-9_-]{1,63}", "Cloud KMS API: cryptoKeys.create"),
    "gcp:kms/keyRing:KeyRing": ("name", r"[A-Za-z0-9_-]{1,63}", "Cloud KMS API: keyRings.create"),
    "gcp:logging/metric:Metric": ("name", r"[A-Za-z0-9_.-]{1,100}", "SDK: logging.Metric, name"),
    "gcp:logging/projectBucketConfig:ProjectBucketConfig": (
        "bucketId",
        r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}",
        "Logging API: buckets.create",
    ),
    "gcp:logging/projectSink:ProjectSink": ("name", r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", "Logging API: LogSink"),
    "gcp:memorystore/instance:Instance": ("instanceId", r"[a-z][a-z0-9-]{2,61}[a-z0-9]", "SDK: memorystore.Instance"),
    "gcp:monitoring/alertPolicy:AlertPolicy": ("displayName", r".{1,512}", "SDK: monitoring.AlertPolicy, display_name"),
    "gcp:networkconnectivity/serviceConnectionPolicy:ServiceConnectionPolicy": ("name", _LABEL, "RFC 1035"),
    "gcp:secretmanager/secret:Secret": ("secretId", r"[A-Za-z0-9_-]{1,255}", "SDK: secretmanager.Secret, secret_id"),
    "gcp:serviceaccount/account:Account": ("accountId", r"[a-z][a-z0-9-]{4,28}[a-z0-9]", "IAM API: accountId"),
    # 98 with the project's 30 and a colon.
    "gcp:sql/databaseInstance:DatabaseInstance": (
        "name",
        r"[a-z]([a-z0-9-]{0,65}[a-z0-9])?",
        "Cloud SQL: instance settings",
    ),
    "gcp:storage/bucket:Bucket": ("name", r"(?!goog)[a-z0-9][a-z0-9_-]{1,61}[a-z0-9]", "Cloud Storage: bucket names"),
    "gcp:workflows/workflow:Workflow": ("name", r"[A-Za-z]([A-Za-z0-9_-]{0,62}[A-Za-z0-9])?", "Workflows API"),
}

# cloud.google.com/resource-manager/docs/labels-overview
_KEY, _VALUE, _MOST = re.compile(r"[a-z][a-z0-9_-]{0,62}"), re.compile(r"[a-z0-9_-]{0,63}"), 64
LABELS = ("labels", "userLabels")
# There it is how a channel is reached, and no label.
WITHOUT_LABELS = "gcp:monitoring/notificationChannel:NotificationChannel"


def name_faults(type_: str, inputs: Mapping[str, Any]) -> Iterator[Fault]:
    row = NAMES.get(type_) or NAMES.get(f"{type_.partition('/')[0]}/")
    if row is None:
        return
    argument, pattern, source = row
    value = inputs.get(argument)
    if isinstance(value, str) and re.fullmatch(pattern, value) is None:
        yield Fault(path=(argument,), value=value, allowed=f"what matches {pattern}", source=source)


def label_faults(type_: str, inputs: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[Fault]:
    for name, value in inputs.items():
        if not isinstance(value, dict):
            continue
        if name in LABELS and not (type_ == WITHOUT_LABELS and name == "labels"):
            yield from _labels(value, (*path, name))
        else:
            yield from label_faults(type_, value, (*path, name))


def _labels(labels: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[Fault]:
    source = "labels-overview"
    if len(labels) > _MOST:
        yield Fault(path=path, value=len(labels), allowed=f"at most {_MOST} labels", source=source)
    for key, value in labels.items():
        if _KEY.fullmatch(key) is None:
            yield Fault(path=path, value=key, allowed=f"a key that matches {_KEY.pattern}", source=source)
        if isinstance(value, str) and _VALUE.fullmatch(value) is None:
            yield Fault(path=(*path, key), value=value, allowed=f"what matches {_VALUE.pattern}", source=source)
