"""Weight initialisation that several architectures share."""

import itertools
from typing import cast

from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized


def normal_weights(networks: dict[str, nn.Module], std: float | None) -> dict[str, nn.Module]:
    """The networks, convolution and linear weights drawn from N(0, std²), BatchNorm's scales from N(1, std²), biases 0.

    None leaves torch's own draws. Source: Radford et al. 2016 (DCGAN), Section 4, with std = 0.02.
    """
    if std is None:
        return networks
    for module in itertools.chain.from_iterable(network.modules() for network in networks.values()):
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            # Under spectral normalisation `weight` is computed anew from the original at each use.
            spectral = is_parametrized(module, "weight")
            weight = module.parametrizations.weight.original if spectral else module.weight  # type: ignore[union-attr]
            nn.init.normal_(cast(Tensor, weight), 0.0, std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d) and module.affine:
            nn.init.normal_(module.weight, 1.0, std)
            nn.init.zeros_(module.bias)
    return networks
