"""Tells a blip from an outage: several vantages, each of which has to miss the writer several times in a row. Pure.

One lost packet, one slow answer and one cut link are no outage. Patroni and pg_auto_failover ask for the same two
things before they act: time (a lease's length, a number of missed checks) and agreement (a quorum, a third opinion).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

Verdict: TypeAlias = Literal["well", "suspect", "outage"]
Change: TypeAlias = Literal["suspected", "blip", "lost", "recovered"]

INTERVAL = 0.4  # seconds from one look's beginning to the next one's, or as long as the look takes
JITTER = 0.2  # of the interval, either way: watchers that began together do not go on asking together


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Three misses are 1 to 2 s: longer than a restarted gateway (0.2 s) or a lost connection's retry, shorter than the
    lease (3 s), which has to run out in any case before anybody is promoted."""

    misses: int = 3
    answers: int = 3  # in a row, from every vantage that agreed on the outage, before it counts as over
    # Each outage adds one; this is how long half of it is remembered. Above the limit nothing is done automatically: a
    # writer that was moved twice within minutes has a trouble that moving it does not mend.
    half_life: float = 600.0
    limit: float = 1.8


@dataclass(frozen=True, kw_only=True)
class Watch:
    """What is remembered between two looks."""

    rules: Rules = field(default_factory=Rules)
    misses: Mapping[str, int] = field(default_factory=dict)  # in a row, by vantage
    answers: Mapping[str, int] = field(default_factory=dict)
    verdict: Verdict = "well"
    penalty: float = 0.0
    at: float | None = None

    @property
    def damped(self) -> bool:
        return self.penalty > self.rules.limit


def look(watch: Watch, at: float, reached: Mapping[str, bool]) -> tuple[Watch, Change | None]:
    """After one look: whether each vantage that could be asked reaches the writer.

    A vantage that cannot be asked has no vote, and its count begins anew: its silence is no news of the writer. An
    outage needs a majority of those asked, and two at least: a single vantage that misses the writer may be the one
    that is cut off.
    """
    misses = {name: 0 if seen else watch.misses.get(name, 0) + 1 for name, seen in reached.items()}
    answers = {name: watch.answers.get(name, 0) + 1 if seen else 0 for name, seen in reached.items()}
    agreed = [name for name, count in misses.items() if count >= watch.rules.misses]
    penalty = _decayed(watch, at)
    change: Change | None = None
    verdict = watch.verdict
    if watch.verdict == "outage":
        well = [name for name, count in answers.items() if count >= watch.rules.answers]
        if len(well) * 2 > len(reached):
            verdict, change = "well", "recovered"
    elif len(agreed) >= 2 and len(agreed) * 2 > len(reached):
        verdict, change, penalty = "outage", "lost", penalty + 1
    elif any(misses.values()):
        verdict = "suspect"
        change = "suspected" if watch.verdict == "well" else None
    elif watch.verdict == "suspect" and reached:
        verdict, change = "well", "blip"
    return replace(watch, misses=misses, answers=answers, verdict=verdict, penalty=penalty, at=at), change


def moved(watch: Watch) -> Watch:
    """Another member writes now: what was counted was about the old one. How often it happened is remembered."""
    return Watch(rules=watch.rules, penalty=watch.penalty, at=watch.at)


def pause(random: float, took: float = 0.0) -> float:
    """Seconds until the next look, after one that took so long; `random` is from 0 to 1."""
    return max(0.0, INTERVAL * (1 + JITTER * (2 * random - 1)) - took)


def _decayed(watch: Watch, at: float) -> float:
    if watch.at is None or at <= watch.at:
        return watch.penalty
    return watch.penalty * 0.5 ** ((at - watch.at) / watch.rules.half_life)
