//! Plugins that misbehave in one way and are good otherwise: `fixtures/hostile.wat` with its holes filled.

use std::path::Path;
use std::sync::Arc;
use tidegate_record::{Batch, BatchBuilder, Field, Scalar, Schema};
use tidegate_sandbox::{ConfigureError, Engine, EngineOptions, Grant, Kind, Limits, LoadError, Plugin, Runner};

const TEMPLATE: &str = include_str!("../fixtures/hostile.wat");
/// Where the image lies in the guest's memory.
const IMAGE: u32 = 1024;

/// A plugin to be.
pub struct Guest {
    pub kind: Kind,
    pub state: bool,
    /// Least and most pages, as in the text format.
    pub memory: &'static str,
    /// What it imports.
    pub imports: &'static [Grant],
    /// More fields of the core module.
    pub core: String,
    /// What `configure`, the function that takes batches, `save` and `load` do; see the fixture for what is in scope.
    pub configure: String,
    pub rows: Option<&'static str>,
    pub save: Option<&'static str>,
    pub load: &'static str,
    /// What `merge` does, and `finish` before it answers.
    pub windows: &'static str,
    /// What happens before room is given.
    pub realloc: &'static str,
    /// What happens when an answer was read: by default all room is free again.
    pub forget: &'static str,
    pub reads: &'static [&'static str],
    pub slots: bool,
    pub emits: &'static [(&'static str, Scalar)],
    /// Address and length of its parameters' schema, where that is not `{}`.
    pub params: Option<[u32; 2]>,
    /// The contract's version it speaks.
    pub version: &'static str,
    /// Where its one fixed answer is.
    pub reply: u32,
    pub image: Image,
}

impl Guest {
    pub fn new(kind: Kind) -> Guest {
        Guest {
            kind,
            state: kind == Kind::Aggregate,
            memory: "2",
            imports: &[],
            core: String::new(),
            configure: String::new(),
            rows: None,
            save: None,
            load: "(i32.store8 (i32.const 96) (i32.const 0)) (i32.const 96)",
            windows: "",
            realloc: "",
            forget: "(global.set $free (i32.const 65536))",
            reads: &["temp"],
            slots: kind == Kind::Aggregate,
            emits: &[],
            params: None,
            version: "1.0.0",
            reply: 0,
            image: Image::default(),
        }
    }

    /// A filter whose function is `rows`.
    pub fn filter(rows: &'static str) -> Guest {
        Guest { rows: Some(rows), ..Guest::new(Kind::Filter) }
    }

    /// A plugin that answers every batch (and every window) with what `reply` puts into the image.
    pub fn answering(kind: Kind, reply: impl FnOnce(&mut Image) -> u32) -> Guest {
        let mut guest = Guest::new(kind);
        guest.reply = reply(&mut guest.image);
        guest
    }

    /// The component's text.
    pub fn text(mut self) -> String {
        let mut about: Vec<u32> = ["hostile", "1.0.0", "Does what it should not"]
            .iter()
            .flat_map(|text| self.image.list(text.as_bytes(), text.len()))
            .collect();
        about.extend(self.params.unwrap_or_else(|| self.image.list(b"{}", 2)));
        let about = self.image.words(&about);
        let plan = self.plan();
        let fixed = format!("(i32.const {})", self.reply);
        let image: String = self.image.bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
        let fill = [
            ("{memory}", self.memory.to_string()),
            ("{imports}", imports(self.imports)),
            ("{core_imports}", core_imports(self.imports)),
            ("{with}", if self.imports.is_empty() { "" } else { "(with \"host\" (instance $host))" }.to_string()),
            ("{core}", self.core.clone()),
            ("{configure}", self.configure.clone()),
            ("{rows}", self.rows.map_or(fixed.clone(), str::to_string)),
            ("{save}", self.save.map_or(fixed, str::to_string)),
            ("{load}", self.load.to_string()),
            ("{windows}", self.windows.to_string()),
            ("{realloc}", self.realloc.to_string()),
            ("{forget}", self.forget.to_string()),
            ("{about}", about.to_string()),
            ("{plan}", plan.to_string()),
            ("{reply}", self.reply.to_string()),
            ("{interfaces}", interfaces(self.kind, self.state)),
            ("{version}", self.version.to_string()),
            ("{image}", image),
        ];
        fill.iter().fold(TEMPLATE.to_string(), |text, (hole, with)| text.replace(hole, with))
    }

    fn plan(&mut self) -> u32 {
        let reads: Vec<u32> = self.reads.iter().flat_map(|name| self.image.list(name.as_bytes(), name.len())).collect();
        let emits: Vec<u32> = self
            .emits
            .iter()
            .flat_map(|(name, scalar)| {
                let [at, len] = self.image.list(name.as_bytes(), name.len());
                [at, len, *scalar as u32, 0, 0]
            })
            .collect();
        let (reads, emits) = (self.image.words(&reads), self.image.words(&emits));
        let flags = u32::from(self.slots) << 8;
        self.image.words(&[0, reads, self.reads.len() as u32, flags, emits, self.emits.len() as u32])
    }

    pub fn load(self) -> Result<Arc<Plugin>, LoadError> {
        self.load_limited(&Limits::default())
    }

    pub fn load_limited(self, limits: &Limits) -> Result<Arc<Plugin>, LoadError> {
        engine().load_bytes(Path::new("hostile.wat"), self.text().as_bytes(), limits)
    }

    pub fn runner(self) -> Runner {
        self.runner_limited(&Limits::default())
    }

    pub fn runner_limited(self, limits: &Limits) -> Runner {
        let plugin = self.load_limited(limits).expect("loads");
        Runner::new(plugin, "{}", &schema(), limits).expect("configures")
    }

    pub fn refused(self) -> ConfigureError {
        let plugin = self.load().expect("loads");
        Runner::new(plugin, "{}", &schema(), &Limits::default()).err().expect("refused")
    }
}

/// Bytes in the guest's memory, put there before anything runs.
#[derive(Default)]
pub struct Image {
    bytes: Vec<u8>,
}

impl Image {
    /// Puts bytes and gives their address.
    pub fn put(&mut self, bytes: &[u8]) -> u32 {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        let at = IMAGE + self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        assert!(self.bytes.len() < 32 << 10, "the image fits into the first page");
        at
    }

    pub fn words(&mut self, words: &[u32]) -> u32 {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.put(&bytes)
    }

    /// Address and length of a list, of which `len` may be a lie.
    pub fn list(&mut self, bytes: &[u8], len: usize) -> [u32; 2] {
        [self.put(bytes), len as u32]
    }

    pub fn faults(&mut self, faults: &[(u32, &[u8])]) -> [u32; 2] {
        let mut words = Vec::new();
        for (row, reason) in faults {
            words.push(*row);
            words.extend(self.list(reason, reason.len()));
        }
        [self.words(&words), faults.len() as u32]
    }

    /// What a filter answers.
    pub fn kept(&mut self, keep: &[u8], faults: &[(u32, &[u8])]) -> u32 {
        let (keep, faults) = (self.list(keep, keep.len()), self.faults(faults));
        self.words(&[keep, faults].concat())
    }

    /// What a detector answers: findings of a row with a severity, maybe scores.
    pub fn found(&mut self, findings: &[(u32, u8)], scores: Option<&[f64]>) -> u32 {
        let mut bytes = Vec::new();
        for (row, severity) in findings {
            bytes.extend([row.to_le_bytes(), [0; 4]].concat());
            bytes.extend(9.0f64.to_le_bytes());
            bytes.extend([u32::from(*severity), 0, 0, 0].map(u32::to_le_bytes).concat());
        }
        let findings = self.list(&bytes, findings.len());
        let given = u32::from(scores.is_some());
        let scores: Vec<u8> = scores.unwrap_or_default().iter().flat_map(|score| score.to_le_bytes()).collect();
        let scores = self.list(&scores, scores.len() / 8);
        self.words(&[findings[0], findings[1], given, scores[0], scores[1], 0, 0])
    }

    /// Columns, each 32 bytes that [`floats`], [`texts`] and their like made.
    pub fn columns(&mut self, columns: &[[u32; 8]]) -> [u32; 2] {
        [self.words(&columns.concat()), columns.len() as u32]
    }

    /// What a transform answers.
    pub fn table(&mut self, origin: Option<&[u32]>, columns: &[[u32; 8]]) -> u32 {
        let given = u32::from(origin.is_some());
        let origin = origin.unwrap_or_default();
        let (rows, columns) = (self.words(origin), self.columns(columns));
        self.words(&[given, rows, origin.len() as u32, columns[0], columns[1], 0, 0])
    }

    pub fn floats(&mut self, values: &[f64], valid: Option<&[u8]>) -> [u32; 8] {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let [at, len] = self.list(&bytes, values.len());
        let [bytes, count] = self.list(valid.unwrap_or_default(), valid.unwrap_or_default().len());
        [0, at, len, 0, 0, u32::from(valid.is_some()), bytes, count]
    }

    pub fn texts(&mut self, offsets: &[u32], data: &[u8]) -> [u32; 8] {
        let (at, data) = (self.words(offsets), self.list(data, data.len()));
        [3, at, offsets.len() as u32, data[0], data[1], 0, 0, 0]
    }

    /// Saved states.
    pub fn blobs(&mut self, offsets: &[u32], data: &[u8]) -> u32 {
        let (at, data) = (self.words(offsets), self.list(data, data.len()));
        self.words(&[at, offsets.len() as u32, data[0], data[1]])
    }
}

/// The imports, and the host's functions as the core module takes them.
fn imports(imports: &[Grant]) -> String {
    let one = |grant: &Grant| match grant {
        Grant::Log => {
            r#"(import "tidegate:plugin/log@1.0.0" (instance $log-import
                 (type $level' (enum "debug" "info" "warn" "error")) (export "level" (type $level (eq $level')))
                 (export "log" (func (param "level" $level) (param "message" string)))))
               (core func $log (canon lower (func $log-import "log") (memory $memory)))"#
        }
        Grant::Clock => {
            r#"(import "tidegate:plugin/clock@1.0.0" (instance $clock-import
                 (export "arrival" (func (result s64))) (export "wall" (func (result (option s64))))))
               (core func $arrival (canon lower (func $clock-import "arrival")))
               (core func $wall (canon lower (func $clock-import "wall") (memory $memory)))"#
        }
        // Room for what is found is given by a module of its own: the guest's is not there yet. It is used in turns.
        Grant::Lookup => {
            r#"(core module $room (import "memory" "memory" (memory 0)) (global $next (mut i32) (i32.const 36864))
                 (func (export "realloc") (param i32 i32 i32) (param $size i32) (result i32) (local $at i32)
                   (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
                   (if (i32.gt_u (i32.add (local.get $at) (local.get $size)) (i32.const 65536))
                     (then (local.set $at (i32.const 36864))))
                   (if (i32.gt_u (local.get $size) (i32.const 28672)) (then (return (i32.mul (i32.const 65536)
                     (memory.grow (i32.add (i32.const 1) (i32.shr_u (local.get $size) (i32.const 16))))))))
                   (global.set $next (i32.add (local.get $at) (local.get $size)))
                   (local.get $at)))
               (core instance $room (instantiate $room (with "memory" (instance $memory))))
               (alias core export $room "realloc" (core func $room-realloc))
               (alias export $types "scalar" (type $scalar))
               (import "tidegate:plugin/lookup@1.0.0" (instance $lookup-import
                 (alias outer 1 $column (type $column')) (export "column" (type $column (eq $column')))
                 (alias outer 1 $field (type $field')) (export "field" (type $field (eq $field')))
                 (export "fields" (func (param "table" string) (result (result (list $field) (error string)))))
                 (export "find" (func (param "table" string) (param "keys" $column) (param "want" (list string))
                   (result (result (list $column) (error string)))))))
               (core func $fields (canon lower (func $lookup-import "fields") (memory $memory)
                 (realloc (core func $room-realloc))))
               (core func $find (canon lower (func $lookup-import "find") (memory $memory)
                 (realloc (core func $room-realloc))))"#
        }
    };
    let exports = |grant: &Grant| match grant {
        Grant::Log => r#"(export "log" (func $log))"#,
        Grant::Clock => r#"(export "arrival" (func $arrival)) (export "wall" (func $wall))"#,
        Grant::Lookup => r#"(export "fields" (func $fields)) (export "find" (func $find))"#,
    };
    let host: String = imports.iter().map(exports).collect();
    let text: String = imports.iter().map(one).collect();
    if imports.is_empty() { text } else { format!("{text}(core instance $host {host})") }
}

fn core_imports(imports: &[Grant]) -> String {
    let one = |grant: &Grant| match grant {
        Grant::Log => r#"(import "host" "log" (func $log (param i32 i32 i32)))"#,
        Grant::Clock => {
            r#"(import "host" "arrival" (func $arrival (result i64))) (import "host" "wall" (func $wall (param i32)))"#
        }
        Grant::Lookup => {
            r#"(import "host" "fields" (func $fields (param i32 i32 i32)))
               (import "host" "find" (func $find (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))"#
        }
    };
    imports.iter().map(one).collect()
}

/// The interfaces after `plugin`, with their types.
fn interfaces(kind: Kind, state: bool) -> String {
    let lift = "(memory $memory) (realloc (core func $realloc)) (post-return (core func $forget))";
    let own = match kind {
        Kind::Filter => r#"(type $answer (record (field "keep" (list u8)) (field "faults" (list $fault))))"#,
        Kind::Detect => {
            r#"(type $finding (record (field "row" u32) (field "score" f64) (field "severity" u8) (field "reason" string)))
               (type $answer (record (field "findings" (list $finding)) (field "scores" (option (list f64)))
                 (field "faults" (list $fault))))"#
        }
        Kind::Aggregate => {
            r#"(type $windows (record (field "slots" (list u32)) (field "starts" (list s64)) (field "ends" (list s64))))
               (type $answer (list $fault))"#
        }
        Kind::Transform | Kind::Codec => "(alias export $types \"table\" (type $answer))",
    };
    let (function, exports) = match kind {
        Kind::Filter => ("keep", r#"(export "kept" (type $answer))"#),
        Kind::Detect => ("score", r#"(export "finding" (type $finding)) (export "found" (type $answer))"#),
        Kind::Aggregate => ("update", r#"(export "column" (type $column)) (export "windows" (type $windows))"#),
        Kind::Transform => ("apply", r#"(export "table" (type $answer))"#),
        Kind::Codec => ("decode", r#"(export "table" (type $answer))"#),
    };
    let windows = format!(
        r#"(func $merge (param "into" (list u32)) (param "later" (list u32))
             (canon lift (core func $code "merge") (memory $memory) (realloc (core func $realloc))))
           (func $finish (param "windows" $windows) (result (list $column)) (canon lift (core func $code "finish") {lift}))"#
    );
    let more = r#"(export "merge" (func $merge)) (export "finish" (func $finish))"#;
    let (windows, more) = if kind == Kind::Aggregate { (windows.as_str(), more) } else { ("", "") };
    let mut text = format!(
        r#"{own}
           (func $rows (param "batch" $batch) (result $answer) (canon lift (core func $code "rows") {lift}))
           {windows}
           (instance $kind (export "batch" (type $batch)) (export "fault" (type $fault)) {exports}
             (export "{function}" (func $rows)) {more})
           (export "tidegate:plugin/{kind}@{{version}}" (instance $kind))"#
    );
    if state {
        text.push_str(&format!(
            r#"(func $version (result u32) (canon lift (core func $code "version")))
               (func $save (param "slots" (list u32)) (result $blobs) (canon lift (core func $code "save") {lift}))
               (func $load (param "version" u32) (param "slots" (list u32)) (param "states" $blobs)
                 (result (result (error string))) (canon lift (core func $code "load") {lift}))
               (func $release (param "slots" (list u32))
                 (canon lift (core func $code "release") (memory $memory) (realloc (core func $realloc))))
               (instance $state (export "blobs" (type $blobs)) (export "version" (func $version))
                 (export "save" (func $save)) (export "load" (func $load)) (export "release" (func $release)))
               (export "tidegate:plugin/state@{{version}}" (instance $state))"#
        ));
    }
    text
}

pub fn engine() -> Engine {
    Engine::new(EngineOptions::default()).expect("an engine")
}

pub fn schema() -> Arc<Schema> {
    Arc::new(Schema::new(vec![Field::new("temp", Scalar::Float)]).expect("a schema"))
}

pub fn batch(values: &[f64]) -> Arc<Batch> {
    let mut builder = BatchBuilder::new(schema());
    for value in values {
        assert!(builder.float(0, *value));
        builder.end_row("d1", 0).expect("a device");
    }
    Arc::new(builder.finish())
}

/// Holds that a text has all these parts.
pub fn says(text: impl ToString, parts: &[&str]) {
    let text = text.to_string();
    parts.iter().for_each(|part| assert!(text.contains(part), "{text}\ndoes not say\n{part}"));
}
