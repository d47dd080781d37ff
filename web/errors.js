/**
 * The errors that this package raises: the same tree as in Python.
 *
 *     FinolaError
 *      |-- ModelError       a model is damaged, or not the one that a file was written with
 *      `-- FormatError      a .fin file is damaged, truncated or not a .fin file
 *           `-- LimitError  a file claims more than the limits allow
 */

/** Base of all errors of this package. */
export class FinolaError extends Error {
  /** @param {string} message @param {ErrorOptions} [options] */
  constructor(message, options) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** A model is damaged, or not the one that a file was written with. */
export class ModelError extends FinolaError {}

/** A .fin file is damaged, truncated or not a .fin file. */
export class FormatError extends FinolaError {}

/** A file claims more than the limits allow. */
export class LimitError extends FormatError {}

const KINDS = { FinolaError, ModelError, FormatError, LimitError };

/**
 * An error as a plain object, which can be sent between a page and its worker.
 * @param {unknown} error
 * @returns {{name: string, message: string}}
 */
export function toPlain(error) {
  return error instanceof Error ? { name: error.name, message: error.message } : { name: "Error", message: String(error) };
}

/**
 * The error that {@link toPlain} was given.
 * @param {{name: string, message: string}} plain
 * @returns {Error}
 */
export function fromPlain({ name, message }) {
  return new (KINDS[name] ?? FinolaError)(message);
}
