"""Many rounds of many scenarios: what is left to do and for how long, and when no other round may begin."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean
from typing import Any

from operations.drill import report
from operations.drill.result import Result
from operations.drill.scenario import Scenario

GUESS = 30.0  # seconds of a round, before any was timed


@dataclass
class Campaign:
    plan: Sequence[tuple[Scenario, int]]  # each with its rounds
    drill: Callable[[Scenario, int], Result]  # one round, judged and recorded
    broken: Callable[[], str | None]  # why no other round may begin; asked after one that went wrong
    tell: Callable[[str], None]
    seconds: dict[str, list[float]] = field(default_factory=dict)  # that rounds took, here and before, by scenario
    results: list[Result] = field(default_factory=list)
    met: list[bool] = field(default_factory=list)
    stopped: str | None = None

    @property
    def passed(self) -> bool:
        return self.stopped is None and all(self.met) and all(each.verdict == "passed" for each in self.results)

    @property
    def rounds(self) -> int:
        return sum(count for _, count in self.plan)

    def left(self) -> float:
        """Seconds until the end, as earlier rounds went."""
        known = [one for found in self.seconds.values() for one in found]
        other = mean(known) if known else GUESS
        done = len(self.results)
        total = 0.0
        for scenario, count in self.plan:
            open_rounds = max(0, count - done)
            done = max(0, done - count)
            total += open_rounds * mean(self.seconds.get(scenario.name) or [other])
        return total

    def run(self) -> None:
        try:
            for scenario, count in self.plan:
                if not self._scenario(scenario, count):
                    return
        except KeyboardInterrupt:
            self.tell("interrupted. What was broken may still be; `up` and `status` come next. What is recorded stays.")
            raise

    def _scenario(self, scenario: Scenario, count: int) -> bool:
        """Whether to go on."""
        rounds: list[Result] = []
        for number in range(1, count + 1):
            where = f"{scenario.name}, round {number} of {count}"
            if self.rounds > 1:
                where += f"; {len(self.results)} of {self.rounds} done, about {span(self.left())} left"
            self.tell(f"drill     {where}")
            found = self.drill(scenario, number)
            rounds.append(found)
            self.results.append(found)
            self.seconds.setdefault(scenario.name, []).append(found.took)
            self._tell(found)
            if found.faults and (why := self.broken()) is not None:
                self.stopped = why
                self.tell(f"  the stack is not whole, and no further drill is begun: {why}")
                break
        if (check := report.ratio(scenario, rounds)) is not None:
            self.met.append(check.met)
            self.tell(f"  {'passed' if check.met else 'failed':<8}{check.name}: {check.found}, wanted {check.wanted}")
        return self.stopped is None

    def _tell(self, found: Result) -> None:
        self.tell(f"  {found.verdict:<8}{report.line(found)}")
        unmet = (f"{one.name}: {one.found}, wanted {one.wanted}" for one in found.checks if not one.met)
        for fault in (*found.faults, *unmet):
            self.tell(f"  !       {fault}")


def timed(records: Iterable[Mapping[str, Any]]) -> dict[str, list[float]]:
    """What rounds took, by scenario."""
    found: dict[str, list[float]] = {}
    for record in records:
        if not record["faults"]:
            found.setdefault(record["scenario"], []).append(record["took"])
    return found


def span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
