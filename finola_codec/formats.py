"""Picture files of other formats, read and written by Pillow and its plugins."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image, UnidentifiedImageError

from finola_codec.container import DEFAULT_MAX_PIXELS
from finola_codec.errors import ImageError
from finola_codec.metadata import save_options, too_long

# Suffixes of the files that folders are searched for. Pillow reads more, of which many are hardly ever pictures.
# fmt: off
SUFFIXES = frozenset((
    ".avif", ".bmp", ".dib", ".gif", ".heic", ".heif", ".ico", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".jpx",
    ".jxl", ".pbm", ".pcx", ".pgm", ".png", ".pnm", ".ppm", ".psd", ".qoi", ".sgi", ".tga", ".tif", ".tiff", ".webp",
))
# fmt: on
ANIMATED = {"AVIF", "FLI", "GIF", "JXL", "PNG", "WEBP"}  # formats in which several frames are an animation
# Modules that teach Pillow a format, the format, the package that the module comes in, and the format's suffixes.
PLUGINS = (
    ("pillow_heif", "HEIC", "pillow-heif", {".heic", ".heif"}),
    ("pillow_jxl", "JPEG XL", "pillow-jxl-plugin", {".jxl"}),
)
PNG_LEVEL = 2  # a third of the time of the default, 6, for files 4 % larger
# Options of the lossy formats with which they lose least.
BEST: dict[str, dict[str, Any]] = {
    "AVIF": {"quality": 100, "subsampling": "4:4:4"},
    "HEIF": {"quality": -1, "chroma": 444, "matrix_coefficients": 0},  # lossless, as pillow-heif has it
    "JPEG": {"quality": 100, "subsampling": 0},
    "JXL": {"lossless": True},
    "WEBP": {"lossless": True},
}


def read(
    source: Path | BinaryIO, name: str, max_pixels: int | None = DEFAULT_MAX_PIXELS, frame: int | None = None
) -> Image.Image:
    """Open and decode a picture. Of a file of several, ``frame`` is the one to read, counted from 0.

    Raises :class:`ImageError`, which names the picture and what is wrong with it. An animation is refused unless
    ``frame`` says which picture of it to read.
    """
    try:
        if isinstance(source, Path) and not source.is_file():
            source = io.BytesIO(source.read_bytes())  # a pipe can be read once only
        with _of_any_size(max_pixels):
            image = _opened(source)
            _choose(image, name, frame)
            if max_pixels is not None and image.width * image.height > max_pixels:
                raise ImageError(f"{name}: {image.width} x {image.height} pixels, more than the limit of {max_pixels}")
            image.load()
    except UnidentifiedImageError as error:
        raise ImageError(f"{name}: not a picture in a format that Pillow reads{_missing_plugin(name)}") from error
    except FileNotFoundError as error:
        raise ImageError(f"{name}: no such file") from error
    except ImageError:
        raise
    except Exception as error:  # plugins raise what they like, and one damaged picture must not end a batch
        raise ImageError(f"{name}: cannot be read as a picture: {error}") from error
    return image


def is_picture(name: str) -> bool:
    """Return whether a file is called like a picture."""
    return Path(name).suffix.lower() in SUFFIXES


def pictures_in(folder: Path) -> list[Path]:
    """Find the files in and below a folder that are called like pictures, in a fixed order, without hidden ones."""

    def is_hidden(path: Path) -> bool:
        return any(part.startswith(".") for part in path.relative_to(folder).parts)

    return sorted(path for path in folder.rglob("*") if is_picture(path.name) and not is_hidden(path))


def left_out(image: Image.Image) -> str | None:
    """Say what of an opened file is not encoded, or return None where nothing is left out."""
    frames = getattr(image, "n_frames", 1)
    return f"picture {image.tell()} of {frames} in the file; choose another with --frame" if frames > 1 else None


def save(image: Image.Image, target: BinaryIO, suffix: str, quality: int | None = None) -> list[str]:
    """Write a picture in the format of ``suffix``, with the metadata that the format has a place for.

    ``quality``, from 1 to 100, is that of a lossy format. Without it, the format loses as little as it can. Returns
    what there is to say about metadata that are left out.

    Raises :class:`ImageError` for a suffix or a mode that Pillow cannot write.
    """
    format_name = format_of(suffix)
    options = BEST.get(format_name, {}) if quality is None else {"quality": quality}
    if format_name == "PNG":
        options = {"compress_level": PNG_LEVEL}
    absent = too_long(image, format_name)
    try:
        image.save(target, format_name, **save_options(image, format_name, absent), **options)
    except Exception as error:  # metadata come from the file as they are, and plugins raise what they like
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the disk, not of the picture
        raise ImageError(f"a picture of mode {image.mode} cannot be saved as {format_name}: {error}") from error
    return [f"without {name.upper()}, which is too long for {format_name}" for name in absent]


def format_of(suffix: str) -> str:
    """Return Pillow's name of the format with a suffix. Raises :class:`ImageError` where Pillow does not write it."""
    Image.preinit()
    if suffix.lower() not in Image.EXTENSION:
        Image.init()  # all of Pillow's formats, which takes as long as decoding a small picture
        _register_plugins()
    format_name = Image.EXTENSION.get(suffix.lower(), "")
    if format_name not in Image.SAVE:
        raise ImageError(f"{suffix or 'no suffix'}: not a picture format that Pillow writes{_missing_plugin(suffix)}")
    return format_name


def _opened(source: Path | BinaryIO) -> Image.Image:
    """Open a picture, by a plugin that is installed where Pillow itself does not know the format."""
    try:
        return Image.open(source)
    except UnidentifiedImageError:
        _register_plugins()
        if not isinstance(source, Path):
            source.seek(0)
        return Image.open(source)


@contextlib.contextmanager
def _of_any_size(max_pixels: int | None) -> Iterator[None]:
    """Raise Pillow's own limit on pixels to ``max_pixels``, where that is larger, and have it warn of nothing."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = max(before, max_pixels) if before and max_pixels is not None else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _choose(image: Image.Image, name: str, frame: int | None) -> None:
    frames = getattr(image, "n_frames", 1)
    if frame is None and frames > 1 and image.format in ANIMATED:
        raise ImageError(f"{name}: an animation of {frames} frames; choose one, from 0 on, with --frame")
    if frame is not None and frame >= frames:
        raise ImageError(f"{name}: has no frame {frame}; its last one is {frames - 1}")
    if frame is not None and frames > 1:
        image.seek(frame)


def _register_plugins() -> None:
    for module, *_ in PLUGINS:
        with contextlib.suppress(ImportError):
            plugin = import_module(module)
            if module == "pillow_heif":  # the other one registers itself
                plugin.register_heif_opener()


def _missing_plugin(name: str) -> str:
    """Name the package that a format needs, by the suffix of ``name``, where it is not installed."""
    suffix = Path(f"x{name}").suffix.lower()
    needed = (plugin for plugin in PLUGINS if suffix in plugin[3] and find_spec(plugin[0]) is None)
    return "".join(f"; {known} needs: pip install {package}" for _, known, package, _ in needed)
