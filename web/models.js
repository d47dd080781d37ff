/** Models on a server: found by the id in a file, fetched once, cached, and checked against their hashes. */

import { ModelError } from "./errors.js";
import { Model } from "./model.js";

const CACHE = "finola-codec";

export class Models {
  /** @param {string | URL} base the folder that has index.json and a folder for each model; it ends in a slash */
  constructor(base) {
    this._base = base;
    /** @type {Map<string, Promise<Model>>} */
    this._open = new Map();
  }

  /**
   * The model with an id.
   * @param {string} id 8 hexadecimal digits
   * @returns {Promise<Model>}
   * @throws {ModelError} where the server has no such model
   */
  async find(id) {
    if (!this._open.has(id)) {
      const opened = this._openById(id);
      this._open.set(id, opened);
      opened.catch(() => this._open.delete(id));
    }
    return this._open.get(id);
  }

  /**
   * The model with a name, or the first one.
   * @param {string} [name] @returns {Promise<Model>} @throws {ModelError}
   */
  async named(name) {
    const { models } = await this._index();
    const found = models.find((model) => name === undefined || model.name === name);
    if (!found) throw new ModelError(`no model ${name}; here are ${known(models)}`);
    return this.find(found.id.slice(0, 8));
  }

  async _openById(id) {
    const { models } = await this._index();
    const found = models.find((model) => model.id.startsWith(id));
    if (!found) {
      throw new ModelError(`the file was written with the model ${id}, which is not here; here are ${known(models)}`);
    }
    const folder = new URL(`${found.name}/`, this._base);
    return Model.open((name, hash) => (hash ? cached : fetchBytes)(new URL(name + (hash ? `?${hash}` : ""), folder)));
  }

  /** What index.json says: `{models: [{name, id}]}`. */
  async _index() {
    this._fetched ??= fetchBytes(new URL("index.json", this._base));
    try {
      return JSON.parse(new TextDecoder().decode(await this._fetched));
    } catch (error) {
      this._fetched = null; // it may be there the next time
      throw error;
    }
  }
}

function known(models) {
  return models.map(({ name, id }) => `${name} (${id.slice(0, 8)})`).join(", ") || "none";
}

/** A file whose address names its hash, so that what is cached is never out of date. */
async function cached(url) {
  if (typeof caches === "undefined") return fetchBytes(url); // not a secure context
  const cache = await caches.open(CACHE).catch(() => null);
  const known = await cache?.match(url);
  if (known) return new Uint8Array(await known.arrayBuffer());
  const bytes = await fetchBytes(url);
  await cache?.put(url, new Response(bytes)).catch(() => undefined); // no room: fetched again the next time
  return bytes;
}

async function fetchBytes(url) {
  let response;
  try {
    response = await fetch(url);
  } catch (error) {
    throw new ModelError(`${url}: cannot be fetched`, { cause: error });
  }
  if (!response.ok) throw new ModelError(`${url}: ${response.status} ${response.statusText}`);
  return new Uint8Array(await response.arrayBuffer());
}
