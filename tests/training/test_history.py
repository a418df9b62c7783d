"""The history: a CSV file that grows, exact to the last bit."""

import csv
import io
import random
import struct

from reprogan.training.history import History


def read(text: str) -> list[list[float]]:
    return [[float(value) for value in row] for row in list(csv.reader(io.StringIO(text)))[1:]]


def test_round_trip_of_float32_means(tmp_path):
    choose = random.Random(1)
    watched = tmp_path / "live" / "history.csv"
    history = History(("loss", "accuracy"), watched)
    for row in range(50):
        means = [struct.unpack("f", struct.pack("f", choose.uniform(-1e3, 1e3)))[0] for _ in range(2)]
        history.append(64 * (row + 1), means)
    assert read(history.text()) == history.rows
    assert watched.read_text() == history.text()
    assert history.text().startswith("images_seen,loss,accuracy\n64,")


def test_going_on_rewrites_what_is_watched(tmp_path):
    watched = tmp_path / "history.csv"
    first = History(("loss",), watched)
    for seen in (64, 128, 192):
        first.append(seen, [seen / 3])
    second = History(("loss",), watched)
    assert read(watched.read_text()) == []
    second.replace([[64.0, 64 / 3]])
    second.append(128, [128 / 3])
    assert watched.read_text() == second.text() == f"images_seen,loss\n64,{64 / 3!r}\n128,{128 / 3!r}\n"
