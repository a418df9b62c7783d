"""A variant's training in one process: resume equals uninterrupted, and each mistake is one line."""

import os
import re
import resource
import signal
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from reprogan.config import load
from reprogan.data import hdf5
from reprogan.systems import gan
from reprogan.training import history, run
from reprogan.training.stopping import Stopped

VARIANTS = list(load(Path(__file__).parents[2] / "params.yaml").variants)
STOPS = [(name, row) for name in VARIANTS for row in ((1, 4, 7) if name in ("gan", "digit_features") else (4,))]


@pytest.mark.parametrize("name, row", STOPS)
def test_trained_twice_and_once_stopped_on_the_way_the_bytes_are_equal(bench, stop_after, capsys, name, row):
    expected = bench.content(bench.train(name, out="uninterrupted"))
    assert bench.checkpoints() == []
    rows = expected["history.csv"].decode().splitlines()[1:]
    images, at = (int(rows[index].split(",")[0]) for index in (-1, row - 1))
    assert len(rows) == 10 and at == row * images // 10
    if name == "progan":  # the stop is in the middle of a fade
        assert 0 < float(rows[row - 1].split(",")[-1]) < 1
    stop_after(row)
    with pytest.raises(Stopped) as stopped:
        bench.train(name)
    assert stopped.value.exit_status == 128 + signal.SIGTERM
    assert str(stopped.value) == f"variants.{name}: stopped at {at} of {images} images; `dvc repro` goes on from there"
    assert not (bench.root / "out" / name).exists()
    assert [int(path.stem) for path in bench.checkpoints()][-1] == at
    stop_after(0)
    assert bench.content(bench.train(name)) == expected
    assert f"{name}: going on from {at} of {images} images" in capsys.readouterr().err


def test_intervals_that_the_batch_does_not_divide(bench, stop_after):
    """Batches of 16, a row every 50 images and a stop between two rows: sums of losses are resumed too."""
    variant = bench.variant(
        "gan", **{"training.log_every": 50, "training.images": 500, "training.checkpoint_every": 70}
    )
    expected = bench.content(bench.train("gan", variant, "uninterrupted"))
    seen = [int(line.split(",")[0]) for line in expected["history.csv"].decode().splitlines()[1:]]
    assert seen == [64, 112, 160, 208, 256, 304, 352, 400, 464, 512]
    stop_after(5)
    with pytest.raises(Stopped):
        bench.train("gan", variant)
    newest = bench.checkpoints()[-1]
    newest.unlink()  # as if killed: the one before was written between two rows
    assert int(bench.checkpoints()[-1].stem) == 224
    stop_after(0)
    assert bench.content(bench.train("gan", variant)) == expected


def test_a_truncated_checkpoint_is_skipped_with_a_warning(bench, stop_after, capsys):
    expected = bench.content(bench.train(out="uninterrupted"))
    stop_after(7)
    with pytest.raises(Stopped):
        bench.train()
    older, newer = bench.checkpoints()
    newer.write_bytes(newer.read_bytes()[:-1000])
    stop_after(0)
    assert bench.content(bench.train()) == expected
    error = capsys.readouterr().err
    assert f"{newer}: damaged (its sha256 does not fit); going on from the checkpoint before it" in error
    assert f"gan: going on from {int(older.stem):,} of 640 images" in error


def test_an_empty_checkpoint_is_skipped_and_training_begins_again(bench, stop_after, capsys):
    expected = bench.content(bench.train(out="uninterrupted"))
    stop_after(2)
    with pytest.raises(Stopped):
        bench.train()
    for path in bench.checkpoints():
        path.write_bytes(b"")
    stop_after(0)
    assert bench.content(bench.train()) == expected
    assert "going on from 1" not in capsys.readouterr().err


def test_a_checkpoint_of_other_parameters_is_not_used(bench, stop_after, capsys):
    """Other parameters have another folder; a file put into the wrong one is skipped with a warning."""
    stop_after(7)
    other = bench.variant("gan", **{"training.seeds": (2,)})
    with pytest.raises(Stopped):
        bench.train("gan", other)
    foreign = bench.checkpoints()[-1]
    stop_after(2)
    with pytest.raises(Stopped):
        bench.train()
    own = next(path for path in bench.checkpoints() if path.parent != foreign.parent)
    placed = own.parent / foreign.name
    placed.write_bytes(foreign.read_bytes())
    stop_after(0)
    capsys.readouterr()
    resumed = bench.content(bench.train())
    error = capsys.readouterr().err
    assert f"{placed}: of other parameters, data or code; going on from the checkpoint before it" in error
    assert "gan: going on from 128 of 640 images" in error
    assert resumed == bench.content(bench.train(out="uninterrupted"))


def test_a_checkpoint_of_other_data_is_not_used(bench, stop_after, capsys):
    stop_after(4)
    with pytest.raises(Stopped):
        bench.train()
    with h5py.File(bench.data, "r+") as file:
        file["train/images"][0] = 0
    stop_after(0)
    bench.train()
    assert "going on from" not in capsys.readouterr().err


@pytest.mark.parametrize("name", ["gan", "digit_features"])
@pytest.mark.parametrize("height", [1e17, 1e38])
def test_a_learning_rate_too_high_names_variant_loss_and_images(bench, failed, name, height):
    rate = {"digit_features": "objective.learning_rate", "gan": "objective.discriminator.learning_rate"}[name]
    changes = {rate: height, "training.log_every": 16, "training.checkpoint_every": 16}
    if name == "digit_features":
        changes |= {"training.schedule": {"kind": "constant", "warm_up": 0.0, "start": 0.0}}
    variant = bench.variant(name, **changes)
    line = failed(lambda: bench.train(name, variant))
    what = r"\w+_loss is (nan|inf)|a weight of the \w+ is not finite"
    assert re.match(
        rf"variants\.{name}: ({what}) at \d+ images; expected a finite number; lower its learning rate", line
    )
    assert not (bench.root / "out").exists()
    for path in bench.checkpoints():  # what was kept is from before
        state = torch.load(path, weights_only=True)["state"]
        weights = [tensor for network in state["networks"].values() for tensor in network.values()]
        assert all(torch.isfinite(tensor).all() for tensor in weights if tensor.is_floating_point())
    if bench.checkpoints():
        assert f"the checkpoint at {int(bench.checkpoints()[-1].stem)} images is kept" in line
    else:
        assert "there is no checkpoint before it" in line


def test_a_disk_that_is_full_keeps_the_last_good_checkpoint(bench, failed, stop_after):
    expected = bench.content(bench.train(out="uninterrupted"))
    stop_after(3)
    with pytest.raises(Stopped):
        bench.train()
    stop_after(0)
    before = {path: path.read_bytes() for path in bench.checkpoints()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))  # a file may grow to 1 MB, a checkpoint has 2
    try:
        line = failed(bench.train)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "the file may not grow any larger" in line
    assert ".ckpt" in line, "which file, the line should say"
    assert {path: path.read_bytes() for path in bench.checkpoints()} == before
    assert list((bench.root / "scratch").rglob("*.part")) == []
    assert not (bench.root / "out").exists()
    assert bench.content(bench.train()) == expected


def test_a_batch_larger_than_the_data(bench, failed):
    variant = bench.variant("gan", **{"training.batch_size": 101})
    line = failed(lambda: bench.train("gan", variant))
    assert line.startswith("params.yaml: variants.gan.training.batch_size is 101; ")
    assert "holds 100 training images; lower it" in line


@pytest.mark.parametrize("size, name", [(32, "dcgan"), (8, "cnn_classifier"), (7, "digit_features")])
def test_images_of_a_size_that_the_architecture_cannot_make(bench, failed, size, name):
    random = np.random.default_rng(1).integers(0, 256, (100, 1, size, size), dtype=np.uint8)
    arrays = hdf5.Arrays(random, np.arange(100, dtype=np.int64) % 10)
    hdf5.write(bench.data, name="noise", classes=tuple("0123456789"), sources={}, train=arrays, test=arrays)
    line = failed(lambda: bench.train(name))
    assert f"architecture {name}: the images are {size}×{size}; expected " in line


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_a_device_that_is_not_there(bench, failed):
    line = failed(lambda: bench.train(device="cuda"))
    assert line.startswith("params.yaml: compute.device is cuda, which torch ")
    assert line.endswith("set it to one of: cpu")


@pytest.mark.parametrize("damage", ["missing", "truncated", "other file"])
def test_prepared_data_that_is_no_use(bench, failed, damage):
    if damage == "missing":
        bench.data.unlink()
    elif damage == "truncated":
        bench.data.write_bytes(bench.data.read_bytes()[:5000])
    else:
        bench.data.write_bytes(b"images\n")
    line = failed(bench.train)
    assert line.startswith(str(bench.data)) and "dvc repro" in line and "prepare_digits" in line
    assert not (bench.root / "out").exists()


def test_another_budget_seed_or_half_life_makes_another_model(bench):
    first = bench.content(bench.train(out="first"))["generator.safetensors"]
    for key, value in {"training.seeds": (2,), "training.images": 320, "training.ema_half_life": 100}.items():
        variant = bench.variant("gan", **{key: value})
        assert bench.content(bench.train("gan", variant, "other"))["generator.safetensors"] != first


def test_a_disk_that_fills_up_before_the_model_is_written(bench, failed, capsys, monkeypatch):
    """After the last checkpoint: nothing has to be trained again."""
    expected = bench.content(bench.train(out="expected"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    train = run.train

    def train_then_fill(*arguments, **options):
        result = train(*arguments, **options)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(expected["generator.safetensors"]) - 1000, hard))
        return result

    monkeypatch.setattr(run, "train", train_then_fill)
    try:
        line = failed(bench.train)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert line.startswith(str(bench.root / "out")) and "the file may not grow any larger" in line
    assert list((bench.root / "out").rglob("*.part")) == []
    monkeypatch.undo()
    monkeypatch.setenv("REPROGAN_TRACKING", "off")
    capsys.readouterr()
    assert bench.content(bench.train()) == expected
    assert "gan: going on from 640 of 640 images" in capsys.readouterr().err


def test_each_step_is_told_where_training_stands(bench, monkeypatch):
    """Images seen and their share of the budget; several batches a step count as several."""
    told = []
    step = gan.System.step

    def watched(self, next_batch, draws, position):
        told.append((position.images_seen, position.share))
        return step(self, next_batch, draws, position)

    monkeypatch.setattr(gan.System, "step", watched)
    bench.train("gan", bench.variant("gan", **{"objective.n_critic": 3, "training.images": 400}))
    assert told == [(seen, seen / 400) for seen in range(0, 400, 3 * 16)]


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        (
            "cnn_classifier",
            "faces",
            "variants.cnn_classifier.system is 'classifier'; toy faces has no classes; expected",
        ),
        ("face_features", "digits", "variants.face_features.system is 'features'; noise has classes; expected"),
    ],
)
def test_a_system_for_other_data_is_one_line(bench, failed, name, data, says):
    variant = bench.variant(name).model_copy(update={"data": data})
    assert says in failed(lambda: bench.train(name, variant))


def test_a_budget_too_short_to_grow_is_one_line(bench, failed):
    variant = bench.variant("progan", **{"objective.growth": {"stable": [100] * 5, "fade": [100] * 5}})
    line = failed(lambda: bench.train("progan", variant))
    assert line.startswith("params.yaml: variants.progan.objective.growth: stable and fade reach the last")


def test_each_seed_has_the_model_that_it_alone_gives(bench):
    several = bench.train("gan", bench.variant("gan", **{"training.seeds": [1, 2]}))
    for seed, folder in ((1, several), (2, several / "seeds/2")):
        alone = bench.train("gan", bench.variant("gan", **{"training.seeds": [seed]}), out=f"alone {seed}")
        made = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
        assert made == bench.content(alone)
    assert bench.checkpoints() == []


def test_stopped_in_its_second_seed_a_training_goes_on_there(bench, monkeypatch, capsys):
    """And does not begin the first again: its checkpoints stay until all are done."""
    variant = bench.variant("gan", **{"training.seeds": [1, 2]})
    whole = bench.train("gan", variant, out="uninterrupted")
    expected = {path.relative_to(whole): path.read_bytes() for path in whole.rglob("*") if path.is_file()}
    append, rows = history.History.append, []

    def appended(self: history.History, images_seen: int, means: list[float]) -> None:
        append(self, images_seen, means)
        rows.append(images_seen)
        if len(rows) == 10 + 7:  # ten are the first seed's
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(history.History, "append", appended)
    with pytest.raises(Stopped):
        bench.train("gan", variant)
    assert len({path.parent for path in bench.checkpoints()}) == 2
    capsys.readouterr()
    resumed = bench.train("gan", variant)
    assert {path.relative_to(resumed): path.read_bytes() for path in resumed.rglob("*") if path.is_file()} == expected
    said = capsys.readouterr().err
    assert "gan: going on from 640 of 640 images" in said and "gan: going on from 448 of 640 images" in said
    assert bench.checkpoints() == []
