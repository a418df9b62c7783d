"""An exponential moving average of weights, with its half-life counted in images."""

import copy

import torch
from torch import Tensor, nn

from reprogan.systems.one_block import joined, move_together

_WARM_UP = 0.25
_VECTORS = ("._u", "._v")  # as torch's spectral_norm names them


class WeightAverage:
    """The average of a network's weights and floating-point buffers (BatchNorm's statistics) over training.

    While little has been seen the half-life is a quarter of it: the average must not remember the initial weights.
    Source: Karras et al. 2022 (EDM), Table 1, for the half-life in images and its ramp-up.
    """

    def __init__(self, network: nn.Module, half_life: int) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.half_life = half_life
        self._averages, self._currents, self._copied = _pairs(self.network, network)

    @torch.no_grad()
    def update(self, images_seen: int, batch: int) -> None:
        """Move the average towards the weights after a step on `batch` images, `images_seen` in all."""
        half_life = min(self.half_life, _WARM_UP * images_seen)
        torch._foreach_lerp_(self._averages, self._currents, 1 - 0.5 ** (batch / half_life))
        for average, current in self._copied:
            average.copy_(current)


def _pairs(average: nn.Module, current: nn.Module) -> tuple[list[Tensor], list[Tensor], list[tuple[Tensor, Tensor]]]:
    """The tensors to average, those they follow, and the pairs that are copied instead.

    Copied are whole numbers and the singular vectors of spectral normalisation, which have length 1, as no mean has.
    """
    ours, theirs = average.state_dict(keep_vars=True), current.state_dict(keep_vars=True)
    pairs = [(name, tensor, theirs[name]) for name, tensor in ours.items()]
    blended = [(a, c) for name, a, c in pairs if a.is_floating_point() and not name.endswith(_VECTORS)]
    copied = [(a, c.detach()) for name, a, c in pairs if not a.is_floating_point() or name.endswith(_VECTORS)]
    weights = [(a, c) for a, c in blended if isinstance(c, nn.Parameter)]
    others = [(a, c) for a, c in blended if not isinstance(c, nn.Parameter)]
    together = joined([c for _, c in weights])  # as an optimiser may have moved them
    if together is not None and (block := move_together([a for a, _ in weights])) is not None:
        blended = [(block, together), *others]
    return [a.detach() for a, _ in blended], [c.detach() for _, c in blended], copied
