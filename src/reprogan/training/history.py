"""What training records as it goes: a row of mean losses a log interval, in a file that grows."""

import csv
import io
from pathlib import Path
from typing import Any

from reprogan.atomic import write_atomically


class Record:
    """Rows that begin with images seen, in memory and growing in a CSV file to be watched, where there is to be one."""

    def __init__(self, columns: tuple[str, ...], watched: Path | None) -> None:
        self._columns = ("images_seen", *columns)
        self.rows: list[list[Any]] = []
        self._watched = watched
        self.replace([])

    def replace(self, rows: list[list[Any]]) -> None:
        """Begin again with `rows`, those of the run that is gone on with."""
        self.rows = rows
        if self._watched is not None:
            write_atomically(self._watched, self.text())

    def add(self, row: list[Any]) -> None:
        """Add a row, here and at the end of the watched file."""
        self.rows.append(row)
        if self._watched is not None:
            with open(self._watched, "ab", buffering=0) as file:  # a text file takes several times as long to open
                file.write(_line(row).encode())

    def text(self) -> str:
        """The whole record as CSV, with a header."""
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerow(self._columns)
        return out.getvalue() + "".join(map(_line, self.rows))


class History(Record):
    """Rows of (images seen, mean of each loss since the row before)."""

    def __init__(self, losses: tuple[str, ...], watched: Path | None) -> None:
        super().__init__(losses, watched)
        self.losses = losses

    def append(self, images_seen: int, means: list[float]) -> None:
        """Add a row."""
        self.add([images_seen, *means])


def _line(row: list[Any]) -> str:
    """One row: the images as a whole number, other numbers with the digits that make them exact, texts as they are."""
    others = (value if isinstance(value, str) else repr(value) for value in row[1:])
    return ",".join([str(int(row[0])), *others]) + "\n"
