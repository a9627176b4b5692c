"""Problem documents, trace context, deadlines."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import traces
from service.deadlines import Deadline
from service.problems import Problem, unavailable, unknown_outcome
from service.traces import Trace


@given(st.integers(400, 599), st.text(max_size=50), st.text(max_size=200), st.integers(1, 100))
def test_a_problem_document_has_what_the_standard_names(status: int, title: str, detail: str, seconds: int) -> None:
    clean = detail.encode(errors="replace").decode()
    problem = Problem(status, "kind", title.encode(errors="replace").decode(), clean, retry_after=seconds)
    document = json.loads(problem.document("r1"))
    assert document["status"] == status
    assert document["detail"] == clean
    assert document["type"] == "urn:meridian:problem:kind"
    assert set(document) == {"type", "title", "status", "detail", "instance"}
    assert problem.headers["Retry-After"] == str(seconds)


@pytest.mark.parametrize("made", [unavailable("x"), unknown_outcome("x")])
def test_what_may_be_asked_again_says_when(made: Problem) -> None:
    assert (made.status, made.headers) == (503, {"Retry-After": "1"})


GOOD = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_trace_goes_on_with_a_span_of_its_own() -> None:
    trace = Trace.of_request(GOOD)
    assert trace.trace_id == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert trace.span_id != "00f067aa0ba902b7"
    assert trace.traceparent().endswith("-01")


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "x",
        GOOD[:-1],
        GOOD.upper(),
        "ff" + GOOD[2:],
        GOOD + "-more",
        GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32),
        GOOD.replace("00f067aa0ba902b7", "0" * 16),
    ],
)
def test_a_bad_trace_begins_a_new_one(header: str | None) -> None:
    trace = Trace.of_request(header)
    assert trace.trace_id != "4bf92f3577b34da6a3ce929d0e0e4736"
    assert Trace.of_request(trace.traceparent()).trace_id == trace.trace_id


def test_a_later_version_of_the_standard_is_understood() -> None:
    assert Trace.of_request("01" + GOOD[2:] + "-more").trace_id == "4bf92f3577b34da6a3ce929d0e0e4736"


@given(st.text(max_size=200))
def test_a_request_id_is_safe_to_log_and_to_send(header: str) -> None:
    made = traces.request_id(header)
    assert made.isascii()
    assert made.isprintable()
    assert " " not in made
    assert 1 <= len(made) <= 128


@pytest.mark.parametrize(
    ("header", "most", "least"),
    [
        (None, 5, 4.9),
        ("100", 0.1, 0),
        ("0", 0, 0),
        ("999999", 5, 4.9),
        ("-5", 5, 4.9),
        ("x", 5, 4.9),
        ("9" * 5000, 5, 4.9),
    ],
)
def test_a_deadline_can_only_come_nearer(header: str | None, most: float, least: float) -> None:
    assert least <= Deadline.of_request(header).left() <= most
