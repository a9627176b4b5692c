"""What an instance of the service is told; docs/service.md lists the variables."""

import json
from collections.abc import Mapping
from typing import Any, cast

import pulumi

from components.contracts import ServiceArgs
from components.gcp import accounts
from components.gcp.cache import USER, Cache
from topology.homes import newcomers


def environment(args: ServiceArgs) -> Mapping[str, pulumi.Input[str]]:
    """Nothing here says who is writer, no other region's member is named, and nothing is a secret: the service signs in
    with its own service account's token everywhere.
    """
    topology, region = args.topology, args.region
    service, hostname = topology.service, topology.entry.hostname
    assert service is not None, "checked with the settings"
    assert hostname is not None, "checked with the settings"
    values: dict[str, pulumi.Input[str]] = {
        "MERIDIAN_STACK": topology.environment,
        "MERIDIAN_REGION": region.name,
        "MERIDIAN_REGIONS": ",".join(sorted(planned.name for planned in topology.regions)),
        "MERIDIAN_PORT": str(service.port),
        "MERIDIAN_HOSTNAME": hostname,
        "MERIDIAN_REGION_HOSTNAME": f"{region.name}.{hostname}",
        "MERIDIAN_DATABASE_USER": accounts.database_user(topology, region.name),
        "MERIDIAN_PARTITIONS": partitions(args),
        "MERIDIAN_NEWCOMERS": json.dumps(newcomers(topology), sort_keys=True),
    }
    if args.secrets is not None:
        values["MERIDIAN_DIRECTORY_SECRET"] = args.secrets.secret_ids["directory"]
    if args.cache is not None:
        values["MERIDIAN_CACHE"] = args.cache.endpoint
        values["MERIDIAN_CACHE_USER"] = USER
        values["MERIDIAN_CACHE_AUTHORITIES"] = cast("Cache", args.cache).authorities
    return dict(sorted(values.items()))


def partitions(args: ServiceArgs) -> pulumi.Output[str]:
    """By partition: where this region reads it (its own member, or nowhere), where writes go, and whose it is."""
    topology = args.topology
    own = {topology.member(name).partition: name for name in args.region.members}
    found: dict[str, Any] = {}
    for partition in topology.partitions:
        member = own.get(partition.name)
        found[partition.name] = {
            "read": args.databases[member].endpoint if member is not None and member in args.databases else None,
            "write": args.write_endpoints.get(partition.name),
            "slot": partition.slot,
            "serves": list(partition.serves),
        }
    return pulumi.Output.json_dumps(found, sort_keys=True)
