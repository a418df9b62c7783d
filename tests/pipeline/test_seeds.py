"""`reprogan seeds`: the pipeline's own scores from the pipeline's own seed, others from others, and nothing touched."""

import json
import re
import sys

import pytest

pytestmark = pytest.mark.slow


def seeds(project, *arguments: str, status: int = 0):
    return project.run(sys.executable, "-m", "reprogan.cli", "seeds", *arguments, status=status)


def kept(project) -> list[dict]:
    files = sorted((project.root / ".reprogan/seeds").glob("*.json"))
    return [json.loads(file.read_text()) for file in files]


@pytest.mark.parametrize("variant, score", [("ring_gan", "reverse_kl"), ("stackgan", "frechet_distance")])
def test_from_its_own_seed_a_variant_scores_as_in_the_pipeline(project, pipeline, variant, score):
    own = json.loads((project.root / f"scores/{variant}/scores.json").read_text())
    first = seeds(project, variant, "--seed", "1", "--seed", "2")
    assert f"{variant}: seed 2 done" in first.stderr
    scores = [outcome["metrics"][score] for outcome in kept(project)]
    assert len(scores) == 2
    assert sum(float(f"{value:.6g}") == own[score] for value in scores) == 1
    assert re.search(rf"\| `{variant}` \| 1, 2 \| .* ± ", first.stdout)

    again = seeds(project, variant, "--seed", "1", "--seed", "2")
    assert (again.stdout, again.stderr.count("done")) == (first.stdout, 0)
    assert project.digests() == pipeline.digests


def test_other_parameters_are_another_outcome(project):
    seeds(project, "ring_gan", "--seed", "2")
    project.change(**{"variants.ring_gan.training.batch_size": 128})
    seeds(project, "ring_gan", "--seed", "2")
    assert len(kept(project)) == 2


def test_without_the_pipelines_outputs_it_is_one_line(project):
    (project.root / "data/processed/ring.h5").unlink()
    failed = seeds(project, "ring_gan", status=2)
    assert "data/processed/ring.h5: not there; run `dvc repro` first" in failed.stderr
    assert "Traceback" not in failed.stderr
