"""Features and logits block by block: equal to one pass, bounded in memory, honest about bad models."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import h5py
import pytest
import torch
from torch import Tensor

from reprogan.data.batches import to_float
from reprogan.errors import UserError
from reprogan.evaluation.extractors import BLOCK, blocks_of, extract, load_extractor
from reprogan.models import architecture, trained


def test_features_and_logits_of_all_blocks(workplace: SimpleNamespace) -> None:
    extractor = load_extractor(workplace.extractor)
    images = torch.randint(0, 256, (2 * BLOCK + 7, 1, 20, 20), generator=torch.Generator().manual_seed(1)).to(
        torch.uint8
    )
    found = extract(extractor, blocks_of(images))
    at_once = extractor.network.features(to_float(images))
    torch.testing.assert_close(found.features, at_once, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.logits, extractor.network(to_float(images)), rtol=1e-5, atol=1e-4)


def test_a_file_is_read_in_blocks_and_no_further_than_asked(workplace: SimpleNamespace) -> None:
    with h5py.File(workplace.samples) as file:
        rows = torch.arange(350)
        blocks = list(blocks_of(file["images"], rows))
        assert max(map(len, blocks)) == BLOCK
        assert torch.equal(torch.cat(blocks), torch.from_numpy(file["images"][:350]))


def test_chosen_rows_of_a_file_are_those(workplace: SimpleNamespace) -> None:
    rows = torch.randperm(400, generator=torch.Generator().manual_seed(1))[:130].sort().values
    with h5py.File(workplace.samples) as file:
        everything = torch.from_numpy(file["images"][()])
        assert torch.equal(torch.cat(list(blocks_of(file["images"], rows))), everything[rows])
    assert torch.equal(torch.cat(list(blocks_of(everything, rows))), everything[rows])


def test_blocks_are_taken_one_at_a_time(workplace: SimpleNamespace) -> None:
    """The next block is drawn only when the one before has been answered."""
    extractor = load_extractor(workplace.extractor)
    events: list[str] = []
    extractor.network.head.register_forward_hook(lambda *_: events.append("answered"))

    def blocks() -> Iterator[Tensor]:
        for _ in range(3):
            events.append("drawn")
            yield torch.zeros(5, 1, 20, 20, dtype=torch.uint8)

    extract(extractor, blocks())
    assert events == ["drawn", "answered"] * 3


def test_the_sha256_is_that_of_the_weights(workplace: SimpleNamespace) -> None:
    weights = (workplace.extractor / "classifier.safetensors").read_bytes()
    assert load_extractor(workplace.extractor).sha256 == hashlib.sha256(weights).hexdigest()


def test_a_generator_is_no_extractor(tmp_path: Path) -> None:
    network = {"latent_size": 4, "latent_distribution": "normal", "hidden": 4, "dropout": 0.5, "init_std": None}
    description = trained.Description(
        "gan", "gan", "fully_connected", network, (1, 20, 20), ("0",), "stripes", "last", 1
    )
    trained.save(tmp_path / "gan", description, architecture.build("fully_connected", network, (1, 20, 20), 1))
    with pytest.raises(UserError, match="system 'gan'; expected a classifier"):
        load_extractor(tmp_path / "gan")


def test_a_missing_extractor_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"model\.json: .*dvc repro"):
        load_extractor(tmp_path / "digit_features")


def test_damaged_weights_are_named(workplace: SimpleNamespace) -> None:
    (workplace.extractor / "classifier.safetensors").write_bytes(b"not weights")
    with pytest.raises(UserError, match=r"classifier\.safetensors"):
        load_extractor(workplace.extractor)


def test_a_diverged_extractor_is_named(workplace: SimpleNamespace) -> None:
    extractor = load_extractor(workplace.extractor)
    extractor.network.head.bias.fill_(float("nan"))
    with pytest.raises(UserError, match=r"^models/judge: answers that are not finite"):
        extract(extractor, [torch.zeros(2, 1, 20, 20, dtype=torch.uint8)])


def test_the_description_is_read_from_model_json(workplace: SimpleNamespace) -> None:
    variant = json.loads((workplace.extractor / "model.json").read_text())["variant"]
    assert load_extractor(workplace.extractor).description.variant == variant
