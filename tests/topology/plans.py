"""Settings that the tests plan from, and the strategies that make more of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import strategies as st

from topology import Phase, Settings, SettingsError, Target, Topology, load, plan
from topology.catalogue import catalogue

TARGETS: tuple[Target, ...] = ("aws", "gcp", "local")
THREE = ("eu-central", "us-east", "ap-northeast")
# What a cloud needs beside regions.
CLOUD: dict[str, Any] = {
    "hostname": "api.example.com",
    "service": {"image": "ghcr.io/example/orders:1.4.2"},
    "ownership": {"owner": "payments", "cost_center": "cc-4711"},
}
AWS: dict[str, Any] = {"account_id": "123456789012", "zone": {"id": "Z0123456789ABCDEFGHIJ", "name": "example.com"}}
GCP: dict[str, Any] = {
    "project": "example-production",
    "project_number": "123456789012",
    "zone": {"name": "example-com", "dns_name": "example.com"},
}
AMERICAS = {"name": "americas", "slot": 1, "origin": "us-east", "serves": ["US", "CA"]}


def config(*regions: str, target: str = "local", **more: Any) -> dict[str, Any]:
    """A configuration that loads; `more` overrides keys."""
    needed = {"gcp": {**CLOUD, "gcp": GCP}, "aws": {**CLOUD, "aws": AWS}}.get(target, {})
    return {
        "target": target,
        "regions": [{"name": name} for name in regions or THREE],
        "conflicts": {"model": "home-partition"},
        **needed,
        **more,
    }


def settings(*regions: str, **more: Any) -> Settings:
    return load(config(*regions, **more), "test")


def topology(phase: Phase | int, *regions: str, **more: Any) -> Topology:
    partitions = {} if "partitions" in more or regions else {"partitions": [AMERICAS]}
    return plan(settings(*regions, phase=int(phase), **{**partitions, **more}))


def problems(given: Mapping[str, object]) -> tuple[str, ...]:
    """What `load` or `plan` says against a configuration."""
    with pytest.raises(SettingsError) as caught:
        plan(load(given, "test"))
    return caught.value.problems


@st.composite
def region_lists(draw: st.DrawFn, least: int = 2, most: int = 6) -> tuple[Target, list[str]]:
    target = draw(st.sampled_from(TARGETS))
    names = st.sampled_from(sorted(catalogue(target)))
    return target, draw(st.lists(names, min_size=least, max_size=most, unique=True))


@st.composite
def configurations(draw: st.DrawFn) -> dict[str, Any]:
    """Configurations that plan at every phase."""
    target, names = draw(region_lists())
    facts = catalogue(target)
    residency: dict[str, list[str]] = {}
    # Home and the second may write; each further region is allowed a copy or not.
    writers = {facts[name].country for name in names[:2]}
    if draw(st.booleans()):
        residency["primary"] = sorted(writers)
    if draw(st.booleans()):
        residency["copies"] = sorted(writers | {facts[n].country for n in names[2:] if draw(st.booleans())})
    others = draw(st.lists(st.sampled_from(names), max_size=3))

    def rules(origin: str) -> dict[str, list[str]]:
        """A partition's residency, or none: its origin and one more may write, and others may hold a copy."""
        if draw(st.booleans()):
            return {}
        legal = {origin, draw(st.sampled_from(without(names, origin))), *draw(st.lists(st.sampled_from(names)))}
        return {"copies": sorted({facts[name].country for name in legal})}

    return config(
        *names,
        target=target,
        residency=residency,
        partitions=[
            {
                "name": f"part-{slot}",
                "slot": slot,
                "origin": origin,
                "serves": [place],
                "residency": rules(origin),
            }
            for slot, (origin, place) in enumerate(zip([names[-1], *others], ("US", "JP", "BR", "IN"), strict=False), 1)
        ],
    )


def at(given: Mapping[str, Any], phase: Phase | int) -> Topology:
    return plan(load({**given, "phase": int(phase)}, "test"))


def without(regions: Sequence[str], name: str) -> list[str]:
    return [region for region in regions if region != name]
