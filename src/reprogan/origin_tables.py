"""What `reprogan lineage` and `reprogan verify` print for people."""

import json

from rich import box
from rich.table import Table
from rich.text import Text

from reprogan.tracking.lineage import Lineage, Link
from reprogan.verify.verify import File, Verified

_HASH = 12  # characters of a hash that a screen has room for


def lineage_lines(found: Lineage) -> list[str]:
    """The chain from the model down to the sources, a thing a line; hashes whole."""
    lines = [found.asked]
    if found.version:
        aliases = f" ({', '.join(found.version['aliases'])})" if found.version["aliases"] else ""
        lines.append(f"  version      {found.version['name']} {found.version['version']}{aliases}")
    if found.run:
        lines.append(f"  run          {found.run['id']} {found.run['name']}")
    if found.sha256:
        lines.append(f"  weights      sha256 {found.sha256}")
    lines.append(f"  commit       {found.commit or 'none that is clean and holds it'}")
    lines.append(f"  read from    {found.lock}")
    lines += [f"  environment  {key} {value}" for key, value in found.environment.items()]
    for link in reversed(found.stages):
        lines += ["", *_link_lines(link)]
    return [*lines, "", "To make it again:", *(f"  {command}" for command in found.commands)]


def _link_lines(link: Link) -> list[str]:
    lines = [f"{link.stage}: {link.command}"]
    for word, files in (("made", link.outs), ("data", link.data), ("code", link.code)):
        lines += [f"  {word}  {path} md5 {digest}" for path, digest in files.items()]
    for key, value in link.params.items():
        lines.append(f"  set   {key} = {json.dumps(value)}")
    return lines


def verified_parts(found: Verified) -> list[Table | str]:
    """A table of every output, and what could be the reason where one differs."""
    table = Table(box=box.SIMPLE, pad_edge=False, header_style="bold")
    for heading in ("stage", "file", "expected", "got", "equal"):
        table.add_column(heading, overflow="fold")
    for stage in found.stages:
        for file in stage.outputs:
            style = "" if file.equal else "red"
            row = (stage.stage, file.name, file.expected[:_HASH], file.got[:_HASH], "yes" if file.equal else "NO")
            table.add_row(*(Text(cell, style) for cell in row))
    parts: list[Table | str] = [f"commit {found.commit}", table]
    for stage in found.stages:
        if stage.status:
            parts.append(f"{stage.stage}: its command ended with status {stage.status}")
        parts += [f"{stage.stage}: not as dvc.lock says: {_words(file)}" for file in stage.inputs]
        if stage.parted_at is not None:
            parts.append(f"{stage.stage}: the trainings part at {stage.parted_at:,} images or before")
    if not found.equal:
        parts += [f"here: {_words(file)}" for file in found.environment]
    outputs = [file for stage in found.stages for file in stage.outputs]
    same = sum(file.equal for file in outputs)
    verdict = "everything is the same" if found.equal else "not the same"
    return [*parts, f"{same} of {len(outputs)} files equal: {verdict}"]


def _words(file: File) -> str:
    return f"{file.name}: {file.got}; expected {file.expected}"
