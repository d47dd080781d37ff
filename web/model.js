/** A trained model: its manifest, checked against its hashes, and the prior that it holds. */

import { ModelError } from "./errors.js";
import { Factorised } from "./factorised.js";
import { Hyperprior } from "./hyperprior.js";
import { readNpz } from "./npz.js";
import { Tables } from "./tables.js";

const FORMAT = 3;
const DECODING = ["decoder.onnx", "decoder_grid.onnx", "growth.onnx", "prior.npz"];
const COMMON_FIELDS = ["kind", "block", "stride", "channels", "anchors"];
const BLOCK_FIELDS = ["groups", "hyper_channels", "hyper_patch", "context_width", "context_kernel"];
const ID_FIELDS = { block: [...COMMON_FIELDS, ...BLOCK_FIELDS], tile: COMMON_FIELDS };

/**
 * The sizes of a model, as `model.json` has them.
 * @typedef {object} Profile
 * @property {"block" | "tile"} kind
 * @property {number} block pixels a side that one vector covers
 * @property {number} stride pixels a side of a position of the decoder's map
 * @property {number} channels
 * @property {number} anchors
 * @property {number[]} groups of kind block, as all that follow
 * @property {number} hyper_channels
 * @property {number} hyper_patch
 * @property {number} context_width
 * @property {number} context_kernel
 */

/**
 * A file in another form: its name and hash, and what to undo, in order, to have what it stands for.
 * @typedef {{file: string, sha256: string, encoding: ("gzip" | "shuffle")[]}} Variant
 */

const DECODINGS = { gzip: gunzip, shuffle: unshuffle };

export class Model {
  /**
   * Open a model. Its files are read when they are first wanted, and checked against their hashes.
   * @param {(name: string, hash?: string) => Promise<Uint8Array>} read gives the bytes of a file of the model's folder;
   *   files other than model.json are asked for with their SHA-256
   * @param {{simd?: boolean}} [options]
   * @returns {Promise<Model>}
   * @throws {ModelError}
   */
  static async open(read, options = {}) {
    let manifest;
    try {
      manifest = JSON.parse(new TextDecoder().decode(await read("model.json")));
    } catch (error) {
      if (error instanceof SyntaxError) throw new ModelError("model.json is not JSON", { cause: error });
      throw error;
    }
    if (manifest?.format !== FORMAT) {
      throw new ModelError(`a model folder of format ${manifest?.format}; this finola-codec reads format ${FORMAT}`);
    }
    if (!(manifest.profile?.kind in ID_FIELDS)) {
      throw new ModelError(`${manifest.name}: its kind is ${manifest.profile?.kind}, not block or tile`);
    }
    const model = new Model(read, manifest, options);
    if (globalThis.crypto?.subtle && (await model._identity()) !== manifest.id) {
      throw new ModelError(`${manifest.name}: model.json contradicts itself`);
    }
    return model;
  }

  /** @private use {@link Model.open} */
  constructor(read, manifest, options) {
    this._read = read;
    this._options = options;
    this._prior = null;
    /** @type {string} */
    this.name = manifest.name;
    /** 8 hexadecimal digits: what a file says of the model that it was written with. @type {string} */
    this.id = manifest.id.slice(0, 8);
    /** @type {Profile} */
    this.profile = manifest.profile;
    /** Pixels around a window that the networks see. @type {{encoder: number, decoder: number}} */
    this.margins = manifest.margins;
    /** @type {Record<string, string>} */
    this.files = manifest.files;
    /** What stands in the place of files in a folder that was made for the web. @type {Record<string, Variant>} */
    this._variants = manifest.web ?? {};
  }

  /**
   * A file of the model, checked against its hash.
   * @param {string} name @returns {Promise<Uint8Array>} @throws {ModelError}
   */
  async file(name) {
    const { file, sha256: hash, encoding } = this._variants[name] ?? { file: name, sha256: this.files[name], encoding: [] };
    let bytes = await this._read(file, hash);
    await this._check(file, bytes, hash);
    for (const step of encoding) bytes = await DECODINGS[step](bytes);
    return bytes;
  }

  async _check(file, bytes, hash) {
    // A page without a secure context has no hashes; what it is made of is not checked either.
    if (globalThis.crypto?.subtle && (await sha256(bytes)) !== hash) {
      throw new ModelError(`${this.name}: ${file} does not match its hash in model.json`);
    }
  }

  /** The exact prior. @returns {Promise<Hyperprior | Factorised>} */
  prior() {
    this._prior ??= this._openPrior();
    return this._prior;
  }

  /** Rows and columns of vectors that cover a picture. @returns {{height: number, width: number}} */
  grid(width, height) {
    return { height: Math.ceil(height / this.profile.block), width: Math.ceil(width / this.profile.block) };
  }

  async _openPrior() {
    const arrays = readNpz(await this.file("prior.npz"));
    const array = (name) => {
      if (!arrays.has(name)) throw new ModelError(`${this.name}: its prior has no array ${name}`);
      return arrays.get(name);
    };
    const tables = new Tables(array("frequencies").data, array("reach").data);
    if (this.profile.kind === "block") return new Hyperprior(this.profile, array, tables, this._options.simd);
    return new Factorised(this.profile, array, tables);
  }

  /** The id, computed over what decoding depends on. */
  async _identity() {
    const pick = (object, names) => Object.fromEntries(names.filter((n) => n in object).map((n) => [n, object[n]]));
    const { profile } = this;
    const files = pick(this.files, [...DECODING].sort());
    const content = { files, profile: pick(profile, [...ID_FIELDS[profile.kind]].sort()) };
    return sha256(new TextEncoder().encode(JSON.stringify(content)));
  }
}

/**
 * SHA-256 in hexadecimal.
 * @param {BufferSource} bytes @returns {Promise<string>}
 */
export async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function gunzip(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Bytes of which those at even places came first: halves of 16-bit numbers compress better apart. */
function unshuffle(bytes) {
  const out = new Uint8Array(bytes.length);
  const half = Math.ceil(bytes.length / 2);
  for (let i = 0; i < bytes.length; i++) out[i] = bytes[i & 1 ? half + (i >> 1) : i >> 1];
  return out;
}
