"""The global entry: the one address users call. It sends each user to a serving region, and to another when one fails.

A user says where they are with `X-User-Region` (it stands in for anycast). Each planned region has a cluster of the
regions that can serve its users, one priority a region in the order they are preferred, each behind the delay of the
link from that user. Raising the phase changes endpoint files only, so no connection is dropped on the way.

A held-out region is one that operations keep away from users: the standby until it is promoted, a region that is being
worked on. It stays in the endpoint files as DRAINING: it is checked, gets no user, and takes them at once when it is
admitted. Which regions are held out stands in `held_out.json`. Operations own its `regions`; `ensure_files` adds only
regions it has never seen, held out where the policy sends users home.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from components.local.servers import envoy, envoy_admin, envoy_files, envoy_process, inotify, paths
from components.local.servers.addresses import Addresses, Endpoint
from components.local.servers.envoy import Json
from components.local.servers.gateway import INTERNAL_HEADERS
from components.local.servers.process import Running

Policy: TypeAlias = Literal["home", "nearest"]
State: TypeAlias = Literal["healthy", "partly", "degraded", "unhealthy", "held out", "absent"]

# Two checks in a row must fail, so that one lost answer is not an outage. The time limit leaves room for the longest
# way round the world (about 320 ms round trip) on a busy machine.
CHECK_INTERVAL = "0.5s"
CHECK_TIMEOUT = "1s"
UNHEALTHY_AFTER = 2
HEALTHY_AFTER = 2

# A read is quick or lost: asked elsewhere, it may be answered. A write may be held by a region's
# service for 5 s during a failover: a try outlasts the gateway's own limit (6 s), so that the same write is not sent
# twice at once, and there is time for a second one.
READ_TIMEOUT, READ_TRY_TIMEOUT = "10s", "2.5s"
WRITE_TIMEOUT, WRITE_TRY_TIMEOUT = "14s", "6.5s"


@dataclass(frozen=True, kw_only=True)
class EntrySpec:
    stack: Path  # the stack's folder
    addresses: Addresses
    regions: Mapping[str, int]  # every planned region -> slot: where users may say they are
    home: str
    serving: tuple[str, ...]  # regions with a gateway and a service
    policy: Policy
    preference: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # user region -> serving, nearest first
    programs: Path | None = None  # the folder of an installed Envoy, instead of the wheel's

    @property
    def folder(self) -> Path:
        return paths.entry_folder(self.stack)

    @property
    def admin(self) -> Endpoint:
        return self.addresses.entry_admin()

    def order(self, user: str) -> tuple[str, ...]:
        """The serving regions for these users, best first."""
        first = self.preference.get(user, ()) if self.policy == "nearest" else (self.home,)
        ordered = (*first, *self.serving)
        return tuple(dict.fromkeys(region for region in ordered if region in self.serving))

    def path(self, user: str, region: str) -> Endpoint:
        """Users reach their own region at once, and every other one over a link with its delay."""
        if user == region:
            return self.addresses.gateway_http(self.regions[region])
        return self.addresses.user_link(self.regions[user], self.regions[region])


# --- pure: what the files say ----------------------------------------------------------------------------------------


def render(spec: EntrySpec, held: Iterable[str] = ()) -> dict[str, Json]:
    return {
        "bootstrap.json": envoy.bootstrap(spec.folder, node="entry", cluster="meridian-entry", admin=spec.admin),
        **{f"xds/eds/users-{user}.json": users_endpoints(spec, user, held) for user in spec.regions},
        "xds/cds.json": envoy.clusters(*(users_cluster(spec, user) for user in spec.regions)),
        "xds/rds/entry.json": envoy.routes(entry_routes(spec)),
        "xds/lds.json": envoy.listeners(entry_listener(spec)),
    }


def users_endpoints(spec: EntrySpec, user: str, held: Iterable[str] = ()) -> Json:
    drained = set(held)
    return envoy.assignment(
        f"users-{user}",
        [
            envoy.locality(
                region,
                spec.path(user, region),
                priority=priority,
                health="DRAINING" if region in drained else "UNKNOWN",
            )
            for priority, region in enumerate(spec.order(user))
        ],
    )


def users_cluster(spec: EntrySpec, user: str) -> Json:
    return envoy.cluster(
        spec.folder,
        f"users-{user}",
        http=envoy.http2(),
        health_checks=[
            {
                "timeout": CHECK_TIMEOUT,
                "interval": CHECK_INTERVAL,
                "no_traffic_interval": CHECK_INTERVAL,  # 60 s by default
                "interval_jitter": "0.05s",
                "unhealthy_threshold": UNHEALTHY_AFTER,
                "healthy_threshold": HEALTHY_AFTER,
                "http_health_check": {
                    "path": "/healthz/ready",
                    "host": envoy.DOMAIN,
                    # Without these one answer other than 200 is enough, whatever the threshold.
                    "retriable_statuses": [{"start": 400, "end": 600}],
                },
            }
        ],
        outlier_detection={
            # Broken connections and silence count; answers do not: when a writer is gone every region answers 503 to
            # writes, and none may be ejected for that while it answers reads.
            "split_external_local_origin_errors": True,
            "consecutive_local_origin_failure": 3,
            "enforcing_consecutive_local_origin_failure": 100,
            "enforcing_consecutive_5xx": 0,
            "enforcing_consecutive_gateway_failure": 0,
            "enforcing_success_rate": 0,
            "enforcing_local_origin_success_rate": 0,
            "interval": "0.5s",
            "base_ejection_time": "1s",
            "max_ejection_time": "5s",
            "max_ejection_percent": 100,
        },
    )


def entry_listener(spec: EntrySpec) -> Json:
    table = {"rds": {"route_config_name": "entry", "config_source": envoy.source(spec.folder / "xds/rds/entry.json")}}
    manager = envoy.http_filter("entry", route_source=table, edge=True, errors=spec.folder / "errors.log")
    return envoy.listener("entry", spec.addresses.entry(), [{"filters": [manager]}])


def entry_routes(spec: EntrySpec) -> Json:
    """Reads and writes of each user region, then of users who do not say where they are, then nobody else."""
    entries: list[Json] = []
    for user in spec.regions:
        entries += _pair(user, {"string_match": {"exact": user}})
    entries += _pair(spec.home, {"present_match": False})
    known = ", ".join(spec.regions)
    refusal = envoy.direct_response(
        400, f"X-User-Region must be one of: {known}. Leave it out to be served as in {spec.home}."
    )
    return envoy.virtual_host(
        "entry",
        [*entries, {"match": {"prefix": "/"}, **refusal}],
        removed=(*INTERNAL_HEADERS, "x-envoy-external-address"),
    )


def _pair(user: str, region_match: Json) -> list[Json]:
    where = {"name": "x-user-region", **region_match}
    read = {"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD"}}}
    # The service is told the same region the choice was made by.
    told = {
        "request_headers_to_add": [
            {"header": {"key": "x-user-region", "value": user}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
        ]
    }
    return [
        {"match": {"prefix": "/", "headers": [where, read]}, "route": _read(user), **told},
        {"match": {"prefix": "/", "headers": [where]}, "route": _write(user), **told},
    ]


def _read(user: str) -> Json:
    return {
        "cluster": f"users-{user}",
        "timeout": READ_TIMEOUT,
        "retry_policy": {**_elsewhere(), "num_retries": 4, "per_try_timeout": READ_TRY_TIMEOUT},
    }


def _write(user: str) -> Json:
    return {
        "cluster": f"users-{user}",
        "timeout": WRITE_TIMEOUT,
        # One more region is asked, and no third: each has tried to reach the writer for as long as it holds a write,
        # and a user who has to be refused should be told so.
        "retry_policy": {**_elsewhere(), "num_retries": 1, "per_try_timeout": WRITE_TRY_TIMEOUT},
    }


def _elsewhere() -> Json:
    """A retry goes to the next region in order, and not to an endpoint that was tried, where there is another."""
    extension = "type.googleapis.com/envoy.extensions.retry"
    return {
        "retry_on": "connect-failure,refused-stream,reset-before-request,reset,retriable-status-codes",
        "retriable_status_codes": [502, 503, 504],
        "retriable_request_headers": envoy.IDEMPOTENT,
        "retry_priority": {
            "name": "envoy.retry_priorities.previous_priorities",
            "typed_config": {
                "@type": f"{extension}.priority.previous_priorities.v3.PreviousPrioritiesConfig",
                "update_frequency": 1,
            },
        },
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {"@type": f"{extension}.host.previous_hosts.v3.PreviousHostsPredicate"},
            }
        ],
        "host_selection_retry_max_attempts": 3,
        "retry_back_off": envoy.back_off("0.025s", "0.25s"),
    }


# --- held-out regions ------------------------------------------------------------------------------------------------


def held_out(stack: Path) -> tuple[str, ...]:
    """The regions that take no users now."""
    flag = envoy_files.read(_flag_path(paths.entry_folder(stack))) or {}
    return tuple(flag.get("regions", ()))


def hold_out(stack: Path, regions: Iterable[str]) -> bool:
    """Holds out exactly these regions from now on. Needs no settings: the endpoint files themselves are changed."""
    folder = paths.entry_folder(stack)
    held = sorted(set(regions))
    flag = envoy_files.read(_flag_path(folder)) or {}
    # What is held out now was decided by operations, except what `up` held out before and they left there.
    by_default = sorted(set(flag.get("by_default", ())) & set(held) & set(flag.get("regions", ())))
    changed = envoy_files.replace(_flag_path(folder), {**flag, "regions": held, "by_default": by_default})
    for path in sorted((folder / "xds" / "eds").glob("users-*.json")):
        content = envoy_files.read(path)
        if content is not None:
            changed |= envoy_files.replace(path, with_held_out(content, held))
    return changed


def with_held_out(content: Json, held: Iterable[str]) -> Json:
    """The same endpoints, of which those in held-out regions take no users."""
    drained = set(held)
    resource = content["resources"][0]
    return envoy.assignment(
        resource["cluster_name"],
        [
            {
                **where,
                "lb_endpoints": [
                    {**one, "health_status": "DRAINING" if where["locality"]["region"] in drained else "UNKNOWN"}
                    for one in where["lb_endpoints"]
                ],
            }
            for where in resource["endpoints"]
        ],
    )


def first_held_out(flag: Json | None, spec: EntrySpec) -> Json:
    """The flag file after `spec`.

    What operations decided stays, whatever the policy. Where users are sent home, a region nobody has decided about is
    held out by default; when they are sent to the nearest, what was held out by default is admitted, and nothing else.
    """
    flag = flag or {"policy": spec.policy, "regions": []}
    regions, by_default = set(flag["regions"]), set(flag.get("by_default", ()))
    decided = set(flag.get("decided", ())) if flag.get("policy") == spec.policy else set()
    if spec.policy == "home":
        standing_by = set(spec.regions) - decided - {spec.home}
        regions |= standing_by
        by_default |= standing_by
    else:
        regions -= by_default
        by_default = set()
    return {
        "policy": spec.policy,
        "regions": sorted(regions),
        "by_default": sorted(by_default),
        "decided": sorted(decided | set(spec.regions)),
    }


def _flag_path(folder: Path) -> Path:
    return folder / "held_out.json"


# --- on this machine -------------------------------------------------------------------------------------------------


def ensure_files(spec: EntrySpec) -> tuple[str, ...]:
    """Writes what changed and names it. Reads the flag again at the end: operations may have set it meanwhile."""
    path = _flag_path(spec.folder)
    changed: list[str] = []
    while True:
        before = envoy_files.read(path)
        flag = first_held_out(before, spec)
        if flag != before and (envoy_files.create(path, flag) if before is None else envoy_files.replace(path, flag)):
            changed.append(path.name)
        changed += envoy_files.write(spec.folder, render(spec, flag["regions"]))
        if envoy_files.read(path) == flag:
            return tuple(dict.fromkeys(changed))


def ensure_started(spec: EntrySpec) -> Running:
    """The entry runs and uses `spec`; when it runs already it is not restarted."""
    # A region that is planned anew brings a file to watch.
    inotify.require(sum(not _users_file(spec, user).exists() for user in spec.regions), "the entry")
    return start(spec, restart="bootstrap.json" in ensure_files(spec))


def start(spec: EntrySpec, *, restart: bool = False) -> Running:
    """The entry runs with the files that it has."""
    return envoy_process.ensure(
        spec.folder,
        name="the entry",
        stack=spec.stack,
        admin=spec.admin,
        endpoints=(spec.addresses.entry(),),
        watches=inotify.ENTRY,
        programs=spec.programs,
        restart=restart,
    )


def _users_file(spec: EntrySpec, user: str) -> Path:
    return spec.folder / "xds" / "eds" / f"users-{user}.json"


def is_written(spec: EntrySpec) -> bool:
    """Whether the files send every user where `spec` says, whichever regions are held out now."""
    for user in spec.regions:
        content = envoy_files.read(_users_file(spec, user))
        if content is None or with_held_out(content, ()) != with_held_out(users_endpoints(spec, user), ()):
            return False
    return True


def stop(stack: Path) -> bool:
    return envoy_process.stop(paths.entry_folder(stack))


def is_ready(addresses: Addresses) -> bool:
    return envoy_admin.is_ready(addresses.entry_admin())


@dataclass(frozen=True, kw_only=True)
class RegionView:
    """What the entry thinks of a region."""

    region: str
    state: State
    seen_by: Mapping[str, bool] = field(default_factory=dict)  # user region -> healthy on that user's way

    @property
    def takes_users(self) -> bool:
        """Degraded counts: it takes users where nothing fresher is left."""
        return self.state in ("healthy", "partly", "degraded")


def view(admin: Endpoint, regions: Iterable[str]) -> dict[str, RegionView] | None:
    """Each region as the entry sees it now; None when the entry does not answer."""
    found = envoy_admin.hosts(admin)
    return None if found is None else {region: view_of(region, found) for region in regions}


def view_of(region: str, found: Mapping[str, tuple[envoy_admin.HostHealth, ...]]) -> RegionView:
    seen: dict[str, bool] = {}
    held, degraded = False, True
    for cluster, hosts in found.items():
        for host in hosts:
            if cluster.startswith("users-") and host.region == region:
                seen[cluster.removeprefix("users-")] = host.healthy
                held |= host.held_out
                degraded &= host.degraded
    if not seen:
        state: State = "absent"
    elif held:
        state = "held out"
    elif all(seen.values()):
        state = "degraded" if degraded else "healthy"
    else:
        state = "partly" if any(seen.values()) else "unhealthy"
    return RegionView(region=region, state=state, seen_by=seen)
