"""Writes the parts of the documentation that come from the code: `python -m topology.document`."""

from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path
from typing import Annotated, cast, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from topology.faults import allowed_text, section_of
from topology.ladder import table_markdown
from topology.model import Phase, Topology
from topology.picture import svg
from topology.plan import plan
from topology.schema import KEYS, Settings
from topology.settings import load

PROJECT = Path(__file__).resolve().parent.parent
DOCS = PROJECT / "docs"
README = PROJECT / "README.md"
LADDER_BEGIN = "<!-- the ladder, written by python -m topology.document -->\n"
LADDER_END = "<!-- end of the ladder -->\n"

PREFACE = """# Settings

Written by `python -m topology.document` from the model that reads the settings; do not edit it by hand.

A stack's settings stand in `Pulumi.<stack>.yaml`, under `config:`, each top-level key with the prefix `meridian:`. A
key that is not in this table is refused. `regions[].name` is the key `name` of an item of the list `regions`.

"""

# The plan that the pictures show: the dev stack, with the partition that phase 5 needs.
EXAMPLE: dict[str, object] = {
    "target": "local",
    "regions": [
        {"name": "eu-central", "slot": 0},
        {"name": "us-east", "slot": 1},
        {"name": "ap-northeast", "slot": 2},
    ],
    "conflicts": {"model": "home-partition"},
    "partitions": [
        {"name": "americas", "slot": 1, "origin": "us-east", "serves": ["US", "CA", "BR"]},
        {"name": "asia", "slot": 2, "origin": "ap-northeast", "serves": ["JP", "SG", "AU"]},
    ],
}


def is_list(annotation: object) -> bool:
    return get_origin(annotation) is tuple or any(is_list(inner) for inner in get_args(annotation))


def kinds(annotation: object) -> list[object]:
    """The plain types inside an annotation."""
    inner = get_args(annotation)
    if get_origin(annotation) is Annotated:
        return kinds(inner[0])
    return [kind for one in inner for kind in kinds(one)] if inner else [annotation]


def type_text(field: FieldInfo) -> str:
    """The kind of value in a reader's words."""
    if section_of(field.annotation) is not None:
        return "list of objects" if is_list(field.annotation) else "object"
    if is_list(field.annotation):
        return "list of words"
    for kind, word in ((bool, "true or false"), (int, "whole number"), (float, "number"), (IPv4Network, "range")):
        if kind in kinds(field.annotation):
            return word
    return "word"


def default_text(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    default = cast("object", field.default)
    if default is None or isinstance(default, BaseModel) or default == ():
        return ""
    if isinstance(default, Phase):
        return f"`{default.label}`"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def rows(model: type[BaseModel], names: tuple[str, ...], prefix: str = "") -> Iterator[str]:
    for name in names:
        field = model.model_fields[name]
        cells = (
            f"`{prefix}{name}`",
            type_text(field),
            default_text(field),
            allowed_text(field),
            field.description or "",
        )
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
        section = section_of(field.annotation)
        if section is not None:
            dots = "[]." if is_list(field.annotation) else "."
            yield from rows(section, tuple(section.model_fields), f"{prefix}{name}{dots}")


def settings_markdown() -> str:
    """Every key: its type, default, what is allowed, and what it means."""
    head = "| key | type | default | allowed | meaning |\n| --- | --- | --- | --- | --- |\n"
    return PREFACE + head + "\n".join(rows(Settings, KEYS)) + "\n"


def example(phase: Phase) -> Topology:
    return plan(load({**EXAMPLE, "phase": phase.label}, "dev"))


def documents() -> dict[str, str]:
    """Every generated file by its path inside `docs/`."""
    pictures = {f"pictures/phase-{phase.value}.svg": svg(example(phase)) for phase in Phase}
    return {"settings.md": settings_markdown(), **pictures}


def with_ladder(text: str) -> str:
    """The README with the ladder's table as the code has it. Raises `ValueError` where its place is not marked."""
    before, _, rest = text.partition(LADDER_BEGIN)
    _, found, after = rest.partition(LADDER_END)
    if not found:
        raise ValueError(f"the README lacks the lines {LADDER_BEGIN.strip()} and {LADDER_END.strip()}")
    return f"{before}{LADDER_BEGIN}\n{table_markdown()}\n{LADDER_END}{after}"


def write(folder: Path = DOCS) -> None:
    for name, content in documents().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    README.write_text(with_ladder(README.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    write()
