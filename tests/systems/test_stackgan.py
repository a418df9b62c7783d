"""Text to image against plain loops, written out with torch.optim.Adam and loss.backward()."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from reprogan.data.batches import Batch
from reprogan.errors import UserError
from reprogan.models import architecture
from reprogan.systems.system import Position

COUNT, WORDS = 3, 7
ENCODERS = {"widths": [2], "word_size": 4, "phrases": [1, 2], "features": 5}
FIRST = {"stage": 1, "latent_size": 4, "condition_size": 3, "filters": 1, "residual_blocks": 0}
RATES = {
    "generator": {"learning_rate": 1e-3, "betas": [0.5, 0.9]},
    "discriminator": {"learning_rate": 2e-3, "betas": [0.0, 0.99]},
}
NAMES = {
    "non_saturating": ("real_probability", "fake_probability"),
    "hinge": ("real_logit", "fake_logit"),
    "relativistic": ("pair_probability",),
}


def block(loss: str, penalty: float = 0.0, kl_weight: float = 0.5) -> dict[str, Any]:
    return {"loss": loss, "penalty": penalty, "kl_weight": kl_weight, **RATES}


def upstream(stage: int, side: int) -> dict[str, nn.Module]:
    """What a stage builds on, in eval mode and frozen, as it is loaded."""
    torch.manual_seed(2)
    networks = architecture.build("caption_features", ENCODERS, (3, side, side), 0, words=WORDS)
    if stage == 2:
        networks = architecture.build("stackgan", FIRST, (3, side, side), 0, words=WORDS, upstream=networks)
    for network in networks.values():
        network.eval().requires_grad_(False)
    return networks


def play(game, stage: int, side: int, objective: dict[str, Any]):
    kind = "stackgan first" if stage == 1 else "stackgan second"
    return game(kind, "stackgan", objective, (3, side, side), words=WORDS, upstream=upstream(stage, side))


def some(side: int = 64, count: int = COUNT) -> Batch:
    return Batch(torch.rand(count, 3, side, side) * 2 - 1, torch.randint(1, WORDS + 1, (count, 4)))


def probability(logits: Tensor) -> Tensor:
    return 1 / (1 + torch.exp(-logits))


def judged(loss: str, real: Tensor, fake: Tensor) -> Tensor:
    if loss == "non_saturating":
        return -torch.log(probability(real)).mean() - torch.log(1 - probability(fake)).mean()
    if loss == "hinge":
        return torch.clamp(1 - real, min=0).mean() + torch.clamp(1 + fake, min=0).mean()
    return -torch.log(probability(real - fake)).mean()


def fooled(loss: str, real: Tensor, fake: Tensor) -> Tensor:
    if loss == "non_saturating":
        return -torch.log(probability(fake)).mean()
    return -fake.mean() if loss == "hinge" else -torch.log(probability(fake - real)).mean()


def records(loss: str, real: Tensor, fake: Tensor) -> list[float]:
    if loss == "relativistic":
        return [probability(real - fake).mean().item()]
    return [(logits if loss == "hinge" else probability(logits)).mean().item() for logits in (real, fake)]


def reduced(images: Tensor, side: int) -> Tensor:
    """Means over squares."""
    by = images.shape[2] // side
    return images.unflatten(3, (side, by)).unflatten(2, (side, by)).mean((3, 5))


class Plain:
    """Reed et al. 2016, Algorithm 1, with the conditions of Zhang et al. 2017, Equations 1 and 2."""

    def __init__(self, networks: dict[str, nn.Module], objective: dict[str, Any]) -> None:
        self.generator, self.discriminator = networks["generator"], networks["discriminator"]
        self.objective = objective
        self.adams = {
            name: torch.optim.Adam(
                [weight for weight in networks[name].parameters() if weight.requires_grad],
                lr=objective[name]["learning_rate"],
                betas=tuple(objective[name]["betas"]),
            )
            for name in RATES
        }

    def text_of(self, tokens: Tensor) -> Tensor:
        first = getattr(self.generator, "first", self.generator)
        found = first.text_encoder(tokens).detach()
        return math.sqrt(5) * found / found.norm(dim=1, keepdim=True)

    def images_of(self, z: Tensor, text: Tensor) -> tuple[Tensor, Normal]:
        spread, rest = z[:, :3], z[:, 3:]
        mean, log_variance = self.generator.augmentation.layers(text).split(3, 1)
        conditions = Normal(mean, log_variance.exp().sqrt())
        condition = conditions.mean + conditions.stddev * spread
        if not hasattr(self.generator, "first"):
            return self.generator.layers(torch.cat((condition, rest), 1)), conditions
        small = self.generator.first(rest, text).detach()
        everywhere = condition[:, :, None, None].repeat(1, 1, 16, 16)
        joined = self.generator.joining(torch.cat((self.generator.reading(small), everywhere), 1))
        large = nn.Upsample((128, 128), mode="bilinear")(small)
        return torch.tanh(large + self.generator.drawing(joined)), conditions

    def squared_slopes(self, images: Tensor, text: Tensor) -> Tensor:
        """|∇D|² at each image."""
        images = images.detach().clone().requires_grad_()
        logits = self.discriminator(images, text)
        (slope,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
        return (slope**2).flatten(1).sum(1)

    def step(self, batch: Batch, draws, seen: int) -> list[float]:
        """In the order of the system's `losses`."""
        loss, weight = self.objective["loss"], self.objective["penalty"]
        z = torch.randn(COUNT, self.generator.latent_size, generator=draws.generator("noise", seen))
        real, text = reduced(batch.images, self.discriminator.side), self.text_of(batch.labels)
        fake, conditions = self.images_of(z, text)

        # A real image with its caption, a generated one with that caption, a real one with that of the image before.
        others = torch.stack([text[index - 1] for index in range(COUNT)])
        right, generated = self.discriminator(real, text), self.discriminator(fake.detach(), text)
        mismatched = self.discriminator(real, others)
        terms = [judged(loss, right, generated), judged(loss, right, mismatched)]
        recorded = [*(term.item() for term in terms), *records(loss, right, generated)]
        total = (terms[0] + terms[1]) / 2
        if weight:
            squares = [self.squared_slopes(images, text) for images in (real, fake)]
            penalty = squares[0].mean() / 2 + squares[1].mean() / 2  # R1 and R2
            total = total + weight * penalty
            recorded += [penalty.item(), torch.cat(squares).sqrt().mean().item()]
        self._descend("discriminator", total)

        of_generator = fooled(loss, self.discriminator(real, text), self.discriminator(fake, text))
        kl = kl_divergence(conditions, Normal(torch.zeros(3), torch.ones(3))).sum() / COUNT
        self._descend("generator", of_generator + self.objective["kl_weight"] * kl)
        return [of_generator.item(), kl.item(), *recorded]

    def _descend(self, name: str, loss: Tensor) -> None:
        self.adams[name].zero_grad()
        loss.backward()
        self.adams[name].step()


GAMES = {
    "non-saturating": (1, 64, block("non_saturating")),
    "hinge": (1, 64, block("hinge", kl_weight=2.0)),
    "relativistic": (1, 64, block("relativistic")),
    "relativistic, R1 and R2": (1, 64, block("relativistic", penalty=0.7)),
    "no divergence": (1, 64, block("relativistic", penalty=0.7, kl_weight=0.0)),
    "larger images": (1, 128, block("relativistic", penalty=0.7)),
    "second stage": (2, 128, block("hinge")),
    "second stage, R1 and R2": (2, 128, block("relativistic", penalty=0.7)),
}


@pytest.mark.parametrize("title", GAMES)
def test_steps_against_plain_ones(game, draws, same, title):
    stage, side, objective = GAMES[title]
    ours, theirs = play(game, stage, side, objective)
    plain = Plain(theirs, objective)
    always = ("generator_loss", "kl_divergence", "discriminator_loss", "mismatch_loss")
    penalised = ("penalty", "gradient_norm") if objective["penalty"] else ()
    assert ours.losses == (*always, *NAMES[objective["loss"]], *penalised)
    for step in range(4):
        batch = some(side)
        found = ours.step(lambda batch=batch: batch, draws, Position(COUNT * step, step / 10))
        expected = plain.step(batch, draws, COUNT * step)
        named = dict(zip(ours.losses, [value.item() for value in found], strict=True))
        assert named == pytest.approx(dict(zip(ours.losses, expected, strict=True)), rel=1e-6, abs=1e-9)
        assert not any(value.requires_grad for value in found)
        same(ours, theirs)
    assert draws.asked == [("noise", COUNT * step) for step in range(4) for _ in range(2)]
    assert named["kl_divergence"] > 0.01 and named["mismatch_loss"] != named["discriminator_loss"]


@pytest.mark.parametrize("stage, side", [(1, 64), (2, 128)])
def test_what_a_stage_builds_on_is_not_trained(game, draws, stage, side):
    ours, _ = play(game, stage, side, block("relativistic", penalty=0.7))
    generator = ours.networks["generator"]
    frozen = [generator.text_encoder if stage == 1 else generator.first, ours.networks["image_encoder"]]
    before = [{key: value.clone() for key, value in network.state_dict().items()} for network in frozen]
    first = next(weight for weight in generator.augmentation.parameters()).detach().clone()
    for step in range(4):
        ours.step(lambda: some(side), draws, Position(COUNT * step, 0.0))
    assert not torch.equal(next(generator.augmentation.parameters()), first)
    for network, was in zip(frozen, before, strict=True):
        assert all(torch.equal(value, was[key]) for key, value in network.state_dict().items())
    assert sorted(ours.optimisers) == ["discriminator", "generator"] and ours.averaged == ("generator",)


def test_the_penalty_asks_nothing_of_the_next_batch(game, draws):
    """Images are marked for gradients in the step alone: what a batch was made from stays as it was."""
    ours, _ = play(game, 1, 128, block("relativistic", penalty=0.7))
    batch = some(128)
    for step in range(5):
        ours.step(lambda: batch, draws, Position(COUNT * step, 0.0))
    assert not batch.images.requires_grad and batch.images.grad is None


@pytest.mark.parametrize("stage, side", [(1, 64), (2, 128)])
def test_the_preview_is_of_held_out_captions_and_leaves_training_as_it_was(game, draws, stage, side):
    ours, _ = play(game, stage, side, block("hinge"))
    generator, held_out = ours.networks["generator"].train(), some(side)
    before = {key: value.clone() for key, value in generator.state_dict().items()}
    first = ours.preview(ours.networks, draws, held_out)
    assert first.shape == (COUNT, 3, side, side) and first.dtype == torch.uint8
    assert torch.equal(ours.preview(ours.networks, draws, held_out), first)
    assert generator.training
    assert all(torch.equal(value, before[key]) for key, value in generator.state_dict().items())
    z = torch.randn(COUNT, generator.latent_size, generator=draws.generator("preview"))
    with torch.no_grad():
        images = generator.eval()(z, held_out.labels)
    assert torch.equal(first, ((images + 1) * 127.5).round().to(torch.uint8))


def test_an_architecture_that_reads_no_captions_is_one_line(game):
    with pytest.raises(UserError) as error:
        game("dcgan", "stackgan", block("hinge"))
    says = "architecture: no generator that reads captions, as the system asks for; expected stackgan"
    assert str(error.value) == f"params.yaml: {says}"


@pytest.mark.parametrize("loss", ["hinge", "non_saturating", "wasserstein"])
def test_a_penalty_that_the_loss_has_not_on_images_is_one_line(game, loss):
    with pytest.raises(UserError) as error:
        play(game, 1, 64, block(loss, penalty=10.0))
    assert str(error.value) == f"params.yaml: objective.penalty is 10.0; {loss} has none on images; expected 0"
    assert len(play(game, 1, 64, block(loss))[0].losses) in (5, 6)


def test_a_loss_that_judges_nothing_is_one_line(game):
    with pytest.raises(UserError, match="loss: found 'contrastive'; expected one of"):
        play(game, 1, 64, block("contrastive"))
