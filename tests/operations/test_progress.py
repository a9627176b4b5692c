"""What a run looks like without a terminal: one line for what was done, few for waits, none for what stayed."""

import pytest

from engine import Event, Step
from operations.progress import View


def step(
    op: str, name: str = "main-postgres", custom: bool = True, type_: str = "pulumi-python:dynamic/local:Postgres"
) -> Step:
    return Step(op=op, urn=f"urn::{name}", type=type_, name=name, custom=custom)  # pyright: ignore[reportArgumentType]


def run(view: View, *events: Event) -> None:
    with view:
        for event in events:
            view.event(event)


def both(made: Step) -> tuple[Event, Event]:
    return Event(kind="begin", step=made, urn=made.urn), Event(kind="done", step=made, urn=made.urn)


@pytest.mark.parametrize(
    ("op", "word"), [("create", "created"), ("update", "updated"), ("replace", "replaced"), ("delete", "deleted")]
)
def test_what_was_done_is_one_line(capsys: pytest.CaptureFixture[str], op: str, word: str) -> None:
    run(View(live=False), *both(step(op)))
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"  {word:<9} main-postgres  (0.0 s)\n"


def test_what_stayed_and_what_only_groups_is_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    run(
        View(live=False),
        *both(step("same")),
        *both(step("create", custom=False)),
        *both(step("create", type_="pulumi:providers:pulumi-python")),
    )
    assert capsys.readouterr() == ("", "")


def test_failures_and_warnings_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    run(
        View(live=False),
        Event(kind="failed", step=step("create"), message="no space"),
        Event(kind="warning", message="soon full\n"),
    )
    assert capsys.readouterr().err.splitlines() == ["  failed    main-postgres", "  warning   soon full"]


def test_a_long_wait_is_told_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    from components.local.servers import progress

    with View(live=False):
        for tenth in range(5, 125, 5):  # a report each half second, for 12 s
            progress.report(tenth / 10, "copying main-us-east")
        progress.report(0.5, "copying main-us-east")
    progress.report(30, "nobody listens any more")
    assert capsys.readouterr().err.splitlines() == [
        "  waiting   copying main-us-east  (5 s)",
        "  waiting   copying main-us-east  (10 s)",
    ]


def test_a_live_view_ends_with_what_was_done(capsys: pytest.CaptureFixture[str]) -> None:
    view = View(live=True)
    with view:
        for event in both(step("create")):
            view.event(event)
        assert view._table() is not None
    assert "created   main-postgres" in capsys.readouterr().err
