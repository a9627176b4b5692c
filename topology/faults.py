"""What pydantic found, said so that a user can mend it: the setting, its value, what is allowed, the remedy."""

from collections.abc import Sequence
from typing import Any, cast, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from topology.nearest import nearest

Location = Sequence[int | str]


def path_text(location: Location) -> str:
    """`regions[1].name`."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def section_of(annotation: object) -> type[BaseModel] | None:
    """The model inside an annotation: `tuple[RegionSetting, ...]` holds `RegionSetting`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := section_of(inner)) is not None), None)


def field_at(model: type[BaseModel], location: Location) -> tuple[type[BaseModel], FieldInfo | None]:
    """The innermost known key at a location, and the model that it belongs to."""
    field: FieldInfo | None = None
    for part in location:
        if isinstance(part, int):
            continue
        if field is not None:
            model = section_of(field.annotation) or model
        if part not in model.model_fields:
            return model, None
        field = model.model_fields[part]
    return model, field


def literals(annotation: object) -> list[str]:
    """The words that an annotation allows."""
    if isinstance(annotation, str):
        return [annotation]
    return [word for inner in get_args(annotation) for word in literals(inner)]


def allowed_text(field: FieldInfo) -> str:
    extra = cast("dict[str, Any]", field.json_schema_extra or {})
    return str(extra.get("allowed", ""))


def value_text(value: object) -> str:
    """The value as the user wrote it, cut short."""
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else text[:77] + "..."


def worth_telling(errors: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """Without the lists that pydantic finds too short only because what is in them is at fault."""
    places = [error["loc"] for error in errors]
    return [
        error
        for error in errors
        if error["type"] != "too_short"
        or not any(place != error["loc"] and place[: len(error["loc"])] == error["loc"] for place in places)
    ]


def fault(model: type[BaseModel], error: ErrorDetails) -> str:
    """One sentence or two for one fault."""
    location = error["loc"]
    path = path_text(location)
    owner, field = field_at(model, location)
    if error["type"] == "extra_forbidden":
        known = list(owner.model_fields)
        return " ".join(
            filter(
                None, (f"{path}: no such key.", nearest(str(location[-1]), known), f"Known here: {', '.join(known)}.")
            )
        )
    allowed = allowed_text(field) if field is not None else ""
    if error["type"] == "missing":
        return f"{path}: is missing. Add it. Allowed: {allowed}."
    remedy = ""
    if error["type"] == "value_error":
        remedy = error["msg"].removeprefix("Value error, ").strip().removesuffix("Value error,")
    elif error["type"] == "literal_error" and field is not None:
        remedy = nearest(str(error["input"]), literals(field.annotation))
    return " ".join(
        filter(None, (f"{path}: {value_text(error['input'])} is not allowed.", remedy, f"Allowed: {allowed}."))
    )
