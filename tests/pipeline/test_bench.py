"""`reprogan bench`: both sides run, and the table says what they took."""

import json
import sys

import pytest

pytestmark = pytest.mark.slow
VARIANTS = ("pix2pix_edges", "stackgan")


def test_what_is_told_more_than_a_class_has_a_plain_loop(project, pipeline):
    options = ("--images", "32", "--rounds", "1", "--isa", "native")
    done = project.run(sys.executable, "-m", "reprogan.cli", "bench", *VARIANTS, *options)
    rows = [line.split(" | ")[0].removeprefix("| ") for line in done.stdout.splitlines() if " MiB |" in line]
    assert rows == list(VARIANTS)
    measured = json.loads((project.root / ".reprogan/bench.json").read_text())
    assert all(side[rate] > 0 for side in measured for rate in ("ours", "plain", "ratio", "ours_mib", "plain_mib"))
    assert project.digests() == pipeline.digests
