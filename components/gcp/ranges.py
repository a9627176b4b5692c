"""A region's address ranges on Google Cloud, where a subnet spans the zones of its region.

So the private and the isolated tier take their whole part of the region's range (topology/addressing.py) and there is
no public one. Of the last eighth, which is kept free, the first half is for the databases: a reserved range cannot be
widened, but another one can be added beside it.
"""

from ipaddress import IPv4Network

from topology import RegionPlan
from topology.addressing import part


def private(region: RegionPlan) -> IPv4Network:
    """Services. Direct VPC egress needs a /26 or more; this is a /21 even in the smallest range."""
    return part(region.cidr, start=0, size=16, position=0)


def isolated(region: RegionPlan) -> IPv4Network:
    """Where the endpoints of the cache are."""
    return part(region.cidr, start=16, size=8, position=0)


def services(region: RegionPlan) -> IPv4Network:
    """Databases. Cloud SQL takes a /24 of it per region, which is all of it in the smallest range
    (cloud.google.com/sql/docs/postgres/private-ip).
    """
    return part(region.cidr, start=28, size=2, position=0)
