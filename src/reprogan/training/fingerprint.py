"""A fingerprint of everything that training's bytes depend on: parameters, data, code and torch."""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import torch


def fingerprint(params: dict[str, Any], data: Path) -> str:
    """sha256 (hex) over `params`, the bytes of the file `data`, the project's loaded code and torch's version.

    Two runs with the same fingerprint pass through the same states, so one may go on from the other's checkpoint.
    """
    digest = hashlib.sha256()
    digest.update(json.dumps([params, torch.__version__], sort_keys=True).encode())
    with open(data, "rb") as file:
        digest.update(hashlib.file_digest(file, "sha256").digest())
    for name, path in sorted(_loaded_code().items()):
        digest.update(f"\n{name}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def _loaded_code() -> dict[str, Path]:
    modules = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "reprogan"}
    return {name: Path(file) for name, module in modules.items() if (file := getattr(module, "__file__", None))}
