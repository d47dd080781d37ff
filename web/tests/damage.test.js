/** Damaged files end in an error, never in a picture or a hang. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { pack, unpack, unpackBeginning } from "../container.js";
import { FinolaError, FormatError, LimitError, ModelError } from "../errors.js";
import { decodeIntegers, fingerprint } from "../integers.js";
import { golden, openModel } from "./golden.js";

const base = openModel("finola-base");

/** A file with a chunk's payload replaced, and its checksum made anew. */
function repacked(data, type, change) {
  const { header, chunks } = unpack(data);
  return pack(header, new Map([...chunks].map(([kind, body]) => [kind, kind === type ? change(body) : body])));
}

test("a file is packed as it was unpacked", async () => {
  const data = await golden("transparent.finola-base.fin");
  assert.deepEqual(repacked(data, 0, () => null), data);
});

test("every truncation is an error", async () => {
  const data = await golden("small.finola-base.fin");
  for (let length = 0; length < data.length; length++) assert.throws(() => unpack(data.subarray(0, length)), FormatError);
});

test("every flipped bit is an error", async () => {
  for (const name of ["pixel.finola-base.fin", "grey.finola-base.fin"]) {
    const data = await golden(name);
    for (let bit = 0; bit < 8 * data.length; bit++) {
      const damaged = data.slice();
      damaged[bit >> 3] ^= 1 << (bit & 7);
      await assert.rejects(async () => fingerprint(damaged, await base), FinolaError);
    }
  }
});

test("a payload ends where its content does", async () => {
  const data = await golden("small.finola-base.fin");
  for (const type of [1, 2]) {
    const longer = repacked(data, type, (payload) => Uint8Array.from([...payload, 0, 0, 0, 0]));
    const shorter = repacked(data, type, (payload) => payload.subarray(0, payload.length - 4));
    const odd = repacked(data, type, (payload) => payload.subarray(1));
    for (const damaged of [longer, shorter, odd]) {
      await assert.rejects(async () => fingerprint(damaged, await base), FormatError);
    }
  }
});

test("random payloads are errors", async () => {
  const data = await golden("small.finola-base.fin");
  let state = 1;
  const random = () => (state = (Math.imul(state, 1103515245) + 12345) >>> 0) >>> 24;
  for (let i = 0; i < 20; i++) {
    const noise = Uint8Array.from({ length: 4 * i }, random);
    const damaged = repacked(data, 1 + (i % 2), () => noise);
    await assert.rejects(async () => fingerprint(damaged, await base), FormatError);
  }
});

test("a limit is checked before anything is decoded", async () => {
  const data = await golden("medium.finola-base.fin");
  assert.throws(() => unpack(data, 301 * 257 - 1), LimitError);
  assert.equal(unpack(data, 301 * 257).header.width, 301);
});

test("another model is refused by name", async () => {
  await assert.rejects(async () => fingerprint(await golden("pixel.finola-256.fin"), await base), ModelError);
});

test("a beginning of a file gives the beginning of its vectors, and then the prior's means", async () => {
  const model = await base;
  const data = await golden("medium.finola-base.fin");
  const { header, chunks } = unpack(data);
  const whole = await decodeIntegers(model, header, chunks);
  const differences = [];
  for (const share of [0.4, 0.6, 0.8, 1]) {
    const begun = unpackBeginning(data.subarray(0, Math.floor(share * data.length)));
    const partial = await decodeIntegers(model, begun.header, begun.chunks, { partial: true });
    differences.push(partial.reduce((count, value, i) => count + (value !== whole[i]), 0));
  }
  assert.equal(differences[3], 0);
  assert.ok(differences[0] > differences[1] && differences[1] > differences[2] && differences[2] > 0, `${differences}`);
});

test("nothing can be shown before the header has come", async () => {
  const data = await golden("pixel.finola-base.fin");
  assert.equal(unpackBeginning(data.subarray(0, 12)), null);
});
