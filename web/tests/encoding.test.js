/** What is encoded decodes to what was meant. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { readNpz } from "../npz.js";
import { RangeDecoder } from "../range_decoder.js";
import { RangeEncoder } from "../range_encoder.js";
import { ResidualReader, ResidualWriter } from "../residuals.js";
import { Table, TOTAL, Uniform } from "../tables.js";
import { openModel } from "./golden.js";

function generator(seed) {
  let state = seed;
  return () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
}

test("payloads end where they should, whatever is in them", () => {
  const distributions = [new Table([1, TOTAL - 2, 1]), new Table([TOTAL - 1, 1]), new Uniform(22), new Uniform(2 ** 22)];
  for (let seed = 0; seed < 2000; seed++) {
    const random = generator(seed);
    const symbols = Array.from({ length: seed % 60 }, () => {
      const distribution = distributions[Math.floor(random() * 4)];
      const edge = random() < 0.5 ? distribution.size - 1 : 0; // which make carries likely
      return [distribution, random() < 0.5 ? edge : distribution.find(Math.floor(random() * TOTAL))];
    });
    const encoder = new RangeEncoder();
    for (const [distribution, symbol] of symbols) encoder.encode(distribution, symbol);
    const decoder = new RangeDecoder(encoder.finish());
    for (const [distribution, symbol] of symbols) {
      const found = new Int32Array(1);
      decoder.decode(distribution, found);
      assert.equal(found[0], symbol);
    }
    assert.ok(decoder.ends(), `seed ${seed}`);
  }
});

test("residuals of all sizes come back", async () => {
  const { _tables: tables } = await (await openModel("finola-256")).prior();
  const random = generator(5);
  const bins = Uint8Array.from({ length: 3000 }, () => Math.floor(random() * 64));
  const residuals = Int32Array.from(bins, () => Math.round((random() - 0.5) * 2 ** Math.floor(random() * 22)));
  const writer = new ResidualWriter(tables);
  writer.write(residuals, bins);
  const reader = new ResidualReader(tables, writer.finish());
  assert.deepEqual(reader.read(bins), residuals);
  reader.finish();
});

for (const [name, height, width] of [["finola-base", 5, 6], ["finola-256", 1, 2]]) {
  test(`vectors of ${name} come back to within their quantizer steps`, async () => {
    const model = await openModel(name);
    const prior = await model.prior();
    const { channels, hyper_channels: hyperChannels = 0 } = model.profile;
    const random = generator(9);
    const y = Float32Array.from({ length: height * width * channels }, () => 4 * random() - 2);
    const z = hyperChannels ? Float32Array.from({ length: 4 * hyperChannels }, () => 4 * random() - 2) : null;
    const { hyper, vectors } = prior.encode(y, z, { height, width }, 100, 1e9); // so dear that errors do not pay
    const decoded = prior.decode(hyper, vectors, { height, width }, 100);
    const steps = readNpz(await model.file("prior.npz")).get("step").data.subarray(99 * channels);
    decoded.forEach((value, i) => assert.ok(Math.abs(value - 4096 * y[i]) <= steps[i % channels] / 2 + 1e-3));
    const coarse = prior.encode(y, z, { height, width }, 100, 1e-3);
    assert.ok(coarse.vectors.length < vectors.length);
    prior.decode(coarse.hyper, coarse.vectors, { height, width }, 100);
  });
}

test("cells that say what the one before them says take next to nothing", async () => {
  const model = await openModel("finola-base");
  const prior = await model.prior();
  const { channels, hyper_channels: hyperChannels, hyper_patch: patch } = model.profile;
  const grid = { height: 8 * patch, width: 8 * patch };
  const z = new Float32Array(64 * hyperChannels);
  // What the prior expects, so that all residuals are zero.
  const expected = () => {
    const { hyper } = prior.encode(new Float32Array(64 * patch ** 2 * channels), z, grid, 1, 1);
    return Float32Array.from(prior.decode(hyper, new Uint8Array(0), grid, 1, true), (value) => value / 4096);
  };
  const flat = prior.encode(expected(), z, grid, 1, 1);
  z[5 * hyperChannels] = 40; // and so two cells cannot repeat: this one and the one after it
  const marked = prior.encode(expected(), z, grid, 1, 1);
  assert.ok(flat.hyper.length + flat.vectors.length < 40, `${flat.hyper.length} + ${flat.vectors.length} bytes`);
  assert.ok(marked.hyper.length > flat.hyper.length);
  for (const { hyper, vectors } of [flat, marked]) prior.decode(hyper, vectors, grid, 1);
});
