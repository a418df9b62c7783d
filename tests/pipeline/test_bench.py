"""`reprogan bench`: both sides run, the figures add up, and the page says what was measured."""

import json
import sys

import pytest

pytestmark = pytest.mark.slow
VARIANTS = ("ring_gan", "stackgan")


def bench(project, *arguments: str):  # type: ignore[no-untyped-def]
    return project.run(sys.executable, "-m", "reprogan.cli", "bench", *arguments)


def test_every_kind_of_training_has_a_plain_loop_a_count_and_a_profile(project, pipeline):
    done = bench(project, *VARIANTS, "--images", "64", "--rounds", "1", "--isa", "native")
    (topic, measured), *others = json.loads((project.root / ".reprogan/bench.json").read_text()).items()
    assert topic == "training" and not others
    assert [row["variant"] for row in measured["rows"]] == list(VARIANTS)
    for row in measured["rows"]:
        assert all(row[figure] > 0 for figure in ("ours", "plain", "ratio", "ours_mib", "plain_mib", "ceiling"))
        assert row["share"] == pytest.approx(row["ours"] * row["operations"] / row["ceiling"])
        assert 0 < row["share"] < 1 and 0 <= row["reading"] < 1
        assert sum(row["profile"].values()) == pytest.approx(1, abs=0.3)  # a profile takes time, too
        assert f"| `{row['variant']}` | native |" in done.stdout
    by_name = {row["variant"]: row for row in measured["rows"]}
    assert by_name["ring_gan"]["ceiling_of"] == "product"
    assert by_name["stackgan"]["ceiling_of"] == "convolution"
    assert project.digests() == pipeline.digests


def test_what_is_no_topic_is_one_line(project, pipeline):
    for arguments, says in (
        (("speed",), "bench: found 'speed'; expected one of ceilings, training, "),
        (("gan", "--write"), "bench: --write with gan; expected whole topics"),
    ):
        done = project.run(sys.executable, "-m", "reprogan.cli", "bench", *arguments, status=2)
        assert says in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
