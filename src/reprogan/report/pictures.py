"""Pictures as the page holds them: small, no larger than they are shown, and moving ones as the frames of a film."""

import base64
import io
from dataclasses import dataclass

from PIL import Image

_QUALITY, _OF_FRAMES = 65, 50  # of WebP, 0 to 100; a frame is seen for an eighth of a second
_COLUMNS = 8  # of the sheet that holds a film


@dataclass(frozen=True)
class Picture:
    """A picture file as it is, and its size in pixels."""

    content: bytes
    width: int
    height: int


@dataclass(frozen=True)
class Embedded:
    """A picture as the value of an `src`, and its size in pixels."""

    source: str
    width: int
    height: int


@dataclass(frozen=True)
class Film:
    """Frames of one size on a sheet, row by row; `milliseconds` is how long each is shown."""

    sheet: Embedded
    frames: int
    columns: int
    milliseconds: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of a frame in pixels."""
        return self.sheet.width // self.columns, self.sheet.height // -(-self.frames // self.columns)


def embed(picture: Picture, widest: int) -> Embedded:
    """The picture for a page that shows it `widest` pixels wide at most: as it is where nothing makes it smaller."""
    image = _narrowed(_opened(picture), widest)
    content = _webp(image, _QUALITY)
    if image.width == picture.width and len(picture.content) <= len(content):
        return Embedded(_url(picture.content, "png"), picture.width, picture.height)
    return Embedded(_url(content, "webp"), image.width, image.height)


def embed_exactly(picture: Picture) -> Embedded:
    """The picture with every pixel as it is: for what a script reads."""
    return Embedded(_url(picture.content, "png"), picture.width, picture.height)


def embed_film(content: bytes, widest: int) -> Film:
    """An animated GIF as a film whose frames are `widest` pixels wide at most."""
    with Image.open(io.BytesIO(content)) as moving:
        count, milliseconds = getattr(moving, "n_frames", 1), int(moving.info.get("duration", 100))
        frames = []
        for index in range(count):
            moving.seek(index)
            frames.append(_narrowed(moving.convert("RGB"), widest))
    width, height = frames[0].size
    columns = min(_COLUMNS, count)
    sheet = Image.new("RGB", (columns * width, -(-count // columns) * height))
    for index, frame in enumerate(frames):
        sheet.paste(frame, (index % columns * width, index // columns * height))
    content = _webp(sheet, _OF_FRAMES)
    return Film(Embedded(_url(content, "webp"), *sheet.size), count, columns, milliseconds)


def _opened(picture: Picture) -> Image.Image:
    with Image.open(io.BytesIO(picture.content)) as image:
        return image.convert("RGB")


def _narrowed(image: Image.Image, widest: int) -> Image.Image:
    if image.width <= widest:
        return image
    return image.resize((widest, round(image.height * widest / image.width)), Image.Resampling.LANCZOS)


def _webp(image: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    image.save(out, "WEBP", quality=quality, method=4)
    return out.getvalue()


def _url(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
