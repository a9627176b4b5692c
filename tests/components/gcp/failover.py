"""What a refresh finds on Google Cloud after a failover: failover.csv, with what its values stand for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.gcp.replacement import consequences
from engine.recorder import Graph, Registered
from tests.components.failover import Cloud, Failover

INSTANCE = "gcp:sql/databaseInstance:DatabaseInstance"
DATABASE = "gcp:sql/database:Database"
USER = "gcp:sql/user:User"
RECORD = "gcp:dns/recordSet:RecordSet"
MAP = "gcp:compute/uRLMap:URLMap"

DOMAIN = "meridian-production-gcp.internal."


def members(graph: Graph, partition: str) -> dict[str, Registered]:
    """A partition's instances by region, the origin first: it alone is born without a master."""
    found = [
        each for each in graph.of_type(INSTANCE) if each.inputs["settings"]["userLabels"]["partition"] == partition
    ]
    found.sort(key=lambda each: ("masterInstanceName" in each.inputs, each.name))
    return {each.inputs["region"]: each for each in found}


def partitions(graph: Graph) -> list[str]:
    return sorted({each.inputs["settings"]["userLabels"]["partition"] for each in graph.of_type(INSTANCE)})


def moves(graph: Graph) -> Iterator[tuple[str, str]]:
    """Every partition with every region that its writer can be in."""
    for partition in partitions(graph):
        found = members(graph, partition)
        yield from ((partition, region) for region in found if len(found) > 1)


def place(graph: Graph, resource: Registered) -> tuple[str, str] | None:
    """Of an instance and of what is made beside it."""
    for partition in partitions(graph):
        for region, instance in members(graph, partition).items():
            if resource.parent == instance.parent:
                return partition, region
    return None


def name(event: Failover, region: str) -> str:
    return event.members[region].inputs["name"]


def replicas(event: Failover, _resource: Registered) -> list[str]:
    return [name(event, region) for region in event.members if region != event.writer]


def connection(_event: Failover, resource: Registered) -> str:
    return f"example-production:{resource.inputs['region']}:{resource.inputs['name']}"


def led(event: Failover, resource: Registered) -> list[str]:
    """Only the write endpoint is moved; a member's own name leads where it led, and so do all others."""
    if resource.inputs["name"] != f"{event.partition}.{DOMAIN}":
        return resource.inputs["rrdatas"]
    return [f"{event.partition}-{event.writer}.members.{DOMAIN}"]


def held_out(event: Failover, resource: Registered) -> str | None:
    """The backend service without the region that is left, where another serves; a map that redirects leads nowhere."""
    if "defaultService" not in resource.inputs:
        return None
    services = event.graph.of_type("gcp:compute/backendService:BackendService")
    others = [service.name for service in services if service.name.endswith(f"-without-{event.former}")]
    return others[0] if others else resource.inputs["defaultService"]


def shared(event: Failover, resource: Registered) -> dict[str, Any] | None:
    if "defaultService" not in resource.inputs:
        return None
    weights = {resource.inputs["defaultService"]: 90, held_out(event, resource): 10}
    return {"weightedBackendServices": [{"backendService": each, "weight": weights[each]} for each in weights]}


CLOUD = Cloud(
    path=Path(__file__).with_name("failover.csv"),
    values={
        "empty": lambda _event, _resource: "",
        "nothing": lambda _event, _resource: [],
        "writer": lambda event, _resource: name(event, event.writer),
        "primary": lambda _event, _resource: "CLOUD_SQL_INSTANCE",
        "replica": lambda _event, _resource: "READ_REPLICA_INSTANCE",
        "replicas": replicas,
        "follower": lambda _event, _resource: {"failoverTarget": False, "cascadableReplica": False},
        "designation": lambda event, resource: {
            "failoverDrReplicaName": f"example-production:{replicas(event, resource)[0]}",
            "psaWriteEndpoint": "0123456789ab.global.sql-psa.goog",
        },
        "designated": lambda event, resource: {"drReplica": resource.inputs["name"] == replicas(event, resource)[0]},
        "backups": lambda _event, resource: {
            "enabled": True,
            "location": resource.inputs["region"],
            "pointInTimeRecoveryEnabled": True,
            "startTime": "13:00",
        },
        "no-backups": lambda _event, _resource: {"enabled": False, "pointInTimeRecoveryEnabled": False},
        "window": lambda _event, _resource: {"day": 7, "hour": 23, "updateTrack": "week5"},
        "no-window": lambda _event, _resource: {},
        "grown": lambda _event, resource: resource.inputs["settings"]["diskSize"] + 77,
        "connection": connection,
        "address": lambda _event, resource: f"10.0.{len(resource.name)}.7",
        "same": lambda _event, resource: f"{resource.name}.as-before",
        "endpoint": lambda event, _resource: f"{event.partition}.sql-psa.goog",
        "rotated": lambda _event, resource: "rotated" if "password" in resource.inputs else "",
        "led": led,
        "held-out": held_out,
        "shared": shared,
    },
    consequences=consequences,
    members=members,
    place=place,
)
