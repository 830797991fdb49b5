"""UTF-8 text as it comes in, of which no more than one row or one block is held."""

from collections.abc import Iterator

from prodemb.catalog.formats.source import MAX_ROW_BYTES

SAMPLE_BYTES = 1 << 20
"""The beginning of a file, by which everything about it is found."""


class TooLongError(Exception):
    """A row is longer than may be held."""


class Text:
    """Lines and blocks of UTF-8 text."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._buffer = b""
        self._position = 0
        self._is_at_end = False
        self.taken = 0
        """Bytes taken so far."""

    def __len__(self) -> int:
        return len(self._buffer) - self._position

    def fill(self, num_bytes: int) -> bool:
        """Have so many bytes at hand; whether there are."""
        if len(self) >= num_bytes or self._is_at_end:
            return len(self) >= num_bytes
        parts, have = [self._buffer[self._position :]], len(self)
        while have < num_bytes and not self._is_at_end:
            if (chunk := next(self._chunks, None)) is None:
                self._is_at_end = True
            else:
                parts.append(chunk)
                have += len(chunk)
        self._buffer, self._position = b"".join(parts), 0
        return have >= num_bytes

    def block(self, num_bytes: int) -> bytes:
        """Whole lines, about so many bytes of them; empty at the end, and where a line is longer."""
        if self.fill(num_bytes):
            end = self._buffer.rfind(b"\n", self._position, self._position + num_bytes) + 1
        else:
            end = len(self._buffer)
        return self._buffer[self._position : max(end, self._position)]

    def line(self, offset: int) -> bytes | None:
        """The line that begins so many bytes on, with its newline; None at the end.

        Raises:
            TooLongError: it ends more than `MAX_ROW_BYTES` on.
        """
        searched = offset
        while (end := self._buffer.find(b"\n", self._position + searched) + 1) == 0:
            searched = len(self)
            if searched > MAX_ROW_BYTES:
                raise TooLongError
            if not self.fill(min(2 * searched, MAX_ROW_BYTES) + 1) and searched == len(self):
                end = len(self._buffer)
                break
        if end - self._position > MAX_ROW_BYTES:
            raise TooLongError
        return self._buffer[self._position + offset : end] or None

    def take(self, num_bytes: int) -> None:
        """Go on by so many bytes."""
        self._position += num_bytes
        self.taken += num_bytes

    def take_line(self) -> None:
        """Go on to the next line, however long this one is."""
        while (end := self._buffer.find(b"\n", self._position) + 1) == 0:
            self.take(len(self))
            if not self.fill(1):
                return
        self.take(end - self._position)
