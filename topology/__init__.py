"""Pure planning: settings in, a topology out. Nothing here knows Pulumi or a cloud's SDK."""

from topology.errors import Refusal, SettingsError
from topology.ladder import LADDER, Rung, table_markdown
from topology.model import (
    AwsPlan,
    BackupPlan,
    Durability,
    EntryPlan,
    GcpPlan,
    LinkPlan,
    LocalPlan,
    MemberPlan,
    Objectives,
    Ownership,
    PartitionPlan,
    Phase,
    RegionFacts,
    RegionPlan,
    Retention,
    ServicePlan,
    Serving,
    Target,
    Topology,
    ZonePlan,
)
from topology.plan import plan
from topology.schema import Settings
from topology.settings import load
from topology.summary import Summary, from_summary, to_summary
from topology.transitions import Step, check, steps

__all__ = [
    "LADDER",
    "AwsPlan",
    "BackupPlan",
    "Durability",
    "EntryPlan",
    "GcpPlan",
    "LinkPlan",
    "LocalPlan",
    "MemberPlan",
    "Objectives",
    "Ownership",
    "PartitionPlan",
    "Phase",
    "Refusal",
    "RegionFacts",
    "RegionPlan",
    "Retention",
    "Rung",
    "ServicePlan",
    "Serving",
    "Settings",
    "SettingsError",
    "Step",
    "Summary",
    "Target",
    "Topology",
    "ZonePlan",
    "check",
    "from_summary",
    "load",
    "plan",
    "steps",
    "table_markdown",
    "to_summary",
]
