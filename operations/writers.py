"""Who writes each partition now, for the program: a member that is new on a cloud is copied from the writer, and one
that writes is not dropped.

Settings name the origin alone, and a failover changes no setting, so `up` and `preview` read the writer from what runs
where members come or go, and hand it to the program in its environment. Of members that exist the program
says nothing by it: that argument is ignored on them.
"""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from operations.errors import Fault, Refused
from operations.failover import drivers
from operations.stack import Stack
from operations.transition import Transition

if TYPE_CHECKING:
    from topology import Topology
    from topology.summary import Summary

VARIABLE = "MERIDIAN_WRITERS"  # as __main__.py reads it: "main=eu-west-1,americas=us-east-1"


def tell_program(stack: Stack, old: "Summary | None", outputs: Mapping[str, Any] | None) -> str | None:
    """Set the variable for the program of this process and its children. A sentence where the writer is not known;
    raises where it is to be dropped. Whoever set the variable is believed.
    """
    if os.environ.get(VARIABLE) or old is None or outputs is None or stack.target == "local":
        return None
    found: dict[str, str] = {}
    for partition, regions in changing(old, stack.topology).items():
        try:
            writer = drivers.open_driver(stack, outputs, partition, None).observe().writer
        except Fault as fault:
            return _unknown(partition, str(fault))
        if writer is None:
            return _unknown(partition, "no single member says that it writes")
        if writer not in regions:
            raise Refused(
                f"{writer} writes {partition} now, and would be dropped with all that it has. Move the writer first: "
                f"`{stack.command('switchover', '--partition', partition, '--to', regions[0])}`."
            )
        found[partition] = writer
    if found:
        os.environ[VARIABLE] = ",".join(f"{partition}={region}" for partition, region in sorted(found.items()))
    return None


def require_kept(stack: Stack, transition: Transition, outputs: Mapping[str, Any] | None) -> None:
    """Refuse what would drop a member that writes now, take a slot of before again, or lose customers of who stays."""
    if stack.target != "local":
        return
    from operations.drivers.local import require_homes_kept, require_new_slots, require_writers_kept

    def writing(partition: str) -> str | None:
        return drivers.open_driver(stack, outputs, partition, None).observe().writer if outputs else None

    require_new_slots(stack.folder, transition.new)
    require_homes_kept(stack, transition.old, transition.new)
    require_writers_kept(stack.folder, transition.old, [member.name for member in transition.new.members], writing)


def changing(old: "Summary", new: "Topology") -> dict[str, list[str]]:
    """The partitions that exist and get or lose a member, with the regions that have one afterwards."""
    return {
        partition.name: [new.member(name).region for name in partition.members]
        for partition in new.partitions
        if (before := old.partition(partition.name)) is not None
        and before.members
        and set(partition.members) != set(before.members)
    }


def _unknown(partition: str, why: str) -> str:
    return (
        f"{partition} gets or loses a member, and who writes it now could not be read: {why}. A new one is copied from "
        f"the writer. Say who it is: `export {VARIABLE}={partition}=REGION`."
    )
