/** The golden files and the models that they need, for the tests. */

import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { Model } from "../model.js";

const ROOT = new URL("../../", import.meta.url);
const FOLDER = new URL("tests/golden/", ROOT);

/** What `hashes.json` says, by the name of the file. @type {Record<string, {file: string, integers: string}>} */
export const HASHES = JSON.parse(readFileSync(new URL("hashes.json", FOLDER), "utf8"));

/** @param {string} name such as pixel.finola-base.fin @returns {Promise<Uint8Array>} */
export async function golden(name) {
  return new Uint8Array(await readFile(new URL(name, FOLDER)));
}

/** @param {string} name of a golden file @returns {string} the name of its model */
export function modelName(name) {
  return name.split(".")[1];
}

/** @param {string} name @param {{simd?: boolean}} [options] @returns {Promise<Model>} */
export function openModel(name, options) {
  const folder = new URL(`models/${name}/`, ROOT);
  return Model.open(async (file) => new Uint8Array(await readFile(new URL(file, folder))), options);
}
