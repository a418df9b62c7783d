"""Two encoders into one space, where an image lies near its caption: what text-to-image models are told a caption by.

Sources: Kim 2014, "Convolutional Neural Networks for Sentence Classification", for the reading of words; Radford et al.
2021 (CLIP) for the space.
"""

from typing import Annotated, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import pad

from reprogan.blocks import Strict
from reprogan.errors import UserError
from reprogan.models.architecture import Given
from reprogan.models.convolution import BatchNorm2d, Conv2d
from reprogan.models.layers import Linear, Shrink

_SEEN_AT = 64  # pixels a side that an image is reduced to: half of 128, for a quarter of the time

Width = Annotated[int, Field(ge=1)]


class Parameters(Strict):
    """The `network` block of a variant whose architecture is `caption_features`."""

    widths: tuple[Width, ...] = Field(strict=False, min_length=1, description="channels after each halving of the side")
    word_size: int = Field(ge=1, description="numbers that stand for a word, and channels for each length of phrases")
    phrases: tuple[Width, ...] = Field(strict=False, min_length=1, description="how many words are read together")
    features: int = Field(ge=2, description="dimensions of the space that images and captions share")


class TextEncoder(nn.Module):
    """tokens int64 (N, T), 0 after a caption's last word => float32 (N, features)."""

    def __init__(self, parameters: Parameters, words: int) -> None:
        super().__init__()
        size = parameters.word_size
        self.features = parameters.features
        self.words = nn.Embedding(words + 1, size, padding_idx=0)
        self.phrases = nn.ModuleList(nn.Conv1d(size, size, length) for length in parameters.phrases)
        self.head = Linear(len(parameters.phrases) * size, parameters.features)

    def forward(self, tokens: Tensor) -> Tensor:
        """The mean of what stands at each word, of phrases that begin there."""
        there = (tokens > 0)[:, None].to(torch.float32)
        words = self.words(tokens).transpose(1, 2)
        read = []
        for phrases in self.phrases:
            following = cast(nn.Conv1d, phrases).kernel_size[0] - 1
            found = torch.relu(phrases(pad(words, (0, following)))) * there
            read.append(found.sum(2) / there.sum(2).clamp_min(1.0))
        return self.head(torch.cat(read, 1))


class ImageEncoder(nn.Module):
    """images float32 (N, C, H, W) in [-1, 1] => float32 (N, features); larger ones than it sees are reduced first."""

    def __init__(self, parameters: Parameters, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        by = max(1, image_shape[1] // _SEEN_AT)
        side, inputs = image_shape[1] // by, image_shape[0]
        self._side = side
        self.shrink = Shrink(by)
        layers: list[nn.Module] = []
        for level, outputs in enumerate(parameters.widths):
            size = 3 if level else 5
            layers += [
                Conv2d(inputs, outputs, size, 2, size // 2, bias=False),
                BatchNorm2d(outputs),
                nn.ReLU(),
            ]
            inputs, side = outputs, -(-side // 2)
        self.layers = nn.Sequential(*layers, nn.Flatten(), Linear(inputs * side * side, parameters.features))

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(self.shrink(images) if images.shape[2] > self._side else images)


def build(parameters: Parameters, given: Given) -> dict[str, nn.Module]:
    """The encoders for square images of `image_shape` (C, H, W) and captions of `words` words.

    Raises UserError for data without captions and for images that are not square.
    """
    _, height, width = given.image_shape
    if not given.words:
        raise UserError("architecture caption_features: the data has no captions; expected data: captions")
    if height != width:
        raise UserError(f"architecture caption_features: the images are {height}×{width}; expected square ones")
    return {
        "text_encoder": TextEncoder(parameters, given.words),
        "image_encoder": ImageEncoder(parameters, given.image_shape),
    }
