"""The nearest name to one that is not known: most faults in settings are slips of the pen."""

from collections.abc import Iterable
from difflib import SequenceMatcher

# Below this likeness a guess misleads more than it helps.
LIKE = 0.6


def nearest(given: str, known: Iterable[str]) -> str:
    """`Did you mean x?`, all that are equally near, or nothing where no name is near."""
    word = given.strip().lower().replace("_", "-")
    likeness = {name: SequenceMatcher(None, word, name.lower().replace("_", "-")).ratio() for name in known}
    best = max(likeness.values(), default=0.0)
    if best < LIKE:
        return ""
    return f"Did you mean {' or '.join(name for name, like in likeness.items() if like == best)}?"
