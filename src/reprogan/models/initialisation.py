"""Weight initialisation that several architectures share."""

from torch import nn


def normal_weights(network: nn.Module, std: float) -> None:
    """Draw convolution and linear weights from N(0, std²), normalisation scales from N(1, std²); biases become 0.

    Source: Radford et al. 2016 (DCGAN), Section 4, with std = 0.02.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d) and module.affine:
            nn.init.normal_(module.weight, 1.0, std)
            nn.init.zeros_(module.bias)
