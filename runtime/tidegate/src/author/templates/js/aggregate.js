// Count, mean, least and greatest reading of a window. Begin with this and make it yours.
import { floats, nulls, readParams, schema, Slots, wantField } from "./tidegate.js";

// The field that is read: only what is read crosses into the sandbox. A record in which it is null is set aside.
const FIELD = "temp";

// What comes out of a window; the gateway adds its device, start and end.
/** @type {Tidegate.Field[]} */
const EMITS = [
  { name: "count", scalar: "integer", unit: "" },
  { name: "mean", scalar: "float", unit: "Cel" },
  { name: "least", scalar: "float", unit: "Cel" },
  { name: "greatest", scalar: "float", unit: "Cel" },
];

// What is remembered of each window; the gateway keeps it over restarts.
/** @typedef {Record<"count" | "sum" | "least" | "greatest", number>} Seen */
const windows = new Slots(["count", "sum", "least", "greatest"]);

/** @type {Tidegate.Plugin} */
export const plugin = {
  describe: () => ({
    name: "@name@",
    version: "0.1.0",
    summary: "What it does, in one line: gateways show it",
    params: schema({}),
  }),

  configure(text, fields) {
    /** @type {Tidegate.Issue[]} */
    const issues = [];
    readParams(text, {}, issues);
    wantField(fields, FIELD, "float", issues);
    if (issues.length > 0) throw issues;
    return { reads: [FIELD], times: false, slots: true, emits: EMITS };
  },
};

export const state = windows.state();

/** @type {Tidegate.Aggregate} */
export const aggregate = {
  // Takes in records. NaN is nothing.
  update(batch) {
    const [column] = batch.columns;
    const { slots = [] } = batch;
    const temps = floats(column);
    for (let row = 0; row < batch.rows; row++) {
      const temp = temps[row];
      if ((column.valid && !column.valid[row]) || Number.isNaN(temp)) continue;
      takeIn(windows.at(slots[row]), 1, temp, temp, temp);
    }
    return nulls(column, FIELD);
  },

  // Takes in what was seen of later records.
  merge(into, later) {
    into.forEach((slot, index) => {
      const { count, sum, least, greatest } = windows.at(later[index]);
      if (count > 0) takeIn(windows.at(slot), count, sum, least, greatest);
    });
  },

  // The windows' results, with nulls where a window saw nothing.
  finish({ slots }) {
    const seen = [...slots].map((slot) => windows.at(slot));
    const valid = Uint8Array.from(seen, ({ count }) => (count > 0 ? 1 : 0));
    /** @type {(value: (seen: Seen) => number) => Tidegate.Column} */
    const known = (value) => ({ values: { tag: "floats", val: seen.map(value) }, valid });
    return [
      // componentize-qjs takes and gives 64-bit integers as numbers, exact up to 2^53.
      { values: { tag: "integers", val: seen.map(({ count }) => count) }, valid: undefined },
      known(({ count, sum }) => (count > 0 ? sum / count : 0)),
      known(({ least }) => least),
      known(({ greatest }) => greatest),
    ];
  },
};

/**
 * @param {Seen} seen
 * @param {number} count
 * @param {number} sum
 * @param {number} least
 * @param {number} greatest
 */
function takeIn(seen, count, sum, least, greatest) {
  if (seen.count === 0 || least < seen.least) seen.least = least;
  if (seen.count === 0 || greatest > seen.greatest) seen.greatest = greatest;
  seen.count = seen.count + count;
  seen.sum = seen.sum + sum;
}
