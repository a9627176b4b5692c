"""Cloud SQL, Cloud DNS, the entry's map and Cloud Monitoring on paper, as far as operations know them.

Every request and every answer is held against Google's discovery documents. An operation takes a few polls, and has its
effect at its end. A call can break before or after it was made.
"""

from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from operations.drivers.gcp_api import NotThere
from operations.errors import Fault
from tests.operations.clouds import discovery

PRIMARY, REPLICA = "CLOUD_SQL_INSTANCE", "READ_REPLICA_INSTANCE"
POLLS = 2


class Broken(Exception):  # noqa: N818
    """The operation's process is gone in the middle of a call."""


@dataclass
class Google:
    project: str
    home: str  # the first primary's region
    instances: dict[str, dict[str, Any]]  # by name
    domain: str
    record: dict[str, Any]
    services: list[str]  # backend services, as the stack's outputs have them
    map_name: str
    map_leads: str = ""
    dead: set[str] = field(default_factory=set)  # instances of a region that is gone
    lag: dict[str, float] = field(default_factory=dict)
    sampled: float = 60.0  # how many seconds ago
    operations: dict[str, dict[str, Any]] = field(default_factory=dict)
    pending: dict[str, tuple[int, Any]] = field(default_factory=dict)
    attaches: bool = False  # whether the last move was asked to take the old writer along
    calls: list[str] = field(default_factory=list)
    fuse: int | None = None
    after: bool = False  # whether the fuse burns after the call

    def __call__(self, api: str, method: str, path: str, query: Any = None, body: Any = None) -> Any:
        known, names = discovery.request(api, method, path, query, body)
        self.burn(before=True)
        self.calls.append(known["id"])
        found = deepcopy(self.do(known["id"], names, query or {}, body))
        discovery.answer(api, known, found)
        self.burn(before=False)
        return found

    def burn(self, *, before: bool) -> None:
        if self.fuse is None or before is self.after:
            return
        self.fuse -= 1
        if self.fuse < 0:
            self.fuse = None
            raise Broken

    def do(self, method: str, names: dict[str, str], query: dict[str, str], body: Any) -> Any:
        match method:
            case "sql.instances.get":
                return self.instance(names["instance"])
            case "sql.instances.patch":
                return self.begin("UPDATE", names["instance"], body)
            case "sql.instances.switchover":
                return self.begin("SWITCHOVER", names["instance"], None)
            case "sql.instances.promoteReplica":
                return self.begin("PROMOTE_REPLICA", names["instance"], query.get("failover") == "true")
            case "sql.operations.get":
                return self.poll(names["operation"])
            case "sql.operations.list":
                return {"items": [each for each in self.operations.values() if each["targetId"] == query["instance"]]}
            case "dns.managedZones.list":
                zone = {"name": "internal", "dnsName": self.domain, "visibility": "private"}
                return {"managedZones": [zone] if query["dnsName"] == self.domain else []}
            case "dns.resourceRecordSets.get":
                return self.named(names)
            case "dns.resourceRecordSets.patch":
                self.named(names).update(body)
                return self.record
            case "compute.urlMaps.get":
                service = f"https://www.googleapis.com/compute/v1/{self.map_leads}"
                return {"name": self.map_name, "defaultService": service}
            case "compute.urlMaps.patch":
                assert names["urlMap"] == self.map_name
                assert body["defaultService"] in self.services
                self.map_leads = body["defaultService"]
                return {"name": "operation-map", "status": "RUNNING"}
            case "compute.globalOperations.get":
                return {"name": names["operation"], "status": "DONE"}
            case "monitoring.projects.timeSeries.list":
                return self.series(query["filter"])
        raise AssertionError(f"nobody expected {method}")

    # --- instances ---

    def instance(self, name: str) -> dict[str, Any]:
        if name not in self.instances:
            raise NotThere(f"{name} is not there")
        return self.instances[name]

    def named(self, names: dict[str, str]) -> dict[str, Any]:
        assert (names["managedZone"], names["name"], names["type"]) == ("internal", self.record["name"], "CNAME")
        return self.record

    def primaries(self) -> list[str]:
        return [name for name, each in self.instances.items() if each["instanceType"] == PRIMARY]

    def begin(self, kind: str, name: str, body: Any) -> dict[str, Any]:
        target = self.instance(name)
        busy = {each["targetId"] for each in self.operations.values() if each["status"] != "DONE"}
        if busy & {name, *(self.primaries() if kind == "SWITCHOVER" else ())}:
            raise Fault("Operation failed because another operation was already in progress.")
        if kind in ("SWITCHOVER", "PROMOTE_REPLICA"):
            assert target["instanceType"] == REPLICA, "a primary is not promoted"
            if (kind == "SWITCHOVER" or body) and not target["replicationCluster"].get("drReplica"):
                raise Fault(f"{name} is not a DR replica")
        if kind == "SWITCHOVER" and target["masterInstanceName"].rpartition(":")[2] in self.dead:
            raise Fault("the primary is not healthy")
        made = {
            "kind": "sql#operation",
            "name": f"operation-{len(self.operations)}",
            "operationType": kind,
            "status": "PENDING",
            "targetId": name,
            "targetProject": self.project,
        }
        self.operations[made["name"]] = made
        self.pending[made["name"]] = (POLLS, body)
        return made

    def poll(self, operation: str) -> dict[str, Any]:
        made = self.operations[operation]
        if made["status"] != "DONE":
            left, body = self.pending[operation]
            self.pending[operation] = (left - 1, body)
            made["status"] = "RUNNING"
            if left <= 1:
                self.finish(made, body)
        return made

    def finish(self, made: dict[str, Any], body: Any) -> None:
        made["status"] = "DONE"
        name = made["targetId"]
        if made["operationType"] == "UPDATE":
            if name in self.dead:
                made["error"] = {"errors": [{"code": "INTERNAL_ERROR", "message": "the instance does not answer"}]}
                return
            merge(self.instances[name], body)
            chosen = body.get("replicationCluster", {}).get("failoverDrReplicaName")
            if chosen:
                for other, each in self.instances.items():
                    if each["instanceType"] == REPLICA:
                        each["replicationCluster"]["drReplica"] = other == chosen.rpartition(":")[2]
            return
        self.attaches = made["operationType"] == "SWITCHOVER" or body
        (old,) = self.primaries()
        self.lead(name)
        if not self.attaches:
            self.lead(old)  # and its copies stay its own
            self.instances[name].pop("replicaNames", None)
            return
        for other in self.instances:
            if other not in (name, *([old] if old in self.dead else [])):
                self.copy(other, name)
        if old not in self.dead:
            self.instances[name]["replicationCluster"]["failoverDrReplicaName"] = f"{self.project}:{old}"
            self.instances[old]["replicationCluster"]["drReplica"] = True

    def lead(self, name: str) -> None:
        each = self.instances[name]
        each.pop("masterInstanceName", None)
        each["instanceType"] = PRIMARY
        each["replicationCluster"] = {}

    def copy(self, name: str, of: str) -> None:
        each = self.instances[name]
        each |= {"instanceType": REPLICA, "masterInstanceName": f"{self.project}:{of}", "replicationCluster": {}}
        each["settings"]["backupConfiguration"] = {"enabled": False}

    def revive(self) -> None:
        """The region comes back, and Cloud SQL attaches what it was asked to."""
        for name in self.dead:
            (now,) = [each for each in self.primaries() if each != name]
            if self.attaches:
                self.copy(name, now)
        self.dead.clear()

    # --- metrics ---

    def series(self, wanted: str) -> dict[str, Any]:
        name = wanted.rpartition(":")[2].rstrip('"')
        is_up = "/database/up" in wanted
        if name in self.dead and is_up:
            return {}
        value = 1 if is_up else self.lag.get(name, 0.5)
        end = (datetime.now(UTC) - timedelta(seconds=self.sampled)).isoformat()
        typed = {"int64Value": str(value)} if is_up else {"doubleValue": value}
        return {"timeSeries": [{"points": [{"interval": {"endTime": end}, "value": typed}]}]}


def merge(into: dict[str, Any], change: dict[str, Any]) -> None:
    for key, value in change.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value
