"""A chain of digests through a training: whether another one took the same way, and where the two part.

Each row's digest is of the row before and of all weights, so that equal rows mean that everything before was equal,
too. A training need not be done again to its end to be checked: the first rows will do.
"""

import csv
import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from reprogan.training.history import Record

FILE = "digests.csv"
_COLUMN = "sha256"


class Digests(Record):
    """Rows of (images seen, sha256 in hex of the row before and of the weights), from the initial weights on."""

    def __init__(self, watched: Path | None) -> None:
        super().__init__((_COLUMN,), watched)

    def append(self, images_seen: int, networks: Mapping[str, nn.Module]) -> None:
        """Add a row of the weights and buffers that the networks have now."""
        digest = hashlib.sha256(self.rows[-1][1].encode() if self.rows else b"")
        for name, network in networks.items():
            for key, tensor in network.state_dict().items():
                values = tensor.detach().cpu().contiguous()  # of channels_last the values row by row, as in the files
                digest.update(f"{name}.{key} {values.dtype} {tuple(values.shape)}\n".encode())
                digest.update(values.reshape(-1).view(torch.uint8).numpy().data)
        self.add([images_seen, digest.hexdigest()])


def read_digests(path: Path) -> dict[int, str]:
    """{images seen: digest} of a file of digests, without a line that is still being written; {} if it is not there."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    return {int(seen): digest for seen, digest in list(csv.reader(text[: text.rfind("\n") + 1].splitlines()))[1:]}


def parts_at(expected: Mapping[int, str], found: Mapping[int, str]) -> int | None:
    """The first number of images at which two chains differ or only one goes on; None where there is none such."""
    return next((seen for seen in sorted({*expected, *found}) if expected.get(seen) != found.get(seen)), None)
