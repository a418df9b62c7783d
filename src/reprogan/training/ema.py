"""An exponential moving average of weights, with its half-life counted in images."""

import copy

import torch
from torch import Tensor, nn

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
        self._averages, self._currents, self._copies, self._originals = _pairs(self.network, network)

    @torch.no_grad()
    def update(self, images_seen: int, batch: int) -> None:
        """Move the average towards the weights after a step on `batch` images, `images_seen` in all."""
        half_life = min(self.half_life, _WARM_UP * images_seen)
        torch._foreach_lerp_(self._averages, self._currents, 1 - 0.5 ** (batch / half_life))
        if self._copies:
            torch._foreach_copy_(self._copies, self._originals)


def _pairs(average: nn.Module, current: nn.Module) -> tuple[list[Tensor], ...]:
    """The tensors to average, those they follow, those that are copied instead, and those they are copies of.

    Copied are whole numbers and the singular vectors of spectral normalisation, which have length 1, as no mean has.
    """
    names = average.state_dict().keys()
    tensors = list(zip(names, average.state_dict().values(), current.state_dict().values(), strict=True))
    blended = [(a, c) for name, a, c in tensors if a.is_floating_point() and not name.endswith(_VECTORS)]
    copied = [(a, c) for name, a, c in tensors if not a.is_floating_point() or name.endswith(_VECTORS)]
    return [a for a, _ in blended], [c for _, c in blended], [a for a, _ in copied], [c for _, c in copied]
