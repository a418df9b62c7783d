"""What a classifier reads of attributes: how often it is right, and how images share out among their options."""

import math

import torch
from torch import Tensor

from reprogan.data.hdf5 import Options

Shares = dict[str, dict[str, float]]


def read_options(logits: Tensor, attributes: Options) -> Tensor:
    """The likeliest option of each attribute, int64 (N, A), from logits (N, K), one an option."""
    counts = [len(options) for options in attributes.values()]
    return torch.stack([part.argmax(1) for part in logits.split(counts, 1)], 1)


def option_shares(read: Tensor, attributes: Options) -> Shares:
    """{attribute: {option: its share of the images}}, from options int64 (N, A)."""
    shares: Shares = {}
    for column, (name, options) in zip(read.T, attributes.items(), strict=True):
        counts = torch.bincount(column, minlength=len(options)).tolist()
        shares[name] = {option: count / len(read) for option, count in zip(options, counts, strict=True)}
    return shares


def shares_apart(one: Shares, other: Shares) -> float:
    """The share of images whose option would have to change to make the shares alike, mean over attributes: 0 to 1.

    Half the sum of the absolute differences: the total variation distance.
    """
    apart = (abs(share - other[name][option]) / 2 for name, shares in one.items() for option, share in shares.items())
    return math.fsum(apart) / len(one)
