"""Translation of images: a generator that is held to the truth pixel by pixel and, by a discriminator, to its look.

Source: Isola et al. 2017, "Image-to-Image Translation with Conditional Adversarial Networks", sections 3.1 and 3.3.
"""

from collections.abc import Mapping

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from reprogan import losses
from reprogan.blocks import Strict
from reprogan.data.batches import Batch, as_data
from reprogan.errors import UserError
from reprogan.models.latents import draw_latents
from reprogan.systems.adam import Adam, AdamParameters
from reprogan.systems.generator import drawing_from, generator_loss
from reprogan.systems.replay import Replayed
from reprogan.systems.system import Draws, NextBatch, Position

LOSS_FUNCTION = "discriminator_loss"


class Objective(Strict):
    """The `objective` block of a variant whose system is `pix2pix`."""

    loss: str = Field(description="a file of losses/ that judges real and fake logits")
    adversarial: float = Field(ge=0, description="weight of that loss for the generator; 0: the fixed loss alone")
    l1: float = Field(ge=0, description="weight of the mean absolute difference to the truth: λ")
    generator: AdamParameters
    discriminator: AdamParameters | None = Field(description="null where there is none")

    @model_validator(mode="after")
    def _both_or_none(self) -> "Objective":
        if (self.adversarial == 0) != (self.discriminator is None):
            raise ValueError(f"adversarial is {self.adversarial}; expected discriminator null at 0, and else its rates")
        return self


class System:
    """A generator that translates sources, and a discriminator that sees source and image; or the generator alone."""

    averaged = ("generator",)

    def __init__(self, networks: Mapping[str, nn.Module], objective: Objective) -> None:
        self._loss = losses.load(objective.loss, LOSS_FUNCTION)
        self._objective = objective
        self.networks = networks
        if getattr(networks.get("generator"), "reads", None) != "sources":
            raise UserError("architecture: no generator that reads sources, as the system asks for; expected unet")
        self.generator, self.discriminator = networks["generator"], networks.get("discriminator")
        if (self.discriminator is None) != (objective.adversarial == 0):
            raise UserError(
                f"objective.adversarial is {objective.adversarial} with{'out' if self.discriminator is None else ''} a "
                "discriminator; expected 0 where network.patch is null, and above 0 else"
            )
        rates = {"generator": objective.generator, "discriminator": objective.discriminator}
        self.optimisers = {
            name: Adam(networks[name].parameters(), of_it.learning_rate, of_it.betas)
            for name, of_it in rates.items()
            if of_it is not None
        }
        learned = ("generator_loss", "discriminator_loss", *self._loss.RECORDS) if self.discriminator else ()
        self.losses = ("l1_loss", *learned)
        self._translate = Replayed(self._one_step)

    def step(self, next_batch: NextBatch, draws: Draws, position: Position) -> tuple[Tensor, ...]:
        batch = next_batch()
        noise = draw_latents(self.generator, len(batch.images), draws.generator("noise", position.images_seen))
        return self._translate(batch.images, batch.sources, noise)

    def _one_step(self, truth: Tensor, source: Tensor, noise: Tensor) -> tuple[Tensor, ...]:
        fake = self.generator(noise, source)
        l1 = l1_loss(fake, truth)
        if self.discriminator is None:
            self.optimisers["generator"].descend(self._objective.l1 * l1)
            return (l1.detach(),)

        # Discriminator: pairs of a source with its truth, and with what the generator makes of it.
        twice = torch.cat((source, source))
        real_logits, fake_logits = self.discriminator(twice, torch.cat((truth, fake.detach()))).chunk(2)
        loss = self._loss.discriminator_loss(real_logits, fake_logits)
        self.optimisers["discriminator"].descend(loss)
        recorded = (loss.detach(), *self._loss.records(real_logits.detach(), fake_logits.detach()))

        # Generator, against the discriminator as it now is.
        fake_logits = self.discriminator(source, fake)
        discriminator = self.discriminator
        adversarial = generator_loss(self._loss, fake_logits, lambda: discriminator(source, truth))
        self.optimisers["generator"].descend(self._objective.adversarial * adversarial + self._objective.l1 * l1)
        return l1.detach(), adversarial.detach(), *recorded

    def preview(self, networks: Mapping[str, nn.Module], draws: Draws, held_out: Batch) -> Tensor:
        """What is made of a few held-out sources, always with the same noise."""
        generator = networks["generator"]
        with drawing_from(generator):
            z = draw_latents(generator, len(held_out.labels), draws.generator("preview"))
            return as_data(generator(z, held_out.sources)).cpu()
