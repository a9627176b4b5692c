"""What a change of a stack's settings means, before anything is done: the steps, what is refused, what is given up."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from operations.engines.face import Engine
from operations.errors import Refused
from operations.stack import Stack

if TYPE_CHECKING:
    from operations.engines.exported import Exported
    from topology import Step, Summary, Topology


@dataclass(frozen=True)
class Transition:
    """From what the stack exported last to what its settings plan now."""

    old: "Summary | None"
    new: "Topology"
    retire: tuple[str, ...]

    @classmethod
    def of(cls, stack: Stack, outputs: Mapping[str, Any] | None) -> "Transition":
        from topology import from_summary

        recorded = (outputs or {}).get("topology")
        return cls(from_summary(recorded) if recorded else None, stack.topology, tuple(stack.settings.retire))

    @property
    def steps(self) -> "tuple[Step, ...]":
        from topology import steps

        return steps(self.old, self.new)

    def check(self) -> None:
        """Raises topology's `Refusal`."""
        from topology import check

        check(self.old, self.new, self.retire)

    def given_up(self, engine: "Engine | Exported") -> frozenset[str]:
        """The URNs whose protection ends, because a region that holds them is retired: call after `check`."""
        kept = {member.name for member in self.new.members}
        partitions = self.old.partitions if self.old else ()
        gone = {name for partition in partitions for name in partition.members} - kept
        found: set[str] = set()
        unsaid: dict[str, list[str]] = {}
        for urn, inputs in engine.protected().items():
            member, region = inputs.get("member"), str(inputs.get("region"))
            if member is None or member in kept:
                continue
            if member in gone or region in self.retire:
                found.add(urn)
            else:  # made by a run that was cut short, so that no output tells of it
                unsaid.setdefault(region, []).append(str(member))
        if unsaid:
            raise Refused("\n".join(self._lost(region, members) for region, members in unsaid.items()))
        return frozenset(found)

    def _lost(self, region: str, members: list[str]) -> str:
        return (
            f"phase: {self.new.phase.label} ({self.new.phase.value}) would lose {', '.join(members)}, made by an `up` "
            f"that was cut short. Climb on instead, or give {region} up: `retire: [{region}]`."
        )
