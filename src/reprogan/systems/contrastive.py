"""Contrastive learning: an encoder of images and one of captions, so that what belongs together lies together.

Source: Radford et al. 2021, "Learning Transferable Visual Models From Natural Language Supervision" (CLIP).
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

LOSS_FUNCTION = "matching_loss"
LEAST_BATCH = 2  # a caption is told from those of other images


class Objective(Strict):
    """The `objective` block of a variant whose system is `contrastive`."""

    loss: str = Field(description="a file of losses/ that compares images with captions")
    learning_rate: float = Field(gt=0)
    betas: tuple[Beta, Beta] = Field(strict=False)
    weight_decay: float = Field(ge=0)
    temperature: float = Field(gt=0, description="similarities are divided by it: the smaller, the sharper the choice")


class System:
    """Both encoders, trained together with AdamW."""

    losses = ("training_loss", "training_accuracy")
    averaged = ("text_encoder", "image_encoder")

    def __init__(self, networks: Mapping[str, nn.Module], objective: Objective) -> None:
        self._loss = losses.load(objective.loss, LOSS_FUNCTION)
        self._temperature = objective.temperature
        self.networks = networks
        weights = [weight for network in networks.values() for weight in network.parameters()]
        self.optimisers = {"encoders": Adam(weights, objective.learning_rate, objective.betas, objective.weight_decay)}
        self._descend = Replayed(self._one_step)

    def step(self, next_batch: NextBatch, draws: Draws, position: Position) -> tuple[Tensor, ...]:
        batch = next_batch()
        return self._descend(batch.images, batch.labels)

    def _one_step(self, images: Tensor, tokens: Tensor) -> tuple[Tensor, ...]:
        """`training_accuracy` is the share of images whose own caption is the nearest of the batch's."""
        of_images, of_captions = self.networks["image_encoder"](images), self.networks["text_encoder"](tokens)
        loss = self._loss.matching_loss(of_images, of_captions, self._temperature)
        self.optimisers["encoders"].descend(loss)
        nearest = self._loss.similarities(of_images.detach(), of_captions.detach()).argmax(1)
        own = torch.arange(len(nearest), device=nearest.device)
        return loss.detach(), (nearest == own).float().mean()

    def preview(self, networks: Mapping[str, nn.Module], draws: Draws, held_out: Batch) -> None:
        return None
