"""A region's gateway: users' requests in, the other regions' calls in and out, the way to every partition's writer.

Four ways lead through it:
- `:8080` takes users' requests from the entry to the region's own service. It never leaves the region: choosing
  another one is the entry's business.
- `:8443` takes the other regions' calls, with mutual TLS, and sorts them by the name they ask for:
  `service.<region>...` is the service, `db-<partition>.<region>...` the region's member of that partition.
- `:8081` takes what the region's service sends to a partition's writer, named by the header `x-meridian-partition`.
- `:6400 + partition` is that partition's PostgreSQL, wherever it is written. A replica's `primary_conninfo` names
  this address and never changes.

Where the writer is stands in two endpoint files a partition, `writer-<partition>` for requests and `db-<partition>`
for replication. Operations own them: `ensure_files` makes them once and never touches them again. They are two
because a failover points replication first and requests last. A request that is tried again reads the endpoint anew,
so that a switch is seen within milliseconds (a changed route would only be seen by new requests).

Every writer is reached in the same way, through the `:8443` of its region, also when that is this region: the file
alone says where, and the name in it is both the SNI that is sent and the name the certificate must bear.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from components.local.servers import envoy, envoy_admin, envoy_files, envoy_process, inotify, paths
from components.local.servers.addresses import Addresses, Endpoint
from components.local.servers.envoy import Json
from components.local.servers.errors import ServerFault
from components.local.servers.process import Running

Pointer: TypeAlias = Literal["writer", "db"]  # requests, replication

PARTITION_HEADER = "x-meridian-partition"

# What regions tell each other; nobody else may.
INTERNAL_HEADERS = (PARTITION_HEADER, "x-meridian-forwarded-by", "x-meridian-deadline-ms", "x-meridian-home")

# The service answers within its own deadline of 5 s; this one only ends what hangs.
SERVICE_TIMEOUT = "6s"

# Through a failover a write is held by the service that passes it on, not here: there one of hundreds tries, and here
# each would. There is no limit for a single try: a second one would only meet the first, still in flight in a queue or
# waiting for a standby. A link that swallows everything is found by the pings, within 2 s.
EGRESS_TIMEOUT = "4s"


@dataclass(frozen=True, kw_only=True)
class GatewaySpec:
    """One region's gateway. It names no other region: where the others are is in the pointers alone."""

    stack: Path  # the stack's folder
    region: str
    slot: int
    addresses: Addresses
    partitions: Mapping[str, int] = field(default_factory=dict)  # name -> slot
    members: Mapping[str, Endpoint] = field(default_factory=dict)  # partition -> this region's PostgreSQL
    service: Endpoint | None = None
    programs: Path | None = None  # the folder of an installed Envoy, instead of the wheel's

    @property
    def folder(self) -> Path:
        return paths.gateway_folder(self.stack, self.region)

    @property
    def admin(self) -> Endpoint:
        return self.addresses.gateway_admin(self.slot)


# --- pure: what the files say ----------------------------------------------------------------------------------------


def render(spec: GatewaySpec) -> dict[str, Json]:
    """Every file but the pointers. Only partitions change listeners; who is where changes clusters and pointers."""
    return {
        "bootstrap.json": envoy.bootstrap(
            spec.folder, node=f"gateway-{spec.region}", cluster="meridian-gateway", admin=spec.admin
        ),
        **envoy.secrets(paths.keys_folder(spec.stack, spec.region)),
        "xds/cds.json": envoy.clusters(
            local_service(spec),
            *(local_database(spec, name) for name in spec.partitions),
            *(writer(spec, name) for name in spec.partitions),
            *(writer_database(spec, name) for name in spec.partitions),
        ),
        "xds/lds.json": envoy.listeners(
            users_listener(spec),
            peers_listener(spec),
            egress_listener(spec),
            *(database_listener(spec, name) for name in spec.partitions),
        ),
    }


def local_service(spec: GatewaySpec) -> Json:
    # uvicorn closes a connection that was idle for 5 s unless told otherwise.
    return envoy.cluster(spec.folder, "local-service", http=envoy.http1(idle="4s"), endpoints=_here(spec, spec.service))


def local_database(spec: GatewaySpec, partition: str) -> Json:
    return envoy.cluster(spec.folder, f"local-db-{partition}", endpoints=_here(spec, spec.members.get(partition)))


def _here(spec: GatewaySpec, endpoint: Endpoint | None) -> list[Json]:
    return [envoy.locality(spec.region, endpoint)] if endpoint else []


def writer(spec: GatewaySpec, partition: str) -> Json:
    """No health check: where the writer is, and whether it is, is the pointer's to say."""
    return envoy.cluster(
        spec.folder,
        f"writer-{partition}",
        connect_timeout="2s",  # includes the TLS handshake, which takes a round trip
        http=envoy.http2(),
        tls=envoy.client_tls(spec.folder, alpn=("h2",)),
    )


def writer_database(spec: GatewaySpec, partition: str) -> Json:
    return envoy.cluster(spec.folder, f"db-{partition}", connect_timeout="2s", tls=envoy.client_tls(spec.folder))


def users_listener(spec: GatewaySpec) -> Json:
    """What the gateways say to each other is no business of users: those headers are taken off."""
    table = envoy.virtual_host("users", [_to_service()], removed=INTERNAL_HEADERS)
    return envoy.listener("users", spec.addresses.gateway_http(spec.slot), [{"filters": [_http(spec, "users", table)]}])


def peers_listener(spec: GatewaySpec) -> Json:
    """The service's chain first, then one a partition. A chain that does not change keeps its connections when
    another is added (Envoy updates filter chains in place when nothing else of the listener differs)."""
    table = envoy.virtual_host("peers", [_to_service()])
    chains = [
        {
            "name": "service",
            "filter_chain_match": {"server_names": [service_name(spec.region)]},
            "transport_socket": envoy.server_tls(spec.folder, alpn=("h2", "http/1.1")),
            "filters": [_http(spec, "peers", table)],
        },
        *(
            {
                "name": f"db-{partition}",
                "filter_chain_match": {"server_names": [database_name(partition, spec.region)]},
                "transport_socket": envoy.server_tls(spec.folder),
                "filters": [envoy.tcp_filter(f"peers-db-{partition}", f"local-db-{partition}")],
            }
            for partition in spec.partitions
        ),
    ]
    return envoy.listener(
        "peers",
        spec.addresses.gateway_peer(spec.slot),
        chains,
        listener_filters=[envoy.TLS_INSPECTOR],
        listener_filters_timeout="5s",
    )


def egress_listener(spec: GatewaySpec) -> Json:
    # A listener that comes with a new partition is not refused because its cluster is still warming.
    filters = [_http(spec, "egress", {**egress_routes(spec), "validate_clusters": False})]
    return envoy.listener("egress", spec.addresses.gateway_egress(spec.slot), [{"filters": filters}])


def egress_routes(spec: GatewaySpec) -> Json:
    return envoy.virtual_host("egress", [*(_to_writer(name) for name in spec.partitions), _no_partition()])


def database_listener(spec: GatewaySpec, partition: str) -> Json:
    return envoy.listener(
        f"db-{partition}",
        spec.addresses.gateway_database(spec.slot, spec.partitions[partition]),
        [{"filters": [envoy.tcp_filter(f"db-{partition}", f"db-{partition}")]}],
    )


def service_name(region: str) -> str:
    return f"service.{region}.{envoy.DOMAIN}"


def database_name(partition: str, region: str) -> str:
    return f"db-{partition}.{region}.{envoy.DOMAIN}"


def _http(spec: GatewaySpec, name: str, table: Json) -> Json:
    return envoy.http_filter(name, route_source={"route_config": table}, errors=spec.folder / "errors.log")


def _to_service() -> Json:
    return {
        "match": {"prefix": "/"},
        "route": {
            "cluster": "local-service",
            "timeout": SERVICE_TIMEOUT,
            # Only what surely never reached the service is sent again, so the method does not matter.
            "retry_policy": {
                "retry_on": "connect-failure,refused-stream,reset-before-request",
                "num_retries": 1,
            },
        },
    }


def _to_writer(partition: str) -> Json:
    return {
        "match": {
            "prefix": "/",
            "headers": [{"name": PARTITION_HEADER, "string_match": {"exact": partition}}],
        },
        "route": {
            "cluster": f"writer-{partition}",
            "timeout": EGRESS_TIMEOUT,
            "retry_policy": {
                # What breaks while a pointer changes. A refusal is an answer, for the service to make sense of:
                # repeated for every held write it kept a writer's region too busy to come back.
                "retry_on": "connect-failure,refused-stream,reset",
                "retriable_request_headers": envoy.IDEMPOTENT,
                "num_retries": 2,
                "retry_back_off": envoy.back_off("0.05s", "0.4s"),
            },
        },
    }


def _no_partition() -> Json:
    return {
        "match": {"prefix": "/"},
        **envoy.direct_response(400, f"The header {PARTITION_HEADER} must name a partition of this stack."),
    }


# --- the pointers ----------------------------------------------------------------------------------------------------


def writer_endpoint(addresses: Addresses, *, source_slot: int, writer_slot: int) -> Endpoint:
    """Where a region's gateway finds a writer: over the link, or at its own `:8443` when the writer is here."""
    if source_slot == writer_slot:
        return addresses.gateway_peer(writer_slot)
    return addresses.link(source_slot, writer_slot)


def pointer(kind: Pointer, partition: str, region: str, endpoint: Endpoint) -> Json:
    hostname = service_name(region) if kind == "writer" else database_name(partition, region)
    return envoy.assignment(f"{kind}-{partition}", [envoy.locality(region, endpoint, hostname=hostname)])


def point(folder: Path, kind: Pointer, partition: str, region: str, endpoint: Endpoint) -> bool:
    """Points one path of one gateway at a region; False when it points there already."""
    return envoy_files.replace(_pointer_path(folder, kind, partition), pointer(kind, partition, region, endpoint))


def point_writer(folder: Path, partition: str, region: str, endpoint: Endpoint) -> bool:
    """Points replication, then requests, of one gateway at the region that now writes `partition`."""
    moved = [point(folder, kind, partition, region, endpoint) for kind in ("db", "writer")]
    return any(moved)


def pointed_at(folder: Path, partition: str, kind: Pointer = "writer") -> str | None:
    """The region a gateway holds for the partition's writer; None when nothing was ever pointed."""
    content = envoy_files.read(_pointer_path(folder, kind, partition))
    if content is None:
        return None
    try:
        return content["resources"][0]["endpoints"][0]["locality"]["region"]
    except (KeyError, IndexError, TypeError):
        raise ServerFault(f"{_pointer_path(folder, kind, partition)} is damaged: it names no region.") from None


def _pointer_path(folder: Path, kind: Pointer, partition: str) -> Path:
    return folder / "xds" / "eds" / f"{kind}-{partition}.json"


# --- on this machine -------------------------------------------------------------------------------------------------


def ensure_files(spec: GatewaySpec, writers: Mapping[str, tuple[str, int]]) -> tuple[str, ...]:
    """Writes what changed and names it. `writers` (partition -> region and slot that write it now) is used for a
    pointer that does not exist yet and for nothing else."""
    made = []
    for partition in spec.partitions:
        for kind in ("db", "writer"):
            path = _pointer_path(spec.folder, kind, partition)
            if path.exists():
                continue
            region, slot = writers[partition]
            endpoint = writer_endpoint(spec.addresses, source_slot=spec.slot, writer_slot=slot)
            if envoy_files.create(path, pointer(kind, partition, region, endpoint)):
                made.append(str(path.relative_to(spec.folder)))
    return (*made, *envoy_files.write(spec.folder, render(spec)))


def ensure_started(spec: GatewaySpec, writers: Mapping[str, tuple[str, int]]) -> Running:
    """The gateway runs and uses `spec`; what runs already is not restarted."""
    changed = ensure_files(spec, writers)
    places = spec.addresses
    endpoints = (
        places.gateway_http(spec.slot),
        places.gateway_peer(spec.slot),
        places.gateway_egress(spec.slot),
        *(places.gateway_database(spec.slot, partition) for partition in spec.partitions.values()),
    )
    return envoy_process.ensure(
        spec.folder,
        name=f"the gateway of {spec.region}",
        stack=spec.stack,
        admin=spec.admin,
        endpoints=endpoints,
        watches=inotify.GATEWAY,
        programs=spec.programs,
        restart="bootstrap.json" in changed,
    )


def stop(stack: Path, region: str) -> bool:
    return envoy_process.stop(paths.gateway_folder(stack, region))


def is_ready(addresses: Addresses, slot: int, *, timeout: float = 2.0) -> bool:
    """Whether a gateway answers there and has its configuration."""
    return envoy_admin.is_ready(addresses.gateway_admin(slot), timeout=timeout)
