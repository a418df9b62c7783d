"""Contrastive steps against plain ones with torch.optim.AdamW."""

import pytest
import torch
from torch import Tensor, nn

from reprogan.data.batches import Batch
from reprogan.errors import UserError
from reprogan.systems.system import Position

COUNT, WORDS = 5, 7
SHAPE = (3, 16, 16)
OBJECTIVE = {
    "loss": "contrastive",
    "learning_rate": 1e-2,
    "betas": [0.8, 0.95],
    "weight_decay": 0.05,
    "temperature": 0.2,
}


def some() -> Batch:
    return Batch(torch.rand(COUNT, *SHAPE) * 2 - 1, torch.randint(1, WORDS + 1, (COUNT, 4)))


def plain_loss(networks: dict[str, nn.Module], batch: Batch) -> tuple[Tensor, float]:
    """CLIP, Figure 3, and the share of images whose own caption is the nearest."""
    images, captions = networks["image_encoder"](batch.images), networks["text_encoder"](batch.labels)
    total, right = torch.zeros(()), 0
    for i in range(COUNT):
        of_image = [torch.cosine_similarity(images[i], caption, dim=0) for caption in captions]
        of_caption = [torch.cosine_similarity(captions[i], image, dim=0) for image in images]
        for similar in (of_image, of_caption):
            strengths = [torch.exp(value / OBJECTIVE["temperature"]) for value in similar]
            total = total - torch.log(strengths[i] / sum(strengths)) / COUNT / 2
        right += max(range(COUNT), key=lambda j: of_image[j].item()) == i
    return total, right / COUNT


def test_steps_against_plain_ones(game, draws, same):
    ours, theirs = game("caption_features", "contrastive", OBJECTIVE, SHAPE, words=WORDS)
    weights = [weight for network in theirs.values() for weight in network.parameters()]
    adam = torch.optim.AdamW(weights, lr=1e-2, betas=(0.8, 0.95), weight_decay=0.05)
    batches, shares = [some(), some()], set()
    for step in range(16):
        batch = batches[step % 2]
        found = ours.step(lambda batch=batch: batch, draws, Position(COUNT * step, 0.0))
        expected, share = plain_loss(theirs, batch)
        adam.zero_grad()
        expected.backward()
        adam.step()
        assert [value.item() for value in found] == pytest.approx([expected.item(), share], rel=1e-7)
        assert not any(value.requires_grad for value in found)
        same(ours, theirs)
        shares.add(share)
    assert len(shares) > 1
    assert ours.losses == ("training_loss", "training_accuracy") and draws.asked == []


def test_what_belongs_together_comes_to_lie_together(game, draws):
    ours, _ = game("caption_features", "contrastive", OBJECTIVE, SHAPE, words=WORDS)
    batch = some()
    values = [
        [value.item() for value in ours.step(lambda: batch, draws, Position(COUNT * step, 0.0))] for step in range(60)
    ]
    assert values[-1][0] < 0.3 * values[0][0] and values[-1][1] == 1


def test_there_is_nothing_to_preview(game, draws):
    ours, _ = game("caption_features", "contrastive", OBJECTIVE, SHAPE, words=WORDS)
    assert ours.preview(ours.networks, draws, some()) is None
    assert sorted(ours.averaged) == sorted(ours.networks)


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"loss": "hinge"}, "loss: found 'hinge'; expected one of contrastive"),
        ({"temperature": 0.0}, "objective.temperature"),
        ({"weight_decay": -1.0}, "objective.weight_decay"),
    ],
)
def test_what_cannot_be_is_one_line(game, changes, says):
    with pytest.raises(UserError) as error:
        game("caption_features", "contrastive", OBJECTIVE | changes, SHAPE, words=WORDS)
    assert says in str(error.value) and "\n" not in str(error.value)
