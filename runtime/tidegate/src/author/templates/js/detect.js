// Finds readings far from what their device told of late. Begin with this and make it yours.
import { floats, nulls, readParams, schema, Slots, wantField } from "./tidegate.js";

// The field that is read: only what is read crosses into the sandbox. A record in which it is null is set aside.
const FIELD = "temp";

// What the configuration may set.
/** @type {Record<"threshold", import("./tidegate.js").Property>} */
const PARAMS = {
  threshold: { type: "number", default: 4, description: "So many deviations from the recent mean are unusual" },
};
/** @type {Record<keyof typeof PARAMS, number>} */
let params;

// The weight of the newest reading, how many come before anything is unusual, the least deviation taken for real.
const ALPHA = 0.1;
const WARMUP = 10;
const LEAST_DEVIATION = 0.001;

// What is remembered of each device; the gateway keeps it over restarts.
/** @typedef {Record<"seen" | "mean" | "variance", number>} Recent */
const devices = new Slots(["seen", "mean", "variance"]);

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
    return { reads: [FIELD], times: false, slots: true, emits: [] };
  },
};

export const state = devices.state();

/** @type {Tidegate.Detect} */
export const detect = {
  score(batch) {
    const [column] = batch.columns;
    const { slots = [] } = batch;
    const temps = floats(column);
    /** @type {Tidegate.Finding[]} */
    const findings = [];
    for (let row = 0; row < batch.rows; row++) {
      if (column.valid && !column.valid[row]) continue;
      const finding = lookAt(temps[row], devices.at(slots[row]));
      if (finding) findings.push({ row, ...finding });
    }
    return { findings, scores: undefined, faults: nulls(column, FIELD) };
  },
};

/**
 * Takes in a reading; gives what is unusual about it: a score, a severity (0 to 100), a reason.
 *
 * @param {number} temp
 * @param {Recent} recent
 */
function lookAt(temp, recent) {
  if (!Number.isFinite(temp)) return undefined;
  const { threshold } = params;
  const spread = Math.sqrt(recent.variance);
  const deviation = spread > LEAST_DEVIATION ? spread : LEAST_DEVIATION;
  const score = (temp - recent.mean) / deviation;
  const size = Math.abs(score);
  if (!(recent.seen >= WARMUP && size >= threshold)) {
    takeIn(temp, recent);
    return undefined;
  }
  // Taken in as if it lay at the threshold: a spike blinds nobody, and a change that lasts is learned.
  takeIn(recent.mean + (score > 0 ? threshold : -threshold) * deviation, recent);
  const side = score > 0 ? "above" : "below";
  const severity = size >= 2 * threshold ? 75 : 50;
  return { score, severity, reason: `${FIELD} is ${side} what the device told of late` };
}

/**
 * Exponentially weighted; the first readings weigh alike, so that the first of all does not linger.
 *
 * @param {number} temp
 * @param {Recent} recent
 */
function takeIn(temp, recent) {
  const first = 1 / (recent.seen + 1);
  const alpha = first > ALPHA ? first : ALPHA;
  const delta = temp - recent.mean;
  const step = alpha * delta;
  recent.mean = recent.mean + step;
  recent.variance = (1 - alpha) * (recent.variance + step * delta);
  recent.seen = recent.seen + 1;
}
