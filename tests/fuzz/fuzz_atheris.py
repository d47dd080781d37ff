"""The same fuzzing, guided by coverage: python -m tests.fuzz.fuzz_atheris MODEL CORPUS -max_total_time=600 -timeout=2

Needs atheris. CORPUS is a folder of .fin files; libFuzzer's options follow it. Its mutations are those of fuzz_decode,
which make checksums valid again, mixed with libFuzzer's own.
"""

from __future__ import annotations

import contextlib
import random
import sys

import atheris

with atheris.instrument_imports(include=["finola_codec"]):
    from finola_codec import FinolaError, decode, load_model
    from finola_codec.codec import salvage

from tests.fuzz.fuzz_decode import MAX_BYTES, mutate


def main() -> None:
    """Fuzz until libFuzzer stops; whatever is not a FinolaError ends the run and leaves the input in a file."""
    model = load_model(sys.argv.pop(1))

    def one(data: bytes) -> None:
        for work in (decode, salvage):
            with contextlib.suppress(FinolaError):
                work(data, model=model)

    def mutator(data: bytes, max_size: int, seed: int) -> bytes:
        try:
            found = mutate(data, random.Random(seed))
        except FinolaError:  # no container any more: nothing to make valid
            found = atheris.Mutate(data, min(max_size, MAX_BYTES))
        return found[:max_size]

    atheris.Setup(sys.argv, one, custom_mutator=mutator)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
