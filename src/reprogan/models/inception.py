"""Inception-v3, in whose features most Fréchet distances are published; its weights come from elsewhere.

The network is torch-fidelity's, which gives the numbers of the TensorFlow graph that the first of these distances were
read with (Heusel et al. 2017); torchvision's has other weights and another way to resize. See src/reprogan/weights.py.
"""

import io
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from reprogan.blocks import Strict
from reprogan.errors import UserError
from reprogan.models.architecture import Given


class Parameters(Strict):
    """The `network` block of the architecture `inception`: there is nothing to choose."""


class _Network(FeatureExtractorInceptionV3):  # type: ignore[misc]
    """torch-fidelity's, made without weights: it would fetch them."""

    def __init__(self) -> None:
        nothing = io.BytesIO()
        torch.save({}, nothing)
        nothing.seek(0)
        super().__init__("inception", ["2048"], nothing)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """As any module's; of nothing, nothing."""
        return super().load_state_dict(state_dict, strict=strict and bool(state_dict), assign=assign)


class Classifier(nn.Module):
    """images float32 (N, 3, H, W) in [-1, 1], of any size => features float32 (N, 2048), those of the last pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.network = _Network()

    def features(self, images: Tensor) -> Tensor:
        """Features of the images as uint8, which the network enlarges to 299×299 itself."""
        (found,) = self.network(images.mul(127.5).add(127.5).round().to(torch.uint8))
        return found

    def forward(self, images: Tensor) -> Tensor:
        return self.features(images)


def build(parameters: Parameters, given: Given) -> dict[str, nn.Module]:
    """The network; it has no classes of the data's. Raises UserError for images without three channels."""
    if given.image_shape[0] != 3:
        raise UserError(f"architecture inception: the images have {given.image_shape[0]} channel(s); expected 3")
    return {"classifier": Classifier()}
