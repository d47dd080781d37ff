"""Fuzz the decoder: only FinolaError may come out, within 2 s and 300 MB for a file under 64 KB.

    python -m tests.fuzz.fuzz_decode MODEL SECONDS FILE... [--seed SEED]

The 2 s are processor time of one thread, so that other work on the machine does not matter. The program mutates the
given .fin files: bytes anywhere, or header and payloads with checksums made valid again, so that what lies behind the
checksums is reached too. A tenth of the inputs differ only in where a payload ends, and must be refused. It prints the
slowest input and the peak memory. A failure is written to fuzz-failure.fin and raised. (Atheris guides by Python
coverage, but the code of interest here is a few branches over NumPy and constriction, which it cannot see into;
mutation with valid checksums reaches further.)
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

from finola_codec import FinolaError, Model, decode, load_model
from finola_codec.codec import salvage
from finola_codec.container import HYPER, LAYER, MODES, VECTORS, Header, pack, unpack

MAX_SECONDS, MAX_MEGABYTES, MAX_BYTES = 2.0, 300, 2**16
MAX_PIXELS = 2**19  # larger pictures cost what pictures of their size cost, which is no finding


@dataclass
class Report:
    """What a run has seen."""

    inputs: int = 0
    decoded: int = 0
    slowest: float = 0.0
    base_megabytes: float = 0.0

    @property
    def megabytes(self) -> float:
        """Peak resident memory beyond what the process needed to decode one whole file."""
        return _peak() - self.base_megabytes


def mutate(data: bytes, rng: random.Random) -> bytes:
    """A damaged copy; every other one has valid checksums."""
    if rng.random() < 0.5:
        return _mutate_bytes(data, rng)
    header, chunks = unpack(data)
    kinds = list(chunks)
    for _ in range(rng.randint(0, 2)):
        kind = rng.choice(kinds)
        chunks[kind] = _mutate_bytes(chunks[kind], rng)
    return pack(_mutate_header(header, rng), chunks)


def bad_endings(data: bytes) -> list[bytes]:
    """Copies with valid checksums, in which a payload lacks its last word, or all, or a range-coded has one more."""
    header, chunks = unpack(data)
    found = []
    for kind in sorted({HYPER, VECTORS, LAYER} & set(chunks)):  # a lossless file has the last alone
        whole = chunks[kind]
        endings = {whole[:-4], b""}
        if kind != LAYER:  # WebP tells its own length, and readers of it ignore what follows
            endings |= {whole + bytes(4), whole + b"\x01\x02\x03\x04"}
        endings -= {whole}
        found += [pack(header, chunks | {kind: ending}) for ending in sorted(endings)]
    return found


def _mutate_header(header: Header, rng: random.Random) -> Header:
    change = rng.randrange(5)
    if change == 0:
        return replace(header, width=rng.choice([1, 15, 17, 255, 4000, 2**15]), height=rng.choice([1, 16, 33, 3000]))
    if change == 1:
        return replace(header, quality=rng.randint(1, 100))
    if change == 2:
        return replace(header, mode=rng.choice(MODES))
    return header


def _mutate_bytes(data: bytes, rng: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        position = rng.randrange(len(out) + 1)
        change = rng.randrange(4)
        if change == 0 and position < len(out):
            out[position] ^= 1 << rng.randrange(8)
        elif change == 1:
            out[position:position] = rng.randbytes(rng.choice([1, 4, 64]))
        elif change == 2:
            del out[position : position + rng.choice([1, 4, 64, 1000])]
        elif position < len(out):
            out[position] = rng.choice([0, 1, 0x7F, 0x80, 0xFF])
    return bytes(out[:MAX_BYTES])


def run(model: Model, corpus: list[bytes], seconds: float, seed: int = 0) -> Report:
    """Mutate and decode for so long. Raises what else than FinolaError comes out; AssertionError beyond the limits."""
    rng = random.Random(seed)
    report = Report()
    for data in corpus:
        decode(data, model=model)
    report.base_megabytes = _peak()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        data = rng.choice(corpus)
        endings = bad_endings(data) if rng.random() < 0.1 else []
        data = rng.choice(endings) if endings else mutate(data, rng)
        began = time.process_time()
        try:
            (decode if endings or rng.random() < 0.7 else salvage)(data, model=model, max_pixels=MAX_PIXELS)
            assert not endings, "a payload that does not end where its content does was decoded"
            report.decoded += 1
        except FinolaError:
            pass
        except BaseException:
            Path("fuzz-failure.fin").write_bytes(data)
            raise
        report.inputs += 1
        report.slowest = max(report.slowest, time.process_time() - began)
        assert report.slowest < MAX_SECONDS, f"{report.slowest:.2f} s for {len(data)} bytes"
        assert report.megabytes < MAX_MEGABYTES, f"{report.megabytes:.0f} MB for {len(data)} bytes"
    return report


def _peak() -> float:
    import resource  # is not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("model")
    parser.add_argument("seconds", type=float)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    found = run(load_model(given.model, threads=1), [p.read_bytes() for p in given.files], given.seconds, given.seed)
    print(f"{found.inputs} inputs, {found.decoded} of them decoded, the others FinolaError")
    print(f"slowest {found.slowest:.3f} s, peak memory {found.megabytes:.0f} MB above decoding the corpus")
