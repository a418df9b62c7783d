"""What the report reads: missing files are no mistake, damaged ones are named."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from reprogan.config import Parameters
from reprogan.errors import UserError
from reprogan.report.contents import read_contents


def test_everything_there(params: Parameters, root: Path) -> None:
    found = read_contents("gan", params.variant("gan"), root)
    assert found.weights == {"discriminator": 63, "generator": 100 * 256 + 256}  # running statistics not counted
    assert found.history is not None and found.grid is not None and found.progress is not None
    assert len(found.history.images_seen) == 120
    assert list(found.history.columns) == [
        "generator_loss",
        "discriminator_loss",
        "real_probability",
        "fake_probability",
    ]
    assert (found.grid.width, found.grid.height) == (582, 582)
    assert found.scores is not None and found.scores["frechet_distance"] == 243.7


def test_nothing_there(params: Parameters, tmp_path: Path) -> None:
    found = read_contents("gan", params.variant("gan"), tmp_path)
    assert (found.model, found.weights, found.history, found.grid, found.progress, found.scores) == (
        None, {}, None, None, None, None,
    )  # fmt: skip


def test_progress_holds_no_weights(params: Parameters, root: Path) -> None:
    folder = root / "models/gan"
    (folder / "progress.safetensors").write_bytes((folder / "generator.safetensors").read_bytes())
    assert set(read_contents("gan", params.variant("gan"), root).weights) == {"generator", "discriminator"}


def test_milestones_are_read_from_what_training_drew(params: Parameters, root: Path) -> None:
    seen = np.array([0, 64, 1_800_000], np.int64)
    images = np.zeros((3, 4, 1, 2, 2), np.uint8)
    save_file({"images": images, "images_seen": seen}, root / "models/gan/progress.safetensors")
    assert read_contents("gan", params.variant("gan"), root).milestones == seen.tolist()
    assert read_contents("dcgan", params.variant("dcgan"), root).milestones == []


def test_weights_as_safetensors_writes_them(params: Parameters, root: Path) -> None:
    tensors = {"0.weight": (5, 3), "0.bias": (5,), "1.running_var": (5,), "2.weight": (5,), "scale": ()}
    arrays = {key: np.zeros(shape, np.float32) for key, shape in tensors.items()}
    save_file(arrays, root / "models/gan/generator.safetensors", {"format": "pt"})
    assert read_contents("gan", params.variant("gan"), root).weights["generator"] == 15 + 5 + 5 + 1


@pytest.mark.parametrize(
    ("path", "content", "stage"),
    [
        ("models/gan/model.json", b"{", "train@gan"),
        ("models/gan/model.json", b"[]", "train@gan"),
        ("models/gan/history.csv", b"images_seen,loss\n1,x\n", "train@gan"),
        ("models/gan/history.csv", b"images_seen,loss\n1,2,3\n", "train@gan"),
        ("models/gan/history.csv", b"", "train@gan"),
        ("models/gan/generator.safetensors", b"PK", "train@gan"),
        ("models/gan/generator.safetensors", b"\xff" * 64, "train@gan"),
        ("models/gan/progress.safetensors", b"PK", "train@gan"),
        ("samples/gan/grid.png", b"<html>", "sample@gan"),
        ("scores/gan/scores.json", b"null", "evaluate@gan"),
        ("scores/gan/copies.png", b"", "evaluate@gan"),
        ("exports/gan.json", b"[]", "export"),
        ("exports/gan.attention.png", b"", "export"),
    ],
)
def test_a_damaged_file_is_named(params: Parameters, root: Path, path: str, content: bytes, stage: str) -> None:
    (root / path).parent.mkdir(exist_ok=True)
    (root / path).write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_contents("gan", params.variant("gan"), root)
    assert str(caught.value).startswith(f"{root / path}: damaged; expected ")
    assert str(caught.value).endswith(f"run `dvc repro -f {stage}`")
    assert "\n" not in str(caught.value)
