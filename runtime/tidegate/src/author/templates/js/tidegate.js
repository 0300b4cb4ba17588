// What the plugin leans on: parameters, fields, rows set aside, state. No more than that: what the gateway calls is
// written in wit/deps/tidegate/tidegate.wit, and plugin.js exports it by the same names.

/**
 * Reads parameters, all of them numbers, by the properties of their JSON Schema. What is not given is its default, or
 * undefined.
 */
export function readParams(text, properties, issues) {
  const given = JSON.parse(text);
  const params = {};
  for (const [name, { default: value }] of Object.entries(properties)) params[name] = value;
  for (const [name, value] of Object.entries(given)) {
    const refuse = (message) => issues.push({ at: `/${name}`, message });
    if (!Object.hasOwn(properties, name)) refuse("there is no such parameter");
    else if (typeof value !== "number") refuse("expected a number");
    else params[name] = value;
  }
  return params;
}

/** The JSON Schema of parameters none of which must be given. */
export function schema(properties) {
  return JSON.stringify({ type: "object", properties, required: [], additionalProperties: false });
}

/** Refuses an input without that field, or with another type of it. */
export function wantField(fields, name, scalar, issues) {
  const field = fields.find((field) => field.name === name);
  if (!field) issues.push({ at: name, message: "the input has no such field" });
  else if (field.scalar !== scalar) issues.push({ at: name, message: "is of another type in the input" });
}

/** Rows in which a column is null, set aside. */
export function nulls(column, name) {
  const faults = [];
  column.valid?.forEach((valid, row) => {
    if (!valid) faults.push({ row, reason: `${name} is null` });
  });
  return faults;
}

/**
 * State: numbers by name, a set a slot, all 0 where a slot was never touched. It is saved as doubles in the order of the
 * names, little-endian.
 */
export class Slots {
  #names;
  #slots = [];

  constructor(names) {
    this.#names = names;
  }

  /** A slot's numbers. */
  at(slot) {
    return (this.#slots[slot] ??= Object.fromEntries(this.#names.map((name) => [name, 0])));
  }

  /** The interface `state` of the contract. */
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
        slots.forEach((slot, index) => {
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
