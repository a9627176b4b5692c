"""What a user can mend: every fault that was found, in plain words, in one exception. The command exits with 2."""

from collections.abc import Iterable


def sentence(*parts: str) -> str:
    """The parts of a message that there is something to say in."""
    return " ".join(part for part in parts if part)


class SettingsError(Exception):
    """Settings that cannot be planned. Each problem names the setting, its value, what is allowed and the remedy."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class Refusal(SettingsError):  # noqa: N818 (it is no error of the program: it says no)
    """A change that would lose or move data, asked of a stack that exists. The settings as such may be fine."""
