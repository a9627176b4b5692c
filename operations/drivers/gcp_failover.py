"""Moving a partition's writer on Google Cloud: Cloud SQL's Admin API, the write endpoint's record, the map of users.

What belongs to the writer's role and not to an instance (backups, the maintenance window, which copy is designated to
take over) goes along last, once users are served.
"""

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from operations.drivers import gcp_observation, gcp_role, managed
from operations.drivers.gcp_admission import Admission
from operations.drivers.gcp_api import Answer, Api, NotThere, connect, finished
from operations.drivers.gcp_observation import PRIMARY, REPLICA, Place, place
from operations.drivers.gcp_records import WriteEndpoint
from operations.drivers.managed import POLL, SETTLED_SECONDS, Ground, Managed
from operations.errors import Fault
from operations.failover.driver import Done, Observation

if TYPE_CHECKING:
    from operations.stack import Stack

# How long Cloud SQL may try before it goes back to how it was (Admin API: instances.switchover, dbTimeout).
SWITCHOVER_SECONDS = 600

# A writer that is gone answers no change; nobody waits for it with an outage going on.
DESIGNATE_SECONDS = 120.0

# Operations that move a writer; while one runs it is waited for, and no other is begun (Admin API: Operation).
MOVES = ("SWITCHOVER", "PROMOTE_REPLICA", "FAILOVER")


def open_driver(stack: "Stack", outputs: Mapping[str, Any], partition: str, vantage: str | None) -> "GcpDriver":
    return GcpDriver(managed.ground(stack, outputs, partition, vantage), connect())


class GcpDriver(Managed):
    service = "Cloud SQL"

    def __init__(self, ground: Ground, api: Api) -> None:
        super().__init__(ground)
        self.api = api
        self.places = {region: place(member_id) for region, member_id in ground.members.items()}
        self.project = next(iter(self.places.values())).project
        self.admission = Admission(api, ground)
        hosts = {
            region: ground.endpoints[name].rpartition(":")[0]
            for region, name in ground.names.items()
            if name in ground.endpoints
        }
        self.endpoint = WriteEndpoint(api, self.project, str(ground.levers["writers"][ground.partition]), hosts)

    def observe(self, among: Collection[str] | None = None) -> Observation:
        return gcp_observation.observe(self.ground, self.api, self.places, self.endpoint, self.admission, among)

    def at(self, region: str) -> Place:
        self.ground.require(region)
        return self.places[region]

    def instance(self, region: str) -> Answer:
        return self.api("sqladmin", "GET", self.at(region).path)

    def writer(self) -> str | None:
        found = gcp_observation.instances(self.api, self.places)
        if self.moving():
            return None
        return gcp_observation.writer(found, self.places, self.endpoint.leads_to())

    def running(self, regions: Collection[str]) -> list[Answer]:
        """The operations on these members that have not ended."""
        found: list[Answer] = []
        for region in regions:
            query = {"instance": self.places[region].instance, "maxResults": "10"}
            answer = self.api("sqladmin", "GET", f"v1/projects/{self.project}/operations", query)
            found += [operation for operation in answer.get("items", ()) if operation.get("status") != "DONE"]
        return found

    def moving(self) -> Answer | None:
        """The operation that moves the writer now."""
        return next((each for each in self.running(self.places) if each.get("operationType") in MOVES), None)

    def ended(self, operation: Answer, seconds: float = SETTLED_SECONDS) -> None:
        finished(self.api, self.project, operation, seconds, POLL, self.pause, self.clock)

    def change(self, region: str, body: Answer, seconds: float = SETTLED_SECONDS) -> None:
        """An instance takes one operation at a time."""
        for operation in self.running([region]):
            self.ended(operation, seconds)
        self.ended(self.api("sqladmin", "PATCH", self.at(region).path, None, body), seconds)

    # --- the writer ---

    def prepare(self, target: str, others: Collection[str]) -> Done:
        """Designate the target, which the writer alone can say. One that is gone cannot: see `promote`."""
        writer = self.writer()
        if writer is None or writer == target:
            return Done(already=True)
        try:
            return Done(already=not self.designate(writer, target))
        except Fault as fault:
            return Done(detail=f"{target} could not be designated: {fault}")

    def designate(self, writer: str, target: str) -> bool:
        """Whether there was something to change."""
        now = (self.instance(writer).get("replicationCluster") or {}).get("failoverDrReplicaName")
        if now is not None and now.rpartition(":")[2] == self.at(target).instance:
            return False
        self.change(
            writer, {"replicationCluster": {"failoverDrReplicaName": self.at(target).qualified}}, DESIGNATE_SECONDS
        )
        return True

    def stop_writer(self, region: str) -> Done:
        """Of two primaries the one that has no copies is stopped; a writer stops as it is moved."""
        found = self.instance(region)
        if found.get("instanceType") != PRIMARY:
            return Done(detail="it writes no more", already=True)
        if gcp_observation.writer(
            gcp_observation.instances(self.api, self.places), self.places, self.endpoint.leads_to()
        ) in (
            region,
            None,
        ):
            return Done(detail=f"{self.service} does so as it switches over", already=True)
        if found["settings"].get("activationPolicy") == "NEVER":
            return Done(already=True)
        self.change(region, {"settings": {"activationPolicy": "NEVER"}})
        return Done(detail="its instance is stopped")

    def catch_up(self, target: str, writer: str) -> Done:
        query = {"dbTimeout": f"{SWITCHOVER_SECONDS}s"}
        done = self.move(target, "switchover", query, {target, writer})
        return done if done.already else Done(detail="without a loss")

    def promote(self, target: str, term: int) -> Done:
        """With `failover` Cloud SQL attaches the old writer as a copy when it comes back; without, it would go on as a
        primary of its own. A target that nobody could designate has no such choice.
        """
        designated = bool((self.instance(target).get("replicationCluster") or {}).get("drReplica"))
        # What still runs on the old writer may never end.
        done = self.move(target, "promoteReplica", {"failover": "true"} if designated else {}, {target})
        if designated or done.already:
            return done
        return Done(detail="it was not designated: the old writer stays a primary of its own and has to be stopped")

    def move(self, target: str, verb: str, query: Mapping[str, str], idle: Collection[str]) -> Done:
        """One call, and then as long as it takes. A move that is under way already is waited for; so is whatever else
        runs on `idle`, because it would be refused meanwhile.
        """
        move = self.moving()
        if move is not None:
            self.ended(move)
        already = move is None and self.instance(target).get("instanceType") == PRIMARY
        if move is None and not already:
            for operation in self.running(idle):
                self.ended(operation)
            self.ended(self.api("sqladmin", "POST", f"{self.at(target).path}/{verb}", query))
        found = self.instance(target)
        if found.get("instanceType") != PRIMARY:
            raise Fault(f"{self.at(target).instance} is {found.get('instanceType')} after that, and no primary")
        return Done(already=already)

    def point(self, target: str) -> Done:
        """The private name that every service writes to. It is one record, so all regions learn it at the same time."""
        if self.instance(target).get("instanceType") != PRIMARY:
            raise Fault(f"{self.at(target).instance} is no primary; writes are not pointed at it")
        return Done(already=not self.endpoint.lead_to(target))

    def admit(self, target: str, hold_out: Collection[str]) -> Done:
        return self.admission.admit(target, set(hold_out) - {target})

    def refresh(self) -> Done:
        settled = self.settle()
        read = super().refresh()
        details = "; ".join(filter(None, (settled.detail, read.detail)))
        return Done(detail=details, already=settled.already and read.already)

    def settle(self) -> Done:
        """The writer has what belongs to its role: backups, a maintenance window, and a copy that is designated."""
        writer = self.settled()
        missing = gcp_role.missing(self.instance(writer), self.ground.stack.topology, writer)
        if missing:
            self.change(writer, {"settings": missing})
        target = self.heir(writer)
        designated = target is not None and self.designate(writer, target)
        said = [*missing, *([f"{target} is designated"] if designated else [])]
        return Done(detail=", ".join(said), already=not said)

    def heir(self, writer: str) -> str | None:
        """Who is designated to take over: whoever is now, else the origin, else the first that residency lets write."""
        now = (self.instance(writer).get("replicationCluster") or {}).get("failoverDrReplicaName", "")
        copies = [region for region in self.places if region != writer and self.follows(region, writer) is None]
        known = [region for region in copies if self.places[region].instance == now.rpartition(":")[2]]
        legal = gcp_role.legal(self.ground.stack.topology, self.ground.partition)
        return next(iter((*known, *(region for region in legal if region in copies))), None)

    # --- a member that was away ---

    def follows(self, region: str, writer: str) -> str | None:
        try:
            found = self.instance(region)
        except NotThere:
            return "there is no such instance"
        if found.get("instanceType") != REPLICA:
            return (
                f"it is a primary of its own, {found.get('state')}: Cloud SQL attaches it by itself only after a "
                "failover to a designated copy. docs/gcp/failover.md says how to make it anew"
            )
        master = str(found.get("masterInstanceName", "")).rpartition(":")[2]
        if master != self.at(writer).instance:
            return f"it follows {master}"
        return None if found.get("state") == "RUNNABLE" else f"it is {found.get('state')}"


def settle(stack: "Stack", outputs: Mapping[str, Any], tell: Callable[[str], None]) -> None:
    """After an `up`: what a deployment cannot say is said to every partition's writer, whichever member that is.

    Without a designated copy a failover could not keep the old writer from going on by itself.
    """
    from topology import from_summary

    for partition in from_summary(outputs["topology"]).partitions:
        if len(partition.members) > 1:
            try:
                done = open_driver(stack, outputs, partition.name, None).settle()
            except Fault as fault:
                tell(f"warning: {partition.name}: {fault}. The next `up` tries again.")
            else:
                if done.detail:
                    tell(f"{partition.name}: {done.detail}")
