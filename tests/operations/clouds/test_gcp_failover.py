"""Moving the writer on Google Cloud, against Cloud SQL on paper, whose calls are Google's own by its documents."""

from collections.abc import Callable
from typing import Any

import pytest

from operations.drivers import managed
from operations.drivers.gcp_failover import GcpDriver
from operations.drivers.gcp_role import wanted
from operations.errors import Fault
from tests.operations.clouds import discovery, runs, stacks
from tests.operations.clouds.google import PRIMARY, REPLICA, Broken, Google

PROJECT = "example-production"
HOME, OTHER, THIRD = "europe-west3", "europe-west1", "us-east4"


def instance_name(region: str) -> str:
    return f"meridian-production-gcp-main-{region}"


def instance(region: str, home: str) -> dict[str, Any]:
    settings: dict[str, Any] = {"tier": "db-perf-optimized-N-2", "activationPolicy": "ALWAYS"}
    found: dict[str, Any] = {"name": instance_name(region), "region": region, "state": "RUNNABLE", "settings": settings}
    if region == home:
        return {**found, "instanceType": PRIMARY, "replicationCluster": {}}
    master = f"{PROJECT}:{instance_name(home)}"
    return {**found, "instanceType": REPLICA, "masterInstanceName": master, "replicationCluster": {}}


class Setup:
    """A stack with members in those regions, and a driver of its partition `main`."""

    def __init__(self, phase: str) -> None:
        self.stack = stacks.stack("gcp", phase)
        self.regions = stacks.regions(self.stack)
        services = f"projects/{PROJECT}/global/backendServices"
        traffic = {"map": f"projects/{PROJECT}/global/urlMaps/entry", "planned": f"{services}/planned"}
        for region in self.regions:
            traffic |= {key: f"{services}/{key.replace('/', '-')}" for key in (f"without/{region}", f"alone/{region}")}
        domain = "meridian-production-gcp.internal."
        ids = {f"main-{region}": f"{PROJECT}:{region}:{instance_name(region)}" for region in self.regions}
        self.outputs = stacks.outputs(self.stack, ids, {"writers": {"main": f"main.{domain}5432"}}, traffic)
        self.outputs["levers"]["writers"]["main"] = f"main.{domain.rstrip('.')}:5432"
        self.google = Google(
            project=PROJECT,
            home=HOME,
            instances={instance_name(region): instance(region, HOME) for region in self.regions},
            domain=domain,
            record={
                "name": f"main.{domain}",
                "type": "CNAME",
                "ttl": 5,
                "rrdatas": [f"main-{HOME}.members.{domain}"],
            },
            services=[service for key, service in traffic.items() if key != "map"],
            map_name="entry",
            map_leads=traffic["planned"],
        )

    @property
    def driver(self) -> GcpDriver:
        """Each one as another process would have it."""
        made = GcpDriver(managed.ground(self.stack, self.outputs, "main", None), self.google)
        made.pause = made.admission.pause = lambda _: None
        return made

    def writers(self) -> list[str]:
        return [self.google.instances[name]["region"] for name in self.google.primaries()]

    def leads(self) -> str:
        return self.google.map_leads.rpartition("/")[2]

    def led(self) -> str:
        return self.google.record["rrdatas"][0].partition(".")[0]


@pytest.fixture
def setup(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Setup]:
    runs.reached_from_here(monkeypatch, lambda _region: 200)
    return Setup


def test_the_paper_refuses_what_google_does_not_have(setup: Callable[[str], Setup]) -> None:
    google, path = setup("3").google, f"v1/projects/{PROJECT}/instances/{instance_name(OTHER)}"
    for verb, where, query, body in (
        ("POST", f"{path}/promote", None, None),
        ("POST", f"{path}/promoteReplica", {"force": "true"}, None),
        ("PATCH", path, None, {"replicationCluster": {"failoverReplica": "x"}}),
        ("PATCH", path, None, {"settings": {"activationPolicy": "OFF"}}),
    ):
        with pytest.raises(discovery.Unlike):
            google("sqladmin", verb, where, query, body)


def test_what_is_seen_of_a_healthy_partition(setup: Callable[[str], Setup]) -> None:
    built = setup("3")
    built.google.lag[instance_name(OTHER)] = 2.5
    seen = built.driver.observe()
    assert seen.writer == HOME
    assert seen.members[HOME].accepts_writes
    assert not seen.members[OTHER].accepts_writes
    assert (seen.members[OTHER].role, seen.members[OTHER].following) == ("replica", HOME)
    assert seen.members[OTHER].lag_seconds == 2.5
    assert seen.members[OTHER].can_take_load
    assert seen.admitted == {HOME}
    assert seen.pointers == {HOME: HOME, OTHER: HOME}
    assert len(seen.vantages) == 2


def test_what_may_be_lost_grows_from_the_last_sample_once_the_writer_is_gone(setup: Callable[[str], Setup]) -> None:
    built = setup("3")
    built.google.dead.add(instance_name(HOME))
    built.google.lag[instance_name(OTHER)] = 2.0
    seen = built.driver.observe()
    assert seen.writer == HOME
    assert not seen.members[HOME].reachable
    found = seen.members[OTHER].lag_seconds
    assert found is not None
    assert found == pytest.approx(62.0, abs=2.0)


def test_a_copy_that_follows_nobody_has_no_lag_and_an_old_sample_is_no_sign_of_life(
    setup: Callable[[str], Setup],
) -> None:
    built = setup("3")
    built.google.lag[instance_name(OTHER)] = -1.0
    assert built.driver.observe().members[OTHER].lag_seconds is None
    built.google.sampled = 400.0
    assert not built.driver.observe().members[OTHER].reachable


def test_settling_gives_the_writer_what_belongs_to_its_role_once(setup: Callable[[str], Setup]) -> None:
    built = setup("3")
    assert not built.driver.settle().already
    home = built.google.instances[instance_name(HOME)]
    assert home["replicationCluster"]["failoverDrReplicaName"] == f"{PROJECT}:{instance_name(OTHER)}"
    assert home["settings"]["backupConfiguration"]["pointInTimeRecoveryEnabled"]
    assert built.driver.settle().already


def test_a_region_that_residency_forbids_is_not_designated(setup: Callable[[str], Setup]) -> None:
    built = setup("4")
    assert built.regions == [HOME, OTHER, THIRD]
    assert built.driver.heir(HOME) == OTHER
    built.google.instances[instance_name(OTHER)]["state"] = "FAILED"
    assert built.driver.heir(HOME) is None


def test_a_switchover_there_and_back(setup: Callable[[str], Setup]) -> None:
    built = setup("3")
    built.driver.settle()
    for writer, target, leads in ((HOME, OTHER, f"without-{HOME}"), (OTHER, HOME, "planned")):
        journal = runs.begun("switchover", built.driver, writer, target)
        runs.carry_on(journal, built.driver, built.regions)
        assert built.writers() == [target]
        assert built.led() == f"main-{target}"
        assert built.leads() == leads
        primary = built.google.instances[instance_name(target)]
        assert primary["settings"]["backupConfiguration"]["enabled"]
        assert primary["settings"]["backupConfiguration"]["location"] == target
    assert "sql.instances.promoteReplica" not in built.google.calls
    assert built.google.calls.count("sql.instances.switchover") == 2


@pytest.mark.deep
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("kind", ["switchover", "failover"])
def test_a_run_that_breaks_at_any_call_is_taken_up(setup: Callable[[str], Setup], kind: Any, after: bool) -> None:
    """Until it gets through unbroken; each time one writer, writes pointed at it, and one move."""
    call, whole = 0, False
    while not whole:
        built = setup("3")
        built.driver.settle()
        if kind == "failover":
            built.google.dead.add(instance_name(HOME))
        journal = runs.begun(kind, built.driver, HOME, OTHER)
        built.google.calls.clear()
        built.google.fuse, built.google.after = call, after
        try:
            runs.carry_on(journal, built.driver, built.regions)
            whole = built.google.fuse is not None
            built.google.fuse = None
        except Broken:
            runs.carry_on(journal, built.driver, built.regions)
        assert built.led() == f"main-{OTHER}", call
        assert built.leads() == f"without-{HOME}", call
        assert instance_name(OTHER) in built.google.primaries(), call
        moves = [each for each in built.google.calls if each.rpartition(".")[2] in ("switchover", "promoteReplica")]
        assert len(moves) == 1, call
        assert moves[0].endswith("switchover" if kind == "switchover" else "promoteReplica")
        call += 1
    assert call > 20


def test_after_a_failover_the_old_writer_comes_back_as_a_copy(setup: Callable[[str], Setup]) -> None:
    built = setup("3")
    built.driver.settle()
    built.google.dead.add(instance_name(HOME))
    runs.carry_on(runs.begun("failover", built.driver, HOME, OTHER), built.driver, built.regions)
    said = built.driver.follows(HOME, OTHER)
    assert said is not None
    assert "primary of its own" in said
    built.google.revive()
    runs.carry_on(runs.begun("failback", built.driver, OTHER, HOME, away=HOME), built.driver, built.regions)
    assert built.writers() == [HOME]
    assert built.leads() == "planned"


def test_an_old_writer_that_goes_on_by_itself_is_stopped_and_not_called_a_copy(setup: Callable[[str], Setup]) -> None:
    """Nobody could designate the target, so Cloud SQL does not attach the old writer."""
    built = setup("3")
    built.google.dead.add(instance_name(HOME))
    done = built.driver.promote(OTHER, 1)
    assert "not designated" in done.detail
    built.driver.point(OTHER)
    built.google.revive()
    seen = built.driver.observe()
    assert [region for region, facts in seen.members.items() if facts.accepts_writes] == [HOME, OTHER]
    assert not built.driver.stop_writer(HOME).already
    assert built.driver.stop_writer(HOME).already
    assert [region for region, facts in built.driver.observe().members.items() if facts.accepts_writes] == [OTHER]
    ticks = iter(range(0, 10**6, 1800))
    driver = built.driver
    driver.clock = lambda: float(next(ticks))
    with pytest.raises(Fault, match="primary of its own"):
        driver.rejoin(HOME, OTHER)


def test_a_writer_that_writes_is_not_stopped_by_itself(setup: Callable[[str], Setup]) -> None:
    built = setup("3")
    assert built.driver.stop_writer(HOME).already
    assert "sql.instances.patch" not in built.google.calls


def test_writes_are_pointed_at_no_copy(setup: Callable[[str], Setup]) -> None:
    built = setup("3")
    with pytest.raises(Fault, match="no primary"):
        built.driver.point(OTHER)
    assert built.led() == f"main-{HOME}"


def test_an_operation_that_failed_is_said_in_googles_words(setup: Callable[[str], Setup]) -> None:
    built = setup("3")
    built.google.dead.add(instance_name(HOME))
    with pytest.raises(Fault, match="INTERNAL_ERROR: the instance does not answer"):
        built.driver.change(HOME, {"settings": {"activationPolicy": "NEVER"}})


def test_reinstating_after_a_switchover_that_came_through_switches_back(setup: Callable[[str], Setup]) -> None:
    built = setup("3")
    built.driver.settle()
    built.driver.catch_up(OTHER, HOME)
    assert built.writers() == [OTHER]
    assert not built.driver.reinstate(HOME, 1).already
    assert built.writers() == [HOME]
    assert built.driver.reinstate(HOME, 1).already


@pytest.mark.parametrize(
    ("phase", "before", "target", "hold_out", "leads"),
    [
        ("3", "planned", OTHER, {HOME}, f"without-{HOME}"),
        ("3", f"without-{HOME}", HOME, {OTHER}, "planned"),
        ("3", "planned", HOME, set(), "planned"),
        ("4", "planned", OTHER, set(), "planned"),
        ("4", f"without-{OTHER}", OTHER, set(), "planned"),
        ("4", f"without-{THIRD}", OTHER, set(), f"without-{THIRD}"),
        ("4", "planned", OTHER, {HOME}, f"without-{HOME}"),
        ("4", f"without-{THIRD}", OTHER, {HOME}, f"alone-{OTHER}"),
    ],
)
def test_the_map_leads_to_the_target_and_to_nobody_held_out(
    setup: Callable[[str], Setup], phase: str, before: str, target: str, hold_out: set[str], leads: str
) -> None:
    built = setup(phase)
    built.google.map_leads = f"projects/{PROJECT}/global/backendServices/{before}"
    done = built.driver.admit(target, hold_out)
    assert built.leads() == leads
    assert done.already is (before == leads)


def test_what_a_writer_gets_is_what_the_origin_is_born_with() -> None:
    """One description: operations say of any region what the program says of the origin's."""
    from operations.recording import record

    graph = record("production-gcp", phase="2")
    born = next(
        each for each in graph if each.type == "gcp:sql/databaseInstance:DatabaseInstance" and HOME in each.name
    )
    said = wanted(stacks.stack("gcp", "2").topology, HOME)
    assert {key: born.inputs["settings"][key] for key in said} == said
