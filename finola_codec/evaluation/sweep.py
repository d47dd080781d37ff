"""Every codec over every picture and setting, a line of JSON each, resumed where it stopped."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from finola_codec.codec import DEFAULT_EFFORT
from finola_codec.errors import ImageError
from finola_codec.evaluation.codecs import FinolaCodec, ImageCodec, find
from finola_codec.evaluation.pictures import Picture
from finola_codec.parallel import Engine
from finola_codec.runtime.model import load_model

RESULTS = "results.jsonl"
Record = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What is measured: codecs by name, models by name or folder, the preparation of each picture."""

    codecs: tuple[str, ...]
    models: tuple[str, ...]
    resize: int | None = None
    crop: int | None = None
    efforts: tuple[int, ...] = (DEFAULT_EFFORT,)  # of the models
    qualities: tuple[int, ...] = FinolaCodec.settings

    def open(self, threads: int = 0) -> list[ImageCodec]:
        """The codecs themselves. Raises :class:`ConfigError` for one that cannot run here."""
        opened = [load_model(m, threads) for m in self.models]
        return [*(FinolaCodec(m, e, self.qualities) for m in opened for e in self.efforts), *find(self.codecs)]


def run(pictures: Sequence[Picture], plan: Plan, out: Path, engine: Engine) -> Iterator[Record]:
    """Measure what ``out`` does not hold yet, write each result as it is there, and yield it.

    A picture that cannot be read is reported as a record with an ``error``. Results come in the pictures' order
    and do not depend on the engine, but for their seconds.
    """
    out.mkdir(parents=True, exist_ok=True)
    done = {(r["image"], r["codec"], r["setting"]) for r in load(out) if "error" not in r}
    wanted = [(c.name, float(s)) for c in plan.open() for s in c.settings]
    jobs = [(p, frozenset(w for w in wanted if (p.name, *w) not in done)) for p in pictures]
    measured = engine.map(partial(_measure, plan, engine.threads), [job for job in jobs if job[1]])
    with (out / RESULTS).open("a") as file:
        for records in measured:
            for record in records:
                file.write(json.dumps(record) + "\n")
                file.flush()
                yield record


def load(out: Path) -> list[Record]:
    """The results that ``out`` holds; a last line that was cut off is removed from the file."""
    path = out / RESULTS
    if not path.exists():
        return []
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole)
    return [json.loads(line) for line in whole.splitlines()]


def _measure(plan: Plan, threads: int, job: tuple[Picture, frozenset[tuple[str, float]]]) -> list[Record]:
    from finola_codec.evaluation.metrics import measure

    picture, wanted = job
    try:
        original = picture.read(plan.resize, plan.crop)
    except ImageError as error:
        return [{"image": picture.name, "error": str(error)}]
    records = []
    for codec in plan.open(threads):
        for setting in codec.settings:
            if (codec.name, float(setting)) not in wanted:
                continue
            began = time.perf_counter()
            data = codec.encode(original, setting)
            encoded = time.perf_counter()
            decoded = codec.decode(data)
            finished = time.perf_counter()
            record: Record = {"image": picture.name, "codec": codec.name, "setting": float(setting)}
            record |= {"bytes": len(data), "bpp": 8 * len(data) / (original.width * original.height)}
            record |= measure(original, decoded)
            record |= {"encode_s": round(encoded - began, 4), "decode_s": round(finished - encoded, 4)}
            records.append(record)
    return records
