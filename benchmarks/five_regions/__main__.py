"""The program that `benchmarks.preview` times: the local target's own, and a made-up cloud region beside each."""

import pulumi
from pulumi.runtime.config import CONFIG

from benchmarks.five_regions.cloud import Region
from components.deploy import deploy
from topology import load, plan

NAMESPACE = "meridian:"

settings = {key.removeprefix(NAMESPACE): value for key, value in CONFIG.get().items() if key.startswith(NAMESPACE)}
topology = plan(load(settings, pulumi.get_stack()))
for name, value in deploy(topology).items():
    pulumi.export(name, value)
names = tuple(region.name for region in topology.regions_in_use)
for region in topology.regions_in_use:
    Region(region.name, region.slot, tuple(name for name in names if name != region.name))
