"""The adversarial game of two networks: one or several steps of the discriminator, then one of the generator.

Networks may grow as they train (Karras et al. 2018, ProGAN, section 2): from small images to ones twice as large time
and again, every phase counted in images seen.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Annotated, NamedTuple

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import interpolate

from reprogan import losses
from reprogan.blocks import Strict
from reprogan.data.batches import Batch, as_data
from reprogan.errors import UserError
from reprogan.models.latents import classes_of, draw_labels, draw_latents, labels_in_turn, told
from reprogan.models.layers import shrunk
from reprogan.systems.adam import Adam, AdamParameters, Beta
from reprogan.systems.generator import drawing_from, generator_loss
from reprogan.systems.replay import Replayed
from reprogan.systems.system import Draws, NextBatch, Position

LOSS_FUNCTION = "discriminator_loss"
Images = Annotated[int, Field(ge=1)]

_PREVIEW_COUNT = 64


class BurnIn(Strict):
    """Values that training begins with and leaves on half a cosine: hectic at first, patient later.

    Source: Huang et al. 2024 (R3GAN), Table 6.
    """

    share: float = Field(gt=0, le=1, description="share of the budget after which the usual values hold")
    penalty: float = Field(ge=0)
    beta_2: Beta


class Growth(Strict):
    """How networks grow: `stable` images at a resolution, then `fade` in which one twice as large takes its place.

    An entry for each doubling; the last resolution has what the budget leaves.
    """

    stable: tuple[Images, ...] = Field(strict=False, min_length=1)
    fade: tuple[Images, ...] = Field(strict=False)

    @model_validator(mode="after")
    def _each_doubling_has_both(self) -> "Growth":
        if len(self.fade) != len(self.stable):
            raise ValueError(f"fade has {len(self.fade)} entries; expected {len(self.stable)}, as stable has")
        return self

    @property
    def images(self) -> int:
        """After which the last resolution is all there is."""
        return sum(self.stable) + sum(self.fade)

    def phase(self, images_seen: int) -> tuple[int, float]:
        """(level, α): how often the resolution has doubled, and its share beside the one before."""
        for level, (stable, fade) in enumerate(zip(self.stable, self.fade, strict=True)):
            if images_seen < stable:
                return level, 1.0
            if images_seen < stable + fade:
                return level + 1, (images_seen - stable) / fade
            images_seen -= stable + fade
        return len(self.stable), 1.0


class Objective(Strict):
    """The `objective` block of a variant whose system is `gan`."""

    loss: str = Field(description="a file of losses/ that judges real and fake logits")
    n_critic: int = Field(ge=1, description="steps of the discriminator, a fresh batch each, for one of the generator")
    penalty: float = Field(ge=0, description="weight of the objective's own penalty on gradients: λ, or γ")
    clip: float | None = Field(gt=0, description="bound of the discriminator's weights; null: none")
    burn_in: BurnIn | None
    growth: Growth | None = Field(
        None, description="of networks that can grow; null: they have their last size at once"
    )
    generator: AdamParameters
    discriminator: AdamParameters

    @model_validator(mode="after")
    def _penalty_is_known(self) -> "Objective":
        if self.penalty and not losses.offers(self.loss, "penalty"):
            raise ValueError(f"penalty is {self.penalty}; {self.loss} has no penalty on gradients; expected 0")
        if self.burn_in is not None and not self.penalty:
            raise ValueError(f"burn_in is there and penalty is {self.penalty}; expected a penalty above 0, or null")
        return self

    def check_budget(self, images: int) -> None:
        """Raise UserError if networks that grow would not be full-grown after so many images."""
        if self.growth and images <= self.growth.images:
            raise UserError(
                f"objective.growth: stable and fade reach the last resolution after {self.growth.images:,} images; "
                f"training.images is {images:,}; expected more"
            )


class _Round(NamedTuple):
    """What one step of the discriminator is drawn from: `asked` and `places` only where they are used."""

    images: Tensor  # real
    labels: Tensor
    latents: Tensor
    asked: Tensor | None  # labels of the fakes
    places: Tensor | None  # between real and fake, for a penalty that looks there


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
        self._last = getattr(self.generator, "last_level", 0)  # above 0: some layers rest at any one resolution
        self._grows = objective.growth is not None
        self._level = 0 if self._grows else self._last
        self._alpha = 1.0
        if self._grows and not self._last:
            raise UserError("objective.growth is set, and the architecture does not grow; expected null")
        if objective.growth and (found := len(objective.growth.stable)) != self._last:
            raise UserError(
                f"objective.growth: stable and fade have {found} entries; expected {self._last}, one for each doubling "
                "of the network's resolution"
            )
        self.optimisers = {
            key: Adam(weights, rates.learning_rate, rates.betas)
            for name, rates in (("generator", objective.generator), ("discriminator", objective.discriminator))
            for key, weights in self._weights(name)
        }
        # What looks at a whole batch (BatchNorm's statistics are its own) must see real and fake images apart; any
        # other discriminator judges both in one pass.
        has_batch_norm = any(isinstance(m, nn.BatchNorm2d) for m in self.discriminator.modules())
        looks_at_batches = any(getattr(m, "looks_at_the_batch", False) for m in self.discriminator.modules())
        self._judges_together = not (has_batch_norm or looks_at_batches)
        self._is_told = classes_of(self.generator) > 0
        self._penalises = objective.penalty > 0
        self._draws_places = self._penalises and getattr(self._loss, "LOOKS_BETWEEN", False)
        if self._penalises and has_batch_norm:
            raise UserError(
                f"objective.penalty is {objective.penalty} on a discriminator with BatchNorm, where an "
                "image's gradient hangs on the others of its batch; expected another norm, or a penalty of 0"
            )
        penalised = ("penalty", "gradient_norm") if self._penalises else ()
        grown = ("side", "alpha") if self._grows else ()
        self.losses = ("generator_loss", "discriminator_loss", *self._loss.RECORDS, *penalised, *grown)
        self._penalty_weight = torch.zeros((), device=next(self.discriminator.parameters()).device)
        self._plays: defaultdict[tuple[int, bool], Replayed] = defaultdict(lambda: Replayed(self._one_step))

    def step(self, next_batch: NextBatch, draws: Draws, position: Position) -> tuple[Tensor, ...]:
        seen = position.images_seen
        noise = draws.generator("noise", seen)
        labels = draws.generator("labels", seen) if self._is_told else noise
        if self._objective.growth:
            self._grow(self._objective.growth, seen)

        def draw(left: int) -> _Round:
            batch = next_batch()
            images = self._seen(batch.images)
            count, device = len(images), images.device
            asked = draw_labels(self.generator, count, labels) if self._is_told else None
            latents = draw_latents(self.generator, count, noise)
            if not self._draws_places:
                return _Round(images, batch.labels, latents, asked, None)
            places = torch.rand(count, 1, 1, 1, generator=draws.generator("penalty", seen + left), device=device)
            return _Round(images, batch.labels, latents, asked, places)

        rounds = [draw(left) for left in reversed(range(self._objective.n_critic))]
        if self._penalises:
            self._penalty_weight.fill_(self._burn_in(position.share))
        play = self._plays[self._level, self._alpha < 1]
        recorded = play(*itertools.chain.from_iterable(rounds))
        return (*recorded, *self._reached()) if self._grows else recorded

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
        loss = generator_loss(self._loss, fake_logits, lambda: told(self.discriminator, round_.images, real_labels))
        self._optimiser("generator").descend(loss, some_rest=self._last > 0)
        return loss.detach(), *judged

    def preview(self, networks: Mapping[str, nn.Module], draws: Draws, held_out: Batch) -> Tensor:
        """64 images (or as many as the generator's `preview_count`), of all classes in turn where there are any."""
        generator = networks["generator"]
        if self._grows:
            generator.grow(self._level, self._alpha)  # type: ignore[operator]
        with drawing_from(generator):
            count = getattr(generator, "preview_count", _PREVIEW_COUNT)
            z = draw_latents(generator, count, draws.generator("preview"))
            images = told(generator, z, labels_in_turn(generator, 0, len(z), z.device))
        if self._grows:
            generator.grow(self._last, 1.0)  # type: ignore[operator]
            images = interpolate(images, scale_factor=float(2 ** (self._last - self._level)), mode="nearest")
        return as_data(images).cpu()

    # ---- growing ----

    def _weights(self, network: str) -> Iterator[tuple[str, list[nn.Parameter]]]:
        """Names and weights of a network's optimisers: one, or one a resolution, whose averages then begin at zero."""
        if not self._grows:
            yield network, list(self.networks[network].parameters())
            return
        for level in range(self._last + 1):
            yield f"{network}_{level}", self.networks[network].weights(level)  # type: ignore[operator]

    def _optimiser(self, network: str) -> Adam:
        """The one that moves the weights of the generator or the discriminator now."""
        return self.optimisers[f"{network}_{self._level}" if self._grows else network]

    def _grow(self, growth: Growth, images_seen: int) -> None:
        """Set both networks to the resolution that they have reached."""
        self._level, self._alpha = growth.phase(images_seen)
        for network in self.networks.values():
            network.grow(self._level, self._alpha)  # type: ignore[operator]

    def _seen(self, images: Tensor) -> Tensor:
        """Real images (N, C, H, W) at the resolution reached, by means over squares, blended as the fakes are."""
        images = shrunk(images, 2 ** (self._last - self._level))
        if self._alpha == 1:
            return images
        return torch.lerp(interpolate(shrunk(images, 2), scale_factor=2.0, mode="nearest"), images, self._alpha)

    def _reached(self) -> tuple[Tensor, Tensor]:
        """For the history: the side of the images, and α."""
        side, device = self.generator.side, self._penalty_weight.device
        return torch.tensor(float(side), device=device), torch.tensor(self._alpha, device=device)  # type: ignore[arg-type]

    # ---- the discriminator's step ----

    def _judge(
        self,
        real: Tensor,
        real_labels: Tensor | None,
        fake: Tensor,
        fake_labels: Tensor | None,
        places: Tensor | None,
    ) -> tuple[Tensor, ...]:
        """One step of the discriminator: its loss, what the objective records, and the penalty where there is one."""
        joined = None
        labels = None if real_labels is None or fake_labels is None else torch.cat((real_labels, fake_labels))
        if self._judges_together:
            joined = torch.cat((real, fake)).requires_grad_(self._penalises)
            logits = told(self.discriminator, joined, labels)
            real_logits, fake_logits = logits.chunk(2)
        else:
            real, fake = real.requires_grad_(self._penalises), fake.requires_grad_(self._penalises)
            real_logits = told(self.discriminator, real, real_labels)
            fake_logits = told(self.discriminator, fake, fake_labels)
        loss = self._loss.discriminator_loss(real_logits, fake_logits)
        recorded = (loss.detach(), *self._loss.records(real_logits.detach(), fake_logits.detach()))
        if self._penalises:
            penalty, norm = self._loss.penalty(
                lambda images: told(self.discriminator, images, real_labels),
                real,
                fake,
                logits if self._judges_together else torch.cat((real_logits, fake_logits)),
                places,
                joined,
            )
            loss = loss + self._penalty_weight * penalty
            recorded += (penalty.detach(), norm)
        self._optimiser("discriminator").descend(loss, some_rest=self._last > 0)
        if self._objective.clip is not None:
            with torch.no_grad():
                weights = self._optimiser("discriminator").weights
                torch._foreach_clamp_min_(weights, -self._objective.clip)
                torch._foreach_clamp_max_(weights, self._objective.clip)
        return recorded

    def _burn_in(self, share: float) -> float:
        """The penalty's weight at `share` of the budget; sets both optimisers' second beta."""
        burn_in = self._objective.burn_in
        if burn_in is None:
            return self._objective.penalty
        left = 0.5 + 0.5 * math.cos(math.pi * min(share / burn_in.share, 1.0))  # 1 at the beginning, 0 at the end
        for name in ("generator", "discriminator"):
            beta_1, beta_2 = getattr(self._objective, name).betas
            self._optimiser(name).betas = (beta_1, beta_2 + left * (burn_in.beta_2 - beta_2))
        return self._objective.penalty + left * (burn_in.penalty - self._objective.penalty)
