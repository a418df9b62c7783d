"""Several processes that train as one: like one over the whole batch, and resumed to the same bytes."""

import csv
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file
from torch import nn

from reprogan.config import PARAMS_FILE, Launch
from reprogan.errors import UserError
from reprogan.training import launch
from reprogan.training.ranks import Ranks

NAMES = ("dcgan", "sagan")
TESTS = Path(__file__).parent
TWO = Ranks(rank=0, size=2)


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory, bench_at: Any) -> Any:
    """What two processes, connected by gloo, left (see together.py). Parallel workers share it: the first makes it."""
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "together"
    root.mkdir(exist_ok=True)
    bench = bench_at(root)
    with FileLock(f"{root}.lock"):
        if not (root / "done").exists():
            torchrun = ["-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1", "--nproc-per-node=2"]
            together_py(root, torchrun)
            (root / "done").touch()
    return bench


def together_py(root: Path, torchrun: list[str]) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, *torchrun, "together.py", str(root), *NAMES]
    settings = {"PYTHONPATH": str(TESTS.parents[1] / "src"), "REPROGAN_TRACKING": "off", "REPROGAN_REPLAY": "off"}
    settings |= {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=TESTS, env=os.environ | settings, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done


def test_gradients_are_those_of_the_whole_batch(together):
    inputs = torch.randn(2, 8, 5, generator=torch.Generator().manual_seed(3))[0] * 3 + 1
    layer = nn.Linear(5, 2)
    with torch.no_grad():
        for weight in layer.parameters():
            weight.fill_(0.5)
    whole = torch.autograd.grad(layer(inputs).square().mean(), list(layer.parameters()))
    for rank in (0, 1):
        agreed = load_file(together.root / f"gradients-{rank}.safetensors")
        torch.testing.assert_close([agreed["weight"], agreed["bias"]], list(whole))


@pytest.mark.parametrize("kind, shape, layer", [("2d", (8, 3, 4, 4), nn.BatchNorm2d), ("1d", (8, 3), nn.BatchNorm1d)])
def test_batch_norm_sees_the_whole_batch(together, kind, shape, layer):
    """Outputs, gradients and running statistics are those of torch's own over both parts at once."""
    halves = [load_file(together.root / f"normalised-{rank}.safetensors") for rank in (0, 1)]
    inputs, weights = torch.randn(2, *shape, generator=torch.Generator().manual_seed(3)) * 3 + 1
    alone = layer(3)
    with torch.no_grad():
        alone.weight.copy_(torch.tensor([0.5, 1.0, 2.0]))
        alone.bias.copy_(torch.tensor([0.0, 1.0, -1.0]))
    out = alone(inputs.requires_grad_())
    of_inputs, of_weight, of_bias = torch.autograd.grad((out * weights).sum(), (inputs, alone.weight, alone.bias))

    def both(name: str) -> torch.Tensor:
        return torch.cat([half[f"{kind} {name}"] for half in halves])

    close = {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(both("out"), out, **close)
    torch.testing.assert_close(both("of inputs"), of_inputs, **close)
    torch.testing.assert_close(both("at rest"), alone.eval()(inputs), **close)
    for half in halves:  # the mean over two processes of gradients of sums
        torch.testing.assert_close(2 * half[f"{kind} of weight"], of_weight, **close)
        torch.testing.assert_close(2 * half[f"{kind} of bias"], of_bias, **close)
        torch.testing.assert_close(half[f"{kind} mean"], alone.running_mean, **close)
        torch.testing.assert_close(half[f"{kind} variance"], alone.running_var, **close)
        assert half[f"{kind} steps"] == alone.num_batches_tracked == 1


@pytest.mark.parametrize("name", NAMES)
def test_two_that_were_stopped_and_go_on_end_with_the_same_bytes(together, name):
    stops = [(together.root / f"{name}-stopped-{rank}").read_text() for rank in (0, 1)]
    assert stops[0] == stops[1] and "goes on from there" in stops[0]
    content = together.content(together.root / "together" / name)
    assert "digests.csv" in content and together.content(together.root / "resumed" / name) == content


@pytest.mark.parametrize("name", NAMES)
def test_two_train_about_as_one_does(together, bench, name):
    alone, both = (losses(folder / name) for folder in (bench.train(name).parent, together.root / "together"))
    assert [row["images_seen"] for row in both] == [row["images_seen"] for row in alone]
    assert all(math.isfinite(value) for row in both for value in row.values())
    for loss in ("generator_loss", "discriminator_loss"):
        means = [sum(row[loss] for row in rows) / len(rows) for rows in (alone, both)]
        assert means[1] == pytest.approx(means[0], rel=0.15, abs=0.1), loss
    assert both != alone  # other noise


def losses(folder: Path) -> list[dict[str, float]]:
    with open(folder / "history.csv") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def test_another_number_of_processes_is_said(together):
    left = sorted((together.root / "scratch/checkpoints/gan").glob("*-2/*.ckpt"))
    assert left
    error = together_py(together.root, []).stderr
    assert f"reprogan: variants.gan: {left[0]} is of 2 processes and does not fit 1, which draw other noise" in error
    assert "going on from" not in error


def test_a_batch_that_cannot_be_shared_is_refused(bench, failed):
    variant = bench.variant("gan", **{"training.batch_size": 15})
    assert failed(lambda: bench.train("gan", variant, ranks=TWO)) == (
        f"{PARAMS_FILE}: variants.gan.training.batch_size is 15; launch.processes is 2; expected a batch that can be "
        "divided among them"
    )
    variant = bench.variant("stackgan_1", **{"training.batch_size": 2})
    assert "of which each of 2 processes has 1; expected 4 or more" in failed(
        lambda: bench.train("stackgan_1", variant, ranks=TWO)
    )


def test_what_does_not_fit_torchrun_is_refused(monkeypatch):
    two = Launch(launcher="torchrun", processes=2, nodes=2)
    assert launch.is_to_be_launched(two)
    assert not launch.is_to_be_launched(Launch(launcher="none", processes=1, nodes=1))
    with pytest.raises(UserError, match=r"launch.nodes is 2; REPROGAN_RENDEZVOUS is None; expected HOST:PORT"):
        launch.start(two)
    monkeypatch.setenv("REPROGAN_RENDEZVOUS", "localhost:29500")
    monkeypatch.setenv("REPROGAN_NODE", "2")
    with pytest.raises(UserError, match="REPROGAN_NODE is '2'; expected a number from 0 to 1"):
        launch.start(two)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(UserError, match=r"launch.processes is 2; torchrun started 3"):
        launch.is_to_be_launched(two)
