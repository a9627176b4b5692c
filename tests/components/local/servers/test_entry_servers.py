"""The entry and three gateways as real Envoys: users are served, also while things fail and while the stack grows."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from components.local.servers import entry, envoy_process, gateway, paths, process
from tests.components.local.servers.envoy_stage import HOME, SLOTS, Load, Stage, Stream, eventually

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Three regions that serve, each user the nearest."""
    made = Stage(tmp_path_factory.mktemp("entry"))
    try:
        made.join(*SLOTS)
        for region in SLOTS:
            made.service(region)
            made.gateway(region)
        made.entry(*SLOTS)
        yield made
    finally:
        made.close()


@pytest.fixture(autouse=True)
def as_at_the_start(stage: Stage) -> None:
    for link in stage.links:
        link.cut = False
    for region in SLOTS:
        service = stage.service(region)
        service.status, service.ready, service.degraded, service.hang = 200, True, False, False
        service.requests.clear()
        stage.gateway(region)
    stage.entry(*SLOTS)
    entry.hold_out(stage.folder, [])
    eventually(lambda: all(stage.state(region) == "healthy" for region in SLOTS))


def ask(stage: Stage, user: str | None, method: str = "GET", path: str = "/orders/1", **headers: str) -> httpx.Response:
    where = {"x-user-region": user} if user else {}
    with stage.users() as client:
        return client.request(method, path, headers={**where, **{k.replace("_", "-"): v for k, v in headers.items()}})


def test_users_are_served_by_the_nearest_region(stage: Stage) -> None:
    for region in SLOTS:
        answer = ask(stage, region)
        assert (answer.status_code, answer.json()["region"]) == (200, region)
        assert answer.json()["headers"]["x-user-region"] == region


def test_users_who_do_not_say_where_they_are_count_as_home(stage: Stage) -> None:
    answer = ask(stage, None)
    assert answer.json()["region"] == answer.json()["headers"]["x-user-region"] == HOME


@pytest.mark.parametrize("region", ["nowhere", "us-east,us-east", "us-east2", ""])
def test_an_unknown_region_is_refused(stage: Stage, region: str) -> None:
    with stage.users() as client:
        answer = client.post("/orders", headers={"x-user-region": region})
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    problem = answer.json()
    assert (problem["status"], problem["title"]) == (400, "Bad Request")
    assert all(known in problem["detail"] for known in SLOTS)


def test_what_a_user_sends_goes_on_and_what_is_ours_does_not(stage: Stage) -> None:
    kept = {
        "x-request-id": "my-own",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "tracestate": "a=b",
        "idempotency-key": "k",
    }
    ours = {"x-meridian-forwarded-by": "us-east", "x-meridian-partition": "main", "x-meridian-deadline-ms": "1"}
    with stage.users() as client:
        answer = client.post("/orders", headers={**kept, **ours, "x-forwarded-for": "203.0.113.9"})
    got = answer.json()["headers"]
    assert kept == {name: got.get(name) for name in kept}
    assert not set(ours) & set(got)
    assert not [name for name in (*got, *answer.headers) if name.startswith("x-envoy")]
    # The client's own claim comes first, the address the entry saw last: only the last can be trusted.
    claimed, seen = got["x-forwarded-for"].replace(" ", "").split(",")
    assert (claimed, seen) != ("203.0.113.9", "203.0.113.9")
    assert claimed == "203.0.113.9"
    assert answer.headers["x-request-id"] == "my-own"
    assert "server" not in answer.headers


def test_a_request_gets_an_id(stage: Stage) -> None:
    answer = ask(stage, HOME)
    assert len(answer.headers["x-request-id"]) == 36
    assert answer.headers["x-request-id"] == answer.json()["headers"]["x-request-id"]


def test_nobody_steers_retries_and_timeouts_from_outside(stage: Stage) -> None:
    stage.services["us-east"].status = 503
    steered = {"x_envoy_retry_on": "5xx", "x_envoy_max_retries": "3", "x_envoy_upstream_rq_timeout_ms": "1"}
    # Often: an answer may come within a millisecond.
    assert {ask(stage, "us-east", "POST", "/orders/steer", **steered).status_code for _ in range(40)} == {503}
    assert len(stage.services["us-east"].asked("/orders/steer")) == 40


class TestFailover:
    def test_a_dead_service_fails_no_read_and_comes_back(self, stage: Stage) -> None:
        load = Load(stage=stage, headers={"x-user-region": "us-east"})
        with load.running():
            time.sleep(0.3)
            stage.run(stage.services["us-east"].stop())
            eventually(lambda: stage.state("us-east") == "unhealthy")
            time.sleep(0.2)
            assert load.served[-1] == "eu-central"
            stage.service("us-east")
            assert eventually(lambda: load.served[-1] == "us-east") < 5
        assert load.failed == []
        assert load.slowest < 2

    def test_a_dead_gateway_fails_no_read(self, stage: Stage) -> None:
        load = Load(stage=stage, headers={"x-user-region": "us-east"})
        with load.running():
            time.sleep(0.3)
            server = process.running(paths.gateway_folder(stage.folder, "us-east"))
            assert server is not None
            gateway.stop(stage.folder, "us-east")
            assert eventually(lambda: stage.state("us-east") == "unhealthy") < 3
            stage.gateway("us-east")
            eventually(lambda: load.served[-1] == "us-east")
        assert load.failed == []

    def test_a_dead_gateway_fails_no_write_with_a_key(self, stage: Stage) -> None:
        load = Load(stage=stage, headers={"x-user-region": "us-east"}, method="POST", path="/orders", keyed=True)
        with load.running():
            time.sleep(0.3)
            gateway.stop(stage.folder, "us-east")
            eventually(lambda: stage.state("us-east") == "unhealthy")
        assert load.failed == []
        assert load.served[-1] == "eu-central"

    def test_a_lost_path_is_left_when_the_checks_fail(self, stage: Stage) -> None:
        """Nothing is refused and nothing is answered: the connections' pings find it, for requests in flight too."""
        keyed = Load(
            stage=stage, headers={"x-user-region": "us-east"}, method="POST", path="/orders", keyed=True, rate=30
        )
        reads = Load(stage=stage, headers={"x-user-region": "us-east"}, rate=30)
        stage.run(stage.services["us-east"].stop())
        eventually(lambda: stage.state("us-east") == "unhealthy")  # users go over the link to home
        with keyed.running(), reads.running():
            time.sleep(0.3)
            stage.user_links["us-east", HOME].cut = True
            eventually(lambda: keyed.served[-1] == reads.served[-1] == "ap-northeast")
            time.sleep(0.2)
        assert keyed.failed == reads.failed == []
        assert max(keyed.slowest, reads.slowest) < 4
        assert stage.state(HOME) == "partly"

    def test_a_blip_is_no_outage(self, stage: Stage) -> None:
        service = stage.services["us-east"]
        before = service.refused
        service.ready = False
        eventually(lambda: service.refused > before)
        service.ready = True
        began = time.monotonic()
        while time.monotonic() - began < 1.5:
            assert stage.state("us-east") == "healthy"
            time.sleep(0.02)

    def test_a_degraded_region_is_used_last(self, stage: Stage) -> None:
        """Envoy takes it from the health check's answer, through the region's own gateway."""
        stage.services["us-east"].degraded = True
        eventually(lambda: stage.state("us-east") == "degraded")
        for _ in range(10):
            assert ask(stage, "us-east").json()["region"] != "us-east"
        for region in SLOTS:
            stage.services[region].degraded = True
        eventually(lambda: all(stage.state(region) == "degraded" for region in SLOTS))
        assert ask(stage, "us-east").status_code == 200
        stage.services[HOME].ready = stage.services["ap-northeast"].ready = False
        eventually(lambda: stage.state(HOME) == stage.state("ap-northeast") == "unhealthy")
        assert ask(stage, "us-east").json()["region"] == "us-east"

    def test_writes_refused_everywhere_take_no_region_from_readers(self, stage: Stage) -> None:
        """The writer is gone: every region answers 503 to writes, and goes on reading."""
        for service in stage.services.values():
            service.status = 503
        for number in range(15):
            assert ask(stage, "us-east", "POST", idempotency_key=str(number)).status_code == 503
        for service in stage.services.values():
            service.status = 200
        assert ask(stage, "us-east").json()["region"] == "us-east"


class TestRetries:
    @pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
    def test_a_write_with_a_key_is_healed_elsewhere(self, stage: Stage, method: str) -> None:
        stage.services["us-east"].status = 503
        answer = ask(stage, "us-east", method, "/orders/keyed", idempotency_key="k")
        assert (answer.status_code, answer.json()["region"]) == (200, "eu-central")
        assert len(stage.services["us-east"].asked("/orders/keyed")) == 1

    @pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
    def test_a_write_without_a_key_is_tried_once(self, stage: Stage, method: str) -> None:
        stage.services["us-east"].status = 503
        assert ask(stage, "us-east", method, "/orders/bare").status_code == 503
        assert len(stage.services["us-east"].asked("/orders/bare")) == 1
        assert not stage.services["eu-central"].asked("/orders/bare")

    def test_a_write_that_got_no_answer_in_time_is_healed_elsewhere(self, stage: Stage) -> None:
        stage.services["us-east"].status = 504
        answer = ask(stage, "us-east", "POST", "/orders/late", idempotency_key="k")
        assert (answer.status_code, answer.json()["region"]) == (200, "eu-central")

    @pytest.mark.parametrize("status", [400, 404, 409, 412, 422, 500])
    def test_an_answer_is_an_answer(self, stage: Stage, status: int) -> None:
        stage.services["us-east"].status = status
        assert ask(stage, "us-east", "POST", "/orders/answer", idempotency_key="k").status_code == status
        assert len(stage.services["us-east"].asked("/orders/answer")) == 1

    def test_a_silent_region_is_not_waited_for_when_reading(self, stage: Stage) -> None:
        stage.services["us-east"].hang = True
        began = time.monotonic()
        assert ask(stage, "us-east").json()["region"] == "eu-central"
        assert time.monotonic() - began < 4


class TestHeldOut:
    def test_it_takes_nobody_and_is_taken_back_by_a_file(self, stage: Stage) -> None:
        entry.hold_out(stage.folder, ["us-east"])
        assert eventually(lambda: ask(stage, "us-east").json()["region"] == "eu-central") < 1
        assert stage.state("us-east") == "held out"
        stage.entry(*SLOTS)  # a deployment does not lift it
        assert ask(stage, "us-east").json()["region"] == "eu-central"
        entry.hold_out(stage.folder, [])
        assert eventually(lambda: ask(stage, "us-east").json()["region"] == "us-east") < 1

    def test_draining_a_region_under_load_fails_nothing(self, stage: Stage) -> None:
        load = Load(stage=stage, headers={"x-user-region": "us-east"}, method="POST", path="/orders")
        with load.running():
            for held in (["us-east"], ["us-east", "eu-central"], []):
                time.sleep(0.2)
                entry.hold_out(stage.folder, held)
            time.sleep(0.2)
        assert load.failed == []
        assert set(load.served) == set(SLOTS)

    def test_the_last_region_gone_is_a_clear_refusal(self, stage: Stage) -> None:
        entry.hold_out(stage.folder, ["us-east", "ap-northeast"])
        eventually(lambda: stage.state("ap-northeast") == "held out")
        stage.run(stage.services[HOME].stop())
        eventually(lambda: stage.state(HOME) == "unhealthy")
        stage.services["us-east"].requests.clear()
        for method in ("GET", "POST"):
            answer = ask(stage, "us-east", method)
            assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
            assert answer.headers["retry-after"] == "1"
            assert answer.json()["title"] == "Service Unavailable"
        assert stage.services["us-east"].requests == []


def test_a_standby_takes_over_when_it_is_promoted(stage: Stage) -> None:
    try:
        stage.entry(HOME, "us-east", policy="home")
        entry.hold_out(stage.folder, ["us-east"])
        eventually(lambda: stage.state("us-east") == "held out" and stage.state("ap-northeast") == "absent")
        assert ask(stage, "us-east").json()["region"] == HOME
        gateway.stop(stage.folder, HOME)
        eventually(lambda: ask(stage, "us-east").status_code == 503)
        entry.hold_out(stage.folder, [HOME])
        assert eventually(lambda: ask(stage, "ap-northeast").status_code == 200) < 1
        stage.entry(HOME, "us-east", policy="home")
        assert ask(stage, "ap-northeast").json()["region"] == "us-east"
    finally:
        stage.gateway(HOME)


def test_no_answer_in_time_is_a_problem(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry, "WRITE_TRY_TIMEOUT", "0.5s")
    stage.entry(*SLOTS)
    eventually(lambda: ask(stage, "us-east").status_code == 200)
    stage.services["us-east"].hang = True
    answer = ask(stage, "us-east", "POST", "/orders/silent")
    assert (answer.status_code, answer.headers["content-type"]) == (504, "application/problem+json")
    assert answer.headers["retry-after"] == "1"
    assert len(stage.services["us-east"].asked("/orders/silent")) == 1


def test_ready_and_seen_only_while_it_runs(stage: Stage) -> None:
    assert entry.is_ready(stage.addresses)
    assert entry.stop(stage.folder)
    assert not entry.is_ready(stage.addresses)
    assert entry.view(stage.addresses.entry_admin(), SLOTS) is None
    assert not entry.stop(stage.folder)


def test_a_stack_grows_under_load_and_drops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Phases 1 to 4, with users everywhere and a replica attached, and no Envoy restarted."""
    monkeypatch.setattr(envoy_process, "DRAIN_SECONDS", 1)
    stage = Stage(tmp_path)
    try:
        stage.join(HOME)
        stage.service(HOME)
        stage.database(HOME)
        stage.gateway(HOME)
        stage.entry(HOME, policy="home")
        first = {folder: process.running(folder) for folder in (paths.entry_folder(stage.folder),)}
        first[paths.gateway_folder(stage.folder, HOME)] = process.running(paths.gateway_folder(stage.folder, HOME))
        eventually(lambda: stage.state(HOME) == "healthy")
        loads = [Load(stage=stage, headers={"x-user-region": user}, rate=20) for user in SLOTS]
        writes = [
            Load(stage=stage, headers={"x-user-region": user}, rate=20, method="POST", path="/orders") for user in SLOTS
        ]
        with contextlib.ExitStack() as running:
            for load in (*loads, *writes):
                running.enter_context(load.running())
            time.sleep(0.3)
            # 2: a replica, no service
            stage.join(HOME, "us-east")
            stage.database("us-east")
            stage.gateway("us-east", service=None)
            stage.gateway(HOME)
            stream = stage.run(Stream.open(stage.addresses.gateway_database(SLOTS["us-east"], 0)))
            assert stream.greeting == HOME
            stage.entry(HOME, policy="home")
            time.sleep(0.3)
            # 3: a standby, held out
            stage.service("us-east")
            stage.gateway("us-east")
            stage.entry(HOME, "us-east", policy="home")
            eventually(lambda: stage.state("us-east") == "held out")
            time.sleep(0.3)
            assert not stage.services["us-east"].requests
            # 4: every region serves its own users
            stage.join(*SLOTS)
            stage.database("ap-northeast")
            stage.service("ap-northeast")
            stage.gateway("ap-northeast")
            for region in (HOME, "us-east"):
                stage.gateway(region)
            stage.entry(*SLOTS, policy="nearest")
            eventually(lambda: [load.served[-1] for load in loads] == list(SLOTS))
            time.sleep(1.5)  # what drains is cut by now
            assert stage.run(stream.echo("still here")) == "still here"
            stage.run(stream.close())
        assert [load.failed for load in (*loads, *writes)] == [[]] * 6
        assert {folder: process.running(folder) for folder in first} == first
    finally:
        stage.close()
