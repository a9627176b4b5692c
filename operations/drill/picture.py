"""A drill as a picture: what users of each region were answered, quarter of a second by quarter, and what happened."""

from collections.abc import Mapping, Sequence
from typing import Any

from operations.drill.measures import counts_as
from operations.drill.result import Mark, Result
from topology.picture import FAINT, FONT, INK, LINE, PAPER, ROOM, SOFT, box, label, line, number

BIN = 0.25  # seconds
BEFORE, AFTER = 2.0, 1.0  # seconds around what is shown
LEFT, RIGHT, TOP = 150, 24, 92
ROW, BETWEEN = 44, 12
WIDTH = 1080
LEGEND = 26
LOOKS = {"fault": "#be123c", "noticed": "#b45309", "step": "#64748b", "repair": "#1d4ed8", "good": "#0f766e"}
GOOD = {"write": "#0f766e", "read": "#2563eb"}
BAD = "#be123c"
WRITERS = ("#0f766e", "#7c3aed", "#b45309", "#1d4ed8", "#4d7c0f", "#be123c")


def svg(result: Result, records: Sequence[Mapping[str, Any]]) -> str:
    zero = next((mark.at for mark in result.marks if mark.kind == "fault"), None)
    zero = zero if zero is not None else min((mark.at for mark in result.marks), default=result.began)
    end = max((mark.at for mark in result.marks), default=zero) + AFTER
    begin = zero - BEFORE
    regions = [region for region in result.writes if region != "all"]
    marks = _shown(result.marks)
    floor = TOP + 34 + 2 * len(regions) * (ROW + BETWEEN)
    height = floor + 40 + LEGEND * len(marks) + 12
    scale = (WIDTH - LEFT - RIGHT) / (end - begin)

    def x(at: float) -> float:
        return LEFT + (min(max(at, begin), end) - begin) * scale

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {number(height)}" width="{WIDTH}" '
        f'height="{number(height)}" font-family="{FONT}" role="img">',
        f"<title>{result.title}: {result.verdict}</title>",
        box(0, 0, WIDTH, height, fill=PAPER, stroke=PAPER, radius=0),
        label(24, 36, f"{result.title}: {result.verdict}", size=20, bold=True),
        label(
            24,
            60,
            f"phase {result.phase}, {result.durability}; answers a quarter of a second, failed requests in red; "
            "seconds since it began",
            colour=SOFT,
        ),
    ]
    parts += _writers(result, x, TOP - 12)
    top = TOP + 34
    for region in regions:
        for kind in ("write", "read"):
            parts.append(label(24, top + 18, region, bold=True))
            parts.append(label(24, top + 34, f"{kind}s", size=12, colour=GOOD[kind]))
            parts.append(box(LEFT, top, WIDTH - LEFT - RIGHT, ROW, fill=ROOM, stroke=LINE, radius=4))
            parts += _bars(
                [each for each in records if counts_as(each, kind) and each["region"] == region],
                kind,
                x,
                top,
                begin,
                end,
            )
            top += ROW + BETWEEN
    for second in range(int(-BEFORE), int(end - zero) + 1, max(1, round((end - begin) / 16))):
        parts.append(label(x(zero + second), floor + 14, str(second), size=11, colour=FAINT, anchor="middle"))
    for index, mark in enumerate(marks):
        colour, y = LOOKS[mark.kind], floor + 44 + LEGEND * index
        parts.append(line([(x(mark.at), TOP - 14), (x(mark.at), floor)], colour=colour, dashed=True, width=1))
        parts.append(label(24, y, f"{mark.at - zero:6.2f} s", size=12, colour=colour, bold=True))
        parts.append(label(LEFT, y, mark.text, size=12, colour=INK))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _shown(marks: Sequence[Mark]) -> list[Mark]:
    """Of the many steps only those that users notice."""
    steps = ("hold_writes", "stop_writer", "await_fenced", "promote", "point", "rejoin")
    return [mark for mark in marks if mark.kind != "step" or mark.text.partition(":")[0] in steps]


def _writers(result: Result, x: Any, top: float) -> list[str]:
    parts = [label(24, top + 18, "written by", size=12, colour=SOFT)]
    names = sorted({reign.region for reign in result.reigns})
    for reign in result.reigns:
        left, right = x(reign.begin), x(reign.end)
        colour = WRITERS[names.index(reign.region) % len(WRITERS)]
        parts.append(box(left, top + 4, max(2.0, right - left), 20, fill=colour, stroke=colour, radius=4))
        if right - left > 7 * len(reign.region):
            middle = (left + right) / 2
            parts.append(label(middle, top + 18, reign.region, size=11, colour=ROOM, anchor="middle"))
    return parts


def _bars(records: Sequence[Mapping[str, Any]], kind: str, x: Any, top: float, begin: float, end: float) -> list[str]:
    good: dict[int, int] = {}
    bad: dict[int, int] = {}
    for record in records:
        if begin <= record["ended"] <= end:
            place = int((record["ended"] - begin) / BIN)
            found = good if "status" in record else bad
            found[place] = found.get(place, 0) + 1
    most = max([*good.values(), *bad.values(), 1])
    parts = []
    for found, colour in ((good, GOOD[kind]), (bad, BAD)):
        path = ""
        for place, count in sorted(found.items()):
            left, right = x(begin + place * BIN), x(begin + (place + 1) * BIN)
            # A burst after a pause must not make everything else invisible.
            height = (ROW - 6) * min(1.0, (count / most) ** 0.5)
            across, down = number(max(0.8, right - left - 0.6)), number(height)
            path += f"M{number(left)} {number(top + ROW - 1)}v-{down}h{across}v{down}z"
        if path:
            parts.append(f'<path d="{path}" fill="{colour}"/>')
    return parts
