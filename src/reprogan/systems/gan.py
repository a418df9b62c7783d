"""The adversarial game of two networks, a discriminator's step and a generator's step a batch."""

from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor, nn

from reprogan import losses
from reprogan.config import Strict
from reprogan.data.batches import to_uint8
from reprogan.models.latents import draw_latents
from reprogan.systems.adam import Adam
from reprogan.systems.system import Beta, Draws, NextBatch

_PREVIEW_IMAGES = 64


LOSS_FUNCTION = "discriminator_loss"


class AdamParameters(Strict):
    """One network's optimiser (Kingma and Ba 2015)."""

    learning_rate: float = Field(gt=0)
    betas: tuple[Beta, Beta] = Field(strict=False)


class Objective(Strict):
    """The `objective` block of a variant whose system is `gan`."""

    loss: str = Field(description="a file of losses/ that judges real and fake logits")
    generator: AdamParameters
    discriminator: AdamParameters


class System:
    """A generator against a discriminator with real and fake logits.

    The fakes of a batch serve both steps: detached in the discriminator's, with their graph in the generator's,
    so the generator runs forward once. No gradient of the discriminator's weights is computed in the generator's step.
    """

    losses = ("generator_loss", "discriminator_loss", "real_probability", "fake_probability")
    averaged = ("generator",)

    def __init__(self, networks: Mapping[str, nn.Module], objective: Objective) -> None:
        self._loss = losses.load(objective.loss, LOSS_FUNCTION)
        self.networks = networks
        self.generator = networks["generator"]
        self.discriminator = networks["discriminator"]
        self.optimisers = {
            "generator": _adam(self.generator, objective.generator),
            "discriminator": _adam(self.discriminator, objective.discriminator),
        }
        # BatchNorm must see real and fake images apart (Ioffe and Szegedy statistics are a batch's own);
        # any other discriminator judges both in one pass.
        self._judges_together = not any(isinstance(m, nn.BatchNorm2d) for m in self.discriminator.modules())

    def step(self, next_batch: NextBatch, draws: Draws, position: int) -> tuple[Tensor, ...]:
        real = next_batch().images
        fake = self.generator(self._latents(len(real), draws.generator("noise", position)))

        # Discriminator.
        real_logits, fake_logits = self._judge(real, fake.detach())
        discriminator_loss = self._loss.discriminator_loss(real_logits, fake_logits)
        self.optimisers["discriminator"].descend(discriminator_loss)

        # Generator, against the discriminator as it now is.
        generator_loss = self._loss.generator_loss(self.discriminator(fake))
        self.optimisers["generator"].descend(generator_loss)

        return (
            generator_loss.detach(),
            discriminator_loss.detach(),
            real_logits.detach().sigmoid().mean(),
            fake_logits.detach().sigmoid().mean(),
        )

    def preview(self, networks: Mapping[str, nn.Module], draws: Draws) -> Tensor:
        generator = networks["generator"]
        was_training = generator.training
        generator.eval()
        with torch.no_grad():
            images = to_uint8(generator(self._latents(_PREVIEW_IMAGES, draws.generator("preview")))).cpu()
        generator.train(was_training)
        return images

    def _latents(self, count: int, source: torch.Generator) -> Tensor:
        return draw_latents(self.generator, count, source)

    def _judge(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        if self._judges_together:
            real_logits, fake_logits = self.discriminator(torch.cat((real, fake))).chunk(2)
            return real_logits, fake_logits
        return self.discriminator(real), self.discriminator(fake)


def _adam(network: nn.Module, parameters: AdamParameters) -> Adam:
    return Adam(network.parameters(), parameters.learning_rate, parameters.betas)
