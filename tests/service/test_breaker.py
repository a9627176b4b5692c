"""The circuit breaker."""

from hypothesis import given
from hypothesis import strategies as st

from service.breaker import Breaker


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_it_opens_after_failures_in_a_row_and_lets_one_try() -> None:
    clock = Clock()
    breaker = Breaker(failures=3, seconds=1.0, clock=clock)
    for failed in (True, True, False, True, True):
        assert breaker.allows()
        breaker.failed() if failed else breaker.succeeded()
    assert not breaker.open  # never three in a row
    breaker.failed()
    assert breaker.open
    assert not breaker.allows()

    clock.now = 1.0
    assert breaker.allows()
    assert not breaker.allows(), "one trial at a time"
    breaker.failed()
    clock.now = 1.9
    assert not breaker.allows()
    clock.now = 2.0
    assert breaker.allows()
    breaker.succeeded()
    assert breaker.allows()
    assert breaker.allows()


def test_a_trial_that_never_reports_does_not_close_the_way_for_ever() -> None:
    clock = Clock()
    breaker = Breaker(failures=1, seconds=1.0, clock=clock)
    breaker.failed()
    clock.now = 1.0
    assert breaker.allows()
    clock.now = 2.0
    assert breaker.allows()


@given(st.lists(st.tuples(st.floats(0, 2), st.booleans()), max_size=60), st.integers(1, 5))
def test_whatever_happened_a_success_closes_it_and_a_pause_allows_a_trial(
    events: list[tuple[float, bool]], failures: int
) -> None:
    clock = Clock()
    breaker = Breaker(failures=failures, seconds=1.0, clock=clock)
    row = 0
    for pause, failed in events:
        clock.now += pause
        if not breaker.allows():
            assert row >= failures
            continue
        row = row + 1 if failed else 0
        breaker.failed() if failed else breaker.succeeded()
        assert breaker.open == (row >= failures)
    clock.now += 1.0
    assert breaker.allows()
