"""How near translations come to the truth, pixel by pixel, and how much their noise changes them."""

import math
from typing import Any

import h5py
import torch
from torch import Tensor
from torch.nn.functional import conv2d

_BLOCK = 8  # images: what is made of them stays in the caches
_WINDOW = 11  # pixels a side
_SIGMA = 1.5
_STABILISERS = (0.01**2, 0.03**2)


def translation_scores(samples: h5py.Group, truths: Tensor) -> dict[str, Any]:
    """Means over the images of a sample set against their truths uint8 (N, C, H, W), black 0 and white 1.

    `l1` is the absolute difference of a pixel, `psnr` the peak signal-to-noise ratio in decibels (100 of equal images,
    where it is infinite), `ssim` the structural similarity, 1 for equal images. `noise_spread` is the standard
    deviation of a pixel of one source's images over the draws of noise, where the set has such.
    """
    images = samples["images"]
    count = min(len(images), len(truths))
    l1, psnr, ssim = 0.0, [], []
    for start in range(0, count, _BLOCK):
        made = torch.from_numpy(images[start : min(start + _BLOCK, count)]).to(torch.int64)
        wanted = truths[start : start + len(made)].to(torch.int64)
        difference = (made - wanted).flatten(1)
        l1 += float(difference.abs().sum())
        psnr += [_decibels(squares / difference.shape[1] / 255**2) for squares in difference.square().sum(1).tolist()]
        ssim += structural_similarity(made / 255, wanted / 255).tolist()
    scores = {
        "l1": l1 / truths[:count].numel() / 255,
        "psnr": math.fsum(psnr) / count,
        "ssim": math.fsum(ssim) / count,
    }
    if "again" not in samples:
        return scores
    again = torch.from_numpy(samples["again"][()]).to(torch.int64)
    draws = len(again)
    variances = (draws * again.square().sum(0) - again.sum(0).square()).flatten().tolist()  # times draws²
    return scores | {"noise_spread": math.fsum(map(math.sqrt, variances)) / len(variances) / draws / 255}


def structural_similarity(one: Tensor, other: Tensor) -> Tensor:
    """The mean structural similarity of each pair of images float32 (N, C, H, W) in [0, 1], float64 (N,).

    A Gaussian window of deviation 1.5, pixels that it does not wholly lie around left out, channels apart. Source: Wang
    et al. 2004, "Image Quality Assessment: From Error Visibility to Structural Similarity", section III.B.
    """
    channels = one.shape[1]
    offsets = range(-(_WINDOW // 2), _WINDOW // 2 + 1)
    weights = torch.tensor([math.exp(-(offset**2) / (2 * _SIGMA**2)) for offset in offsets], dtype=torch.float64)
    weights = (weights / weights.sum()).to(torch.float32)

    def mean(x: Tensor) -> Tensor:
        down = weights.view(1, 1, -1, 1).expand(channels, -1, -1, -1)
        across = weights.view(1, 1, 1, -1).expand(channels, -1, -1, -1)
        return conv2d(conv2d(x, down, groups=channels), across, groups=channels)

    mean_x, mean_y = mean(one), mean(other)
    variance_x, variance_y = mean(one * one) - mean_x * mean_x, mean(other * other) - mean_y * mean_y
    covariance = mean(one * other) - mean_x * mean_y
    c_1, c_2 = _STABILISERS
    similarity = ((2 * mean_x * mean_y + c_1) * (2 * covariance + c_2)) / (
        (mean_x * mean_x + mean_y * mean_y + c_1) * (variance_x + variance_y + c_2)
    )
    return similarity.flatten(1).to(torch.float64).mean(1)


def _decibels(error: float) -> float:
    return 100.0 if error == 0 else min(100.0, -10 * math.log10(error))
