"""Which model becomes the champion: decided by fresh samples, written down, taken back."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock
from torch import nn

from reprogan.config import Parameters, load
from reprogan.data import embedded, hdf5
from reprogan.errors import UserError
from reprogan.evaluation.reference import write_reference
from reprogan.models import trained
from reprogan.tracking import decisions
from reprogan.tracking.judging import broken_floors, find_score, judge
from reprogan.tracking.promotion import Asked, promote, rollback
from reprogan.tracking.publish import publish
from reprogan.tracking.store import connect
from reprogan.training.run import train_variant

PROJECT = Path(__file__).parents[2]
ASKED = Asked(count=300)
CLASSES = tuple("0123456789")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with digits, a classifier trained for a moment, its reference, and generators.

    `poor` was trained for half as long as `good`, `collapsed` draws the same few digits whatever its latent, and
    `noisy` next to nothing yet. Parallel workers share one: the first makes it, the others wait.
    """
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "promoted"
    with FileLock(f"{root}.lock"):
        if not (root / "collapsed").is_dir():
            make(root)
    return root


def of_one_thread(params: Parameters) -> Parameters:
    """The same on one thread: on cores that other tests keep busy, several wait for each other."""
    return params.model_copy(update={"compute": params.compute.model_copy(update={"threads": 1})})


def make(root: Path) -> None:
    params = of_one_thread(load(PROJECT / "params.yaml"))
    data = root / "data/processed/digits.h5"
    data.parent.mkdir(parents=True)
    train, test, sources = embedded.load()
    hdf5.write(data, name="embedded digits", classes=CLASSES, sources=sources, train=train, test=test)

    def train_for(name: str, images: int, out: Path) -> None:
        variant = params.variant(name)
        budget = {"images": images, "milestones": (), "log_every": 640, "ema_half_life": None}
        variant = variant.model_copy(update={"training": variant.training.model_copy(update=budget)})
        train_variant(name, variant, params.compute, data, root / ".scratch", out)

    train_for("digit_features", 25_600, root / "models/digit_features")
    write_reference(None, data, root / "models/digit_features", params.evaluation, root / "data/references/digits.h5")
    train_for("dcgan", 12_800, root / "good")
    train_for("dcgan", 6400, root / "poor")
    train_for("dcgan", 1600, root / "noisy")
    good = trained.load(root / "good")
    first = next(layer for layer in good.networks["generator"].modules() if isinstance(layer, nn.ConvTranspose2d))
    with torch.no_grad():
        first.weight.mul_(0.1)
    trained.save(root / "half", good.description, good.networks)
    shutil.copyfile(root / "good/history.csv", root / "half/history.csv")
    (root / "half").rename(root / "collapsed")


@pytest.fixture
def workplace(repository: Any, made: Path) -> Any:
    """The temporary repository of `repository`, with these digits and their reference."""
    for path in ("data/processed/digits.h5", "data/references/digits.h5"):
        (repository.root / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(made / path, repository.root / path)
    shutil.copytree(made / "models/digit_features", repository.root / "models/digit_features")
    for folder in ("models", "samples", "scores"):
        shutil.copytree(repository.root / folder / "gan", repository.root / folder / "dcgan")
    return replace(repository, params=of_one_thread(repository.params))


def put(workplace: Any, folder: Path) -> str:
    """Publish the generator in a folder as `dcgan`; its sha256."""
    model = workplace.root / "models/dcgan"
    shutil.rmtree(model)
    shutil.copytree(folder, model)
    publish(workplace.params, workplace.root, ["dcgan"])
    from reprogan.tracking.provenance import sha256

    return sha256(model / "generator.safetensors")


def aliases(workplace: Any) -> dict[str, int]:
    rows = workplace.rows("SELECT alias, version FROM registered_model_aliases WHERE name = 'reprogan-dcgan'")
    return dict(rows)  # type: ignore[arg-type]


def test_the_better_one_is_promoted_the_collapsed_one_refused_and_a_rollback_goes_back(workplace: Any, made: Path):
    params, root = workplace.params, workplace.root
    poor = put(workplace, made / "poor")
    first = promote(params, root, "dcgan", ASKED)
    assert (first.outcome, first.model.sha256, first.before) == ("promoted", poor, None)
    again = promote(params, root, "dcgan", ASKED)
    assert (again.outcome, again.reason) == ("held", "it is the champion already")

    good = put(workplace, made / "good")
    assert aliases(workplace) == {"challenger": 2, "champion": 1}
    better = promote(params, root, "dcgan", ASKED)
    assert (better.outcome, better.model.sha256) == ("promoted", good)
    mean, low, high = better.figures["over_sample_sets"]
    assert low < mean < high < 0 and better.before is not None and better.before.version == 1
    assert aliases(workplace) == {"challenger": 2, "champion": 2}

    put(workplace, made / "poor")  # known already: no new version
    assert aliases(workplace) == {"challenger": 2, "champion": 2}
    put(workplace, made / "collapsed")
    refused = promote(params, root, "dcgan", ASKED)
    assert refused.outcome == "refused" and refused.reason.startswith("class_entropy ")
    assert aliases(workplace) == {"challenger": 3, "champion": 2}

    back = rollback(root, "dcgan", "it draws too many ones")
    assert (back.outcome, back.model.version) == ("rolled back", 1)
    assert aliases(workplace) == {"challenger": 3, "champion": 1}
    with pytest.raises(UserError, match=r"promotions.jsonl: no champion of dcgan before the present one"):
        rollback(root, "dcgan", "again")

    outcomes = [one.outcome for one in decisions.read(root)]
    assert outcomes == ["promoted", "held", "promoted", "refused", "rolled back"]
    tags = dict(workplace.rows("SELECT key, value FROM model_version_tags WHERE version = 3"))
    assert tags["promotion.outcome"] == "refused" and tags["promotion.reason"] == refused.reason
    ((card,),) = workplace.rows("SELECT description FROM model_versions WHERE version = 1 AND name = 'reprogan-dcgan'")
    assert card.endswith("it draws too many ones\n") and card.count("## Decisions") == 1

    # A store that was lost: what is here comes back, and the champion with it once its model is published again.
    (root / "mlflow.db").unlink()
    shutil.rmtree(root / "models/dcgan")
    shutil.copytree(made / "poor", root / "models/dcgan")
    command = [sys.executable, "-m", "reprogan.cli", "publish", "dcgan"]  # this process still has the old store open
    subprocess.run(command, cwd=root, env=os.environ | {"PYTHONPATH": str(PROJECT / "src")}, check=True, timeout=120)
    assert aliases(workplace) == {"challenger": 1, "champion": 1}
    ((again,),) = workplace.rows("SELECT description FROM model_versions WHERE name = 'reprogan-dcgan'")
    assert again.partition("## Decisions")[2] == card.partition("## Decisions")[2]


def test_a_lucky_score_does_not_save_a_collapsed_model(workplace: Any, made: Path):
    """The same few digits over and over are nearer to digits than what is none yet, and refused still."""
    params, root = workplace.params, workplace.root
    put(workplace, made / "noisy")
    with connect(root) as tracking:
        tracking.client.set_registered_model_alias("reprogan-dcgan", "champion", "1")  # by hand
    put(workplace, made / "collapsed")
    refused = promote(params, root, "dcgan", ASKED)
    assert refused.outcome == "refused" and "class_entropy" in refused.reason
    values = {side: np.mean(next(iter(of.values()))) for side, of in refused.figures["values"].items()}
    assert values["challenger"] < 0.95 * values["champion"]
    assert aliases(workplace)["champion"] == 1


def test_a_model_against_itself_is_never_better(workplace: Any, made: Path):
    """As two versions of the same weights would be, at twenty different seeds, on either side other samples."""
    from reprogan.tracking.judging import EFFECT, is_better, paired

    params, root = workplace.params, workplace.root
    sets = [judge("dcgan", made / "good", params, root, 5 * turn, 5, 300) for turn in range(21)]
    score = find_score("frechet_distance", sets[0])
    wins = 0
    for one, other in pairwise(sets):
        old, new = (dict(enumerate(judged.sets[score.key])) for judged in (one, other))
        wins += is_better(score, paired(old, new), EFFECT * one.mean(score.key))
        assert not is_better(score, paired(old, old), 0.0)  # equal samples: no difference at all
    assert wins == 0
    assert len({tuple(judged.sets[score.key]) for judged in sets}) == 21


def test_floors(workplace: Any, made: Path):
    params, root = workplace.params, workplace.root
    good = judge("dcgan", made / "good", params, root, 1, 5, 300)
    assert broken_floors(good, good) == []
    copied = dict(good.scores, memorised_share=0.5)
    assert broken_floors(type(good)(copied), good) == ["memorised_share 0.5; expected 0.01 or less"]
    broken = dict(good.scores, frechet_distance=float("nan"))
    assert broken_floors(type(good)(broken), None) == ["frechet_distance is nan"]
    narrow = dict(good.scores, sets=good.sets | {"recall": [0.4 * value for value in good.sets["recall"]]})
    assert broken_floors(type(good)(narrow), good)[0].startswith("recall ")


def test_two_at_once_one_wins_and_the_other_says_so(workplace: Any, made: Path):
    put(workplace, made / "good")
    command = [sys.executable, "-m", "reprogan.cli", "promote", "dcgan", "--count", "300"]
    environment = {"PYTHONPATH": str(PROJECT / "src")}
    both = [
        subprocess.Popen(
            command, cwd=workplace.root, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    said = [process.communicate(timeout=300) for process in both]
    codes = sorted(process.returncode for process in both)
    loser = next(error for process, (_, error) in zip(both, said, strict=True) if process.returncode)
    assert codes in ([0, 2], [0, 3]), said  # or the later one began when the earlier was done
    assert codes == [0, 3] or "has been deciding about it since" in loser
    lines = decisions.read(workplace.root)
    assert [one.outcome for one in lines] == ["promoted"] + ["held"] * (codes == [0, 3])
    assert aliases(workplace)["champion"] == 1
    with connect(workplace.root) as tracking:
        assert "reprogan.promotion" not in tracking.client.get_registered_model("reprogan-dcgan").tags


def test_training_seeds_count_where_both_have_several(workplace: Any, made: Path):
    """What looks better by the model's own seed alone is held when another seed of it is far worse."""
    root = workplace.root
    text = (root / "params.yaml").read_text()
    block = text.index("\n  dcgan:")
    (root / "params.yaml").write_text(text[:block] + text[block:].replace("seeds: [1]", "seeds: [1, 2]", 1))
    params = of_one_thread(load(root / "params.yaml"))

    def put_both(own: str, other: str) -> None:
        shutil.rmtree(root / "models/dcgan")
        shutil.copytree(made / own, root / "models/dcgan")
        shutil.copytree(made / other, root / "models/dcgan/seeds/2")
        publish(params, root, ["dcgan"])

    put_both("poor", "poor")
    assert promote(params, root, "dcgan", ASKED).outcome == "promoted"
    put_both("good", "poor")
    decision = promote(params, root, "dcgan", ASKED)
    assert decision.outcome == "held" and "over 2 training seeds" in decision.reason
    assert set(decision.figures["values"]["challenger"]) == {"1", "2"}
    runs = workplace.rows("SELECT count(*) FROM tags WHERE key = 'reprogan.kind' AND value = 'seed'")
    assert runs == [(2,)]


def test_mistakes_are_one_line(workplace: Any, made: Path):
    params, root = workplace.params, workplace.root
    with pytest.raises(UserError, match=r"reprogan-dcgan: no such model in MLflow; `reprogan publish dcgan` makes it"):
        promote(params, root, "dcgan", ASKED)
    put(workplace, made / "good")
    with pytest.raises(UserError, match=r"--sets 3; expected 5 or more"):
        promote(params, root, "dcgan", Asked(sets=3))
    with pytest.raises(UserError, match=r"--metric beauty: expected one of frechet_distance, "):
        promote(params, root, "dcgan", Asked(metric="beauty", count=300))
    publish(params, root, ["cnn_classifier"])
    with pytest.raises(UserError, match=r"variants.cnn_classifier: a classifier draws no samples"):
        promote(params, root, "cnn_classifier", ASKED)
    (root / decisions.FILE).write_text('{"variant": "dcgan"}\n')
    with pytest.raises(UserError, match=r"promotions.jsonl:1: 'model'; expected a decision"):
        rollback(root, "dcgan", "")


def test_a_champion_that_the_store_lacks_is_not_passed_over(workplace: Any, made: Path):
    """The first model of an empty store is no first champion where promotions.jsonl has one."""
    put(workplace, made / "poor")
    lost = decisions.Model(1, "f" * 64, "abc123")
    told = decisions.Decision("dcgan", "promoted", "2026-01-01T00:00:00+00:00", "the first", lost, None, {})
    decisions.add(workplace.root, told)
    with pytest.raises(
        UserError, match=r"^dcgan: its champion, version 1 \(ffffffff\), is not in MLflow; `reprogan pub"
    ):
        promote(workplace.params, workplace.root, "dcgan", ASKED)
    assert len(decisions.read(workplace.root)) == 1


def test_decisions_are_read_as_they_were_written(tmp_path: Path):
    model = decisions.Model(3, "a" * 64, "c" * 40)
    one = decisions.Decision("dcgan", "promoted", "2020-01-01T00:00:00+00:00", "ünlike", model, None, {"values": [1.5]})
    decisions.add(tmp_path, one)
    (tmp_path / decisions.FILE).write_text((tmp_path / decisions.FILE).read_text().rstrip("\n"))  # by an editor
    decisions.add(tmp_path, one)
    assert decisions.read(tmp_path) == [one, one]
    assert all(json.loads(line) for line in (tmp_path / decisions.FILE).read_text().splitlines())


def test_a_decision_that_was_cut_short_is_finished_and_an_alias_moved_by_hand_stays(workplace: Any, made: Path):
    params, root = workplace.params, workplace.root
    put(workplace, made / "poor")
    promote(params, root, "dcgan", ASKED)
    good = put(workplace, made / "good")
    model, time = decisions.Model(2, good, None), "2020-01-01T00:00:00+00:00"
    written = decisions.Decision("dcgan", "promoted", time, "killed after this line", model, None, {})
    decisions.add(root, written)
    assert aliases(workplace) == {"challenger": 2, "champion": 1}
    (one,) = publish(params, root, ["dcgan"])
    assert one.changed and aliases(workplace) == {"challenger": 2, "champion": 2}
    assert promote(params, root, "dcgan", ASKED).outcome == "held"
    with connect(root) as tracking:
        tracking.client.set_registered_model_alias("reprogan-dcgan", "champion", "1")  # by hand
    publish(params, root, ["dcgan"])
    assert aliases(workplace)["champion"] == 1
