"""A trained model on disk: `models/<variant>/model.json` and a safetensors file for each network."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from reprogan.atomic import write_atomically
from reprogan.errors import UserError
from reprogan.models import architecture

DESCRIPTION = "model.json"
MAIN_NETWORKS = ("generator", "decoder", "classifier", "text_encoder")
_OPTIONAL = ("vocabulary", "source_channels", "upstream")


@dataclass(frozen=True)
class Description:
    """What `model.json` holds: everything that is needed to build the networks again."""

    variant: str
    system: str
    architecture: str
    network: dict[str, Any]
    image_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    data: str  # the data set's own name
    weights: str  # "average" or "last"
    images_seen: int
    vocabulary: tuple[str, ...] = ()  # of captions
    source_channels: int = 0  # of images that are to be translated
    upstream: "Description | None" = None  # of the model that training began with


@dataclass(frozen=True)
class Trained:
    """A trained model: its networks are in eval mode and frozen."""

    description: Description
    networks: dict[str, nn.Module]

    @property
    def draws(self) -> bool:
        """Whether images can be drawn from it: it has a generator, or a decoder whose codes have a distribution."""
        return any(hasattr(network, "latent_distribution") for network in self.networks.values())


def save(folder: Path, description: Description, networks: dict[str, nn.Module]) -> None:
    """Write a model's description and weights below `folder`, each file whole or not at all."""
    for name, network in networks.items():
        # safetensors stores no strides: dense row-major tensors, so that the bytes do not depend on the layout.
        weights = {key: tensor.detach().cpu().contiguous() for key, tensor in network.state_dict().items()}
        # Not save_file: where the disk refuses, it hides the system's error in one of its own.
        write_atomically(folder / f"{name}.safetensors", safetensors.torch.save(weights))
    known = {key: value for key, value in asdict(description).items() if value or key not in _OPTIONAL}
    write_atomically(folder / DESCRIPTION, json.dumps(known, indent=2, sort_keys=True) + "\n")


def describe(folder: Path) -> Description:
    """Read `model.json`. Raises UserError if it is missing or damaged."""
    path = folder / DESCRIPTION
    try:
        return _description(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise UserError(f"{path}: not there; run `dvc repro train@{folder.name}`") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not a model description ({error}); run `dvc repro -f train@{folder.name}`") from None


def _description(values: dict[str, Any]) -> Description:
    for key in ("image_shape", "classes", "vocabulary"):
        values[key] = tuple(values.get(key, ()))
    if upstream := values.get("upstream"):
        values["upstream"] = _description(upstream)
    return Description(**values)


def _networks(description: Description, where: str) -> dict[str, nn.Module]:
    """The networks as they were built, those that they build on too; their weights are still any."""
    upstream = description.upstream
    return architecture.build(
        description.architecture,
        description.network,
        description.image_shape,
        len(description.classes),
        where,
        words=len(description.vocabulary),
        source_channels=description.source_channels,
        upstream=_networks(upstream, where) if upstream else None,
    )


def load(folder: Path, device: torch.device | str = "cpu") -> Trained:
    """Build a model's networks and fill them with its weights. Raises UserError if a file is missing or damaged."""
    description = describe(folder)
    networks = _networks(description, f"{folder / DESCRIPTION}: ")
    for name, network in networks.items():
        path = folder / f"{name}.safetensors"
        try:
            network.load_state_dict(load_file(path))
        except (OSError, SafetensorError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(
                f"{path}: no weights of this model ({reason}); run `dvc repro -f train@{folder.name}`"
            ) from None
        network.to(device).eval().requires_grad_(False)
    return Trained(description, networks)


def main_weights(folder: Path) -> Path:
    """The file whose sha256 names the model: the weights of the first of MAIN_NETWORKS that there is."""
    for name in MAIN_NETWORKS:
        if (path := folder / f"{name}.safetensors").is_file():
            return path
    raise UserError(
        f"{folder}: no {', '.join(f'{name}.safetensors' for name in MAIN_NETWORKS)}; run "
        f"`dvc repro train@{folder.name}`"
    )
