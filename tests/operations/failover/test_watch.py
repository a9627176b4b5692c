"""A blip is no outage, one vantage is no majority, and a writer that is lost again and again is not moved again."""

from hypothesis import given
from hypothesis import strategies as st

from operations.failover.watch import INTERVAL, JITTER, Change, Rules, Watch, look, moved, pause


def after(looks: list[dict[str, bool]], watch: Watch | None = None) -> tuple[Watch, list[Change]]:
    watch = watch or Watch()
    told: list[Change] = []
    for number, reached in enumerate(looks):
        watch, change = look(watch, (watch.at or 0.0) + (0.5 if number or watch.at else 0.0), reached)
        if change is not None:
            told.append(change)
    return watch, told


WELL, GONE = {"b": True, "c": True}, {"b": False, "c": False}


def test_two_misses_are_a_blip() -> None:
    watch, told = after([WELL, GONE, GONE, WELL])
    assert (watch.verdict, told) == ("well", ["suspected", "blip"])


def test_three_misses_of_two_vantages_are_an_outage_and_three_answers_end_it() -> None:
    watch, told = after([WELL, GONE, GONE, GONE, GONE, WELL, WELL, WELL])
    assert (watch.verdict, told) == ("well", ["suspected", "lost", "recovered"])


def test_a_single_vantage_may_be_the_one_that_is_cut_off() -> None:
    assert after([{"b": False, "c": True}] * 50)[1] == ["suspected"]
    assert after([{"b": False}] * 50)[1] == ["suspected"]
    assert after([{"b": False, "c": False, "d": True, "e": True}] * 50)[1] == ["suspected"]
    assert after([{}] * 50)[1] == []


def test_a_vantage_that_was_away_begins_to_count_anew() -> None:
    looks = [GONE, GONE, {"b": False}, GONE, GONE]
    assert after(looks)[1] == ["suspected"]
    assert after([*looks, GONE])[1] == ["suspected", "lost"]


@given(st.lists(st.fixed_dictionaries({"b": st.booleans(), "c": st.booleans(), "d": st.booleans()}), max_size=60))
def test_an_outage_always_has_a_majority_that_missed_three_times_in_a_row(looks: list[dict[str, bool]]) -> None:
    watch = Watch()
    for number, reached in enumerate(looks):
        watch, change = look(watch, number * 0.5, reached)
        if change == "lost":
            last = looks[number - 2 : number + 1]
            assert len(last) == 3
            assert sum(not any(one[name] for one in last) for name in "bcd") >= 2


def test_flapping_is_damped_and_forgotten_with_time() -> None:
    watch, told = after(([GONE] * 3 + [WELL] * 3) * 2)
    assert told.count("lost") == 2
    assert watch.damped
    assert moved(watch).damped  # a new writer has the same trouble, as far as anybody knows
    rested, _ = look(watch, (watch.at or 0.0) + 2 * Rules().half_life, WELL)
    assert not rested.damped
    assert not after([GONE] * 3)[0].damped


@given(st.floats(0, 1))
def test_looks_are_spread(random: float) -> None:
    assert INTERVAL * (1 - JITTER) <= pause(random) <= INTERVAL * (1 + JITTER)
