/**
 * The worker in which pictures are decoded, so that a page goes on while that takes its time.
 *
 * A page sends `{id, task: "decode" | "preview", data, maxPixels}`, after a first `{models, runtime}` with the addresses
 * of both. The answer is `{id, picture}` or `{id, error}`.
 */

import { Decoder } from "./decoder.js";
import { toPlain } from "./errors.js";

/** @type {Decoder} */
let decoder;
let queue = Promise.resolve(); // one picture after the other, so that memory is that of one

addEventListener("message", ({ data: message }) => {
  if (message.models) {
    decoder = new Decoder(message.models, () => loadRuntime(message.runtime));
    return;
  }
  queue = queue.then(() => answer(message));
});

async function answer({ id, task, data, maxPixels }) {
  try {
    const picture = await decoder[task](data, maxPixels);
    const buffers = picture ? [picture.data, picture.icc, picture.exif].filter(Boolean).map((part) => part.buffer) : [];
    postMessage({ id, picture }, buffers);
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
