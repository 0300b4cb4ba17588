// Keeps warm readings. Begin with this and make it yours.
import { floats, nulls, readParams, schema, wantField } from "./tidegate.js";

// The field that is read: only what is read crosses into the sandbox. A record in which it is null is set aside.
const FIELD = "temp";

// What the configuration may set.
/** @type {Record<"above" | "below", import("./tidegate.js").Property>} */
const PARAMS = {
  above: { type: "number", default: 20, description: "Readings above this are kept" },
  below: { type: "number", description: "And below this, where it is given" },
};
/** @type {Record<keyof typeof PARAMS, number>} */
let params;

/** @type {Tidegate.Plugin} */
export const plugin = {
  describe: () => ({
    name: "@name@",
    version: "0.1.0",
    summary: "What it does, in one line: gateways show it",
    params: schema(PARAMS),
  }),

  configure(text, fields) {
    /** @type {Tidegate.Issue[]} */
    const issues = [];
    params = readParams(text, PARAMS, issues);
    wantField(fields, FIELD, "float", issues);
    if (issues.length > 0) throw issues;
    return { reads: [FIELD], times: false, slots: false, emits: [] };
  },
};

/** @type {Tidegate.Filter} */
export const filter = {
  keep(batch) {
    const [column] = batch.columns;
    const { above, below } = params;
    const temps = floats(column);
    const keep = new Uint8Array(batch.rows);
    for (let row = 0; row < batch.rows; row++) {
      const temp = temps[row];
      if (temp > above && (below === undefined || temp < below)) keep[row] = 1;
    }
    return { keep, faults: nulls(column, FIELD) };
  },
};
