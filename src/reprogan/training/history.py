"""What training records: a row of mean losses a log interval."""

import csv
import io
from pathlib import Path

from reprogan.atomic import write_atomically


class History:
    """Rows of (images seen, mean of each loss since the row before), in memory and growing in a file to be watched."""

    def __init__(self, losses: tuple[str, ...], watched: Path) -> None:
        self.losses = losses
        self.rows: list[list[float]] = []
        self._watched = watched
        self.replace([])

    def replace(self, rows: list[list[float]]) -> None:
        """Begin again with `rows`, those of the run that is gone on with."""
        self.rows = rows
        write_atomically(self._watched, self.text())

    def append(self, images_seen: int, means: list[float]) -> None:
        """Add a row, here and at the end of the watched file."""
        row = [float(images_seen), *means]
        self.rows.append(row)
        with open(self._watched, "a") as file:
            file.write(_line(row))

    def text(self) -> str:
        """The whole history as CSV: `images_seen` and a column a loss."""
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerow(["images_seen", *self.losses])
        return out.getvalue() + "".join(map(_line, self.rows))


def _line(row: list[float]) -> str:
    """One row: the images as a whole number, each mean with the digits that make it exact."""
    return ",".join([str(int(row[0])), *(repr(value) for value in row[1:])]) + "\n"
