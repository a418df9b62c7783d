"""What the page holds of others: the libraries of web/package.json, which `make setup` has npm install."""

import base64
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from reprogan.errors import UserError

FOLDER = Path(sys.prefix) / "web/node_modules"
_LOCK = Path("web/package-lock.json")
_LEVEL = 12  # of 12
_RUNTIME = "ort-wasm-simd-threaded"


@dataclass(frozen=True)
class Libraries:
    """uPlot as it is, and ONNX Runtime Web packed (see `pack`), which is only unpacked once a reader wants it."""

    plot_script: str
    plot_style: str
    runtime: str
    runtime_loader: str
    runtime_binary: str
    licences: tuple[str, ...]


def read_libraries(root: Path, folder: Path = FOLDER) -> Libraries:
    """The libraries of the versions that the lock file below `root` names. Raises UserError if they are not there."""
    missing = lacking(root, folder)
    if missing:
        raise UserError(
            f"{missing}; expected what {_LOCK} names, which `make setup` has npm fetch; run it again, or `reprogan set "
            "report.bundle=false` for a page without curves and explorer"
        )
    plot, runtime = folder / "uplot", folder / "onnxruntime-web/dist"
    return Libraries(
        _text(plot / "dist/uPlot.iife.min.js"),
        _text(plot / "dist/uPlot.min.css"),
        pack((runtime / "ort.wasm.min.js").read_bytes()),
        base64.b64encode((runtime / f"{_RUNTIME}.mjs").read_bytes()).decode(),
        pack((runtime / f"{_RUNTIME}.wasm").read_bytes()),
        (
            "uPlot (MIT licence, copyright Leon Sorokin)",
            "ONNX Runtime Web (MIT licence, copyright Microsoft Corporation)",
        ),
    )


def lacking(root: Path, folder: Path = FOLDER) -> str:
    """What keeps the libraries from being bundled, in words; "" where nothing does."""
    packages = json.loads((root / _LOCK).read_text(encoding="utf-8"))["packages"]
    for name in ("uplot", "onnxruntime-web"):
        path, wanted = folder / name / "package.json", packages[f"node_modules/{name}"]["version"]
        try:
            found = json.loads(path.read_text(encoding="utf-8"))["version"]
        except FileNotFoundError:
            return f"{name} {wanted}: not in {folder}"
        if found != wanted:
            return f"{name} in {folder} is {found}, not {wanted}"
    return ""


def pack(content: bytes) -> str:
    """Compressed and as text, as the page's `unpack` reads it: the same for the same bytes."""
    import deflate  # libdeflate, for Python's own gzip uses the system's zlib, whose builds write other bytes

    return base64.b64encode(deflate.gzip_compress(content, _LEVEL)).decode()


def pack_numbers(content: bytes) -> str:
    """The same of mostly float32 numbers: all their first bytes, then all second ones: that compresses better."""
    return pack(b"".join(content[place::4] for place in range(4)))


def _text(path: Path) -> str:
    text = path.read_text(encoding="utf-8").rstrip()
    if "</script" in text or "</style" in text:
        raise UserError(f"{path}: holds the end of a page's element; expected code that can stand in a page")
    return text
