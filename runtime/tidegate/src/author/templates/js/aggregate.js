// Count, mean, least and greatest reading of a window. Begin with this and make it yours.
import { nulls, readParams, schema, Slots, wantField } from "./tidegate.js";

// The field that is read: only what is read crosses into the sandbox. A record in which it is null is set aside.
const FIELD = "temp";

// What comes out of a window; the gateway adds its device, start and end.
const EMITS = [
  { name: "count", scalar: "integer", unit: "" },
  { name: "mean", scalar: "float", unit: "Cel" },
  { name: "least", scalar: "float", unit: "Cel" },
  { name: "greatest", scalar: "float", unit: "Cel" },
];

// What is remembered of each window; the gateway keeps it over restarts.
const windows = new Slots(["count", "sum", "least", "greatest"]);

export const plugin = {
  describe: () => ({
    name: "@name@",
    version: "0.1.0",
    summary: "What it does, in one line: gateways show it",
    params: schema({}),
  }),

  configure(text, fields) {
    const issues = [];
    readParams(text, {}, issues);
    wantField(fields, FIELD, "float", issues);
    if (issues.length > 0) throw issues;
    return { reads: [FIELD], times: false, slots: true, emits: EMITS };
  },
};

export const state = windows.state();

export const aggregate = {
  // Takes in records. NaN is nothing.
  update(batch) {
    const [column] = batch.columns;
    const { slots } = batch;
    const temps = column.values.val;
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
    const floats = (value) => ({ values: { tag: "floats", val: seen.map(value) }, valid });
    return [
      // componentize-qjs takes and gives 64-bit integers as numbers, exact up to 2^53.
      { values: { tag: "integers", val: seen.map(({ count }) => count) }, valid: undefined },
      floats(({ count, sum }) => (count > 0 ? sum / count : 0)),
      floats(({ least }) => least),
      floats(({ greatest }) => greatest),
    ];
  },
};

function takeIn(seen, count, sum, least, greatest) {
  if (seen.count === 0 || least < seen.least) seen.least = least;
  if (seen.count === 0 || greatest > seen.greatest) seen.greatest = greatest;
  seen.count = seen.count + count;
  seen.sum = seen.sum + sum;
}
