"""Plain steps of what is told more than a class: images of sources and of captions, and the encoders of both."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, cross_entropy, l1_loss, normalize

from reprogan.bench.plain_losses import discriminator_loss, generator_loss, gradient_penalty
from reprogan.config import Variant
from reprogan.models.latents import draw_latents

Step = Callable[[Tensor, Tensor], Any]


def pix2pix_step(variant: Variant, networks: dict[str, nn.Module]) -> Step:
    """The step (truths, sources)."""
    generator, discriminator, objective = networks["generator"], networks.get("discriminator"), variant.objective
    optimisers = adams(objective, networks)
    source_of_noise = torch.Generator().manual_seed(1)

    def step(truth: Tensor, source: Tensor) -> tuple[float, ...]:
        fake = generator(draw_latents(generator, len(truth), source_of_noise), source)
        loss = objective["l1"] * l1_loss(fake, truth)
        of_discriminator: tuple[float, ...] = ()
        if discriminator is not None:
            optimisers["discriminator"].zero_grad()
            judged = discriminator_loss(
                objective["loss"], discriminator(source, truth), discriminator(source, fake.detach())
            )
            judged.backward()
            optimisers["discriminator"].step()
            of_discriminator = (judged.item(),)
            real_logits = discriminator(source, truth).detach() if objective["loss"] == "relativistic" else truth
            learned = generator_loss(objective["loss"], real_logits, discriminator(source, fake))
            loss = loss + objective["adversarial"] * learned
        optimisers["generator"].zero_grad()
        loss.backward()
        optimisers["generator"].step()
        return (loss.item(), *of_discriminator)

    return step


def stackgan_step(variant: Variant, networks: dict[str, nn.Module]) -> Step:
    """The step (images, tokens): a real image and its caption against a generated one, and another caption."""
    generator, discriminator, objective = networks["generator"], networks["discriminator"], variant.objective
    optimisers = adams(objective, networks)
    source_of_noise = torch.Generator().manual_seed(1)
    side: int = discriminator.side  # type: ignore[assignment]

    def step(images: Tensor, tokens: Tensor) -> tuple[float, float]:
        real = avg_pool2d(images, images.shape[2] // side) if images.shape[2] > side else images
        with torch.no_grad():
            text = generator.features_of(tokens)  # type: ignore[operator]
        z = draw_latents(generator, len(real), source_of_noise)
        fake, mean, log_variance = generator.draw(z, text)  # type: ignore[operator]

        optimisers["discriminator"].zero_grad()
        seen_real, seen_fake = real.clone().requires_grad_(), fake.detach().requires_grad_()
        real_logits, fake_logits = discriminator(seen_real, text), discriminator(seen_fake, text)
        mismatched_logits = discriminator(real, text.roll(1, 0))
        judged = 0.5 * discriminator_loss(objective["loss"], real_logits, fake_logits)
        judged = judged + 0.5 * discriminator_loss(objective["loss"], real_logits, mismatched_logits)
        if objective["penalty"]:
            penalty = gradient_penalty(objective["loss"], discriminator, seen_real, seen_fake, real_logits, fake_logits)
            judged = judged + objective["penalty"] * penalty
        judged.backward()
        optimisers["discriminator"].step()

        optimisers["generator"].zero_grad()
        fake_logits = discriminator(fake, text)
        if objective["loss"] == "relativistic":
            real_logits = discriminator(real, text).detach()
        kl = -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp()) / len(real)
        loss = generator_loss(objective["loss"], real_logits, fake_logits) + objective["kl_weight"] * kl
        loss.backward()
        optimisers["generator"].step()
        return loss.item(), judged.item()

    return step


def contrastive_loss(variant: Variant, networks: dict[str, nn.Module]) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss of (images, tokens)."""

    def loss_of(images: Tensor, tokens: Tensor) -> Tensor:
        of_images, of_captions = networks["image_encoder"](images), networks["text_encoder"](tokens)
        logits = normalize(of_images) @ normalize(of_captions).t() / variant.objective["temperature"]
        own = torch.arange(len(logits))
        return (cross_entropy(logits, own) + cross_entropy(logits.t(), own)) / 2

    return loss_of


def adams(objective: dict[str, Any], networks: dict[str, nn.Module]) -> dict[str, torch.optim.Optimizer]:
    """torch's own Adam for each player that there is."""
    return {
        name: torch.optim.Adam(
            (weight for weight in networks[name].parameters() if weight.requires_grad),
            lr=objective[name]["learning_rate"],
            betas=tuple(objective[name]["betas"]),
        )
        for name in ("generator", "discriminator")
        if name in networks
    }
