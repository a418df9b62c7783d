"""Translation against plain loops, written out with torch.optim.Adam and loss.backward()."""

import pytest
import torch
from torch import Tensor, nn

from reprogan.data.batches import Batch
from reprogan.errors import UserError
from reprogan.systems import system
from reprogan.systems.system import Position

COUNT = 3
SHAPE = (3, 16, 16)
RATES = {
    "generator": {"learning_rate": 1e-3, "betas": [0.5, 0.9]},
    "discriminator": {"learning_rate": 2e-3, "betas": [0.0, 0.99]},
}
NAMES = {
    "non_saturating": ("real_probability", "fake_probability"),
    "hinge": ("real_logit", "fake_logit"),
    "relativistic": ("pair_probability",),
}


def block(loss: str, adversarial: float = 1.0, l1: float = 10.0) -> dict:
    rates = RATES if adversarial else RATES | {"discriminator": None}
    return {"loss": loss, "adversarial": adversarial, "l1": l1, **rates}


def some() -> Batch:
    images, sources = (torch.rand(COUNT, channels, 16, 16) * 2 - 1 for channels in (3, 1))
    return Batch(images, torch.zeros(COUNT, dtype=torch.int64), sources)


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


class Plain:
    """Isola et al. 2017, section 3: one step of D on both kinds of pairs, one of G on both losses."""

    def __init__(self, networks: dict[str, nn.Module], objective: dict) -> None:
        self.generator, self.discriminator = networks["generator"], networks.get("discriminator")
        self.objective = objective
        self.adams = {
            name: torch.optim.Adam(
                network.parameters(), lr=objective[name]["learning_rate"], betas=tuple(objective[name]["betas"])
            )
            for name, network in networks.items()
        }

    def step(self, batch: Batch, draws, seen: int) -> list[float]:
        """[l1, generator's loss, discriminator's loss, records ...]; l1 alone where there is no discriminator."""
        loss, (truth, source) = self.objective["loss"], (batch.images, batch.sources)
        z = torch.empty(COUNT, self.generator.latent_size).uniform_(-1, 1, generator=draws.generator("noise", seen))
        fake = self.generator(z, source)
        l1 = (fake - truth).abs().mean()
        if self.discriminator is None:
            self._descend("generator", self.objective["l1"] * l1)
            return [l1.item()]
        real_logits, fake_logits = self.discriminator(source, truth), self.discriminator(source, fake.detach())
        of_discriminator = judged(loss, real_logits, fake_logits)
        recorded = records(loss, real_logits, fake_logits)
        self._descend("discriminator", of_discriminator)
        of_generator = fooled(loss, self.discriminator(source, truth), self.discriminator(source, fake))
        self._descend("generator", self.objective["adversarial"] * of_generator + self.objective["l1"] * l1)
        return [l1.item(), of_generator.item(), of_discriminator.item(), *recorded]

    def _descend(self, name: str, loss: Tensor) -> None:
        self.adams[name].zero_grad()
        loss.backward()
        self.adams[name].step()


GAMES = {
    "non-saturating": ("unet", block("non_saturating")),
    "non-saturating, BatchNorm": ("unet batch", block("non_saturating", adversarial=0.5)),
    "hinge": ("unet", block("hinge", l1=3.0)),
    "relativistic": ("unet", block("relativistic", adversarial=2.0)),
    "no fixed loss": ("unet", block("non_saturating", l1=0.0)),
    "the fixed loss alone": ("unet alone", block("non_saturating", adversarial=0.0)),
}


@pytest.mark.parametrize("title", GAMES)
def test_steps_against_plain_ones(game, draws, same, title):
    kind, objective = GAMES[title]
    ours, theirs = game(kind, "pix2pix", objective, SHAPE, source_channels=1)
    plain = Plain(theirs, objective)
    learned = ("generator_loss", "discriminator_loss", *NAMES[objective["loss"]]) if "alone" not in kind else ()
    assert ours.losses == ("l1_loss", *learned)
    for step in range(4):
        batch = some()
        found = ours.step(lambda batch=batch: batch, draws, Position(COUNT * step, step / 10))
        expected = plain.step(batch, draws, COUNT * step)
        assert [value.item() for value in found] == pytest.approx(expected, rel=1e-6, abs=1e-9)
        assert not any(value.requires_grad for value in found)
        same(ours, theirs)
    assert draws.asked == [("noise", COUNT * step) for step in range(4) for _ in range(2)]


def test_the_fixed_loss_alone_learns_the_truth(game, draws):
    ours, _ = game("unet alone", "pix2pix", block("hinge", adversarial=0.0), SHAPE, source_channels=1)
    batch = some()
    values = [ours.step(lambda: batch, draws, Position(COUNT * step, 0.0))[0].item() for step in range(60)]
    assert values[-1] < 0.9 * values[0]


@pytest.mark.parametrize("kind", ["unet", "unet batch"])
def test_the_preview_is_always_of_the_same_noise_and_leaves_training_as_it_was(game, draws, kind):
    ours, _ = game(kind, "pix2pix", block("hinge"), SHAPE, source_channels=1)
    generator, held_out = ours.networks["generator"].train(), some()
    before = {key: value.clone() for key, value in generator.state_dict().items()}
    first = ours.preview(ours.networks, draws, held_out)
    assert first.shape == (COUNT, *SHAPE) and first.dtype == torch.uint8
    assert torch.equal(ours.preview(ours.networks, draws, held_out), first)
    assert generator.training
    assert all(torch.equal(value, before[key]) for key, value in generator.state_dict().items())
    z = torch.empty(COUNT, generator.latent_size).uniform_(-1, 1, generator=draws.generator("preview"))
    with torch.no_grad():
        images = generator.eval()(z, held_out.sources)
    assert torch.equal(first, ((images + 1) * 127.5).round().to(torch.uint8))


MISTAKES = {
    "a generator that reads no sources": (
        "dcgan",
        block("hinge"),
        "params.yaml: architecture: no generator that reads sources, as the system asks for; expected unet",
    ),
    "no discriminator for the learned loss": (
        "unet alone",
        block("hinge"),
        "params.yaml: objective.adversarial is 1.0 without a discriminator; expected 0 where network.patch is null",
    ),
    "a discriminator for the fixed loss alone": (
        "unet",
        block("hinge", adversarial=0.0),
        "params.yaml: objective.adversarial is 0.0 with a discriminator; expected 0 where network.patch is null",
    ),
    "rates of no discriminator": (
        "unet alone",
        block("hinge", adversarial=0.0) | RATES,
        "adversarial is 0.0; expected",
    ),
    "no rates": ("unet", block("hinge") | {"discriminator": None}, "adversarial is 1.0; expected discriminator null"),
    "a loss that judges nothing": ("unet", block("cross_entropy"), "loss: found 'cross_entropy'; expected one of"),
}


@pytest.mark.parametrize("title", MISTAKES)
def test_what_cannot_be_is_one_line(game, title):
    kind, objective, says = MISTAKES[title]
    with pytest.raises(UserError) as error:
        game(kind, "pix2pix", objective, *(() if kind == "dcgan" else (SHAPE,)), source_channels=1)
    assert says in str(error.value) and "\n" not in str(error.value)


def test_a_wrong_objective_is_found_before_there_are_networks():
    with pytest.raises(UserError, match="expected discriminator null at 0"):
        system.check("pix2pix", block("hinge") | {"discriminator": None}, "params.yaml: ", 100)
