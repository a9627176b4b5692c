"""The generated documents are those in the repository, and the example stacks plan."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from tests.topology.plans import THREE, problems, topology
from topology import Phase, Topology, load, plan
from topology.document import DOCS, README, documents, settings_markdown, with_ladder
from topology.picture import svg
from topology.schema import KEYS

PROJECT = DOCS.parent
STACKS = sorted(PROJECT.glob("Pulumi.*.yaml"))


@pytest.mark.parametrize("name", sorted(documents()))
def test_the_documents_are_fresh(name: str) -> None:
    committed = (DOCS / name).read_text(encoding="utf-8")
    assert committed == documents()[name], "run `python -m topology.document`"


def test_every_key_is_in_the_table() -> None:
    table = settings_markdown()
    for key in (*KEYS, "regions[].slot", "partitions[].residency.copies", "local.latency"):
        assert f"| `{key}` |" in table
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    assert all(cell.strip() for row in rows for cell in (row.split(" | ")[1], row.split(" | ")[-1].strip("| ")))


def stack(path: Path) -> dict[str, object]:
    return {key.removeprefix("meridian:"): value for key, value in yaml.safe_load(path.read_text())["config"].items()}


def test_the_example_stacks_are_these() -> None:
    assert {path.name.removeprefix("Pulumi.").removesuffix(".yaml") for path in STACKS} >= {
        "dev",
        "staging-aws",
        "production-aws",
        "staging-gcp",
        "production-gcp",
    }


@pytest.mark.parametrize("path", STACKS, ids=lambda path: path.name)
@pytest.mark.parametrize("phase", list(Phase), ids=lambda phase: phase.label)
def test_example_stacks_plan_at_every_phase_they_allow(path: Path, phase: Phase) -> None:
    given = {**stack(path), "phase": phase.label}
    if phase is Phase.ACTIVE_ACTIVE and "partitions" not in given:
        assert any("partitions" in problem for problem in problems(given))
        return
    planned = plan(load(given, "example"))
    assert planned.phase is phase


@pytest.mark.parametrize("path", STACKS, ids=lambda path: path.name)
def test_example_stacks_write_their_slots_down(path: Path) -> None:
    regions = stack(path)["regions"]
    assert isinstance(regions, list)
    assert all("slot" in region for region in regions)


def test_the_dev_stack_starts_small() -> None:
    planned = plan(load(stack(PROJECT / "Pulumi.dev.yaml"), "dev"))
    assert (planned.target, planned.phase) == ("local", Phase.SINGLE_REGION)
    assert [region.name for region in planned.regions] == list(THREE)
    assert len({region.facts.continent for region in planned.regions}) == 3


def texts(picture: str) -> list[tuple[float, float, float, str]]:
    """Left edge, right edge, baseline and words of every text, by a generous guess at its width."""
    found: list[tuple[float, float, float, str]] = []
    for node in ElementTree.fromstring(picture).iter("{http://www.w3.org/2000/svg}text"):
        words, x, size = node.text or "", float(node.attrib["x"]), float(node.attrib["font-size"])
        width = len(words) * size * 0.62
        left = {"start": x, "middle": x - width / 2, "end": x - width}[node.attrib["text-anchor"]]
        found.append((left, left + width, float(node.attrib["y"]), words))
    return found


PICTURES: list[Topology] = [
    *(topology(phase) for phase in Phase),
    topology(1, "eu-central"),
    topology(4, "eu-west-1", "us-east-1", "ap-southeast-2", "sa-east-1", "af-south-1", target="aws"),
]


@pytest.mark.parametrize("planned", PICTURES, ids=lambda planned: f"{planned.phase.label}-{len(planned.regions)}")
def test_a_picture_is_whole_and_nothing_overlaps(planned: Topology) -> None:
    picture = svg(planned)
    assert picture == svg(planned)
    root = ElementTree.fromstring(picture)
    width = float(root.attrib["width"])
    words = texts(picture)
    for left, right, y, text in words:
        assert left >= 0, text
        assert right <= width, text
        for other_left, other_right, other_y, other in words:
            if text != other and abs(y - other_y) < 12:
                assert right <= other_left or other_right <= left, f"{text!r} over {other!r}"
    shown = " ".join(text for *_, text in words)
    for region in planned.regions:
        assert region.facts.place in shown
        assert str(region.cidr) in shown
    assert len(re.findall("<polygon", picture)) == sum(r.has_service for r in planned.regions) + sum(
        len(partition.members) - 1 for partition in planned.partitions
    )


def test_the_readme_has_the_ladder_as_the_code_has_it() -> None:
    text = README.read_text(encoding="utf-8")
    assert with_ladder(text) == text, "run `python -m topology.document`"
    with pytest.raises(ValueError, match="lacks the lines"):
        with_ladder(text.replace("<!-- end of the ladder -->", ""))
