"""The limit that Envoy would run into is said before it does."""

import pytest

from components.local.servers import inotify
from components.local.servers.errors import ServerFault


def test_what_is_left_is_counted_and_given_back() -> None:
    assert inotify.available(3) == inotify.available(3) == 3


def test_too_few_are_one_clear_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inotify, "available", lambda wanted: 3)
    inotify.require(3, "the entry")
    with pytest.raises(ServerFault, match=r"the entry needs 6 inotify instances and 3 are left .*max_user_instances"):
        inotify.require(inotify.ENTRY, "the entry")
