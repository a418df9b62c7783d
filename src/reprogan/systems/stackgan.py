"""Text to image: a generator that is told captions against a discriminator that looks whether image and caption match.

Sources: Reed et al. 2016, "Generative Adversarial Text to Image Synthesis", section 4.2, for the matching-aware
discriminator; Zhang et al. 2017 (StackGAN), section 3.2, for conditioning augmentation and its divergence.
"""

from collections.abc import Mapping
from typing import cast

import torch
from pydantic import Field
from torch import Tensor, nn

from reprogan import losses
from reprogan.blocks import Strict
from reprogan.data.batches import Batch, as_data
from reprogan.errors import UserError
from reprogan.losses.divergence import kl_divergence
from reprogan.models.latents import draw_latents
from reprogan.models.layers import shrunk
from reprogan.systems.adam import Adam, AdamParameters
from reprogan.systems.generator import drawing_from, generator_loss
from reprogan.systems.replay import Replayed
from reprogan.systems.system import Draws, NextBatch, Position

LOSS_FUNCTION = "discriminator_loss"
LEAST_BATCH = 2  # a caption is to be another image's, too


class Objective(Strict):
    """The `objective` block of a variant whose system is `stackgan`."""

    loss: str = Field(description="a file of losses/ that judges real and fake logits")
    penalty: float = Field(ge=0, description="weight of the objective's own penalty on gradients: λ, or γ")
    kl_weight: float = Field(ge=0, description="weight of the divergence of conditions from the standard normal one")
    generator: AdamParameters
    discriminator: AdamParameters


class System:
    """One stage: its generator against its discriminator. What the generator builds on is frozen.

    Three kinds of pairs are judged: a real image with its caption is to be taken for real, a generated image with the
    caption it was made from and a real image with another caption are not.
    """

    averaged = ("generator",)

    def __init__(self, networks: Mapping[str, nn.Module], objective: Objective) -> None:
        self._loss = losses.load(objective.loss, LOSS_FUNCTION)
        self._objective = objective
        if getattr(networks.get("generator"), "reads", None) != "captions":
            raise UserError("architecture: no generator that reads captions, as the system asks for; expected stackgan")
        if objective.penalty and (not hasattr(self._loss, "penalty") or getattr(self._loss, "LOOKS_BETWEEN", False)):
            raise UserError(
                f"objective.penalty is {objective.penalty}; {objective.loss} has none on images; expected 0"
            )
        self.networks = networks
        self.generator, self.discriminator = networks["generator"], networks["discriminator"]
        self.optimisers = {
            name: Adam((w for w in networks[name].parameters() if w.requires_grad), rates.learning_rate, rates.betas)
            for name, rates in (("generator", objective.generator), ("discriminator", objective.discriminator))
        }
        penalised = ("penalty", "gradient_norm") if objective.penalty else ()
        self.losses = (
            "generator_loss",
            "kl_divergence",
            "discriminator_loss",
            "mismatch_loss",
            *self._loss.RECORDS,
            *penalised,
        )
        self._play = Replayed(self._one_step)

    def step(self, next_batch: NextBatch, draws: Draws, position: Position) -> tuple[Tensor, ...]:
        batch = next_batch()
        by = batch.images.shape[2] // cast(int, self.discriminator.side)
        images = shrunk(batch.images, by)
        latents = draw_latents(self.generator, len(images), draws.generator("noise", position.images_seen))
        return self._play(images, batch.labels, latents)

    def _one_step(self, images: Tensor, tokens: Tensor, latents: Tensor) -> tuple[Tensor, ...]:
        with torch.no_grad():
            text = self.generator.features_of(tokens)  # type: ignore[operator]
        fake, mean, log_variance = self.generator.draw(latents, text)  # type: ignore[operator]
        judged = self._judge(images, fake.detach(), text)

        # Generator, against the discriminator as it now is.
        fake_logits = self.discriminator(fake, text)
        adversarial = generator_loss(self._loss, fake_logits, lambda: self.discriminator(images, text))
        kl = kl_divergence(mean, log_variance)
        self.optimisers["generator"].descend(adversarial + self._objective.kl_weight * kl)
        return adversarial.detach(), kl.detach(), *judged

    def _judge(self, real: Tensor, fake: Tensor, text: Tensor) -> tuple[Tensor, ...]:
        """One step of the discriminator: the mean of its losses on generated images and on captions of others."""
        joined = torch.cat((real, fake)).requires_grad_(self._objective.penalty > 0)
        others = text.roll(1, 0)  # each image with the caption of the one before it
        seen = self.discriminator.see(joined)  # type: ignore[operator]
        seen_twice = torch.cat((seen, seen[: len(real)]))
        logits = self.discriminator.match(seen_twice, torch.cat((text, text, others)))  # type: ignore[operator]
        real_logits, fake_logits, mismatched_logits = logits.chunk(3)
        against_fakes = self._loss.discriminator_loss(real_logits, fake_logits)
        against_mismatches = self._loss.discriminator_loss(real_logits, mismatched_logits)
        loss = (against_fakes + against_mismatches) / 2
        recorded = (
            against_fakes.detach(),
            against_mismatches.detach(),
            *self._loss.records(real_logits.detach(), fake_logits.detach()),
        )
        if self._objective.penalty:
            penalty, norm = self._loss.penalty(None, real, fake, logits[: 2 * len(real)], None, joined)
            loss = loss + self._objective.penalty * penalty
            recorded += (penalty.detach(), norm)
        self.optimisers["discriminator"].descend(loss)
        return recorded

    def preview(self, networks: Mapping[str, nn.Module], draws: Draws, held_out: Batch) -> Tensor:
        """An image for each of a few held-out captions, always from the same latents."""
        generator = networks["generator"]
        with drawing_from(generator):
            z = draw_latents(generator, len(held_out.labels), draws.generator("preview"))
            return as_data(generator(z, held_out.labels)).cpu()
