"""Server-sent events: the data of each, from bytes as they arrive."""

from __future__ import annotations


class EventReader:
    """Cuts a stream of bytes into events (https://html.spec.whatwg.org/multipage/server-sent-events.html).

    Names, ids and comments are passed over: both protocols say in the data what an event is.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of the events that this chunk completes."""
        lines = (self._rest + chunk).split(b"\n")
        self._rest = lines.pop()
        events: list[bytes] = []
        for line in lines:
            line = line.removesuffix(b"\r")  # noqa: PLW2901
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
            elif not line and self._data:
                events.append(self._data[0] if len(self._data) == 1 else b"\n".join(self._data))
                self._data = []
        return events

    def close(self) -> list[bytes]:
        """The event that the end of the stream completes, where a server leaves out the last blank line."""
        return self.feed(b"\n\n")
