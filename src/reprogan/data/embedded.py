"""The embedded digits: scikit-learn's 1,797 scanned 8×8 digits, enlarged to MNIST's 28×28. No network.

E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998: each
of the 8×8 values counts the inked pixels, 0 to 16, of a 4×4 block of the scan.
"""

import hashlib

import numpy as np

from reprogan.data.hdf5 import Arrays

NAME = "embedded digits"
CLASSES = tuple("0123456789")
SIZE = 28
_INK = 20  # MNIST's digits fill a box of 20×20 in the middle of 28×28
_TEST_SHARE = 1 / 6  # MNIST's 10,000 of 60,000 and 10,000, as near as it goes
_SEED = 1998
# Enlarging blurs: strokes get wide and grey. This stretch of the contrast brings them back to MNIST's: 15 % of all
# pixels inked (MNIST 13 %), 11 % neither black nor white (9 %). Harder, thin strokes break.
_BLACK, _WHITE = 0.25, 0.8


def load() -> tuple[Arrays, Arrays, dict[str, str]]:
    """The training and the test split, and {source: sha256 of its pixels and labels}.

    Images are uint8 (N, 1, 28, 28), white on black; one in six of every class, chosen by a fixed seed, is for
    testing. Imports torch: the kernels' instruction set must be pinned before.
    """
    import torch
    from sklearn.datasets import load_digits

    scans = load_digits()
    small = scans.images.astype(np.uint8)  # (N, 8, 8), 0..16
    labels = scans.target.astype(np.int64)
    sha256 = hashlib.sha256(small.tobytes() + labels.astype("<i8").tobytes()).hexdigest()
    images = enlarge(small)

    is_test = np.zeros(len(labels), dtype=bool)
    generator = torch.Generator().manual_seed(_SEED)
    for label in range(len(CLASSES)):
        members = np.flatnonzero(labels == label)
        order = torch.randperm(len(members), generator=generator).numpy()
        is_test[members[order[: round(len(members) * _TEST_SHARE)]]] = True
    train, test = (Arrays(images[chosen], labels[chosen]) for chosen in (~is_test, is_test))
    return train, test, {"sklearn.datasets.load_digits": sha256}


def enlarge(small: np.ndarray) -> np.ndarray:
    """uint8 (N, 8, 8) in 0..16 => uint8 (N, 1, 28, 28) in 0..255: 8 pixels become 20, with a margin of 4."""
    import torch
    from torch.nn import functional

    margin = 2  # black around the scan, so that strokes at its edge fade out as others do
    blown_up = (8 + 2 * margin) * _INK // 8  # 30
    images = torch.from_numpy(small).to(torch.float64).div(16)[:, None]  # N88, 0..16 => N188, 0..1
    images = functional.pad(images, (margin,) * 4)
    images = functional.interpolate(images, size=(blown_up, blown_up), mode="bicubic", align_corners=False)
    images = functional.pad(images, ((SIZE - blown_up) // 2,) * 4)  # negative: crops to the middle 28×28
    images = images.sub(_BLACK).div(_WHITE - _BLACK).clamp(0, 1).mul(255)
    # Rounded a hair off the half, so that no CPU's last bit decides a tie.
    return images.add(0.5 + 1e-6).floor().to(torch.uint8).numpy()
