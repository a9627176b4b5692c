"""How a command ends when it does not simply end well."""

from enum import IntEnum


class Exit(IntEnum):
    DONE = 0
    FAULT = 1  # something went wrong at run time
    REFUSED = 2  # bad settings, or a refusal; nothing was changed
    STATEFUL = 3  # a preview found that something stateful would be replaced or deleted
    INTERRUPTED = 130  # as shells report Ctrl-C


class Refused(Exception):  # noqa: N818  (no error: nothing went wrong)
    """Something that the command does not do as asked; the message says what would."""


class Fault(Exception):  # noqa: N818
    """Something went wrong at run time; the message is for the user."""
