"""Checkpoints that survive anything: written whole, digest included, the newest two kept, damaged ones skipped."""

import hashlib
import io
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from reprogan.atomic import write_atomically

State = dict[str, Any]
_KEPT = 2
_KEPT_RUNS = 3
_DIGEST_SIZE = 32


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one run, in a scratch folder of their own named by the run's fingerprint.

    A file is `torch.save`'s bytes followed by their sha256; it is read with `weights_only=True`, so never unpickled.
    """

    folder: Path
    fingerprint: str

    def save(self, images_seen: int, state: State) -> Path:
        """Write `state` as the checkpoint at `images_seen`, then drop all but the newest two. Raises OSError."""
        buffer = io.BytesIO()
        torch.save({"fingerprint": self.fingerprint, "images_seen": images_seen, "state": state}, buffer)
        content = buffer.getvalue()
        path = self.folder / f"{images_seen:012d}.ckpt"
        write_atomically(path, content + hashlib.sha256(content).digest())
        for old in self._paths()[:-_KEPT]:
            old.unlink()
        return path

    def newest(self) -> tuple[int, State] | None:
        """(images seen, state) of the newest checkpoint that is whole and of this run; warns of each that is not."""
        for path in reversed(self._paths()):
            reason, images_seen, state = self._read(path)
            if not reason:
                return images_seen, state
            print(f"reprogan: {path}: {reason}; going on from the checkpoint before it", file=sys.stderr)
        return None

    def clear(self) -> None:
        """Remove this run's checkpoints, and all but the latest few that other settings of the variant left."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.folder.parent.is_dir():
            others = sorted(self.folder.parent.iterdir(), key=lambda folder: folder.stat().st_mtime)
            for abandoned in others[:-_KEPT_RUNS]:
                shutil.rmtree(abandoned, ignore_errors=True)

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("*.ckpt"))

    def _read(self, path: Path) -> tuple[str, int, State]:
        data = path.read_bytes()
        content, digest = data[:-_DIGEST_SIZE], data[-_DIGEST_SIZE:]
        if hashlib.sha256(content).digest() != digest:
            return "damaged (its sha256 does not fit)", 0, {}
        saved = torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")
        if saved["fingerprint"] != self.fingerprint:
            return "of other parameters, data or code", 0, {}
        return "", saved["images_seen"], saved["state"]
