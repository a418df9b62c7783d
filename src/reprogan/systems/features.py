"""Features of images for scores: learned from attributes where the data has them, else by denoising.

Sources: Heusel et al. 2017, for scores in a classifier's features; Vincent et al. 2008, "Extracting and Composing
Robust Features with Denoising Autoencoders".
"""

from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor, nn

from reprogan import losses
from reprogan.blocks import Strict
from reprogan.data.batches import Batch
from reprogan.systems.adam import Adam, Beta
from reprogan.systems.replay import Replayed
from reprogan.systems.system import Draws, NextBatch, Position

LOSS_FUNCTION = "answering_loss"


class Objective(Strict):
    """The `objective` block of a variant whose system is `features`."""

    loss: str = Field(description="a file of losses/ that judges answers and restored images")
    learning_rate: float = Field(gt=0)
    betas: tuple[Beta, Beta] = Field(strict=False)
    weight_decay: float = Field(ge=0)
    noise: float = Field(ge=0, description="standard deviation of what is to be removed from images without attributes")


class System:
    """A classifier of attributes; or an encoder and a decoder that together remove noise. Trained with AdamW."""

    def __init__(self, networks: Mapping[str, nn.Module], objective: Objective) -> None:
        self._loss = losses.load(objective.loss, LOSS_FUNCTION)
        self.networks = networks
        self.averaged = tuple(networks)
        self._answers = "classifier" in networks
        self.losses = ("training_loss", "training_accuracy") if self._answers else ("denoising_loss",)
        self._noise = objective.noise
        weights = [weight for network in networks.values() for weight in network.parameters()]
        self.optimisers = {"features": Adam(weights, objective.learning_rate, objective.betas, objective.weight_decay)}
        self._descend = Replayed(self._answer if self._answers else self._restore)

    def step(self, next_batch: NextBatch, draws: Draws, position: Position) -> tuple[Tensor, ...]:
        batch = next_batch()
        if self._answers:
            return self._descend(batch.images, batch.labels)
        source = draws.generator("corruption", position.images_seen)
        noise = torch.randn(batch.images.shape, generator=source, device=batch.images.device) * self._noise
        return self._descend(batch.images, batch.images + noise)

    def preview(self, networks: Mapping[str, nn.Module], draws: Draws, held_out: Batch) -> None:
        return None

    def _answer(self, images: Tensor, options: Tensor) -> tuple[Tensor, ...]:
        logits = self.networks["classifier"](images)
        loss = self._loss.answering_loss(logits, options)
        self.optimisers["features"].descend(loss)
        return loss.detach(), self._loss.accuracy(logits.detach(), options)

    def _restore(self, images: Tensor, corrupted: Tensor) -> tuple[Tensor, ...]:
        loss = self._loss.denoising_loss(self.networks["decoder"](self.networks["encoder"](corrupted)), images)
        self.optimisers["features"].descend(loss)
        return (loss.detach(),)
