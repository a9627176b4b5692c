"""A region's alarms: the same everywhere, quiet about a blip and about who is writer, and none that a healthy region
would ring.

What they answer to is played to them: their language is Prometheus', which promql.py evaluates.
"""

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from typing import Any, cast

import pulumi
import pytest

from components.contracts import CacheArgs, SignalsArgs, TrafficArgs
from components.gcp import alarms_database
from components.gcp.alarms import MINUTE
from components.gcp.alarms_database import connections
from components.gcp.alarms_service import error_percent
from components.gcp.cache import Cache
from components.gcp.replacement import consequences
from components.gcp.signals import Signals
from components.gcp.traffic import Traffic
from engine.recorder import Graph, Registered
from tests.components.gcp import members, promql, test_service
from tests.components.gcp.arguments import check_graph
from tests.components.gcp.stacks import recorded, topology
from topology import Topology

HOME, SECOND, AMERICA = "europe-west3", "europe-west1", "us-east4"
RUN, MACHINES = "cloud-run", "instance-group"
BY_PHASE = {1: (HOME,), 2: (HOME, SECOND), 3: (HOME, SECOND), 4: (HOME, SECOND, AMERICA), 5: (HOME, SECOND, AMERICA)}
EVERYWHERE = [(phase, region) for phase, regions in BY_PHASE.items() for region in regions]
ALARM, CHANNEL = "gcp:monitoring/alertPolicy:AlertPolicy", "gcp:monitoring/notificationChannel:NotificationChannel"
METRIC = "gcp:logging/metric:Metric"
PREFIX = "meridian-production-gcp"

# The entry's, once.
AT_HOME = {"certificate", "entry-errors"}
# What counts facts and not measurements: one of them is enough.
FACTS = {"backup-failed", "certificate"}

# Every metric that may be asked for, with its resource and all labels that either has.
# cloud.google.com/sql/docs/postgres/admin-api/metrics, …/memorystore/docs/valkey/supported-monitoring-metrics,
# …/load-balancing/docs/metrics, …/monitoring/api/metrics_gcp_p_z and /resources.
SQL = ("cloudsql_database", {"database_id", "region", "project_id"})
LB = ("https_lb_rule", {"backend_name", "url_map_name", "response_code", "response_code_class"})
VALKEY = ("memorystore.googleapis.com/Instance", {"location", "instance_id"})
KNOWN: Mapping[str, tuple[str, set[str]]] = {
    "cloudsql.googleapis.com/database/cpu/utilization": SQL,
    "cloudsql.googleapis.com/database/disk/bytes_used": SQL,
    "cloudsql.googleapis.com/database/disk/quota": SQL,
    "cloudsql.googleapis.com/database/memory/utilization": SQL,
    "cloudsql.googleapis.com/database/postgresql/deadlock_count": SQL,
    "cloudsql.googleapis.com/database/postgresql/num_backends": SQL,
    "cloudsql.googleapis.com/database/postgresql/transaction_id_utilization": SQL,
    "cloudsql.googleapis.com/database/replication/log_archive_success_count": SQL,
    "cloudsql.googleapis.com/database/replication/network_lag": SQL,
    "cloudsql.googleapis.com/database/replication/replica_lag": SQL,
    "cloudsql.googleapis.com/database/up": SQL,
    "compute.googleapis.com/instance_group/size": ("instance_group", {"instance_group_name", "location"}),
    "loadbalancing.googleapis.com/https/backend_latencies": LB,
    "loadbalancing.googleapis.com/https/backend_request_count": LB,
    "loadbalancing.googleapis.com/https/request_count": LB,
    "memorystore.googleapis.com/instance/cpu/maximum_utilization": VALKEY,
    "memorystore.googleapis.com/instance/memory/maximum_utilization": VALKEY,
    "memorystore.googleapis.com/instance/stats/total_evicted_keys_count": VALKEY,
    "memorystore.googleapis.com/instance/stats/total_rejected_connections_count": VALKEY,
    "run.googleapis.com/container/completed_probe_count": (
        "cloud_run_revision",
        {"location", "service_name", "is_healthy", "probe_type"},
    ),
    "run.googleapis.com/container/instance_count": ("cloud_run_revision", {"location", "service_name", "state"}),
    "workflows.googleapis.com/finished_execution_count": (
        "workflows.googleapis.com/Workflow",
        {"workflow_id", "status"},
    ),
}


def output(value: str) -> pulumi.Output[str]:
    return pulumi.Output.from_input(value)


def cut(phase: int, mode: str = RUN, **overrides: Any) -> Topology:
    return topology(phase=phase, gcp={**members.PROJECT, "service": mode}, **overrides)


def id_of(member: str) -> str:
    return f"{members.PROJECT['project']}:{PREFIX}-{member}"


def arguments(planned: Topology, name: str) -> SignalsArgs:
    region, project = planned.region(name), members.PROJECT["project"]
    cache_id = f"projects/{project}/locations/{name}/instances/{PREFIX}-{name}"
    on_machines = planned.gcp is not None and planned.gcp.service == MACHINES
    service_name = f"{PREFIX}-{name}-service" if on_machines else f"{PREFIX}-{name}"
    return SignalsArgs(
        topology=planned,
        region=region,
        ground=str(project),
        key_ids={},
        members={
            member: cast("Any", SimpleNamespace(member_id=output(f"{project}:{name}:{PREFIX}-{member}")))
            for member in region.members
        },
        cache=cast("Any", SimpleNamespace(cache_id=output(cache_id))) if region.has_cache else None,
        service=cast("Any", SimpleNamespace(attachments={"service_name": output(service_name)}))
        if region.has_service
        else None,
        certificate_id="map" if region.has_service else None,
        vault_id=f"vault-{name}",
    )


def graph(planned: Topology, region: str) -> Graph:
    def program() -> None:
        foundation = members.Foundation("foundation", members.FoundationArgs(topology=planned))
        options = pulumi.ResourceOptions(provider=foundation.provider)
        signals = Signals(f"{planned.app}-{region}-signals", arguments(planned, region), options)
        pulumi.export("channel", signals.channel_id)

    return recorded(program)


@cache
def built(phase: int, region: str, mode: str = RUN) -> Graph:
    return graph(cut(phase, mode), region)


def alarms(found: Graph, region: str) -> dict[str, Registered]:
    prefix = f"meridian-{region}-signals-"
    return {one.name.removeprefix(prefix): one for one in found.of_type(ALARM)}


def condition(alarm: Registered) -> dict[str, Any]:
    (only,) = alarm.inputs["conditions"]
    return only


def query(alarm: Registered) -> dict[str, Any] | None:
    return condition(alarm).get("conditionPrometheusQueryLanguage")


def selectors(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    for name, matchers in re.findall(r"([a-z_]+:[a-z0-9_]+)\{([^}]*)\}", text):
        yield name, dict(re.findall(r'([a-z_]+)=~?"([^"]*)"', matchers))


def as_asked(metric: str) -> str:
    domain, _, path = metric.partition("/")
    return f"{domain.replace('.', '_')}:{path.replace('/', '_')}"


@pytest.mark.parametrize("mode", [RUN, MACHINES])
@pytest.mark.parametrize("phase", [3, 4, 5])
def test_every_region_that_serves_has_the_same_alarms(phase: int, mode: str) -> None:
    shapes = []
    for region in BY_PHASE[phase]:
        others = "|".join(other for other in BY_PHASE[phase] if other != region)
        found = alarms(built(phase, region, mode), region)
        assert (set(found) >= AT_HOME) == (region == HOME)
        shape = {}
        for part in set(found) - AT_HOME:
            inputs = found[part].inputs
            assert inputs["displayName"] == f"{PREFIX}-{region}-{part}"
            written = json.dumps([condition(found[part]), inputs["severity"], inputs["documentation"]])
            # Those of a partition, in the order of its members.
            shape[part] = re.sub(others, "<other>", re.sub(region.replace("-", "[-_]"), "<own>", written))
        if phase == 3:
            del shape["service-tasks"]  # a standby wants fewer
        shapes.append(shape)
    assert all(shape == shapes[0] for shape in shapes)


def test_the_names_are_those_on_aws() -> None:
    """But for what one of the clouds does not have; see docs/gcp/signals.md."""
    both = {"main-lag", "main-replication", "main-volume", "main-uptime", "main-cpu", "main-connections"}
    both |= {"main-memory", "main-deadlocks", "main-transaction-ids", "cache-memory", "cache-evictions"}
    both |= {"service-unhealthy", "service-healthy", "service-tasks", "service-errors", "balancer-errors"}
    both |= {"backup-failed", "backup-age", "certificate"}
    own = {"main-primaries", "main-archiving", "main-backups", "entry-errors"}
    own |= {"cache-uptime", "cache-cpu", "cache-rejections"}
    assert set(alarms(built(3, HOME), HOME)) == both | own
    assert set(alarms(built(1, HOME), HOME)) == (both | own) - {"main-primaries"}, "one member leads alone"


@pytest.mark.parametrize("mode", [RUN, MACHINES])
@pytest.mark.parametrize(("phase", "region"), EVERYWHERE)
def test_only_what_google_documents_is_asked_for(phase: int, region: str, mode: str) -> None:
    known = {as_asked(metric): row for metric, row in KNOWN.items()}
    found = built(phase, region, mode)
    own = {as_asked(f"logging.googleapis.com/user/{each.inputs['name']}") for each in found.of_type(METRIC)}
    known |= {name.replace("-", "_"): ("cloudsql_database", {"database_id"}) for name in own}
    for part, alarm in alarms(found, region).items():
        asked = query(alarm)
        if asked is None:
            continue
        assert list(selectors(asked["query"])), part
        for name, matchers in selectors(asked["query"]):
            resource, labels = known[re.sub(r"_(bucket|count)$", "", name) if "latencies" in name else name]
            assert matchers.pop("monitored_resource") == resource, part
            assert set(matchers) <= labels, part


@pytest.mark.parametrize(("phase", "region"), EVERYWHERE)
def test_an_alarm_looks_at_its_own_region_and_tells_its_own_channels(phase: int, region: str) -> None:
    found = built(phase, region)
    (channel,) = found.of_type(CHANNEL)
    assert found.outputs["channel"] == channel.name
    assert (channel.inputs["type"], channel.inputs["labels"]) == ("email", {"email_address": "oncall@example.com"})
    for part, alarm in alarms(found, region).items():
        assert alarm.inputs["notificationChannels"] == [channel.name]
        assert alarm.inputs["project"] == members.PROJECT["project"]
        assert alarm.inputs["userLabels"]["region"] == region
        assert alarm.inputs.get("enabled", True)
        if not part.endswith("-primaries"):
            others = {other for other in BY_PHASE[5] if other != region}
            assert not any(other in json.dumps(alarm.inputs["conditions"]) for other in others), part
        assert region in json.dumps(alarm.inputs["conditions"]) or part in AT_HOME


def test_whoever_is_told_is_what_the_settings_say() -> None:
    two = graph(cut(1, alarms={"emails": ["a@example.com", "b@example.com"]}), HOME)
    channels = two.of_type(CHANNEL)
    assert {each.inputs["labels"]["email_address"] for each in channels} == {"a@example.com", "b@example.com"}
    names = [each.name for each in channels]
    assert two.outputs["channel"] == ",".join(names)
    assert all(alarm.inputs["notificationChannels"] == names for alarm in alarms(two, HOME).values())
    nobody = graph(replace(cut(1), alarm_emails=()), HOME)
    assert nobody.of_type(CHANNEL) == []
    assert nobody.outputs["channel"] == ""


@pytest.mark.parametrize("mode", [RUN, MACHINES])
@pytest.mark.parametrize(("phase", "region"), EVERYWHERE)
def test_an_alarm_says_what_is_wrong_what_to_do_and_how_bad_it_is(phase: int, region: str, mode: str) -> None:
    texts = [alarm.inputs["documentation"]["content"] for alarm in alarms(built(phase, region, mode), region).values()]
    assert len({text.split("\n\n")[0] for text in texts}) >= len(texts) / 2
    for text in texts:
        says, act = text.split("\n\n")
        assert says.endswith(".")
        assert act.endswith(".")
        assert len(text) < 1000
    severities = {alarm.inputs["severity"] for alarm in alarms(built(phase, region, mode), region).values()}
    assert severities == {"CRITICAL", "ERROR", "WARNING"}


@pytest.mark.parametrize("mode", [RUN, MACHINES])
@pytest.mark.parametrize(("phase", "region"), EVERYWHERE)
def test_a_blip_wakes_nobody_and_whoever_is_woken_hears_the_end(phase: int, region: str, mode: str) -> None:
    for part, alarm in alarms(built(phase, region, mode), region).items():
        strategy, asked = alarm.inputs["alertStrategy"], query(alarm)
        if asked is None:
            assert part in FACTS | {"service-unhealthy"}
            assert strategy["notificationRateLimit"]["period"] == strategy["autoClose"]
            assert "notificationPrompts" not in strategy
            continue
        held, every = int(asked["duration"][:-1]), int(asked["evaluationInterval"][:-1])
        assert (held == 0) == (part in FACTS), part
        assert held % 60 == 0
        assert every % 30 == 0
        # No longer than any other condition may look back and wait.
        assert held <= 23.5 * 3600
        assert all(int(hours) <= 25 for hours in re.findall(r"\[(\d+)h\]", asked["query"]))
        assert asked["disableMetricValidation"] is True, "what has never happened has no metric yet"
        assert strategy == {"autoClose": "1800s", "notificationPrompts": ["OPENED", "CLOSED"]}


@pytest.mark.parametrize("mode", [RUN, MACHINES])
@pytest.mark.parametrize("region", [HOME, SECOND, AMERICA])
def test_climbing_renames_and_replaces_no_alarm(region: str, mode: str) -> None:
    phases = [phase for phase, regions in BY_PHASE.items() if region in regions]
    for low, high in itertools.pairwise(phases):
        before, after = built(low, region, mode), built(high, region, mode)
        for was in before:
            if was.type in (ALARM, CHANNEL, METRIC):
                now = after.resources[was.urn]
                assert not consequences(was.type, dict(was.inputs), dict(now.inputs), now.ignore_changes)


def test_what_is_watched_is_what_the_components_make() -> None:
    found = alarms(built(3, HOME), HOME)
    asked = json.dumps([condition(alarm) for alarm in found.values()])

    made = members.graph(members.cut(phase=3))
    for member in (f"main-{HOME}", f"main-{SECOND}"):
        instance = made.named(f"{member}-instance")
        assert f"{instance.inputs['project']}:{instance.inputs['name']}" == id_of(member)
        # The id that metrics have leaves the region out, which the connection name has in the middle.
        assert alarms_database.database_id(made.outputs[member]["id"]) == id_of(member)
        assert id_of(member) in asked
    assert alarms_database.database_id("example.com:shop:us-east4:main") == "example.com:shop:main"
    for workflow in made.of_type("gcp:workflows/workflow:Workflow"):
        assert (f'workflow_id=\\"{workflow.inputs["name"]}\\"' in asked) == (workflow.inputs["region"] == HOME)

    run = test_service.graph(RUN, 3)
    (service,) = run.of_type("gcp:cloudrunv2/service:Service")
    (endpoints,) = run.of_type("gcp:compute/regionNetworkEndpointGroup:RegionNetworkEndpointGroup")
    assert f'service_name=\\"{service.inputs["name"]}\\"' in asked
    assert f'backend_name=\\"{endpoints.inputs["name"]}\\"' in asked

    # A group has its manager's name.
    (manager,) = test_service.graph(MACHINES, 3).of_type(
        "gcp:compute/regionInstanceGroupManager:RegionInstanceGroupManager"
    )
    on_machines = json.dumps([condition(alarm) for alarm in alarms(built(3, HOME, MACHINES), HOME).values()])
    assert f'backend_name=\\"{manager.inputs["name"]}\\"' in on_machines
    assert f'instance_group_name=\\"{manager.inputs["name"]}\\"' in on_machines

    (valkey,) = entry_and_cache().of_type("gcp:memorystore/instance:Instance")
    assert f'instance_id=\\"{valkey.inputs["instanceId"]}\\"' in asked
    proxies = entry_and_cache().of_type("gcp:compute/targetHttpsProxy:TargetHttpsProxy")
    maps = {each.name: each for each in entry_and_cache().of_type("gcp:compute/uRLMap:URLMap")}
    assert f'url_map_name=\\"{maps[proxies[0].inputs["urlMap"]].inputs["name"]}\\"' in asked


@cache
def entry_and_cache() -> Graph:
    planned = cut(3)

    def program() -> None:
        network = SimpleNamespace(subnet_ids={"isolated": [output("isolated")]})
        Cache(
            "cache",
            CacheArgs(
                topology=planned,
                region=planned.region(HOME),
                ground="example-production",
                network=cast("Any", network),
                key_ids={"cache": output("key")},
                secrets=None,
            ),
        )
        services = {
            region: SimpleNamespace(attachments={"backend_group": output(f"group-{region}")}) for region in BY_PHASE[3]
        }
        args = SimpleNamespace(topology=planned, ground="example-production", services=services)
        Traffic("entry", cast("TrafficArgs", args))

    return recorded(program)


def test_backups_are_counted_for_this_regions_members_alone() -> None:
    for region in BY_PHASE[5]:
        (metric,) = built(5, region).of_type(METRIC)
        assert metric.inputs["metricDescriptor"] == {"metricKind": "DELTA", "valueType": "INT64"}
        ids = set(re.findall(r'"(example-production:[^"]+)"', metric.inputs["filter"]))
        assert ids == {id_of(f"main-{region}"), id_of(f"americas-{region}")}
        assert 'windowStatus="STATUS_SUCCEEDED"' in metric.inputs["filter"]


def test_a_region_that_keeps_copies_alone_has_no_alarm_on_what_it_does_not_make() -> None:
    """Where nothing is dumped nothing fails; and without a service there is none to watch."""

    def program() -> None:
        Signals("signals", replace(arguments(cut(2), SECOND), members={}))

    assert recorded(program).of_type(ALARM) == []
    found = set(alarms(built(2, SECOND), SECOND))
    assert {"backup-age", "main-lag", "main-primaries"} <= found
    assert not any(part.startswith(("service", "balancer", "cache", "certificate", "entry")) for part in found)


def test_latency_is_watched_where_it_was_asked_for() -> None:
    assert "service-latency" not in alarms(built(1, HOME), HOME)
    for objectives, most in (({"read_p99_ms": 200, "write_p99_ms": 800}, 800), ({"read_p99_ms": 200}, 200)):
        asked = query(alarms(graph(cut(1, objectives=objectives), HOME), HOME)["service-latency"])
        assert asked is not None
        assert f"> {most} and" in asked["query"]


@pytest.mark.parametrize(
    ("availability", "percent"), [(None, 1.0), (99.95, 0.72), (99.0, 5.0), (99.999, 0.014), (99.9, 1.44)]
)
def test_errors_are_measured_against_what_was_asked(availability: float | None, percent: float) -> None:
    objectives = {} if availability is None else {"availability_percent": availability}
    assert error_percent(cut(1, objectives=objectives).objectives) == percent


@pytest.mark.parametrize(("size", "most"), [(2, 500), (4, 600), (8, 800), (16, 1000), (128, 1000)])
def test_connections_follow_the_tier(size: int, most: int) -> None:
    assert connections(f"db-perf-optimized-N-{size}") == most


@pytest.mark.parametrize("mode", [RUN, MACHINES])
@pytest.mark.parametrize(("phase", "region"), EVERYWHERE)
def test_every_argument_is_one_that_google_takes(phase: int, region: str, mode: str) -> None:
    assert check_graph(built(phase, region, mode)) == []


# What follows plays the metrics of two regions for three hours, or for two days where an alarm waits for days, and asks
# which alarms ring at the end.

SHORT, LONG = (1, 180), (20, 46 * 3)  # minutes of a step, and how many
SLOW = ("-backups", "backup-age")

Series = dict[str, tuple[float, float]]  # its first value, and by how much it grows with each step


def constant(value: float) -> tuple[float, float]:
    return value, 0


def growing(by: float) -> tuple[float, float]:
    return 0, by


def series(metric: str, **labels: str) -> str:
    resource = KNOWN[metric][0] if metric in KNOWN else "cloudsql_database"
    matchers = {"monitored_resource": resource, **labels}
    written = ",".join(f'{name}="{value}"' for name, value in matchers.items())
    return f"{as_asked(metric).replace('-', '_')}{{{written}}}"


def sql(metric: str, member: str) -> str:
    return series(f"cloudsql.googleapis.com/database/{metric}", database_id=id_of(member))


LAG, UP = "replication/replica_lag", "up"
ARCHIVED = "replication/log_archive_success_count"


def backed_up(region: str) -> str:
    return series(f"logging.googleapis.com/user/{PREFIX}-{region}-backups", database_id=id_of(f"main-{region}"))


def healthy(writer: str) -> Series:
    """Phase 3 with nothing wrong: only the metrics that each member has in its role."""
    found: Series = {}
    for region in BY_PHASE[3]:
        member, name = f"main-{region}", f"{PREFIX}-{region}"
        found |= {
            sql(UP, member): constant(1),
            sql("cpu/utilization", member): constant(0.3),
            sql("memory/utilization", member): constant(0.6),
            sql("disk/quota", member): constant(100 * 10**9),
            sql("disk/bytes_used", member): constant(50 * 10**9),
            sql("postgresql/num_backends", member): constant(40),
            sql("postgresql/deadlock_count", member): growing(0),
            sql("postgresql/transaction_id_utilization", member): constant(0.1),
        }
        if region == writer:
            found |= {sql(ARCHIVED, member): growing(0.5), backed_up(region): growing(1 / 72)}
        else:
            found |= {sql(LAG, member): constant(0.4), sql("replication/network_lag", member): constant(0)}
        found |= {
            series(f"memorystore.googleapis.com/instance/{metric}", location=region, instance_id=name): values
            for metric, values in (
                ("memory/maximum_utilization", constant(0.5)),
                ("cpu/maximum_utilization", constant(0.1)),
                ("stats/total_evicted_keys_count", growing(10)),
                ("stats/total_rejected_connections_count", growing(0)),
            )
        }
        found[
            series("run.googleapis.com/container/instance_count", location=region, service_name=name, state="idle")
        ] = constant(4)
        found[executions(region, "SUCCEEDED")] = growing(1 / 72)
        found[answered(region, 200)] = growing(100)
    found[asked_of_entry(200)] = growing(200)
    return found


def executions(region: str, status: str) -> str:
    name = f"{PREFIX}-{region}-dump"
    return series("workflows.googleapis.com/finished_execution_count", workflow_id=name, status=status)


def answered(region: str, code: int) -> str:
    return series(
        "loadbalancing.googleapis.com/https/backend_request_count",
        backend_name=f"{PREFIX}-{region}-service",
        response_code=str(code),
        response_code_class=str(code // 100 * 100),
    )


def asked_of_entry(code: int) -> str:
    return series(
        "loadbalancing.googleapis.com/https/request_count",
        url_map_name=f"{PREFIX}-entry",
        response_code_class=str(code // 100 * 100),
    )


def ringing(played: Series) -> set[str]:
    """`<region> <part>` of the alarms that ring at the end."""
    found = {
        (region, part): asked
        for region in BY_PHASE[3]
        for part, alarm in alarms(built(3, region), region).items()
        if (asked := query(alarm)) is not None
    }
    slow = {each: asked for each, asked in found.items() if each[1].endswith(SLOW)}
    quick = {each: asked for each, asked in found.items() if each not in slow}
    return {*asked_of(played, quick, *SHORT), *asked_of(played, slow, *LONG)}


def asked_of(
    played: Series, asked: Mapping[tuple[str, str], Mapping[str, Any]], step: int, steps: int
) -> Iterator[str]:
    times = [minute * MINUTE for minute in range(0, step * steps + 1, step)]
    metrics = promql.Metrics(
        {
            promql.named(name): [(at, first + by * index) for index, at in enumerate(times)]
            for name, (first, by) in played.items()
        }
    )
    for (region, part), each in asked.items():
        if promql.firing(metrics.query(each["query"]), int(each["duration"][:-1]), times):
            yield f"{region} {part}"


def played(writer: str, changed: Series, gone: Iterable[str]) -> Series:
    found = {**healthy(writer), **changed}
    for name in gone:
        del found[name]
    return found


OWN, OTHER = f"main-{HOME}", f"main-{SECOND}"
FAULTS: dict[str, tuple[Series, list[str], set[str]]] = {
    # A second one that nobody meant archives nothing either.
    "two primaries": (
        {},
        [sql(LAG, OTHER)],
        {f"{HOME} main-primaries", f"{SECOND} main-primaries", f"{SECOND} main-archiving", f"{SECOND} main-backups"},
    ),
    "a copy that follows nobody": (
        {sql(LAG, OTHER): constant(-1)},
        [],
        {f"{HOME} main-primaries", f"{SECOND} main-primaries", f"{SECOND} main-archiving", f"{SECOND} main-backups"},
    ),
    "a copy behind": ({sql(LAG, OTHER): constant(45)}, [], {f"{SECOND} main-lag"}),
    "a slow way": ({sql("replication/network_lag", OTHER): constant(20)}, [], {f"{SECOND} main-replication"}),
    "point-in-time recovery off": ({sql(ARCHIVED, OWN): growing(0)}, [], {f"{HOME} main-archiving"}),
    "point-in-time recovery never on": ({}, [sql(ARCHIVED, OWN)], {f"{HOME} main-archiving"}),
    "no backups": ({}, [backed_up(HOME)], {f"{HOME} main-backups"}),
    "a member that is down": ({sql(UP, OTHER): constant(0)}, [], {f"{SECOND} main-uptime"}),
    "a member that says nothing": ({}, [sql(UP, OTHER), sql(LAG, OTHER)], {f"{SECOND} main-uptime"}),
    "a writer that says nothing": ({}, [sql(UP, OWN), sql(ARCHIVED, OWN)], {f"{HOME} main-uptime"}),
    "a full disk": ({sql("disk/bytes_used", OWN): constant(96 * 10**9)}, [], {f"{HOME} main-volume"}),
    "many connections": ({sql("postgresql/num_backends", OWN): constant(590)}, [], {f"{HOME} main-connections"}),
    "busy": ({sql("cpu/utilization", OWN): constant(0.9)}, [], {f"{HOME} main-cpu"}),
    "deadlocks": ({sql("postgresql/deadlock_count", OWN): growing(30)}, [], {f"{HOME} main-deadlocks"}),
    "a service's errors": ({answered(SECOND, 500): growing(2)}, [], {f"{SECOND} service-errors"}),
    "no answers": ({answered(SECOND, 502): growing(2)}, [], {f"{SECOND} balancer-errors"}),
    "users' own errors": ({answered(SECOND, 404): growing(50), asked_of_entry(400): growing(50)}, [], set()),
    "few requests": ({answered(SECOND, 200): growing(0.5), answered(SECOND, 500): growing(0.5)}, [], set()),
    "errors of the entry": ({asked_of_entry(500): growing(9)}, [], {f"{HOME} entry-errors"}),
    "nobody to answer": (
        {},
        [
            series(
                "run.googleapis.com/container/instance_count",
                location=SECOND,
                service_name=f"{PREFIX}-{SECOND}",
                state="idle",
            )
        ],
        {f"{SECOND} service-healthy", f"{SECOND} service-tasks"},
    ),
    "a cache that says nothing": (
        {},
        [
            series(
                "memorystore.googleapis.com/instance/memory/maximum_utilization",
                location=SECOND,
                instance_id=f"{PREFIX}-{SECOND}",
            )
        ],
        {f"{SECOND} cache-uptime"},
    ),
    "no dumps": ({}, [executions(SECOND, "SUCCEEDED")], {f"{SECOND} backup-age"}),
    "a dump that failed": ({executions(SECOND, "FAILED"): growing(1 / 30)}, [], {f"{SECOND} backup-failed"}),
}


@pytest.mark.parametrize("writer", BY_PHASE[3])
def test_nothing_rings_whoever_is_writer(writer: str) -> None:
    assert ringing(healthy(writer)) == set()


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_rings_and_nothing_else(fault: str) -> None:
    changed, gone, rings = FAULTS[fault]
    assert ringing(played(HOME, changed, gone)) == rings


def test_a_new_writer_rings_until_it_archives_and_is_backed_up() -> None:
    """After a failover, with nothing turned on; a promoted copy may say -1 or nothing of its lag."""
    gone = [sql(ARCHIVED, OTHER), backed_up(SECOND)]
    for lag in ({}, {sql(LAG, OTHER): constant(-1)}):
        found = ringing(played(SECOND, lag, gone))
        assert found == {f"{SECOND} main-archiving", f"{SECOND} main-backups"}


@pytest.mark.parametrize(("slow", "requests", "rings"), [(2, 100, True), (0.5, 100, False), (2, 2, False)])
def test_slow_answers_ring_where_there_are_enough(slow: float, requests: float, rings: bool) -> None:
    """`slow` percent of all take longer than the limit."""
    asked = query(alarms(graph(cut(1, objectives={"read_p99_ms": 200}), HOME), HOME)["service-latency"])
    assert asked is not None
    metric = "loadbalancing.googleapis.com/https/backend_latencies"
    labels = {"monitored_resource": KNOWN[metric][0], "backend_name": f"{PREFIX}-{HOME}-service"}
    counts = {"100": 0.9, "200": 1 - slow / 100, "400": 1, "+Inf": 1}
    latencies = {
        series(f"{metric}_bucket", **labels, le=bound): growing(share * requests) for bound, share in counts.items()
    }
    latencies[series(f"{metric}_count", **labels)] = growing(requests)
    rung = asked_of(latencies, {(HOME, "service-latency"): asked}, *SHORT)
    assert set(rung) == ({f"{HOME} service-latency"} if rings else set())


@pytest.mark.parametrize("mode", [RUN, MACHINES])
@pytest.mark.parametrize(("phase", "region"), EVERYWHERE)
def test_every_question_can_be_played(phase: int, region: str, mode: str) -> None:
    for alarm in alarms(built(phase, region, mode), region).values():
        if asked := query(alarm):
            promql.Metrics({}).query(asked["query"])


@pytest.mark.parametrize(
    "text",
    [
        "irate(up[5m])",
        "avg(up)",
        "sum without (region) (up)",
        "up == 1",
        "up > bool 1",
        "up > up",
        "1 < up",
        "up + up",
        "up - ignoring (region) up",
        "up - on (region) group_left () up",
        "-up",
        "up @ 0",
        'up{region!="here"}',
        'up{region="here" or region="there"}',
        "increase(up[5m:1m])",
        "histogram_quantile(2, up)",
        'absent_over_time(up{region="here",region=~"h.*"}[5m])',
        "1",
    ],
)
def test_what_has_no_meaning_here_is_refused_and_not_guessed(text: str) -> None:
    with pytest.raises(promql.UnknownError, match=re.escape("add it there")):
        promql.Metrics({}).query(text)


@pytest.mark.parametrize("text", ["rate(up)", "sum(up", "unheard_of(up)", 'up{region=~"("}', "up and 1"])
def test_what_is_no_promql_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        promql.Metrics({}).query(text)


@pytest.mark.parametrize(
    "text", ["up - on () up", "down - on () up", "up - on () down", 'rate({__name__=~"up|down"}[5m])']
)
def test_what_is_ambiguous_fails(text: str) -> None:
    names = ['up{at="here"}', 'up{at="there"}', 'down{at="here"}']
    metrics = promql.Metrics({promql.named(name): [(0, 1), (60, 2)] for name in names})
    with pytest.raises(promql.AmbiguousError):
        metrics.query(text)(60)
