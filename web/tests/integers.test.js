/** Golden files decode to the integers of their hashes, with the kernel and without it. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { fingerprint } from "../integers.js";
import { HASHES, golden, modelName, openModel } from "./golden.js";

for (const simd of [true, false]) {
  const models = new Map();
  const opened = (name) => {
    if (!models.has(name)) models.set(name, openModel(name, { simd }));
    return models.get(name);
  };
  for (const [name, { integers }] of Object.entries(HASHES)) {
    if (!simd && name.startsWith("large")) continue; // a quarter of a minute that tells nothing more
    test(`${name} ${simd ? "with" : "without"} WebAssembly`, async () => {
      assert.equal(await fingerprint(await golden(name), await opened(modelName(name))), integers);
    });
  }
}
