"""Steps as people write them: `zero_grad`, `backward`, `step`, `.item()`; one function a family of objectives."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss

from reprogan.bench.plain_losses import discriminator_loss, generator_loss, gradient_penalty
from reprogan.bench.plain_told import Step, adams, contrastive_loss, pix2pix_step, stackgan_step
from reprogan.config import Variant
from reprogan.models.latents import classes_of, draw_latents


def step_of(variant: Variant, networks: dict[str, nn.Module]) -> Step:
    """The step (images, what goes with them) of a variant's system, with torch's own optimisers around its networks."""
    if variant.system == "classifier":
        return _classifier_step(variant, networks["classifier"])
    if variant.system == "features":
        return _features_step(variant, networks)
    if variant.system in ("autoencoder", "vae"):
        return _autoencoder_step(variant, networks)
    if variant.system == "contrastive":
        return _descent(_adamw(variant, nn.ModuleList(networks.values())), contrastive_loss(variant, networks))
    if variant.system in ("pix2pix", "stackgan"):
        return (pix2pix_step if variant.system == "pix2pix" else stackgan_step)(variant, networks)
    return _gan_step(variant, networks)


def _classifier_step(variant: Variant, classifier: nn.Module) -> Step:
    return _descent(_adamw(variant, classifier), lambda images, labels: cross_entropy(classifier(images), labels))


def _features_step(variant: Variant, networks: dict[str, nn.Module]) -> Step:
    def answer(images: Tensor, options: Tensor) -> Tensor:
        logits = networks["classifier"](images)
        return binary_cross_entropy_with_logits(logits, torch.zeros_like(logits).scatter_(1, options, 1.0))

    def restore(images: Tensor, labels: Tensor) -> Tensor:
        corrupted = images + variant.objective["noise"] * torch.randn_like(images)
        return mse_loss(networks["decoder"](networks["encoder"](corrupted)), images)

    whole = nn.ModuleList(networks.values())
    return _descent(_adamw(variant, whole), answer if "classifier" in networks else restore)


def _adamw(variant: Variant, network: nn.Module) -> torch.optim.Optimizer:
    objective = variant.objective
    return torch.optim.AdamW(
        network.parameters(),
        lr=objective["learning_rate"],
        betas=tuple(objective["betas"]),
        weight_decay=objective["weight_decay"],
    )


def _autoencoder_step(variant: Variant, networks: dict[str, nn.Module]) -> Step:
    encoder, decoder, objective = networks["encoder"], networks["decoder"], variant.objective

    def loss_of(images: Tensor, labels: Tensor) -> Tensor:
        codes, kl = encoder(images), torch.zeros(())
        if variant.system == "vae":
            mean, log_variance = codes.chunk(2, dim=1)
            codes = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
            kl = -0.5 * objective["kl_weight"] * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp())
        if objective["loss"] == "squared_error":
            error = mse_loss(decoder(codes), images, reduction="sum")
        else:
            logits = decoder.logits(codes)  # type: ignore[operator]
            error = binary_cross_entropy_with_logits(logits, (images + 1) / 2, reduction="sum")
        return (error + kl) / len(images)

    weights = [*encoder.parameters(), *decoder.parameters()]
    optimiser = torch.optim.Adam(weights, lr=objective["learning_rate"], betas=tuple(objective["betas"]))
    return _descent(optimiser, loss_of)


def _descent(optimiser: torch.optim.Optimizer, loss_of: Callable[[Tensor, Tensor], Tensor]) -> Step:
    def step(images: Tensor, labels: Tensor) -> float:
        optimiser.zero_grad()
        loss = loss_of(images, labels)
        loss.backward()
        optimiser.step()
        return loss.item()

    return step


def _gan_step(variant: Variant, networks: dict[str, nn.Module]) -> Step:
    """The game, the fakes of a batch made once; with `n_critic`, the generator's step after every so many batches."""
    generator, discriminator = networks["generator"], networks["discriminator"]
    objective = variant.objective
    optimisers = adams(objective, networks)
    source = torch.Generator().manual_seed(1)
    batches = 0

    def step(real: Tensor, labels: Tensor) -> tuple[float, float] | float:
        nonlocal batches
        batches += 1
        of_real, of_fake = (), ()
        if classes_of(generator):
            of_real, of_fake = (labels,), (torch.randint(classes_of(generator), (len(real),)),)  # type: ignore[assignment]
        fake = generator(draw_latents(generator, len(real), source), *of_fake)

        optimisers["discriminator"].zero_grad()
        seen_real, seen_fake = real, fake.detach()
        if objective["loss"] == "relativistic":
            seen_real, seen_fake = real.clone().requires_grad_(), seen_fake.requires_grad_()
        real_logits, fake_logits = discriminator(seen_real, *of_real), discriminator(seen_fake, *of_fake)
        loss = discriminator_loss(objective["loss"], real_logits, fake_logits)
        if objective["penalty"]:
            loss = loss + objective["penalty"] * gradient_penalty(
                objective["loss"], discriminator, seen_real, seen_fake, real_logits, fake_logits
            )
        loss.backward()
        optimisers["discriminator"].step()
        if objective["clip"] is not None:
            for weight in discriminator.parameters():
                weight.data.clamp_(-objective["clip"], objective["clip"])
        if batches % objective["n_critic"]:
            return loss.item()

        optimisers["generator"].zero_grad()
        fake_logits = discriminator(fake, *of_fake)
        real_logits = discriminator(real, *of_real).detach() if objective["loss"] == "relativistic" else real_logits
        of_generator = generator_loss(objective["loss"], real_logits, fake_logits)
        of_generator.backward()
        optimisers["generator"].step()
        return of_generator.item(), loss.item()

    return step
