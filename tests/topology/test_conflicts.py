"""The conflict model: one is supported, and whoever asks for another is told why, and where to read on."""

import re
from pathlib import Path

import pytest

from tests.topology.plans import AMERICAS, config, problems
from topology.checks import REFUSED_MODELS

PROJECT = Path(__file__).resolve().parents[2]
DOCUMENT = re.compile(r"docs/[\w./-]+\w")


@pytest.mark.parametrize("phase", ["1", "5"])
@pytest.mark.parametrize(
    ("model", "why", "product"),
    [
        ("last-writer-wins", "drops one of two acknowledged writes", "DynamoDB global tables"),
        ("consensus", "needs another database than PostgreSQL", "CockroachDB"),
    ],
)
def test_a_model_that_is_refused_is_refused_with_its_reason_and_an_adr(
    model: str, why: str, product: str, phase: str
) -> None:
    (said,) = problems({**config(partitions=[AMERICAS]), "phase": phase, "conflicts": {"model": model}})
    assert said.startswith(f'conflicts.model: "{model}" is not supported.')
    assert why in said
    assert said.endswith(
        "Allowed: home-partition, where each customer's data has one writer. "
        "Write `conflicts: {model: home-partition}`."
    )
    (adr,) = DOCUMENT.findall(said)
    text = (PROJECT / adr).read_text(encoding="utf-8")
    # Why, and which products fit.
    assert model.replace("-", " ").split()[0] in text.lower()
    assert product in text


def test_every_model_that_is_spoken_of_has_a_case_above() -> None:
    assert set(REFUSED_MODELS) == {"last-writer-wins", "consensus"}


def test_a_word_that_is_no_model_is_told_the_nearest() -> None:
    (said,) = problems({**config(), "conflicts": {"model": "home-partitions"}})
    assert 'conflicts.model: "home-partitions" is not supported. Did you mean home-partition?' in said


def test_phase_five_asks_for_it_and_no_phase_below() -> None:
    given = {**config(partitions=[AMERICAS]), "conflicts": {}}
    (said,) = problems({**given, "phase": "5"})
    assert said.startswith("conflicts.model: is missing, and active-active needs a declared conflict model.")
    assert "Write `conflicts: {model: home-partition}`, or stay at multi-region-reads." in said
    assert [(PROJECT / path).is_file() for path in DOCUMENT.findall(said)] == [True]


@pytest.mark.parametrize("room", ["topology", "operations"])
def test_what_messages_and_comments_point_to_is_there(room: str) -> None:
    named = {
        found
        for path in (PROJECT / room).rglob("*.py")
        for found in DOCUMENT.findall(path.read_text(encoding="utf-8"))
        if found.endswith(".md")
    }
    assert named
    assert [path for path in sorted(named) if not (PROJECT / path).is_file()] == []
