"""The real side of scores: what is kept, that it is what was asked for, one line where it is not."""

from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch

from reprogan.config import View
from reprogan.data import hdf5
from reprogan.data.batches import to_float
from reprogan.errors import UserError
from reprogan.evaluation.inputs import chosen_rows, extractor_for
from reprogan.evaluation.neighbours import balls
from reprogan.evaluation.reference import Reference, load_reference


def load(workplace: SimpleNamespace, classes: tuple[str, ...] | None = None, **changes: int) -> Reference:
    extractor, _ = extractor_for(workplace.extractor, workplace.data)
    view = View(size=None, classes=classes, per_class=None)
    evaluation = workplace.evaluation.model_copy(update=changes)
    return load_reference(workplace.reference, extractor, workplace.data, evaluation, view)


def test_the_features_are_those_of_every_image(workplace: SimpleNamespace) -> None:
    extractor, _ = extractor_for(workplace.extractor, workplace.data)
    with h5py.File(workplace.reference) as file:
        for split in hdf5.SPLITS:
            images = to_float(torch.from_numpy(hdf5.read(workplace.data, split).images))
            expected = extractor.network.features(images)
            np.testing.assert_allclose(file[f"{split}/features"][()], expected.numpy(), rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(
                file[f"{split}/logits"][()], extractor.network(images).numpy(), rtol=1e-4, atol=1e-3
            )


def test_what_is_kept_is_what_would_be_computed(workplace: SimpleNamespace) -> None:
    kept, computed = load(workplace), load(workplace, classes=("0", "1", "2"))
    assert torch.equal(kept.real.balls.radii, computed.real.balls.radii)
    assert torch.equal(kept.train_rows, computed.train_rows)
    torch.testing.assert_close(kept.apart, computed.apart, rtol=0, atol=1e-5)
    assert kept.floors(400) == pytest.approx(computed.floors(400), rel=1e-12)
    again = balls(kept.real.found.features)
    assert torch.equal(again.radii, kept.real.balls.radii)


def test_a_view_of_some_classes_is_of_their_images(workplace: SimpleNamespace) -> None:
    some = load(workplace, classes=("0", "2"))
    labels = {split: hdf5.read_labels(workplace.data, split) for split in hdf5.SPLITS}
    assert len(some.apart) == np.isin(labels["test"], (0, 2)).sum()
    assert some.train_rows.tolist() == np.flatnonzero(np.isin(labels["train"], (0, 2))).tolist()


def test_the_chosen_rows_are_a_seeded_permutation(workplace: SimpleNamespace) -> None:
    description = hdf5.describe(workplace.data)
    few = workplace.evaluation.model_copy(update={"count": 100})
    rows = chosen_rows(workplace.data, "test", description, few)
    assert len(set(rows.tolist())) == 100 and rows.tolist() != sorted(rows.tolist())
    other = chosen_rows(workplace.data, "test", description, few.model_copy(update={"seed": 2}))
    assert rows.tolist() != other.tolist()


def test_the_same_bytes_twice(workplace: SimpleNamespace) -> None:
    first = workplace.reference.read_bytes()
    workplace.refer()
    assert workplace.reference.read_bytes() == first


@pytest.mark.parametrize("change", ["seed", "count"])
def test_a_reference_for_another_evaluation_is_refused(workplace: SimpleNamespace, change: str) -> None:
    with pytest.raises(UserError, match=r"evaluation.seed and count: .*; run `dvc repro reference@digits`$"):
        load(workplace, **{change: 333})


def test_a_reference_that_is_missing_or_damaged_is_refused(workplace: SimpleNamespace) -> None:
    whole = workplace.reference.read_bytes()
    for content in (whole[: len(whole) // 2], b"<html>"):
        workplace.reference.write_bytes(content)
        with pytest.raises(UserError, match=r"digits\.h5: damaged \(.*; run `dvc repro -f reference@digits`$"):
            load(workplace)
    workplace.reference.write_bytes(whole)
    with h5py.File(workplace.reference, "r+") as file:
        del file["radii"]
    with pytest.raises(UserError, match="damaged"):
        load(workplace)
    workplace.reference.unlink()
    with pytest.raises(UserError, match="not there"):
        load(workplace)


def test_other_data_is_refused(workplace: SimpleNamespace) -> None:
    with h5py.File(workplace.reference, "r+") as file:
        file.attrs["data"] = "mnist"
    with pytest.raises(UserError, match="data and extractor"):
        load(workplace)
