/**
 * Decoding and encoding of .fin pictures in the browser.
 *
 *     import { decode, encode, info } from "./finola-codec.js";
 *     const { width, height, data } = await decode(await fetch("photo.fin"));
 *     context.putImageData(new ImageData(data, width, height), 0, 0);
 *     const file = await encode(context.getImageData(0, 0, width, height), { quality: 30 });
 */

import { CHUNK_NAMES, DEFAULT_MAX_PIXELS, joined, unpack } from "./container.js";
import { FinolaError, fromPlain } from "./errors.js";

export { FinolaError, FormatError, LimitError, ModelError } from "./errors.js";

const settings = {
  models: new URL("./models/", import.meta.url).href,
  runtime: new URL("./onnxruntime/ort.wasm.bundle.min.mjs", import.meta.url).href,
  webgpu: false,
};
/** @type {Worker | null} */
let worker = null;
/** @type {Map<number, {resolve: (picture: any) => void, reject: (error: Error) => void}>} */
const waiting = new Map();
let lastId = 0;

/**
 * Say, before anything is decoded, where models and ONNX Runtime are, by default beside this file, and whether WebGPU may
 * be used where there is one. That fetches a larger ONNX Runtime, so it is for pages with many or large pictures.
 * @param {{models?: string | URL, runtime?: string | URL, webgpu?: boolean}} wanted
 */
export function configure({ models, runtime, webgpu }) {
  if (models) settings.models = new URL(models, document.baseURI).href;
  if (runtime) settings.runtime = new URL(runtime, document.baseURI).href;
  if (webgpu !== undefined) settings.webgpu = webgpu;
}

/**
 * What a .fin file says of itself, without decoding it.
 * @param {Uint8Array | ArrayBuffer} data
 * @returns the header, with the sizes of the file and of its chunks
 * @throws {import("./errors.js").FormatError} where it is not a whole .fin file
 */
export function info(data) {
  const bytes = data instanceof ArrayBuffer ? new Uint8Array(data) : data;
  const { header, chunks } = unpack(bytes, Infinity);
  return {
    ...header,
    bytes: bytes.length,
    bpp: (8 * bytes.length) / (header.width * header.height),
    chunks: Object.fromEntries(Array.from(chunks, ([type, payload]) => [CHUNK_NAMES.get(type), payload.length])),
  };
}

/**
 * Decode a .fin file.
 *
 * With `onPreview` a file that arrives slowly is shown before it is there. A preview comes before the checksum of what it
 * is made of; the picture that the promise gives has been checked.
 * @param {Uint8Array | ArrayBuffer | Blob | Response | ReadableStream<Uint8Array>} source
 * @param {{maxPixels?: number, onPreview?: (picture: import("./decoder.js").Picture) => void, signal?: AbortSignal}} [options]
 * @returns {Promise<import("./decoder.js").Picture>}
 * @throws {import("./errors.js").FinolaError}
 */
export async function decode(source, { maxPixels = DEFAULT_MAX_PIXELS, onPreview, signal } = {}) {
  const previews = onPreview ? new Previews(onPreview, maxPixels) : null;
  const data = await bytesOf(source, previews, signal);
  previews?.stop();
  signal?.throwIfAborted();
  return ask({ task: "decode", data, maxPixels }, [data.buffer]);
}

/**
 * Encode pixels as a .fin file. What is chosen and written is what Python's effort 1 does.
 * The file has no ICC profile and no EXIF.
 * @param {{data: Uint8ClampedArray, width: number, height: number}} pixels such as an ImageData: RGBA, not premultiplied
 * @param {{quality?: number, model?: string}} [options] quality from 1 to 100; the model's name, by default the first
 * @returns {Promise<Uint8Array>} the bytes of the file
 */
export async function encode({ data, width, height }, { quality = 50, model } = {}) {
  if (!Number.isInteger(quality) || quality < 1 || quality > 100) {
    throw new FinolaError(`quality ${quality} is not a whole number within 1..100`);
  }
  const copy = data.slice();
  return ask({ task: "encode", pixels: { data: copy, width, height }, quality, model }, [copy.buffer]);
}

/** Previews of a file that is arriving: one at a time, each of half as many bytes more as the one before. */
class Previews {
  constructor(show, maxPixels) {
    this._show = show;
    this._maxPixels = maxPixels;
    this._next = 512;
    this._isBusy = false;
    this._isOver = false;
  }

  /** @param {Uint8Array[]} parts what has come @param {number} size their bytes */
  async offer(parts, size) {
    if (this._isBusy || this._isOver || size < this._next) return;
    this._isBusy = true;
    this._next = size * 1.5;
    const data = joined(parts);
    const message = { task: "preview", data, maxPixels: this._maxPixels };
    const picture = await ask(message, [data.buffer]).catch(() => null); // decode will tell what is wrong
    this._isBusy = false;
    if (picture && !this._isOver) this._show(picture);
  }

  stop() {
    this._isOver = true;
  }
}

/** All bytes of a source; previews are offered what has come of a stream. */
async function bytesOf(source, previews, signal) {
  if (source instanceof ArrayBuffer) return new Uint8Array(source.slice(0));
  if (ArrayBuffer.isView(source)) return new Uint8Array(source.buffer, source.byteOffset, source.byteLength).slice();
  const stream = source instanceof Blob ? source.stream() : source instanceof Response ? source.body : source;
  const reader = stream.getReader();
  const parts = [];
  let size = 0;
  for (;;) {
    signal?.throwIfAborted();
    const { done, value } = await reader.read();
    if (done) return joined(parts);
    parts.push(value);
    size += value.length;
    previews?.offer(parts, size);
  }
}

/** Have the worker do a task; `buffers` are gone afterwards. */
function ask(message, buffers) {
  worker ??= start();
  const id = ++lastId;
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject });
    worker.postMessage({ id, ...message }, buffers);
  });
}

function start() {
  const started = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  started.postMessage(settings);
  started.onmessage = ({ data: { id, result, error } }) => {
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    if (error) reject(fromPlain(error));
    else resolve(result);
  };
  started.onerror = (event) => {
    // The worker itself is broken, or out of memory: all that wait for it fail, and the next picture has a new one.
    const error = fromPlain({ name: "FinolaError", message: event.message || "the decoder's worker cannot be started" });
    waiting.forEach(({ reject }) => reject(error));
    waiting.clear();
    started.terminate();
    worker = null;
  };
  return started;
}
