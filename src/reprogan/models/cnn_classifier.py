"""The small convolutional classifier that GANs are taught after: two convolutions and a linear layer.

For 28×28 images: 28 => 12 => 5, so 250 features.
"""

import torch
from torch import Tensor, nn

from reprogan.blocks import Strict
from reprogan.errors import UserError
from reprogan.models.architecture import Given
from reprogan.models.convolution import BatchNorm2d, Conv2d
from reprogan.models.layers import Linear


class Parameters(Strict):
    """The `network` block of a variant whose architecture is `cnn_classifier`: nothing to set."""


class Classifier(nn.Module):
    """images float32 (N, C, H, W) in [-1, 1] => logits float32 (N, classes)."""

    def __init__(self, image_shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            Conv2d(image_shape[0], 10, 5, 2),
            nn.LeakyReLU(0.02),
            BatchNorm2d(10),
            Conv2d(10, 10, 3, 2),
            nn.LeakyReLU(0.02),
            BatchNorm2d(10),
            nn.Flatten(),
        )
        with torch.no_grad():
            size = self.features.eval()(torch.zeros(1, *image_shape)).shape[1]
        self.features.train()
        self.head = Linear(size, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))


def build(parameters: Parameters, given: Given) -> dict[str, nn.Module]:
    """The network for images of `image_shape` (C, H, W) in `classes` classes. Raises UserError below 9×9."""
    _, height, width = given.image_shape
    if min(height, width) < 9:
        raise UserError(f"architecture cnn_classifier: the images are {height}×{width}; expected at least 9×9")
    return {"classifier": Classifier(given.image_shape, given.classes)}
