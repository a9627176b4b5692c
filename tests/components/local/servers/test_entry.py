"""The entry as plain values: who is sent where, and who owns which file."""

import json
from pathlib import Path
from typing import Any

import pytest

from components.local.servers import entry, envoy_files
from components.local.servers.addresses import Addresses
from components.local.servers.envoy_admin import HostHealth

PLACES = Addresses("127.99")
SLOTS = {"eu-central": 0, "us-east": 1, "ap-northeast": 2}
NEAREST = {
    "eu-central": ("eu-central", "us-east", "ap-northeast"),
    "us-east": ("us-east", "eu-central", "ap-northeast"),
    "ap-northeast": ("ap-northeast", "us-east", "eu-central"),
}


def spec(folder: Path, *serving: str, policy: entry.Policy = "home", **more: Any) -> entry.EntrySpec:
    return entry.EntrySpec(
        stack=folder,
        addresses=PLACES,
        serving=serving,
        policy=policy,
        **{"regions": SLOTS, "home": "eu-central", "preference": NEAREST, **more},
    )


def order(of: entry.EntrySpec, user: str) -> list[str]:
    [resource] = entry.users_endpoints(of, user)["resources"]
    assert [each["priority"] for each in resource["endpoints"]] == list(range(len(resource["endpoints"])))
    return [each["locality"]["region"] for each in resource["endpoints"]]


def test_home_first_for_everybody_or_the_nearest(tmp_path: Path) -> None:
    everywhere = ("us-east", "ap-northeast", "eu-central")
    assert order(spec(tmp_path, *everywhere), "ap-northeast") == ["eu-central", "us-east", "ap-northeast"]
    nearest = spec(tmp_path, *everywhere, policy="nearest")
    assert order(nearest, "ap-northeast") == ["ap-northeast", "us-east", "eu-central"]
    assert order(spec(tmp_path, "eu-central", policy="nearest"), "ap-northeast") == ["eu-central"]


def test_users_cross_a_link_unless_they_are_there(tmp_path: Path) -> None:
    nearest = spec(tmp_path, *SLOTS, policy="nearest")
    assert nearest.path("us-east", "us-east") == PLACES.gateway_http(1)
    assert nearest.path("us-east", "ap-northeast") == PLACES.user_link(1, 2)


def test_climbing_changes_endpoint_files_only(tmp_path: Path) -> None:
    entry.ensure_files(spec(tmp_path, "eu-central"))
    steps: list[tuple[tuple[str, ...], entry.Policy]] = [(("eu-central", "us-east"), "home"), (tuple(SLOTS), "nearest")]
    for serving, policy in steps:
        changed = entry.ensure_files(spec(tmp_path, *serving, policy=policy))
        assert set(changed) - {"held_out.json"} == {f"xds/eds/users-{user}.json" for user in SLOTS}
        assert entry.ensure_files(spec(tmp_path, *serving, policy=policy)) == ()


def test_a_standby_is_held_out_until_operations_admit_it_and_then_stays(tmp_path: Path) -> None:
    entry.ensure_files(spec(tmp_path, "eu-central"))
    passive = spec(tmp_path, "eu-central", "us-east")
    entry.ensure_files(passive)
    assert "us-east" in entry.held_out(tmp_path)
    assert entry.hold_out(tmp_path, ["eu-central"])
    assert not entry.hold_out(tmp_path, ["eu-central"])
    assert entry.ensure_files(passive) == ()
    assert entry.held_out(tmp_path) == ("eu-central",)


def test_setting_the_flag_changes_what_a_deployment_would_write(tmp_path: Path) -> None:
    passive = spec(tmp_path, "eu-central", "us-east")
    entry.ensure_files(passive)
    entry.hold_out(tmp_path, ["eu-central"])
    for user in SLOTS:
        expected = entry.users_endpoints(passive, user, ["eu-central"])
        assert envoy_files.read(passive.folder / f"xds/eds/users-{user}.json") == expected


def test_a_region_planned_later_is_held_out_too(tmp_path: Path) -> None:
    entry.ensure_files(spec(tmp_path, "eu-central", "us-east"))
    entry.hold_out(tmp_path, [])
    entry.ensure_files(spec(tmp_path, "eu-central", "us-east", regions={**SLOTS, "eu-west": 3}))
    assert entry.held_out(tmp_path) == ("eu-west",)


def test_serving_the_nearest_admits_all_and_then_heeds_operations(tmp_path: Path) -> None:
    entry.ensure_files(spec(tmp_path, "eu-central", "us-east"))
    reads = spec(tmp_path, *SLOTS, policy="nearest")
    entry.ensure_files(reads)
    assert entry.held_out(tmp_path) == ()
    entry.hold_out(tmp_path, ["us-east"])
    entry.ensure_files(reads)
    assert entry.held_out(tmp_path) == ("us-east",)


def test_a_step_up_admits_the_standby_and_not_what_a_failover_held_out(tmp_path: Path) -> None:
    entry.ensure_files(spec(tmp_path, "eu-central", "us-east"))
    entry.hold_out(tmp_path, ["eu-central", "ap-northeast"])  # the failover: home is gone, the standby takes users
    entry.ensure_files(spec(tmp_path, *SLOTS, policy="nearest"))
    assert entry.held_out(tmp_path) == ("eu-central",)
    entry.ensure_files(spec(tmp_path, "eu-central", "us-east"))  # and down again: the standby stands by
    assert set(entry.held_out(tmp_path)) == {"eu-central", "us-east", "ap-northeast"}


def test_a_flag_that_is_set_during_a_deployment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passive = spec(tmp_path, "eu-central", "us-east")
    entry.ensure_files(passive)
    write = envoy_files.write
    interruptions = iter([["eu-central"]])

    def interrupted(folder: Path, files: envoy_files.Files) -> tuple[str, ...]:
        for regions in interruptions:
            entry.hold_out(tmp_path, regions)
        return write(folder, files)

    monkeypatch.setattr(envoy_files, "write", interrupted)
    entry.ensure_files(passive)
    assert entry.held_out(tmp_path) == ("eu-central",)
    content = (passive.folder / "xds/eds/users-us-east.json").read_text()
    assert json.loads(content) == entry.users_endpoints(passive, "us-east", ["eu-central"])


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        ({}, "absent"),
        ({"eu-central": True, "us-east": True}, "healthy"),
        ({"eu-central": False, "us-east": True}, "partly"),
        ({"eu-central": False, "us-east": False}, "unhealthy"),
    ],
)
def test_a_view(seen: dict[str, bool], state: str) -> None:
    found = {
        f"users-{user}": (
            HostHealth(region="us-east", healthy=healthy, held_out=False),
            HostHealth(region="eu-central", healthy=True, held_out=False),
        )
        for user, healthy in seen.items()
    }
    assert entry.view_of("us-east", found).state == state
    assert entry.view_of("us-east", found).seen_by == seen


def test_a_degraded_region_is_seen_as_such_and_takes_users_last() -> None:
    found = {"users-us-east": (HostHealth(region="us-east", healthy=True, held_out=False, degraded=True),)}
    assert entry.view_of("us-east", found).state == "degraded"
    assert entry.view_of("us-east", found).takes_users


def test_a_held_out_region_is_seen_as_such() -> None:
    found = {"users-us-east": (HostHealth(region="us-east", healthy=True, held_out=True),)}
    assert entry.view_of("us-east", found).state == "held out"
    assert not entry.view_of("us-east", found).takes_users
