/**
 * The worker in which pictures are decoded and encoded, so that a page goes on while that takes its time.
 *
 * A page first sends `{models, runtime}` with the addresses of both, and then messages `{id, task, ...}` with one of the
 * tasks below. The answer is `{id, result}` or `{id, error}`.
 */

import { Decoder } from "./decoder.js";
import { Encoder } from "./encoder.js";
import { toPlain } from "./errors.js";
import { Models } from "./models.js";

/** @type {Decoder} */
let decoder;
/** @type {Encoder} */
let encoder;
let queue = Promise.resolve(); // one picture after the other, so that memory is that of one

const TASKS = {
  decode: ({ data, maxPixels }) => decoder.decode(data, maxPixels),
  preview: ({ data, maxPixels }) => decoder.preview(data, maxPixels),
  encode: ({ pixels, quality, model }) => encoder.encode(pixels, quality, model),
};

addEventListener("message", ({ data: message }) => {
  if (message.models) {
    const models = new Models(message.models);
    const runtime = once(() => loadRuntime(message.runtime));
    decoder = new Decoder(models, runtime);
    encoder = new Encoder(models, runtime);
    return;
  }
  queue = queue.then(() => answer(message));
});

async function answer(message) {
  const { id } = message;
  try {
    const result = await TASKS[message.task](message);
    postMessage({ id, result }, result?.data ? [result.data.buffer] : []);
  } catch (error) {
    postMessage({ id, error: toPlain(error) });
  }
}

/** ONNX Runtime, with as many threads as the page may have: several only where it is cross-origin isolated. */
async function loadRuntime(address) {
  const runtime = await import(address);
  runtime.env.wasm.wasmPaths = { wasm: new URL("ort-wasm-simd-threaded.wasm", address).href };
  runtime.env.wasm.numThreads = globalThis.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;
  runtime.env.logLevel = "error";
  return runtime;
}

function once(make) {
  let made;
  return () => (made ??= make());
}
