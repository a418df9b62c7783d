"""Training curves: what belongs together in a chart, its values in few digits."""

from reprogan.report.contents import History
from reprogan.report.curves import charts_of

GAN = History(
    [1000, 2000, 3000],
    {
        "generator_loss": [1.0, 2.0, 3.0],
        "discriminator_loss": [0.5, 0.25, 0.1234567],
        "real_probability": [0.6, 0.7, 0.8],
        "fake_probability": [0.4, 0.3, 0.2],
    },
)


def test_the_charts_of_a_gan() -> None:
    losses, probabilities = charts_of(GAN)
    assert (losses.title, [(line.label, line.values[-1]) for line in losses.lines]) == (
        "Loss",
        [("generator", 3.0), ("discriminator", 0.12346)],
    )
    assert [line.label for line in probabilities.lines] == ["on real images", "on fake images"]
    assert (losses.bounds, probabilities.bounds) == (None, (0.0, 1.0))
    assert losses.summary == "generator from 1 to 3; discriminator from 0.5 to 0.1235"


def test_the_charts_of_a_classifier() -> None:
    charts = charts_of(History([10, 20], {"loss": [2.0, 1.0], "accuracy": [0.1, 0.9]}))
    assert [(chart.title, [line.label for line in chart.lines]) for chart in charts] == [
        ("Loss", ["loss"]),
        ("Accuracy", ["accuracy"]),
    ]


def test_what_the_page_is_given() -> None:
    told = charts_of(GAN)[0].as_data(GAN.images_seen)
    assert told["data"] == [[1000, 2000, 3000], [1.0, 2.0, 3.0], [0.5, 0.25, 0.12346]]
    assert told["labels"] == ["generator", "discriminator"]


def test_no_rows_no_chart() -> None:
    assert charts_of(History([], {"accuracy": []})) == []
