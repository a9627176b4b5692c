"""Regions by what they are as a drill begins, because a scenario knows no stack."""

from dataclasses import dataclass

from operations.drill.scenario import EITHER, MOVE, Scenario
from operations.errors import Refused
from operations.failover.driver import Observation
from topology.nearest import nearest
from topology.summary import Summary


@dataclass(frozen=True, kw_only=True)
class Cast:
    """Who plays what: `next` is the region that would write after the writer, `other` the one after that."""

    regions: tuple[str, ...]  # planned, in the plan's order
    members: tuple[str, ...]  # those that have a member of the partition
    used: tuple[str, ...]
    writer: str

    @classmethod
    def of(cls, running: Summary, now: Observation) -> "Cast":
        if now.writer is None:
            raise Refused("nobody writes now, so there is nothing to drill. `status` shows the members.")
        planned = tuple(region.name for region in running.regions)
        return cls(
            regions=planned,
            members=tuple(region for region in planned if region in now.members),
            used=tuple(region.name for region in running.regions if region.in_use),
            writer=now.writer,
        )

    @property
    def others(self) -> tuple[str, ...]:
        """Those first that have a member: a partition of phase 5 need not have one everywhere."""
        found = (region for region in self.used if region != self.writer)
        return tuple(sorted(found, key=lambda region: region not in self.members))

    def find(self, place: str) -> tuple[str, ...]:
        if place == "every":
            return self.used
        if place == "writer":
            return (self.writer,)
        if place in ("next", "other"):
            index = ("next", "other").index(place)
            return self.others[index : index + 1]
        if place in self.regions:
            return (place,)
        raise Refused(
            f"where: {place!r} is no region of this stack. {nearest(place, self.regions)} Allowed: "
            f"{', '.join(self.regions)}, writer, next, other, every."
        )

    def one(self, place: str) -> str:
        found = self.find(place)
        if len(found) != 1:
            raise Refused(f"where: {place!r} means {len(found)} regions here, and has to mean one.")
        return found[0]


def unfit(
    scenario: Scenario, cast: Cast, *, target: str, phase: int, keepers: bool, alone: str | None = None
) -> str | None:
    """Why a scenario means nothing on this stack. `alone`: why homes can go to no other partition and back."""
    if target not in scenario.targets:
        return f"it is for {', '.join(scenario.targets)}, and the stack is on {target}"
    if phase not in scenario.phases:
        return f"it is for phase {', '.join(map(str, scenario.phases))}, and the stack is at {phase}"
    if scenario.keepers and not keepers:
        return "it needs a lease, which three planned regions have from phase 3 on"
    if scenario.answer.command in ("failover", "switchover") and len(cast.members) < 2:
        return "the partition has one member"
    if scenario.answer.command == MOVE and alone is not None:
        return alone
    for action in scenario.actions:
        for place in filter(None, (action.where, action.to)):
            if place not in ("every", EITHER) and not cast.find(place):
                return f"there is no region that is `{place}`"
    return None
