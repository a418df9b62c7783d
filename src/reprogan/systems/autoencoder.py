"""Autoencoding: an encoder and a decoder that together give back what went in."""

from collections.abc import Mapping

from pydantic import Field
from torch import Tensor, nn

from reprogan import losses
from reprogan.blocks import Strict
from reprogan.data.batches import Batch
from reprogan.errors import UserError
from reprogan.systems.adam import Adam, Beta
from reprogan.systems.replay import Replayed
from reprogan.systems.system import Draws, NextBatch, Position

LOSS_FUNCTION = "reconstruction_loss"


class Objective(Strict):
    """The `objective` block of a variant whose system is `autoencoder`."""

    loss: str = Field(description="a file of losses/ that compares reconstructions with images")
    learning_rate: float = Field(gt=0)
    betas: tuple[Beta, Beta] = Field(strict=False)


class System:
    """An encoder and a decoder, trained together (Hinton and Salakhutdinov 2006)."""

    losses = ("reconstruction_loss",)
    averaged = ("encoder", "decoder")

    def __init__(self, networks: Mapping[str, nn.Module], objective: Objective) -> None:
        self._loss = losses.load(objective.loss, LOSS_FUNCTION)
        if hasattr(networks["decoder"], "latent_distribution"):
            raise UserError("network.variational: the system asks for false; set it so")
        self.networks = networks
        weights = [weight for network in networks.values() for weight in network.parameters()]
        self.optimisers = {"autoencoder": Adam(weights, objective.learning_rate, objective.betas)}
        self._descend = Replayed(self._one_step)

    def step(self, next_batch: NextBatch, draws: Draws, position: Position) -> tuple[Tensor, ...]:
        return self._descend(next_batch().images)

    def _one_step(self, images: Tensor) -> tuple[Tensor, ...]:
        codes = self.networks["encoder"](images)
        loss = self._loss.reconstruction_loss(self.networks["decoder"].logits(codes), images)  # type: ignore[operator]
        self.optimisers["autoencoder"].descend(loss)
        return (loss.detach(),)

    def preview(self, networks: Mapping[str, nn.Module], draws: Draws, held_out: Batch) -> None:
        return None
