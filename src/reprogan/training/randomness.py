"""Every random draw as a pure function of (seed, purpose, position): a resumed run needs no generator state.

After the per-step seeding of EDM2 (Karras et al. 2024, training loop), extended by a name for each purpose.
"""

import hashlib

import torch
from torch import Tensor


def derive_seed(seed: int, purpose: str, position: int = 0) -> int:
    """A 63-bit seed for one draw: unrelated for any two (seed, purpose, position)."""
    digest = hashlib.blake2b(f"{seed}/{purpose}/{position}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


class Randomness:
    """The random draws of one run.

    `seed` is the run's; generators live on `device`, so that noise is made where it is used. Of several processes each
    has a `rank`, and draws of its own in all but the order of the data.
    """

    def __init__(self, seed: int, device: torch.device, rank: int = 0) -> None:
        self.seed = seed
        self.device = device
        self._own = f"rank {rank} " if rank else ""

    def generator(self, purpose: str, position: int = 0) -> torch.Generator:
        """A generator for one draw on the device, e.g. ("noise", images_seen)."""
        return torch.Generator(self.device).manual_seed(derive_seed(self.seed, self._own + purpose, position))

    def seed_layers(self, position: int) -> None:
        """Seed what cannot be handed a generator: dropout and weight initialisation draw from torch's default one."""
        seed = derive_seed(self.seed, self._own + "layers", position)
        if self.device.type == "cpu":
            torch.default_generator.manual_seed(seed)  # torch.manual_seed also asks every other backend: 10x slower
        else:
            torch.manual_seed(seed)

    def permutation(self, epoch: int, size: int) -> Tensor:
        """The order of a training set of `size` images in one epoch, int64 (size,), the same on every device."""
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "order", epoch))
        return torch.randperm(size, generator=generator)
