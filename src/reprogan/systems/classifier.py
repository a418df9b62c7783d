"""Classification by cross-entropy, with random shifts as augmentation."""

from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import pad

from reprogan import losses
from reprogan.blocks import Strict
from reprogan.data.batches import Batch
from reprogan.systems.adam import Adam, Beta
from reprogan.systems.replay import Replayed
from reprogan.systems.system import Draws, NextBatch, Position

LOSS_FUNCTION = "classification_loss"


class Objective(Strict):
    """The `objective` block of a variant whose system is `classifier`."""

    loss: str = Field(description="a file of losses/ that judges logits by labels")
    learning_rate: float = Field(gt=0)
    betas: tuple[Beta, Beta] = Field(strict=False)
    weight_decay: float = Field(ge=0)
    shift: int = Field(ge=0, description="largest random shift of a training image, in pixels on each axis")


class System:
    """A classifier, trained with AdamW (Loshchilov and Hutter 2019)."""

    losses = ("training_loss", "training_accuracy")
    averaged = ("classifier",)

    def __init__(self, networks: Mapping[str, nn.Module], objective: Objective) -> None:
        self._loss = losses.load(objective.loss, LOSS_FUNCTION)
        self.networks = networks
        self.classifier = networks["classifier"]
        self.optimisers = {
            "classifier": Adam(
                self.classifier.parameters(), objective.learning_rate, objective.betas, objective.weight_decay
            )
        }
        self._shift = objective.shift
        self._descend = Replayed(self._one_step)

    def step(self, next_batch: NextBatch, draws: Draws, position: Position) -> tuple[Tensor, ...]:
        batch = next_batch()
        images = batch.images
        if self._shift:
            images = shift_images(images, self._shift, draws.generator("shift", position.images_seen))
        return self._descend(images, batch.labels)

    def _one_step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        logits = self.classifier(images)
        loss = self._loss.classification_loss(logits, labels)
        self.optimisers["classifier"].descend(loss)
        return loss.detach(), (logits.detach().argmax(1) == labels).float().mean()

    def preview(self, networks: Mapping[str, nn.Module], draws: Draws, held_out: Batch) -> None:
        return None


def shift_images(images: Tensor, largest: int, generator: torch.Generator) -> Tensor:
    """Shift each image by its own whole pixels, -largest..largest on each axis; -1 (black) fills what appears.

    float32 (N, C, H, W) => the same shape. `generator` must live on the images' device.
    """
    count, channels, height, width = images.shape
    padded = pad(images, (largest,) * 4, value=-1.0)
    start = torch.randint(0, 2 * largest + 1, (2, count, 1), generator=generator, device=images.device)
    rows = (start[0] + torch.arange(height, device=images.device)).view(count, 1, height, 1)
    columns = (start[1] + torch.arange(width, device=images.device)).view(count, 1, 1, width)
    image = torch.arange(count, device=images.device).view(count, 1, 1, 1)
    channel = torch.arange(channels, device=images.device).view(1, channels, 1, 1)
    return padded[image, channel, rows, columns]
