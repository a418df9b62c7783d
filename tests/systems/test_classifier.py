"""The classifier's random shifts against a loop over images, and its step."""

import pytest
import torch

from reprogan.models import architecture
from reprogan.systems import system
from reprogan.systems.classifier import shift_images
from reprogan.systems.system import Position


def shifted_by_loop(images: torch.Tensor, largest: int, generator: torch.Generator) -> torch.Tensor:
    count, _, height, width = images.shape
    start = torch.randint(0, 2 * largest + 1, (2, count, 1), generator=generator)
    out = torch.full_like(images, -1.0)
    for index in range(count):
        down, right = int(start[0, index]) - largest, int(start[1, index]) - largest
        for row in range(height):
            for column in range(width):
                if 0 <= row + down < height and 0 <= column + right < width:
                    out[index, :, row, column] = images[index, :, row + down, column + right]
    return out


@pytest.mark.parametrize("largest", [1, 2, 5])
@pytest.mark.parametrize("shape", [(7, 1, 9, 6), (3, 3, 5, 5)])
def test_shifts_against_a_loop(largest, shape):
    images = torch.rand(shape, generator=torch.Generator().manual_seed(1)) * 2 - 1
    found = shift_images(images, largest, torch.Generator().manual_seed(2))
    assert torch.equal(found, shifted_by_loop(images, largest, torch.Generator().manual_seed(2)))


def test_every_shift_happens_and_each_image_has_its_own():
    image = torch.full((1, 1, 7, 7), -1.0)
    image[0, 0, 3, 3] = 1.0
    found = shift_images(image.expand(2000, 1, 7, 7), 2, torch.Generator().manual_seed(1))
    places = found.flatten(1).argmax(1)
    assert sorted(places.unique().tolist()) == [7 * row + column for row in range(1, 6) for column in range(1, 6)]
    assert found.flatten(1).eq(1).sum(1).eq(1).all()


def test_a_step_lowers_the_loss_and_tells_accuracy():
    from reprogan.data.batches import Batch
    from reprogan.training.randomness import Randomness

    torch.manual_seed(1)
    objective = {
        "loss": "cross_entropy",
        "learning_rate": 1e-2,
        "betas": [0.9, 0.99],
        "weight_decay": 0.0,
        "shift": 1,
    }
    classifier = system.build("classifier", architecture.build("cnn_classifier", {}, (1, 28, 28), 2), objective, "")
    labels = torch.arange(20) % 2
    batch = Batch((labels.float() * 2 - 1).view(20, 1, 1, 1).expand(20, 1, 28, 28).contiguous(), labels)
    draws = Randomness(1, torch.device("cpu"))
    steps = [classifier.step(lambda: batch, draws, Position(20 * step, 0.0)) for step in range(12)]
    losses = [float(step[classifier.losses.index("training_loss")]) for step in steps]
    accuracies = [float(step[classifier.losses.index("training_accuracy")]) for step in steps]
    assert losses[-1] < losses[0] / 2 and accuracies[-1] == 1.0
    assert not any(value.requires_grad for value in steps[0])
