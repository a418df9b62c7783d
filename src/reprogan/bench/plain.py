"""The loop people run today, written well: torchvision's MNIST, a DataLoader, `.item()` for each batch's losses.

It trains the same networks with the same batch size, precision and optimiser settings as our trainer; it does without
everything that this project adds. The discriminator sees the generator's images detached, so they are made once.
"""

import time
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from reprogan.config import Variant
from reprogan.models.latents import draw_latents


def images_per_second(
    variant: Variant, networks: dict[str, nn.Module], folder: Path, images: int, warm_up: int
) -> float:
    """Train on `images` images of the IDX files below `folder` (after `warm_up` more that are not timed)."""
    pixels = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])
    dataset = datasets.MNIST(str(folder), train=True, transform=pixels, download=False)
    loader = DataLoader(dataset, batch_size=variant.training.batch_size, shuffle=True, drop_last=True)
    step = _classifier_step(variant, networks) if variant.system == "classifier" else _gan_step(variant, networks)

    seen, started = 0, 0.0
    while True:
        for batch, labels in loader:
            if seen >= warm_up and not started:
                started, seen = time.perf_counter(), 0
            if started and seen >= images:
                return seen / (time.perf_counter() - started)
            step(batch, labels)
            seen += len(batch)


def _gan_step(variant: Variant, networks: dict[str, nn.Module]):  # type: ignore[no-untyped-def]
    generator, discriminator = networks["generator"], networks["discriminator"]
    optimisers = {
        name: torch.optim.Adam(
            networks[name].parameters(),
            lr=variant.objective[name]["learning_rate"],
            betas=tuple(variant.objective[name]["betas"]),
        )
        for name in ("generator", "discriminator")
    }
    source = torch.Generator().manual_seed(1)

    def step(real: torch.Tensor, labels: torch.Tensor) -> tuple[float, float]:
        ones, zeros = torch.ones(len(real)), torch.zeros(len(real))
        z = draw_latents(generator, len(real), source)
        fake = generator(z)

        optimisers["discriminator"].zero_grad()
        loss_real = binary_cross_entropy_with_logits(discriminator(real), ones)
        loss_fake = binary_cross_entropy_with_logits(discriminator(fake.detach()), zeros)
        discriminator_loss = loss_real + loss_fake
        discriminator_loss.backward()
        optimisers["discriminator"].step()

        optimisers["generator"].zero_grad()
        generator_loss = binary_cross_entropy_with_logits(discriminator(fake), ones)
        generator_loss.backward()
        optimisers["generator"].step()
        return generator_loss.item(), discriminator_loss.item()

    return step


def _classifier_step(variant: Variant, networks: dict[str, nn.Module]):  # type: ignore[no-untyped-def]
    classifier = networks["classifier"]
    optimiser = torch.optim.AdamW(
        classifier.parameters(),
        lr=variant.objective["learning_rate"],
        betas=tuple(variant.objective["betas"]),
        weight_decay=variant.objective["weight_decay"],
    )

    def step(images: torch.Tensor, labels: torch.Tensor) -> float:
        optimiser.zero_grad()
        loss = cross_entropy(classifier(images), labels)
        loss.backward()
        optimiser.step()
        return loss.item()

    return step
