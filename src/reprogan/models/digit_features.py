"""The classifier that digit scores are read with: three convolutions and 128 ReLU features.

Its features are this project's own space for Fréchet distances; they compare with no other project's numbers.
"""

from torch import Tensor, nn

from reprogan.blocks import Strict
from reprogan.errors import UserError
from reprogan.models.architecture import Given
from reprogan.models.convolution import BatchNorm2d, Conv2d
from reprogan.models.layers import Linear

_FEATURES = 128


class Parameters(Strict):
    """The `network` block of a variant whose architecture is `digit_features`: nothing to set."""


class Classifier(nn.Module):
    """images float32 (N, C, H, W) in [-1, 1] => logits float32 (N, classes)."""

    def __init__(self, image_shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        channels, height, width = image_shape
        cells = _eighth(height) * _eighth(width)
        self.features = nn.Sequential(
            *_convolve(channels, 16, kernel=5, stride=2),  # 28 => 14
            *_convolve(16, 32, kernel=3, stride=1),
            nn.MaxPool2d(2, ceil_mode=True),  # => 7
            *_convolve(32, 64, kernel=3, stride=2),  # => 4
            nn.Flatten(),
            Linear(64 * cells, _FEATURES, bias=False),
            nn.BatchNorm1d(_FEATURES),
            nn.ReLU(),
        )
        self.head = Linear(_FEATURES, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))


def build(parameters: Parameters, given: Given) -> dict[str, nn.Module]:
    """The network for images of `image_shape` (C, H, W) in `classes` classes. Raises UserError below 8×8."""
    _, height, width = given.image_shape
    if min(height, width) < 8:
        raise UserError(f"architecture digit_features: the images are {height}×{width}; expected at least 8×8")
    return {"classifier": Classifier(given.image_shape, given.classes)}


def _convolve(inputs: int, outputs: int, kernel: int, stride: int) -> tuple[nn.Module, ...]:
    """A convolution that divides height and width by `stride`, rounded up, with BatchNorm and ReLU."""
    convolution = Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return convolution, BatchNorm2d(outputs), nn.ReLU()


def _eighth(size: int) -> int:
    """A side after it was halved, rounded up, three times."""
    return -(-size // 8)
