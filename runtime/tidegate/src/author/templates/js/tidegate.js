// What the plugin leans on: parameters, fields, rows set aside, state. No more than that: what the gateway calls is
// written in wit/deps/tidegate/tidegate.wit, and plugin.js exports it by the same names.

/** @typedef {{ type: "number", default?: number, unit?: string, description: string }} Property of a JSON Schema */

/**
 * Reads parameters, all of them numbers, by the properties of their JSON Schema. What is not given is its default, or
 * undefined.
 *
 * @template {string} Name
 * @param {string} text
 * @param {Record<Name, Property>} properties
 * @param {Tidegate.Issue[]} issues
 * @returns {Record<Name, number>} those without a default may be undefined
 */
export function readParams(text, properties, issues) {
  const given = JSON.parse(text);
  /** @type {Record<string, any>} */
  const params = {};
  for (const name of Object.keys(properties)) params[name] = properties[/** @type {Name} */ (name)].default;
  for (const [name, value] of Object.entries(given)) {
    const refuse = (/** @type {string} */ message) => issues.push({ at: `/${name}`, message });
    if (!Object.hasOwn(properties, name)) refuse("there is no such parameter");
    else if (typeof value !== "number") refuse("expected a number");
    else params[name] = value;
  }
  return params;
}

/**
 * The JSON Schema of parameters none of which must be given.
 *
 * @param {Record<string, Property>} properties
 */
export function schema(properties) {
  return JSON.stringify({ type: "object", properties, required: [], additionalProperties: false });
}

/**
 * Refuses an input without that field, or with another type of it.
 *
 * @param {Tidegate.Field[]} fields
 * @param {string} name
 * @param {Tidegate.Scalar} scalar
 * @param {Tidegate.Issue[]} issues
 */
export function wantField(fields, name, scalar, issues) {
  const field = fields.find((field) => field.name === name);
  if (!field) issues.push({ at: name, message: "the input has no such field" });
  else if (field.scalar !== scalar) issues.push({ at: name, message: "is of another type in the input" });
}

/**
 * The values of a column of floats, nulls too.
 *
 * @param {Tidegate.Column} column
 */
export function floats({ values }) {
  if (values.tag !== "floats") throw new Error(`a column of ${values.tag} where floats are read`);
  return values.val;
}

/**
 * Rows in which a column is null, set aside.
 *
 * @param {Tidegate.Column} column
 * @param {string} name
 */
export function nulls(column, name) {
  /** @type {Tidegate.Fault[]} */
  const faults = [];
  column.valid?.forEach((valid, row) => {
    if (!valid) faults.push({ row, reason: `${name} is null` });
  });
  return faults;
}

/**
 * State: numbers by name, a set a slot, all 0 where a slot was never touched. It is saved as doubles in the order of the
 * names, little-endian.
 *
 * @template {string} Name
 */
export class Slots {
  /** @type {Name[]} */
  #names;
  /** @type {(Record<Name, number> | undefined)[]} */
  #slots = [];

  /** @param {Name[]} names */
  constructor(names) {
    this.#names = names;
  }

  /**
   * A slot's numbers.
   *
   * @param {number} slot
   */
  at(slot) {
    return (this.#slots[slot] ??= this.#untouched());
  }

  #untouched() {
    return /** @type {Record<Name, number>} */ (Object.fromEntries(this.#names.map((name) => [name, 0])));
  }

  /**
   * The interface `state` of the contract.
   *
   * @returns {Tidegate.State}
   */
  state() {
    const bytes = 8 * this.#names.length;
    return {
      version: () => 1,
      save: (slots) => {
        const touched = slots.filter((slot) => this.#slots[slot]);
        const data = new DataView(new ArrayBuffer(touched.length * bytes));
        const offsets = [0];
        let end = 0;
        for (const slot of slots) {
          const state = this.#slots[slot];
          if (state) {
            this.#names.forEach((name, index) => data.setFloat64(end + 8 * index, state[name], true));
            end += bytes;
          }
          offsets.push(end);
        }
        return { offsets, data: new Uint8Array(data.buffer) };
      },
      load: (version, slots, { offsets, data }) => {
        if (version !== 1) throw "knows version 1 only";
        const view = new DataView(Uint8Array.from(data).buffer);
        [...slots].forEach((slot, index) => {
          const [from, end] = [offsets[index], offsets[index + 1]];
          this.#slots[slot] = undefined;
          if (from === end) return;
          if (end - from !== bytes) throw "a state is of another size";
          const state = this.at(slot);
          this.#names.forEach((name, index) => (state[name] = view.getFloat64(from + 8 * index, true)));
        });
      },
      release: (slots) => {
        for (const slot of slots) this.#slots[slot] = undefined;
      },
    };
  }
}
