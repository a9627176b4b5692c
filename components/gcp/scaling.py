"""How many instances a region runs: between two bounds that come from the plan, and between them by load."""

import math
from dataclasses import dataclass

from topology import RegionPlan, ServicePlan

LEAST = 2  # one for each of two zones, or a zone's loss is an outage

# With one of three zones gone, the instances that are left run at 90. Cloud Run aims at the same by itself
# (cloud.google.com/run/docs/about-instance-autoscaling).
CPU_FRACTION = 0.6


@dataclass(frozen=True, kw_only=True)
class Bounds:
    minimum: int
    maximum: int


def bounds(service: ServicePlan, region: RegionPlan) -> Bounds:
    """A standby idles at its fraction, and may grow to what a region at full capacity may: it takes over all users.

    A step from phase 3 to 4 thus raises the minimum and changes nothing else.
    """
    least = max(LEAST, math.ceil(service.minimum * region.capacity))
    return Bounds(minimum=least, maximum=max(service.maximum, least))
