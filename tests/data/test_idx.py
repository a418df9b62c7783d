"""The IDX reader gives back exactly what was packed and refuses everything else in one line."""

import gzip
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from reprogan.data import idx
from reprogan.errors import UserError

IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)


def header(*shape: int, magic: int = 0x0800) -> bytes:
    return struct.pack(f">{len(shape) + 1}I", magic + len(shape), *shape)


def refusal(path: Path, content: bytes, dimensions: int = 3) -> str:
    path.write_bytes(content)
    with pytest.raises(UserError) as refused:
        idx.read(path, dimensions)
    message = str(refused.value)
    assert "\n" not in message and message.startswith(f"{path}: ") and "replace it" in message
    return message


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_round_trip(tmp_path, pack, data):
    dimensions = data.draw(st.sampled_from([1, 3]))
    shape = data.draw(hnp.array_shapes(min_dims=dimensions, max_dims=dimensions, min_side=1, max_side=20))
    array = data.draw(hnp.arrays(np.uint8, shape))
    path = tmp_path / "array.gz"
    path.write_bytes(pack(array))
    found = idx.read(path, dimensions)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, array)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 200), flip=st.integers(1, 255), cut=st.booleans())
def test_no_damage_passes(tmp_path, position, flip, cut):
    """A cut or altered file is refused with UserError or, where gzip ignores the byte, read as it was packed."""
    whole = gzip.compress(header(2, 3, 4) + IMAGES.tobytes(), mtime=0)
    position %= len(whole)
    content = whole[:position] if cut else whole[:position] + bytes([whole[position] ^ flip]) + whole[position + 1 :]
    path = tmp_path / "damaged.gz"
    path.write_bytes(content)
    try:
        np.testing.assert_array_equal(idx.read_images(path), IMAGES)
    except UserError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "magic ''"),
        (b"\x00\x00", "magic '0000'"),
        (header(2, 3, 4, magic=0x0D00) + IMAGES.tobytes(), "magic '00000d03'; expected '00000803'"),
        (header(24) + IMAGES.tobytes(), "magic '00000801'"),
        (header(2, 3, 4)[:9], "ends inside the header"),
        (header(2, 3, 4) + IMAGES.tobytes()[:-1], "holds 23 of the 24 elements"),
        (header(2, 3, 4) + IMAGES.tobytes() + b"\x00", "goes on after the 24 elements"),
        (header(0, 28, 28), "declares 0×28×28"),
        (header(2**32 - 1, 2**32 - 1, 2**32 - 1), "expected 1 to 1,073,741,824"),
    ],
)
def test_refuses_contents(tmp_path, content, said):
    assert said in refusal(tmp_path / "images.gz", gzip.compress(content))


def test_refuses_what_is_not_gzip(tmp_path):
    assert "not a sound gzip file" in refusal(tmp_path / "images.gz", header(2, 3, 4) + IMAGES.tobytes())


def test_refuses_a_cut_stream(tmp_path):
    whole = gzip.compress(header(2, 3, 4) + IMAGES.tobytes())
    assert "cut short" in refusal(tmp_path / "images.gz", whole[:-4])


def test_refuses_trailing_bytes(tmp_path):
    whole = gzip.compress(header(2, 3, 4) + IMAGES.tobytes())
    assert "not a sound gzip file" in refusal(tmp_path / "images.gz", whole + b"more")


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS limits memory on Linux alone")
def test_bombs_do_not_unpack(tmp_path):
    """A small header before 128 MB of zeros, and a header that lies about 1 GiB: neither takes that memory."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = bytes(1 << 24)
    bomb = packer.compress(header(1, 28, 28)) + b"".join(packer.compress(zeros) for _ in range(8)) + packer.flush()
    (tmp_path / "long.gz").write_bytes(bomb)
    (tmp_path / "liar.gz").write_bytes(gzip.compress(header(1024, 1024, 1024) + b"few"))
    program = (
        "import sys; from pathlib import Path; from reprogan.data import idx; from reprogan.errors import UserError\n"
        "import resource; used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + (24 << 20),) * 2)\n"
        "for name in sys.argv[1:]:\n"
        "    try: idx.read_images(Path(name)); print('read')\n"
        "    except UserError as error: print(error)\n"
    )
    names = [str(tmp_path / "long.gz"), str(tmp_path / "liar.gz")]
    done = subprocess.run([sys.executable, "-c", program, *names], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    long, liar = done.stdout.splitlines()
    assert "goes on after the 784 elements" in long
    assert "holds 3 of the 1,073,741,824 elements" in liar


def test_reads_as_torchvision_reads(real_mnist, tmp_path):
    """Pixel for pixel and label for label, all 70,000 originals."""
    datasets = pytest.importorskip("torchvision.datasets")
    unpacked = tmp_path / "MNIST" / "raw"
    unpacked.mkdir(parents=True)
    for packed in real_mnist.glob("*.gz"):
        (unpacked / packed.stem).write_bytes(gzip.decompress(packed.read_bytes()))
    for split, prefix in ((True, "train"), (False, "t10k")):
        reference = datasets.MNIST(tmp_path, train=split, download=False)
        images = idx.read_images(real_mnist / f"{prefix}-images-idx3-ubyte.gz")
        labels = idx.read_labels(real_mnist / f"{prefix}-labels-idx1-ubyte.gz")
        np.testing.assert_array_equal(images, reference.data.numpy())
        np.testing.assert_array_equal(labels, reference.targets.numpy())
