"""Whether images and captions go together: the right caption found among ten, and what it names found in the image."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from reprogan.data.hdf5 import Options
from reprogan.training.randomness import derive_seed

AMONG = 10  # captions


def retrieval_accuracy(images: Tensor, own: Tensor, captions: Tensor, tokens: Tensor, seed: int) -> float:
    """The share of images whose own caption lies nearest of ten: it and nine others that read differently.

    Features of `images` (N, D) and of all `captions` (M, D), of which row own[i] is image i's; `tokens` (M, T) tell
    which captions read alike. The nine are drawn from `seed`. Where there are fewer than ten different captions, among
    those there are. Source: Xu et al. 2018 (AttnGAN), section 4, the R-precision, there of a hundred.
    """
    different, text = torch.unique(tokens, dim=0, return_inverse=True)
    first = torch.full((len(different),), len(tokens), dtype=torch.int64)
    first = first.scatter_reduce(0, text, torch.arange(len(tokens)), "amin")  # a caption for each text
    generator = torch.Generator().manual_seed(derive_seed(seed, "retrieval"))
    places = torch.rand(len(images), len(different), generator=generator)
    places.scatter_(1, text[own][:, None], -1.0)  # an image's own text comes first
    candidates = first[places.argsort(dim=1, stable=True)[:, :AMONG]]
    candidates[:, 0] = own
    near, texts = normalize(images.to(torch.float64)), normalize(captions.to(torch.float64))
    similarity = (near[:, None] * texts[candidates]).sum(2)
    nearest = (similarity[:, :1] > similarity[:, 1:]).all(1)  # alone: features that are all the same find nothing
    return int(nearest.sum()) / len(images)


def named_scores(read: Tensor, truth: Tensor, named: Tensor, attributes: Options) -> dict[str, dict[str, Any]]:
    """{attribute: how often what a caption names is read in the image}, of attributes that some captions name.

    `read` and `truth` int64 (N, A) are options as a classifier reads them and as they are, `named` (N, A) says which
    the caption tells. Beside `accuracy` stands `chance`: the same if images and captions were put together blindly.
    """
    scores = {}
    for column, (attribute, options) in enumerate(attributes.items()):
        rows = named[:, column] > 0
        count = int(rows.sum())
        if not count:
            continue
        found, wanted = read[rows, column], truth[rows, column]
        both = zip(*(torch.bincount(codes, minlength=len(options)).tolist() for codes in (found, wanted)), strict=True)
        scores[attribute] = {
            "accuracy": int((found == wanted).sum()) / count,
            "chance": math.fsum(a * b for a, b in both) / count**2,
            "count": count,
        }
    return scores
