"""What Google Cloud says of a partition: each instance, how far the copies are behind, where writes and users go."""

import time
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from operations.drivers import trial
from operations.drivers.gcp_admission import Admission
from operations.drivers.gcp_api import Answer, Api, NoAnswer, NotThere
from operations.drivers.gcp_records import WriteEndpoint
from operations.drivers.managed import LEASE, Ground, at_once
from operations.failover.driver import MemberFacts, Observation

PRIMARY, REPLICA = "CLOUD_SQL_INSTANCE", "READ_REPLICA_INSTANCE"
METRICS = "cloudsql.googleapis.com/database"
HERE, MONITORING = "here", "monitoring"

# Sampled every minute, and shown up to 165 seconds later (cloud.google.com/sql/docs/postgres/admin-api/metrics): one
# that is older than both says that nothing comes any more.
FRESH_SECONDS = 300.0
LAG_MINUTES = 15


@dataclass(frozen=True, kw_only=True)
class Place:
    project: str
    region: str
    instance: str

    @property
    def path(self) -> str:
        return f"v1/projects/{self.project}/instances/{self.instance}"

    @property
    def qualified(self) -> str:
        return f"{self.project}:{self.instance}"


def place(member_id: str) -> Place:
    """A connection name; a project's may have a colon in it."""
    project, region, instance = member_id.rsplit(":", 2)
    return Place(project=project, region=region, instance=instance)


def instances(api: Api, places: Mapping[str, Place]) -> dict[str, Answer | None]:
    """By region; None where there is none, or nothing is known of it."""

    def ask(region: str) -> Answer | None:
        try:
            return api("sqladmin", "GET", places[region].path)
        except (NotThere, NoAnswer):
            return None

    return at_once(ask, list(places))


def writer(found: Mapping[str, Answer | None], places: Mapping[str, Place], led: str | None) -> str | None:
    """The primary. Of several, one that has copies, which a former writer on its own has not; then the one that writes
    are led to.
    """
    primaries = [region for region, each in found.items() if each is not None and each.get("instanceType") == PRIMARY]
    followed = {str(each.get("masterInstanceName", "")).rpartition(":")[2] for each in found.values() if each}
    return min(primaries, key=lambda region: (places[region].instance not in followed, region != led), default=None)


def observe(
    ground: Ground,
    api: Api,
    places: Mapping[str, Place],
    endpoint: WriteEndpoint,
    admission: Admission,
    among: Collection[str] | None,
) -> Observation:
    asked = {region: where for region, where in places.items() if among is None or region in among}
    with ThreadPoolExecutor(6) as pool:
        looking = pool.submit(trial.answers, {region: ground.own_url(region) for region in admission.regions})
        living = pool.submit(at_once, lambda region: sample(api, asked[region], "up"), list(asked))
        lagging = pool.submit(
            at_once, lambda region: sample(api, asked[region], "replication/replica_lag"), list(asked)
        )
        leading, letting = pool.submit(endpoint.leads_to), pool.submit(admission.admitted)
        found = instances(api, asked)
        answers, up, behind = looking.result(), living.result(), lagging.result()
        led, admitted = leading.result(), letting.result()
    now = time.time()
    writes = writer(found, places, led)
    tier = _setting(found.get(writes or ""), "tier")
    alive = {region: _alive(found.get(region), up.get(region), now) for region in places}
    facts: dict[str, MemberFacts] = {}
    for region in places:
        own = found.get(region)
        primary = own is not None and own.get("instanceType") == PRIMARY
        why = why_not(own, tier, region in admission.regions, answers, region)
        facts[region] = MemberFacts(
            role=None if own is None else "writer" if primary else "replica",
            reachable=alive[region],
            accepts_writes=primary and alive[region],
            received_lsn=None,
            replayed_lsn=None,
            lag_bytes=None,
            lag_seconds=0.0
            if region == writes
            else lag_seconds(behind.get(region), now, writer_lives=writes is not None and alive[writes]),
            can_take_load=not why,
            why_not=why,
            following=_following(own, places),
        )
    return Observation(
        at=now,
        writer=writes,
        members=facts,
        vantages=sights(alive, answers),
        lease=LEASE,
        admitted=admitted,
        pointers={region: led for region in places if alive[region]},
    )


def why_not(own: Answer | None, tier: Any, serves: bool, answers: Mapping[str, int | None], region: str) -> str:
    if own is None:
        return "nothing is known of its instance"
    if tier is not None and _setting(own, "tier") != tier:
        return f"it is a {_setting(own, 'tier')}, and the writer a {tier}"
    if not serves:
        return "it has no service"
    if any(answers.values()) and answers.get(region) != 200:
        return f"its service answers {answers.get(region) or 'nothing'}"
    return ""


def sights(alive: Mapping[str, bool], answers: Mapping[str, int | None]) -> dict[str, dict[str, bool]]:
    """Who sees which region: its own reports, which go to Google's monitoring, and this machine, by its service.

    Where nothing was reached from here that says something of this place, and not of theirs.
    """
    found = {MONITORING: dict(alive)}
    if any(answers.values()):
        found[HERE] = {region: _reached(said) for region, said in answers.items()}
    return found


def sample(api: Api, where: Place, metric: str) -> tuple[float, float] | None:
    """When it was sampled last, and what it was."""
    end = datetime.now(UTC)
    query = {
        "filter": f'metric.type = "{METRICS}/{metric}" AND resource.labels.database_id = "{where.qualified}"',
        "interval.startTime": (end - timedelta(minutes=LAG_MINUTES)).isoformat(),
        "interval.endTime": end.isoformat(),
    }
    try:
        series = api("monitoring", "GET", f"v3/projects/{where.project}/timeSeries", query).get("timeSeries", ())
    except NoAnswer:
        return None
    points = [point for each in series for point in each["points"]]
    if not points:
        return None
    newest = max(points, key=lambda point: point["interval"]["endTime"])
    value = newest["value"]
    at = datetime.fromisoformat(newest["interval"]["endTime"]).timestamp()
    return at, float(value.get("doubleValue", value.get("int64Value", 0)))


def lag_seconds(found: tuple[float, float] | None, now: float, *, writer_lives: bool) -> float | None:
    """While the writer lives the figure is what it is; after that all that came since it was sampled may be lost. Below
    zero it follows nobody.
    """
    if found is None or found[1] < 0:
        return None
    at, seconds = found
    return seconds if writer_lives else seconds + max(0.0, now - at)


def _alive(own: Answer | None, up: tuple[float, float] | None, now: float) -> bool:
    """By what it reports: the Admin API says `RUNNABLE` of what runs, and of what was stopped."""
    if own is None or own.get("state") != "RUNNABLE" or _setting(own, "activationPolicy") == "NEVER":
        return False
    return up is not None and up[1] > 0 and now - up[0] <= FRESH_SECONDS


def _reached(said: int | None) -> bool:
    """The proxies answer for a region that is gone, with 502 and its like."""
    return said is not None and said < 500


def _setting(own: Answer | None, key: str) -> Any:
    return ((own or {}).get("settings") or {}).get(key)


def _following(own: Answer | None, places: Mapping[str, Place]) -> str | None:
    master = str((own or {}).get("masterInstanceName", "")).rpartition(":")[2]
    return next((region for region, where in places.items() if where.instance == master), None)
