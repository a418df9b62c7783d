"""Generators as ONNX: the same images by another program's runtime; the same bytes; nothing of the machine."""

from pathlib import Path

import numpy as np
import pytest
import torch

from reprogan.config import load
from reprogan.errors import UserError
from reprogan.export.attention import IMAGES, attention_of
from reprogan.export.costs import operations
from reprogan.export.generators import BITS, as_onnx
from reprogan.models import architecture, trained
from reprogan.models.latents import classes_of, draw_latents, told
from reprogan.sampling.generate import generator_of

PARAMS = load(Path(__file__).parents[2] / "params.yaml")
CLASSES = tuple("0123456789")


def made(folder: Path, name: str) -> Path:
    """A model of a variant of params.yaml whose weights are any, its running statistics too."""
    variant = PARAMS.variant(name)
    shape = (1, variant.view.size or 28, variant.view.size or 28)
    torch.manual_seed(3)
    networks = architecture.build(variant.architecture, variant.network, shape, len(CLASSES))
    for network in networks.values():
        for key, buffer in network.named_buffers():
            if key.endswith("running_var"):
                buffer.uniform_(0.5, 2)
            elif key.endswith("running_mean"):
                buffer.normal_(0, 0.5)
    description = trained.Description(
        name, variant.system, variant.architecture, variant.network, shape, CLASSES, "mnist", "last", 1
    )
    trained.save(folder / name, description, networks)
    return folder / name


@pytest.mark.parametrize("name", PARAMS.report.explorer)
def test_images_are_those_of_torch(tmp_path: Path, name: str) -> None:
    import onnxruntime

    folder = made(tmp_path, name)
    session = onnxruntime.InferenceSession(as_onnx(folder))
    generator = generator_of(trained.load(folder))
    z = draw_latents(generator, 16, torch.Generator().manual_seed(5))
    classes = classes_of(generator)
    for index, latent in enumerate(z):
        condition = torch.eye(classes)[[index % classes]] if classes else None
        inputs = {"z": latent[None].numpy()} | ({} if condition is None else {"condition": condition.numpy()})
        (images,) = session.run(["images"], inputs)
        with torch.no_grad():
            expected = told(generator, latent[None], condition).numpy()
        assert images.shape == expected.shape and np.abs(images - expected).max() < 1e-4


def test_the_same_bytes_and_nothing_of_the_machine(tmp_path: Path) -> None:
    content = as_onnx(made(tmp_path / "one", "sagan"))
    assert as_onnx(made(tmp_path / "other", "sagan")) == content
    for part in (str(tmp_path), str(Path.home()), ".py", "site-packages"):
        assert part.encode() not in content


def test_weights_have_as_many_bits_as_are_said(tmp_path: Path) -> None:
    import onnx
    from onnx import numpy_helper

    weights = onnx.load_from_string(as_onnx(made(tmp_path, "dcgan"))).graph.initializer
    numbers = np.concatenate([numpy_helper.to_array(one).ravel() for one in weights if one.data_type == 1])
    assert len(numbers) > 100_000 and not (numbers.view(np.uint32) & ((1 << (24 - BITS)) - 1)).any()


def test_a_model_that_draws_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="draws no images"):
        as_onnx(made(tmp_path, "cnn_classifier"))


def test_operations_are_counted(tmp_path: Path) -> None:
    """By hand: of the fully connected GAN's generator, 20 -> 100 -> 784, twice a product's multiplications."""
    assert operations(trained.load(made(tmp_path, "gan"))) == 2 * (20 * 100 + 100 * 784)
    layers = PARAMS.variant("autoencoder").network
    counted = operations(trained.load(made(tmp_path, "autoencoder")))
    assert counted >= 2 * 2 * 784 * layers["width"]  # there and back


def test_attention_is_that_of_the_generator(tmp_path: Path) -> None:
    model = trained.load(made(tmp_path, "sagan"))
    found = attention_of(model, 1)
    assert set(found.layers) == set(PARAMS.variant("sagan").network["generator_attention"])
    assert found.images.size == (IMAGES * 64, 64)
    maps = np.asarray(found.layers[8])
    assert maps.shape == (IMAGES * 64, 64) and (maps.max(1) == 255).all()  # each row relative to its own most
