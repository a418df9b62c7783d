"""The cross-entropy of a classifier."""

from torch import Tensor
from torch.nn import functional


def classification_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """-log softmax(logits)[label], mean over float (N, classes) and int64 (N,)."""
    return functional.cross_entropy(logits, labels)
