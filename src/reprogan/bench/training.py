"""Training against plain loops of the same networks, and against what the machine can do."""

import statistics
from pathlib import Path

from reprogan.bench.ceilings import TRIES
from reprogan.bench.measure import Row, in_a_process, said, spread, table
from reprogan.config import Parameters
from reprogan.errors import UserError

_SIDE = "reprogan.bench.side"
_OPERATIONS = 5e11  # a measurement of ours: some seconds, and no more images than a training of the variant sees
_LEAST, _MOST = 40, 8000  # batches of it
_OF_PLAIN = 0.3  # of these images, for the plain loop, which is slower
_PROFILED = 100  # batches
_KIND_SHOWN = 0.1  # share of the time from which on a kind of work is named


def check(params: Parameters, variants: tuple[str, ...]) -> None:
    """Raise UserError if the data of a variant (of those named, if any are) is not prepared yet."""
    for data in sorted({params.variant(name).data for name in variants or params.variants}):
        if not Path(f"data/processed/{data}.h5").is_file():
            raise UserError(f"data/processed/{data}.h5: not there; run `dvc repro prepare_{data}` first")


def rows(
    params: Parameters, variants: tuple[str, ...], images: int | None, rounds: int, isas: tuple[str, ...]
) -> list[Row]:
    """A row for every variant (or those named) at each of `isas`: ours and plain in turn, `rounds` times."""
    found = []
    for isa in isas:
        for name in variants or tuple(params.variants):
            found.append(_row(params, name, isa, images, rounds))
            said(f"{name} {isa}: {_cells(found[-1])}")
    return found


def markdown(found: list[Row]) -> str:
    """The rows as a table, and what takes the time as another."""
    headings = ["variant", "isa", "batch", "ours, images/s", "plain loop, images/s", "ratio", "MFLOP an image"]
    headings += ["GFLOP/s", "of the ceiling", "peak memory, ours / plain, MiB"]
    rates = table(headings, [_cells(row) for row in found])
    kinds = table(
        ("variant", "isa", "where the time goes", "getting batches"),
        [(f"`{row['variant']}`", row["isa"], _where(row), f"{row['reading']:.1%}") for row in found],
    )
    return f"{rates}\n{kinds}"


def _row(params: Parameters, name: str, isa: str, images: int | None, rounds: int) -> Row:
    variant = params.variant(name)
    batch = variant.training.batch_size
    operations = in_a_process(_SIDE, "operations", name, isa, "0")["operations"]
    batches = min(_MOST, max(_LEAST, _OPERATIONS / operations / batch), variant.training.images / batch)
    count = images or batch * round(batches)
    of_plain = images or max(_LEAST * batch, round(_OF_PLAIN * count))
    ours, plain = [], []
    for _ in range(rounds):
        ours.append(in_a_process(_SIDE, "ours", name, isa, str(count)))
        plain.append(in_a_process(_SIDE, "plain", name, isa, str(of_plain)))
    ceilings = in_a_process("reprogan.bench.ceilings", isa, str(min(rounds, TRIES)))
    profile = in_a_process(_SIDE, "profile", name, isa, str(min(count, batch * _PROFILED)))
    profile.pop("peak_mib")
    ratios = [mine["images_per_second"] / theirs["images_per_second"] for mine, theirs in zip(ours, plain, strict=True)]
    best = "convolution" if profile["convolutions"] > profile["products"] else "product"
    rate, ceiling = _middle(ours, "images_per_second"), ceilings[best]
    return {
        "variant": name,
        "isa": isa,
        "batch_size": batch,
        "ours": rate,
        "plain": _middle(plain, "images_per_second"),
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "ours_mib": _middle(ours, "peak_mib"),
        "plain_mib": _middle(plain, "peak_mib"),
        "operations": operations,
        "ceiling": ceiling,
        "ceiling_of": best,
        "share": rate * operations / ceiling,
        "reading": _middle(ours, "reading"),
        "profile": profile,
    }


def _middle(found: list[Row], key: str) -> float:
    return statistics.median(row[key] for row in found)


def _cells(row: Row) -> tuple[str, ...]:
    return (
        f"`{row['variant']}`",
        row["isa"],
        str(row["batch_size"]),
        f"{row['ours']:,.0f}",
        f"{row['plain']:,.0f}",
        f"{row['ratio']:.2f} {spread(row['ratios'], '.2f')}",
        f"{row['operations'] / 1e6:,.3g}",
        f"{row['ours'] * row['operations'] / 1e9:,.0f}",
        f"{row['share']:.0%} ({row['ceiling_of']})",
        f"{row['ours_mib']:.0f} / {row['plain_mib']:.0f}",
    )


def _where(row: Row) -> str:
    """The kinds of work that take most, the first of which is the next thing to mend."""
    by_share = sorted(row["profile"].items(), key=lambda item: -item[1])
    shown = [f"{kind} {share:.0%}" for kind, share in by_share if share >= _KIND_SHOWN]
    return ", ".join(shown)
