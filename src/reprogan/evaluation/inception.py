"""Scores read from a classifier's answers: the inception score, class shares and their entropy."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def inception_score(logits: Tensor) -> float:
    """exp(mean KL(p(y|x) ‖ p(y))) of a classifier's `logits` (N, K), in one split; between 1 and K.

    High when each image is answered with confidence and all classes are answered equally often. Computed as
    exp(H(p(y)) − mean H(p(y|x))) in float64, in which a class that is never answered needs no special case.

    Source: Salimans et al. 2016, section 4 (with another classifier in place of Inception).
    """
    logits = logits.to(torch.float64)
    probabilities = torch.softmax(logits, 1)
    conditional = -float((probabilities * torch.log_softmax(logits, 1)).sum(1).mean())
    return math.exp(max(entropy(probabilities.mean(0).tolist()) - conditional, 0.0))


def class_shares(logits: Tensor) -> list[float]:
    """The share of the images that each class is the answer for (the highest of `logits` (N, K)); K shares."""
    counts = torch.bincount(logits.argmax(1), minlength=logits.shape[1])
    return [count / len(logits) for count in counts.tolist()]


def entropy(shares: Sequence[float]) -> float:
    """−Σ p ln p of shares that sum to 1, in nats: 0 for one class, ln K for K equal ones."""
    return math.fsum(-share * math.log(share) for share in shares if share > 0)
