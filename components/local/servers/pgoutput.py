"""Which rows a logical slot's messages are about (PostgreSQL documentation, "Logical Replication Message Formats")."""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from components.local.servers.errors import ServerFault


@dataclass
class Reader:
    """Reads what one call of `pg_logical_slot_get_binary_changes` with protocol version 1 returned, in order."""

    keys: Mapping[str, tuple[str, ...]]  # by table, the columns of its primary key
    _tables: dict[int, tuple[str, list[int]]] = field(default_factory=dict)  # by number, name and places of the key

    def changed(self, message: bytes) -> Iterator[tuple[str, ...]]:
        """The table and the key of each row that the message changes: two where it changes the key itself."""
        kind = message[:1]
        if kind == b"R":
            self._relation(message)
        elif kind in (b"I", b"U", b"D"):
            table, places = self._tables[_integer(message, 1)]
            at = 5
            # An `O` or a `K` is the row of before, or its key.
            while at < len(message):
                values, at = _tuple(message, at + 1)
                yield (table, *(values[place].decode() for place in places))
        elif kind == b"T":
            raise ServerFault("a table was emptied with TRUNCATE while its rows were compared")

    def _relation(self, message: bytes) -> None:
        number = _integer(message, 1)
        _, at = _string(message, 5)
        table, at = _string(message, at)
        count, at = struct.unpack_from(">h", message, at + 1)[0], at + 3  # after the replica identity
        columns: list[str] = []
        for _ in range(count):
            column, at = _string(message, at + 1)  # after the flags
            columns.append(column)
            at += 8  # type and modifier
        self._tables[number] = table, [columns.index(column) for column in self.keys[table]]


def _tuple(message: bytes, at: int) -> tuple[list[bytes], int]:
    count, at = struct.unpack_from(">h", message, at)[0], at + 2
    values: list[bytes] = []
    for _ in range(count):
        kind, at = message[at : at + 1], at + 1
        if kind in (b"n", b"u"):
            values.append(b"")
            continue
        size, at = _integer(message, at), at + 4
        values.append(message[at : at + size])
        at += size
    return values, at


def _integer(message: bytes, at: int) -> int:
    return struct.unpack_from(">I", message, at)[0]


def _string(message: bytes, at: int) -> tuple[str, int]:
    end = message.index(b"\0", at)
    return message[at:end].decode(), end + 1
