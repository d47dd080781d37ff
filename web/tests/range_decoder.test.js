/** The range decoder against the encoder of docs/format.md, in BigInt. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { FormatError } from "../errors.js";
import { RangeDecoder } from "../range_decoder.js";
import { Table, TOTAL, Uniform } from "../tables.js";

/** The words of the encoder in the document, word for word. */
function encoded(symbols) {
  let [lower, range, shifts] = [0n, 2n ** 64n - 1n, 0];
  for (const [distribution, symbol] of symbols) {
    const scale = range >> 24n;
    lower += scale * BigInt(distribution.start(symbol));
    range = scale * BigInt(distribution.start(symbol + 1) - distribution.start(symbol));
    if (range < 2n ** 32n) {
      lower <<= 32n;
      range <<= 32n;
      shifts += 1;
    }
  }
  if (!symbols.length) return new Uint8Array(0);
  const base = 2n ** 32n;
  const low = lower % base;
  let [end, count] = [(lower + base - 1n) / base, shifts + 1];
  if (low > 0n && low + range < 2n * base) [end, count] = [end * base, count + 1];
  const words = Array.from({ length: count }, (_, i) => Number((end >> BigInt(32 * (count - 1 - i))) % base));
  return new Uint8Array(Uint32Array.from(words).buffer);
}

function randomSymbols(seed, count) {
  let state = seed;
  const random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  const distributions = [
    new Table([1, TOTAL - 2, 1]),
    new Table([TOTAL - 1, 1]),
    new Table([5, 100, TOTAL - 106, 1]),
    new Table([TOTAL / 2, TOTAL / 4, TOTAL / 4 - 1, 1]),
    new Uniform(22),
    new Uniform(2 ** 22),
    new Uniform(32),
  ];
  return Array.from({ length: count }, () => {
    const distribution = distributions[Math.floor(random() * distributions.length)];
    const likely = distribution.find(Math.floor(random() * TOTAL));
    return [distribution, random() < 0.8 ? likely : Math.floor(random() * distribution.size)];
  });
}

test("what was encoded is decoded, and the payload ends there", () => {
  for (let seed = 0; seed < 300; seed++) {
    const symbols = randomSymbols(seed, seed % 100);
    const decoder = new RangeDecoder(encoded(symbols));
    for (const [distribution, symbol] of symbols) {
      const found = new Int32Array(1);
      decoder.decode(distribution, found);
      assert.equal(found[0], symbol);
    }
    assert.ok(decoder.ends(), `seed ${seed}`);
  }
});

test("surplus and missing words are noticed", () => {
  for (let seed = 1; seed < 100; seed++) {
    const symbols = randomSymbols(seed, seed);
    const payload = encoded(symbols);
    for (const other of [Uint8Array.from([...payload, 0, 0, 0, 0]), payload.subarray(0, payload.length - 4)]) {
      const decoder = new RangeDecoder(other);
      try {
        for (const [distribution] of symbols) decoder.decode(distribution, new Int32Array(1));
      } catch (error) {
        assert.ok(error instanceof FormatError);
        continue;
      }
      assert.ok(!decoder.ends(), `seed ${seed}`);
    }
  }
});

test("a payload that is not of whole words is refused", () => {
  assert.throws(() => new RangeDecoder(new Uint8Array(5)), FormatError);
});
