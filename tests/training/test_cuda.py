"""On a GPU: training twice gives equal bytes, and a stopped training ends with those of one that was not."""

from pathlib import Path

import pytest
import torch

from reprogan.config import load
from reprogan.training.stopping import Stopped

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
VARIANTS = list(load(Path(__file__).parents[2] / "params.yaml").variants)


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
@pytest.mark.parametrize("name", VARIANTS)
def test_a_stopped_training_goes_on_to_the_bytes_of_two_that_were_not(bench, stop_after, name, precision):
    def train(out: str = "out") -> dict[str, bytes]:
        return bench.content(bench.train(name, out=out, device="cuda", precision=precision))

    expected = train("uninterrupted")
    assert train("again") == expected
    stop_after(4)
    with pytest.raises(Stopped):
        train()
    stop_after(0)
    assert train() == expected
