"""The game against plain loops, written out with torch.optim.Adam and loss.backward()."""

import math

import pytest
import torch
from torch import Tensor, nn

from reprogan.data.batches import Batch
from reprogan.systems.system import Position

COUNT = 6


def log_sigmoid(x: Tensor) -> Tensor:
    return torch.log(1 / (1 + torch.exp(-x)))


def ordinary(real: Tensor, fake: Tensor) -> Tensor:
    return -log_sigmoid(real).mean() - log_sigmoid(-fake).mean()


def hinged(real: Tensor, fake: Tensor) -> Tensor:
    return torch.clamp(1 - real, min=0).mean() + torch.clamp(1 + fake, min=0).mean()


PLAYERS = {
    "non_saturating": (ordinary, lambda real, fake: -log_sigmoid(fake).mean()),
    "hinge": (hinged, lambda real, fake: -fake.mean()),
    "wasserstein": (lambda real, fake: fake.mean() - real.mean(), lambda real, fake: -fake.mean()),
    "relativistic": (
        lambda real, fake: -log_sigmoid(real - fake).mean(),
        lambda real, fake: -log_sigmoid(fake - real).mean(),
    ),
}


def slopes(discriminator: nn.Module, images: Tensor, *told: Tensor) -> Tensor:
    images = images.detach().clone().requires_grad_()
    return torch.autograd.grad(discriminator(images, *told).sum(), images, create_graph=True)[0].flatten(1)


class Plain:
    """The game as anyone would write it: Goodfellow et al. 2014, Algorithm 1, and its descendants."""

    def __init__(self, networks: dict[str, nn.Module], objective: dict) -> None:
        self.generator, self.discriminator = networks["generator"], networks["discriminator"]
        self.adams = {
            name: torch.optim.Adam(
                network.parameters(), lr=objective[name]["learning_rate"], betas=tuple(objective[name]["betas"])
            )
            for name, network in networks.items()
        }
        self.objective = objective
        self.judge, self.fool = PLAYERS[objective["loss"]]

    def step(self, batches: list[Batch], draws, seen: int, penalty_weight: float | None = None) -> list[float]:
        """[generator's loss, discriminator's loss, penalty, norm of the gradient]; the last two where there are any."""
        weight = self.objective["penalty"] if penalty_weight is None else penalty_weight
        noise, labels = draws.generator("noise", seen), draws.generator("labels", seen)
        places = [position for purpose, position in draws.asked if purpose == "penalty"][-len(batches) :]
        for number, batch in enumerate(batches):
            asked = (torch.randint(10, (COUNT,), generator=labels),) if self.generator.__dict__.get("classes") else ()
            of_real = (batch.labels,) if asked else ()
            z = torch.empty(COUNT, self.generator.latent_size)
            if self.generator.latent_distribution == "uniform":
                z.uniform_(-1, 1, generator=noise)
            else:
                z.normal_(generator=noise)
            fake = self.generator(z, *asked)
            real_logits = self.discriminator(batch.images, *of_real)
            fake_logits = self.discriminator(fake.detach(), *asked)
            loss = judged = self.judge(real_logits, fake_logits)
            more: list[float] = []
            if self.objective["loss"] == "wasserstein" and weight:
                place = torch.rand(COUNT, 1, 1, 1, generator=draws.generator("penalty", places[number]))
                between = place * fake.detach() + (1 - place) * batch.images
                norms = slopes(self.discriminator, between, *of_real).norm(2, dim=1)
                penalty = ((norms - 1) ** 2).mean()
            elif weight:
                of_images = slopes(self.discriminator, batch.images), slopes(self.discriminator, fake)
                norms = torch.cat(of_images).norm(2, dim=1)
                penalty = sum((slope**2).sum(1).mean() for slope in of_images) / 2
            if weight:
                loss = loss + weight * penalty
                more = [penalty.item(), norms.mean().item()]
            self._descend("discriminator", loss)
            if self.objective["clip"]:
                for tensor in self.discriminator.parameters():
                    tensor.data.clamp_(-self.objective["clip"], self.objective["clip"])
        fake_logits = self.discriminator(fake, *asked)
        compared = self.objective["loss"] == "relativistic"  # a pass changes BatchNorm's statistics
        real_logits = self.discriminator(batch.images, *of_real) if compared else real_logits
        fooled = self.fool(real_logits, fake_logits)
        self._descend("generator", fooled)
        return [fooled.item(), judged.item(), *more]

    def _descend(self, name: str, loss: Tensor) -> None:
        self.adams[name].zero_grad()
        loss.backward()
        self.adams[name].step()


def batches(count: int, kind: str = "dcgan") -> list[Batch]:
    shape = (2, 1, 1) if kind == "multilayer" else (1, 28, 28)
    return [Batch(torch.rand(COUNT, *shape) * 2 - 1, torch.randint(10, (COUNT,))) for _ in range(count)]


GAMES = {
    "non-saturating": ("fully_connected", {}),
    "BatchNorm": ("dcgan", {}),
    "hinge": ("dcgan layer", {"loss": "hinge"}),
    "several steps of the discriminator": ("fully_connected", {"n_critic": 3}),
    "several steps, BatchNorm": ("dcgan", {"n_critic": 3, "loss": "hinge"}),
    "gradient penalty": ("dcgan layer", {"loss": "wasserstein", "n_critic": 3, "penalty": 10.0}),
    "clipped weights": ("dcgan layer", {"loss": "wasserstein", "n_critic": 2, "clip": 0.05}),
    "relativistic": ("multilayer", {"loss": "relativistic"}),
    "relativistic, R1 and R2": ("multilayer", {"loss": "relativistic", "penalty": 0.7}),
    "conditional": ("cgan", {}),
    "conditional, concatenation": ("dcgan concatenation", {"loss": "hinge"}),
    "conditional, projection": ("dcgan projection", {"loss": "hinge", "n_critic": 2}),
    "conditional, gradient penalty": ("cgan", {"loss": "wasserstein", "penalty": 10.0}),
    "conditional, relativistic": ("cgan", {"loss": "relativistic"}),
}


@pytest.mark.parametrize("title", GAMES)
def test_steps_against_plain_ones(game, objective, draws, same, title):
    kind, changes = GAMES[title]
    block = objective(**changes)
    ours, theirs = game(kind, "gan", block)
    plain = Plain(theirs, block)
    for step in range(3):
        given = batches(block["n_critic"], kind)
        rest = iter(given)
        found = ours.step(lambda rest=rest: next(rest), draws, Position(COUNT * step, step / 10))
        assert next(rest, None) is None
        expected = plain.step(given, draws, COUNT * step)
        named = dict(zip(ours.losses, map(float, found), strict=True))
        names = ["generator_loss", "discriminator_loss", *(["penalty", "gradient_norm"] if block["penalty"] else [])]
        assert [named[name] for name in names] == pytest.approx(expected, rel=1e-6, abs=1e-9)
        assert not any(value.requires_grad for value in found)
        same(ours, theirs)
    places = [asked for asked in draws.asked if asked[0] == "penalty"]
    looks_between = block["penalty"] and block["loss"] == "wasserstein"
    assert len(set(places)) == (3 * block["n_critic"] if looks_between else 0)


def test_what_a_step_returns_has_names(game, objective):
    usual = ("generator_loss", "discriminator_loss")
    probabilities = ("real_probability", "fake_probability")
    assert game("multilayer", "gan", objective())[0].losses == (*usual, *probabilities)
    hinge = game("multilayer", "gan", objective(loss="hinge"))[0]
    assert hinge.losses == (*usual, "real_logit", "fake_logit")
    penalised = game("multilayer", "gan", objective(loss="wasserstein", penalty=1.0))[0]
    assert penalised.losses == (*usual, "wasserstein_estimate", "penalty", "gradient_norm")


def test_clipping_bounds_all_weights_of_the_discriminator_and_no_others(game, objective, draws):
    ours, _ = game("dcgan layer", "gan", objective(loss="wasserstein", clip=0.02))
    before = max(weight.abs().max().item() for weight in ours.networks["discriminator"].parameters())
    ours.step(lambda: batches(1)[0], draws, Position(0, 0.0))
    assert before > 0.5
    for weight in ours.networks["discriminator"].parameters():
        assert weight.abs().max().item() <= 0.02
    assert any(weight.abs().max().item() == 0.02 for weight in ours.networks["discriminator"].parameters())
    assert max(weight.abs().max().item() for weight in ours.networks["generator"].parameters()) > 0.5


def test_burn_in_goes_to_the_usual_values_along_half_a_cosine(game, objective, draws, same):
    """Betas and the penalty's weight: twice the penalty at first, half-way after half of the share, then the usual."""
    burn_in = {"share": 0.4, "penalty": 2.0, "beta_2": 0.5}
    block = objective(loss="relativistic", penalty=1.0, burn_in=burn_in)
    ours, theirs = game("multilayer", "gan", block)
    plain = Plain(theirs, block)
    for step, share in enumerate((0.0, 0.1, 0.2, 0.3, 0.4, 0.9)):
        left = (1 + math.cos(math.pi * share / 0.4)) / 2 if share < 0.4 else 0.0
        given = batches(1, "multilayer")
        ours.step(lambda given=given: given[0], draws, Position(COUNT * step, share))
        for name, usual in (("generator", (0.5, 0.9)), ("discriminator", (0.0, 0.99))):
            betas = (usual[0], left * 0.5 + (1 - left) * usual[1])
            plain.adams[name].param_groups[0]["betas"] = betas
            assert ours.optimisers[name].betas == pytest.approx(betas, abs=1e-12)
        plain.step(given, draws, COUNT * step, penalty_weight=left * 2.0 + (1 - left) * 1.0)
        same(ours, theirs)


def test_burn_in_is_a_matter_of_where_training_stands(game, objective, draws):
    """A resumed training gets there with no step before it."""
    burn_in = {"share": 0.4, "penalty": 2.0, "beta_2": 0.5}
    ours, _ = game("multilayer", "gan", objective(loss="relativistic", penalty=1.0, burn_in=burn_in))
    ours.step(lambda: batches(1, "multilayer")[0], draws, Position(6000, 0.2))
    assert ours.optimisers["generator"].betas == pytest.approx((0.5, 0.7))
    assert ours.optimisers["discriminator"].betas == pytest.approx((0.0, 0.745))
