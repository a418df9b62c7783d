"""The chain of digests: what it is of, and where two part."""

import hashlib
from pathlib import Path

import torch
from torch import nn

from reprogan.training.digests import Digests, parts_at, read_digests


def networks() -> dict[str, nn.Module]:
    torch.manual_seed(1)
    return {"generator": nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)), "discriminator": nn.Linear(4, 1)}


def chain(path: Path, *states: dict[str, nn.Module]) -> dict[int, str]:
    digests = Digests(path)
    for row, state in enumerate(states):
        digests.append(64 * row, state)
    assert path.read_text() == digests.text()
    return read_digests(path)


def test_a_digest_is_of_the_one_before_and_of_every_weight_and_buffer(tmp_path):
    """Against hashlib, over the bytes as numpy has them."""
    one, digests = networks(), {}
    previous = ""
    for seen in (0, 64):
        digest = hashlib.sha256(previous.encode())
        for name, network in one.items():
            for key, tensor in network.state_dict().items():
                array = tensor.numpy()
                digest.update(f"{name}.{key} torch.{array.dtype} {array.shape}\n".encode() + array.tobytes())
        digests[seen] = previous = digest.hexdigest()
    assert chain(tmp_path / "digests.csv", one, one) == digests


def test_the_layout_in_memory_plays_no_part(tmp_path):
    last = {name: network.to(memory_format=torch.channels_last) for name, network in networks().items()}
    assert chain(tmp_path / "a.csv", networks()) == chain(tmp_path / "b.csv", last)


def test_two_chains_part_where_the_first_weight_differs_and_stay_apart(tmp_path):
    other = networks()
    with torch.no_grad():
        other["discriminator"].bias[0] = torch.nextafter(other["discriminator"].bias[0], torch.tensor(9.0))
    same = chain(tmp_path / "a.csv", networks(), networks(), networks())
    apart = chain(tmp_path / "b.csv", networks(), other, networks())
    assert parts_at(same, same) is None
    assert parts_at(same, apart) == 64 and same[128] != apart[128]
    assert parts_at(same, {0: same[0]}) == 64  # the other ended there


def test_a_line_that_is_being_written_is_not_read(tmp_path):
    path = tmp_path / "digests.csv"
    known = chain(path, networks(), networks())
    path.write_text(path.read_text() + "128,ab")
    assert read_digests(path) == known
    assert read_digests(tmp_path / "none.csv") == {}
