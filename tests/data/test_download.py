"""One file from one place: what may pass is tried again, what will not is not, and only the right bytes are kept."""

import hashlib
import http.server
import sys
import threading

import pytest

from reprogan.data import download, transfer
from reprogan.data.download import Unavailable, WrongHash

NAME = "train-labels-idx1-ubyte.gz"
CONTENT = b"\x1f\x8b" + bytes(range(256)) * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def refusal(place, destination) -> Unavailable:
    with pytest.raises(Unavailable) as refused:
        download.fetch(place, NAME, SHA256, destination)
    assert "\n" not in str(refused.value)
    assert not destination.parent.exists() or list(destination.parent.iterdir()) == []
    return refused.value


@pytest.fixture
def destination(tmp_path):
    return tmp_path / "raw" / NAME


def test_serves(serve, destination):
    mirror = serve({NAME: CONTENT})
    download.fetch(mirror.url + "/", NAME, SHA256, destination)
    assert destination.read_bytes() == CONTENT and mirror.requests == [NAME]
    assert list(destination.parent.iterdir()) == [destination]


@pytest.mark.parametrize("manners", [["500"], ["503", "502"], ["cut"], ["429", "cut"]])
def test_tries_again_after_what_may_pass(serve, destination, manners):
    mirror = serve({NAME: CONTENT}, train_labels=manners)
    download.fetch(mirror.url, NAME, SHA256, destination)
    assert destination.read_bytes() == CONTENT and len(mirror.requests) == len(manners) + 1


@pytest.mark.parametrize(
    ("manner", "said"),
    [("500", "HTTP 500"), ("cut", f"cut short after {len(CONTENT) // 2:,} of {len(CONTENT):,} bytes")],
)
def test_gives_up_after_a_few_tries(serve, destination, manner, said):
    mirror = serve({NAME: CONTENT}, train_labels=[manner] * 9)
    error = refusal(mirror.url, destination)
    assert said in str(error) and error.passing and len(mirror.requests) == download.TRIES


@pytest.mark.parametrize(
    ("manner", "said"),
    [
        ("404", "HTTP 404"),
        ("403", "HTTP 403"),
        ("page", "a web page (HTML)"),
        ("unmarked page", "a web page (HTML)"),
        ("altered", f"expected {SHA256[:12]}…"),
    ],
)
def test_does_not_try_again_what_will_not_pass(serve, destination, manner, said):
    mirror = serve({NAME: CONTENT}, train_labels=[manner] * 9)
    error = refusal(mirror.url, destination)
    assert said in str(error) and not error.passing and mirror.requests == [NAME]
    assert isinstance(error, WrongHash) == (manner == "altered")


def test_pauses_double(serve, destination, nobody, monkeypatch):
    serve({})  # for its quick retries' sake, which this test slows down again
    pauses = []
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0.5)
    monkeypatch.setattr(download.time, "sleep", pauses.append)
    assert refusal(nobody, destination).passing
    assert pauses == [0.5, 1.0]


def test_a_silent_server_times_out(serve, destination, monkeypatch):
    mirror = serve({NAME: CONTENT}, train_labels=["half"] * 9)
    monkeypatch.setattr(download.opened.__wrapped__, "__defaults__", (0.2,))
    assert "no answer within 0.2 s" in str(refusal(mirror.url, destination))
    assert len(mirror.requests) == download.TRIES


def test_what_never_ends_is_cut_off(serve, destination, monkeypatch):
    monkeypatch.setattr(download, "MAXIMUM_BYTES", 100_000)
    assert "more than 100,000 bytes" in str(refusal(serve({NAME: CONTENT}).url, destination))


def test_redirects_do_not_lead_to_local_files(tmp_path, destination, serve):
    secret = tmp_path / NAME
    secret.write_bytes(CONTENT)
    mirror = serve({})

    class Redirect(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(302)
            self.send_header("Location", secret.as_uri())
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Redirect) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        refusal(f"http://127.0.0.1:{server.server_port}", destination)
        server.shutdown()
    assert mirror.requests == []


@pytest.mark.parametrize("form", ["absolute", "relative", "file URL"])
def test_a_folder_is_a_place(tmp_path, destination, monkeypatch, form):
    folder = tmp_path / "my mirror"
    folder.mkdir()
    (folder / NAME).write_bytes(CONTENT)
    monkeypatch.chdir(tmp_path)
    place = {"absolute": str(folder), "relative": "my mirror", "file URL": folder.as_uri()}[form]
    download.fetch(place, NAME, SHA256, destination)
    assert destination.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("/no/such/folder", "No such file"),
        ("s3://bucket/mnist", "expected http, https, file or a folder"),
        ("file://host/folder", "file:///folder"),
        ("http://a..b/mnist", "not a URL we can read"),
        ("http://[broken", "not a URL we can read"),
        ("http://127.0.0.1:port/", "not a URL we can read"),
    ],
)
def test_refuses_places(serve, destination, place, said):
    serve({})
    error = refusal(place, destination)
    assert said in str(error) and not error.passing


def test_a_line_every_few_seconds_without_a_terminal(monkeypatch, capsys):
    clock = iter(range(0, 1000, 2))
    monkeypatch.setattr(transfer.time, "monotonic", lambda: float(next(clock)))
    with transfer.transfer("file.gz", 4_000_000) as show:
        for _ in range(4):
            show(1_000_000)
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["file.gz: 2.0 of 4.0 MB, 0.50 MB/s", "file.gz: 4.0 of 4.0 MB, 0.50 MB/s"]


def test_a_bar_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    with transfer.transfer("file.gz", 4_000_000) as show:
        show(4_000_000)
    assert "file.gz" in capsys.readouterr().err
