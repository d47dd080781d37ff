"""The .fin format in Pillow: importing this module is all of the set-up.

>>> import io, skimage.data
>>> from PIL import Image
>>> import finola_codec.pillow_plugin
>>> file = io.BytesIO()
>>> Image.fromarray(skimage.data.cat()).save(file, "FIN", quality=30)
>>> Image.open(file).size
(451, 300)
"""

from __future__ import annotations

import inspect
import io
from typing import IO

from PIL import Image, ImageFile

from finola_codec import codec, container
from finola_codec.errors import FinolaError
from finola_codec.metadata import METADATA, Metadata

FORMAT = "FIN"
OPTIONS = set(inspect.signature(codec.encode).parameters) - {"image"}


class FinImageFile(ImageFile.ImageFile):
    """An opened .fin file; decoded when its pixels are first asked for.

    Opening raises :class:`PIL.UnidentifiedImageError` for what is not a whole .fin file, loading :class:`OSError` for
    one that cannot be decoded, as Pillow's own formats do.
    """

    format = FORMAT
    format_description = "finola-codec"

    def _open(self) -> None:
        assert self.fp is not None
        self._data: bytes | None = self.fp.read()
        try:
            header, chunks = container.unpack(self._data, max_pixels=None)  # Pillow has a limit of its own
        except FinolaError as error:
            raise SyntaxError(str(error)) from error  # how a plugin says that a file is not its own
        self._size, self._mode = (header.width, header.height), header.mode
        self.info |= {"quality": header.quality}
        Metadata.from_chunks(chunks).put_into(self)

    def load(self) -> Image.core.PixelAccess | None:
        if self._data is not None:
            data, self._data = self._data, None
            try:
                picture = codec.decode(data, max_pixels=None)
            except FinolaError as error:
                raise OSError(str(error)) from error
            self.fp = io.BytesIO(picture.tobytes())
            self.tile = [ImageFile._Tile("raw", (0, 0, *self.size), 0, self.mode)]
        return super().load()


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(container.MAGIC)


def _save(image: Image.Image, file: IO[bytes], filename: str | bytes) -> None:
    """Options of ``Image.save``: those of :func:`finola_codec.encode`, and those of :data:`METADATA`.

    As with Pillow's own formats, others are ignored, and what an option cannot be is a :class:`ValueError`.
    """
    given = image.encoderinfo
    metadata = {key: given[key] for key in METADATA if key in given}
    if metadata:
        image = image.copy()
        image.info |= {k: v.tobytes() if isinstance(v, Image.Exif) else v for k, v in metadata.items()}
    try:
        file.write(codec.encode(image, **{key: given[key] for key in OPTIONS if key in given}))
    except FinolaError as error:
        raise ValueError(str(error)) from error


Image.register_open(FORMAT, FinImageFile, _accept)
Image.register_save(FORMAT, _save)
Image.register_extension(FORMAT, ".fin")
Image.register_mime(FORMAT, "image/x-fin")
