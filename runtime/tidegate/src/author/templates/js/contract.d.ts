// The contract of wit/deps/tidegate/tidegate.wit as JavaScript sees it in componentize-qjs: what each thing means is written
// there. An editor completes by it; `npx -p typescript tsc -p jsconfig.json` checks by it.

declare namespace Tidegate {
  /** What the gateway hands over as a list of numbers: an array or a typed one. 64-bit integers are exact up to 2^53. */
  interface Numbers extends Iterable<number> {
    readonly length: number;
    readonly [index: number]: number;
    forEach(what: (value: number, index: number) => void): void;
    filter(which: (value: number, index: number) => unknown): Numbers;
  }

  // types
  type Scalar = "float" | "integer" | "boolean" | "text" | "bytes";
  interface Field { name: string; scalar: Scalar; unit: string }
  interface Blobs { offsets: Numbers; data: Numbers }
  type Values =
    | { tag: "floats"; val: Numbers }
    | { tag: "integers"; val: Numbers }
    | { tag: "booleans"; val: Numbers }
    | { tag: "texts"; val: Blobs }
    | { tag: "bytes"; val: Blobs };
  interface Column { values: Values; valid: Numbers | undefined }
  interface Batch { rows: number; times: Numbers | undefined; slots: Numbers | undefined; columns: Column[] }
  interface Fault { row: number; reason: string }
  interface Table { origin: Numbers | undefined; columns: Column[]; faults: Fault[] }

  // plugin
  interface About { name: string; version: string; summary: string; params: string }
  interface Plan { reads: string[]; times: boolean; slots: boolean; emits: Field[] }
  interface Issue { at: string; message: string }
  interface Plugin {
    describe(): About;
    /** Throws its issues, an array of them. */
    configure(params: string, fields: Field[]): Plan;
  }

  // The kinds: a plugin exports one of them.
  interface Kept { keep: Numbers; faults: Fault[] }
  interface Filter { keep(batch: Batch): Kept }

  interface Transform { apply(batch: Batch): Table }

  interface Finding { row: number; score: number; severity: number; reason: string }
  interface Found { findings: Finding[]; scores: Numbers | undefined; faults: Fault[] }
  interface Detect { score(batch: Batch): Found }

  interface Windows { slots: Numbers; starts: Numbers; ends: Numbers }
  interface Aggregate {
    update(batch: Batch): Fault[];
    merge(into: Numbers, later: Numbers): void;
    finish(windows: Windows): Column[];
  }

  interface Codec { decode(batch: Batch): Table }

  // state
  interface State {
    version(): number;
    save(slots: Numbers): Blobs;
    /** Throws the reason, a string, where it refuses. */
    load(version: number, slots: Numbers, states: Blobs): void;
    release(slots: Numbers): void;
  }
}

declare module "tidegate:plugin/log@1.0.0" {
  type Level = "debug" | "info" | "warn" | "error";
  export function log(level: Level, message: string): void;
}

declare module "tidegate:plugin/clock@1.0.0" {
  export function arrival(): number;
  export function wall(): number | undefined;
}

declare module "tidegate:plugin/lookup@1.0.0" {
  /** Throws a string where there is no such table. */
  export function fields(table: string): Tidegate.Field[];
  export function find(table: string, keys: Tidegate.Column, want: string[]): Tidegate.Column[];
}
