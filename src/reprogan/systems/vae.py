"""Variational autoencoding: codes are distributions near the standard normal one, from which images can be drawn."""

from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor, nn

from reprogan import losses
from reprogan.blocks import Strict
from reprogan.data.batches import Batch, as_data
from reprogan.errors import UserError
from reprogan.losses.divergence import kl_divergence
from reprogan.models.latents import draw_latents
from reprogan.systems.adam import Adam, Beta
from reprogan.systems.replay import Replayed
from reprogan.systems.system import Draws, NextBatch, Position

LOSS_FUNCTION = "reconstruction_loss"

_PREVIEW_COUNT = 64


class Objective(Strict):
    """The `objective` block of a variant whose system is `vae`."""

    loss: str = Field(description="a file of losses/ that compares reconstructions with images")
    kl_weight: float = Field(ge=0, description="weight of the divergence from the prior: 1 for the bound itself")
    learning_rate: float = Field(gt=0)
    betas: tuple[Beta, Beta] = Field(strict=False)


class System:
    """An encoder to distributions and a decoder (Kingma and Welling 2014): maximises the evidence lower bound."""

    losses = ("negative_elbo", "reconstruction_loss", "kl_divergence")
    averaged = ("encoder", "decoder")

    def __init__(self, networks: Mapping[str, nn.Module], objective: Objective) -> None:
        self._loss = losses.load(objective.loss, LOSS_FUNCTION)
        self._kl_weight = objective.kl_weight
        if not hasattr(networks["decoder"], "latent_distribution"):
            raise UserError("network.variational: the system asks for true; set it so")
        self.networks = networks
        weights = [weight for network in networks.values() for weight in network.parameters()]
        self.optimisers = {"autoencoder": Adam(weights, objective.learning_rate, objective.betas)}
        self._descend = Replayed(self._one_step)

    def step(self, next_batch: NextBatch, draws: Draws, position: Position) -> tuple[Tensor, ...]:
        images = next_batch().images
        source = draws.generator("noise", position.images_seen)
        return self._descend(images, draw_latents(self.networks["decoder"], len(images), source))

    def _one_step(self, images: Tensor, noise: Tensor) -> tuple[Tensor, ...]:
        mean, log_variance = self.networks["encoder"](images).chunk(2, dim=1)
        codes = mean + noise * (log_variance / 2).exp()
        logits = self.networks["decoder"].logits(codes)  # type: ignore[operator]
        reconstruction = self._loss.reconstruction_loss(logits, images)
        kl = kl_divergence(mean, log_variance)
        self.optimisers["autoencoder"].descend(reconstruction + self._kl_weight * kl)
        return (reconstruction + kl).detach(), reconstruction.detach(), kl.detach()

    def preview(self, networks: Mapping[str, nn.Module], draws: Draws, held_out: Batch) -> Tensor:
        """64 images drawn from the prior."""
        decoder = networks["decoder"]
        with torch.no_grad():
            return as_data(decoder(draw_latents(decoder, _PREVIEW_COUNT, draws.generator("preview")))).cpu()
