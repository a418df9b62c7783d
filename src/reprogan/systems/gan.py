"""The adversarial game of two networks: one or several steps of the discriminator, then one of the generator."""

import itertools
import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from reprogan import losses
from reprogan.config import Strict
from reprogan.data.batches import as_data
from reprogan.errors import UserError
from reprogan.models.latents import classes_of, draw_labels, draw_latents, labels_in_turn, told
from reprogan.systems.adam import Adam
from reprogan.systems.replay import Replayed
from reprogan.systems.system import Beta, Draws, NextBatch, Position

LOSS_FUNCTION = "discriminator_loss"

_PREVIEW_COUNT = 64


class AdamParameters(Strict):
    """One network's optimiser (Kingma and Ba 2015)."""

    learning_rate: float = Field(gt=0)
    betas: tuple[Beta, Beta] = Field(strict=False)


class BurnIn(Strict):
    """Values that training begins with and leaves on half a cosine: hectic at first, patient later.

    Source: Huang et al. 2024 (R3GAN), Table 6.
    """

    share: float = Field(gt=0, le=1, description="share of the budget after which the usual values hold")
    penalty: float = Field(ge=0)
    beta_2: Beta


class Objective(Strict):
    """The `objective` block of a variant whose system is `gan`."""

    loss: str = Field(description="a file of losses/ that judges real and fake logits")
    n_critic: int = Field(ge=1, description="steps of the discriminator, a fresh batch each, for one of the generator")
    penalty: float = Field(ge=0, description="weight of the objective's own penalty on gradients: λ, or γ")
    clip: float | None = Field(gt=0, description="bound of the discriminator's weights; null: none")
    burn_in: BurnIn | None
    generator: AdamParameters
    discriminator: AdamParameters

    @model_validator(mode="after")
    def _penalty_is_known(self) -> "Objective":
        if self.penalty and not losses.offers(self.loss, "penalty"):
            raise ValueError(f"penalty is {self.penalty}; {self.loss} has no penalty on gradients; expected 0")
        if self.burn_in is not None and not self.penalty:
            raise ValueError(f"burn_in is there and penalty is {self.penalty}; expected a penalty above 0, or null")
        return self


class _Round(NamedTuple):
    """What one step of the discriminator is drawn from: `asked` and `places` only where they are used."""

    images: Tensor  # real
    labels: Tensor
    latents: Tensor
    asked: Tensor | None  # labels of the fakes
    places: Tensor | None  # between real and fake, for a penalty


class System:
    """A generator against a discriminator.

    The fakes of a batch serve both steps: detached in the discriminator's, with their graph in the generator's,
    so the generator runs forward once. No gradient of the discriminator's weights is computed in the generator's step.
    """

    averaged = ("generator",)

    def __init__(self, networks: Mapping[str, nn.Module], objective: Objective) -> None:
        self._loss = losses.load(objective.loss, LOSS_FUNCTION)
        self._objective = objective
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
        self._is_relativistic = hasattr(self._loss, "relativistic_generator_loss")
        self._penalises = objective.penalty > 0
        if self._penalises and not self._judges_together:
            raise UserError(
                f"objective.penalty is {objective.penalty} on a discriminator with BatchNorm, where an "
                "image's gradient hangs on the others of its batch; expected another norm, or a penalty of 0"
            )
        penalised = ("penalty", "gradient_norm") if self._penalises else ()
        self.losses = ("generator_loss", "discriminator_loss", *self._loss.RECORDS, *penalised)
        self._penalty_weight = torch.zeros((), device=next(self.discriminator.parameters()).device)
        self._play = Replayed(self._one_step)

    def step(self, next_batch: NextBatch, draws: Draws, position: Position) -> tuple[Tensor, ...]:
        seen = position.images_seen
        noise = draws.generator("noise", seen)
        labels = draws.generator("labels", seen) if classes_of(self.generator) else noise

        def draw(left: int) -> _Round:
            batch = next_batch()
            count, device = len(batch.images), batch.images.device
            asked = draw_labels(self.generator, count, labels)
            latents = draw_latents(self.generator, count, noise)
            if not self._penalises:
                return _Round(batch.images, batch.labels, latents, asked, None)
            places = torch.rand(count, 1, 1, 1, generator=draws.generator("penalty", seen + left), device=device)
            return _Round(batch.images, batch.labels, latents, asked, places)

        rounds = [draw(left) for left in reversed(range(self._objective.n_critic))]
        self._penalty_weight.fill_(self._burn_in(position.share))
        return self._play(*itertools.chain.from_iterable(rounds))

    def _one_step(self, *drawn: Tensor) -> tuple[Tensor, ...]:
        """Play the rounds whose fields are `drawn`, one after the other; then one step of the generator."""
        size = len(_Round._fields)
        rounds = [_Round(*drawn[first : first + size]) for first in range(0, len(drawn), size)]

        # Discriminator: only the fakes of its last step go on to the generator's.
        for round_ in rounds:
            with torch.set_grad_enabled(round_ is rounds[-1]):
                fake = told(self.generator, round_.latents, round_.asked)
            real_labels = None if round_.asked is None else round_.labels
            judged = self._judge(round_.images, real_labels, fake.detach(), round_.asked, round_.places)

        # Generator, against the discriminator as it now is.
        fake_logits = told(self.discriminator, fake, round_.asked)
        if self._is_relativistic:
            with torch.no_grad():
                real_logits = told(self.discriminator, round_.images, real_labels)
            generator_loss = self._loss.relativistic_generator_loss(real_logits, fake_logits)
        else:
            generator_loss = self._loss.generator_loss(fake_logits)
        self.optimisers["generator"].descend(generator_loss)
        return generator_loss.detach(), *judged

    def preview(self, networks: Mapping[str, nn.Module], draws: Draws) -> Tensor:
        """64 images (or as many as the generator's `preview_count`), of all classes in turn where there are any."""
        generator = networks["generator"]
        was_training = generator.training
        generator.eval()
        with torch.no_grad():
            count = getattr(generator, "preview_count", _PREVIEW_COUNT)
            z = draw_latents(generator, count, draws.generator("preview"))
            images = told(generator, z, labels_in_turn(generator, 0, len(z), z.device))
        generator.train(was_training)
        return as_data(images).cpu()

    def _judge(
        self,
        real: Tensor,
        real_labels: Tensor | None,
        fake: Tensor,
        fake_labels: Tensor | None,
        places: Tensor | None,
    ) -> tuple[Tensor, ...]:
        """One step of the discriminator: its loss, what the objective records, and the penalty where there is one."""
        if self._penalises:
            real, fake = real.requires_grad_(), fake.requires_grad_()
        labels = None if real_labels is None or fake_labels is None else torch.cat((real_labels, fake_labels))
        if self._judges_together:
            logits = told(self.discriminator, torch.cat((real, fake)), labels)
            real_logits, fake_logits = logits.chunk(2)
        else:
            real_logits = told(self.discriminator, real, real_labels)
            fake_logits = told(self.discriminator, fake, fake_labels)
        loss = self._loss.discriminator_loss(real_logits, fake_logits)
        recorded = (loss.detach(), *self._loss.records(real_logits.detach(), fake_logits.detach()))
        if self._penalises:
            penalty, norm = self._loss.penalty(
                lambda images: told(self.discriminator, images, real_labels), real, fake, logits, places
            )
            loss = loss + self._penalty_weight * penalty
            recorded += (penalty.detach(), norm)
        self.optimisers["discriminator"].descend(loss)
        if self._objective.clip is not None:
            with torch.no_grad():
                torch._foreach_clamp_min_(self.optimisers["discriminator"].weights, -self._objective.clip)
                torch._foreach_clamp_max_(self.optimisers["discriminator"].weights, self._objective.clip)
        return recorded

    def _burn_in(self, share: float) -> float:
        """The penalty's weight at `share` of the budget; sets both optimisers' second beta."""
        burn_in = self._objective.burn_in
        if burn_in is None:
            return self._objective.penalty
        left = 0.5 + 0.5 * math.cos(math.pi * min(share / burn_in.share, 1.0))  # 1 at the beginning, 0 at the end
        for name in ("generator", "discriminator"):
            beta_1, beta_2 = getattr(self._objective, name).betas
            self.optimisers[name].betas = (beta_1, beta_2 + left * (burn_in.beta_2 - beta_2))
        return self._objective.penalty + left * (burn_in.penalty - self._objective.penalty)


def _adam(network: nn.Module, parameters: AdamParameters) -> Adam:
    return Adam(network.parameters(), parameters.learning_rate, parameters.betas)
