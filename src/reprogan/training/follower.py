"""Starting the process that watches a training and shows it elsewhere: best effort, and apart from training.

The follower (tracking/follow.py) is a process of its own, so that a tracking server that is slow, down or missing
cannot slow or stop training, and so that training needs no tracking library.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from reprogan.atomic import write_atomically

_PATIENCE_SECONDS = 15.0
TRACKING = "REPROGAN_TRACKING"  # "off": no follower is started; "now": it connects at once; else after a while


class Follower:
    """The process that follows one training's folder, and what training tells it through files there."""

    def __init__(self, folder: Path, run: dict[str, Any], followed: bool = True) -> None:
        """Write `run` (variant, fingerprint, params, tags) to `folder`/run.json.

        If the training is to be followed, start the process if possible.
        """
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "done.json").unlink(missing_ok=True)
        write_atomically(folder / "run.json", json.dumps(run, sort_keys=True))
        if not followed or os.environ.get(TRACKING) == "off":
            return
        command = [sys.executable, "-m", "reprogan.tracking.follow", str(folder), str(os.getpid())]
        try:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        except OSError as error:
            print(f"reprogan: live tracking is off ({error}); `reprogan publish` fills it in", file=sys.stderr)

    def finish(self, done: dict[str, Any]) -> None:
        """Tell the follower that training is done and give it a moment to log the rest; then training goes on."""
        write_atomically(self.folder / "done.json", json.dumps(done, sort_keys=True))
        if self._process is None:
            return
        try:
            self._process.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            print("reprogan: live tracking did not finish in time; `reprogan publish` fills it in", file=sys.stderr)
