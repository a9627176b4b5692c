"""What every part of the settings is written with: a key, a section of keys, and the words and numbers they hold."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def no_boolean(value: object) -> object:
    """`true` is a number to Python; in a settings file it is a slip."""
    if isinstance(value, bool):
        raise ValueError("")
    return value


def setting(default: object = ..., *, allowed: str, meaning: str, **rules: Any) -> Any:
    """A key with what it means and what is allowed."""
    return Field(default, description=meaning, json_schema_extra={"allowed": allowed}, **rules)


Number = Annotated[int, BeforeValidator(no_boolean)]
Fraction = Annotated[float, BeforeValidator(no_boolean)]

HOSTNAME = r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])$"


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
