//! Files that are no plugins, or none this gateway may run: each is refused with what it is and what to do.

use crate::guest::{Guest, batch, engine, says, schema};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;
use tidegate_sandbox::{About, Engine, EngineOptions, Input, Kind, Limits, Runner};

fn check(bytes: impl AsRef<[u8]>, parts: &[&str]) {
    let refused = engine().load_bytes(Path::new("some.wasm"), bytes.as_ref(), &Limits::default());
    let error = refused.expect_err("refused");
    says(&error, &["plugin some.wasm: "]);
    says(&error, parts);
}

/// The text of a good filter with something at the front of the component.
fn filter_with(front: &str) -> String {
    Guest::filter("(call $keep_all (local.get $rows))").text().replacen("(component", &format!("(component {front}"), 1)
}

#[test]
fn imports_no_gateway_grants_are_named() {
    let clock = r#"(import "wasi:clocks/wall-clock@0.2.3" (instance (type (record (field "s" u64) (field "n" u32)))
        (export "datetime" (type (eq 0))) (export "now" (func (result 1)))))"#;
    check(
        filter_with(clock),
        &["imports what no gateway grants: wasi:clocks/wall-clock@0.2.3#now; build it without them (no WASI; time is"],
    );
    let unknown = r#"(import "tidegate:plugin/net@1.0.0" (instance (export "get" (func (param "message" string)))))
        (import "random" (func (result u64)))"#;
    check(filter_with(unknown), &["imports what no gateway grants: tidegate:plugin/net@1.0.0#get, random;"]);
    let later = r#"(import "tidegate:plugin/log@1.1.0" (instance (export "log" (func (param "message" string)))))"#;
    check(filter_with(later), &["is built for tidegate:plugin/log@1.1.0; this gateway speaks tidegate:plugin@1.0.0"]);
}

#[test]
fn files_that_are_no_components_are_told_apart() {
    check("(module)", &["is a core module, not a component: build it with `cargo xtask plugins`"]);
    check(wat::parse_str("(module (func))").expect("a module"), &["is a core module, not a component"]);
    check("hello", &["is not WebAssembly: a plugin is a component (.wasm) or its text (.wat)"]);
    check([0xff, 0xfe, 0x00], &["is not WebAssembly: a plugin is a component"]);
    check("", &["is not WebAssembly: a plugin is a component"]);
    check(b"\0asm\x63\0\0\0", &["is not WebAssembly: a plugin is a component"]);
    check("(component (core modul))", &["is not WebAssembly text: ", "modul"]);
    check("(component", &["is not WebAssembly text: "]);
    check(b"\x7fELF\x02\x01\x01", &["is compiled native code, which is never taken from a file: give the .wasm"]);
}

#[test]
fn a_component_cut_short_anywhere_is_refused() {
    let whole = wat::parse_str(filter_with("")).expect("a component");
    for len in (8..whole.len()).step_by(97) {
        let refused = engine().load_bytes(Path::new("torn.wasm"), &whole[..len], &Limits::default());
        let error = refused.expect_err("a part of a component is no plugin");
        let error = error.to_string();
        assert!(error.contains("does not compile: ") || error.contains("does not export "), "{len}: {error}");
    }
}

#[test]
fn components_of_another_world_are_told_what_is_missing() {
    check("(component)", &["does not export tidegate:plugin/plugin@1.0.0; it exports nothing"]);
    let other = r#"(component (core module $m (func (export "run"))) (core instance $i (instantiate $m))
        (func (export "run") (canon lift (core func $i "run"))))"#;
    check(other, &["does not export tidegate:plugin/plugin@1.0.0; it exports run"]);
    let filter = filter_with("");
    check(
        filter.replace(r#"(export "tidegate:plugin/filter@1.0.0" (instance $kind))"#, ""),
        &["does not export a kind (tidegate:plugin/filter, transform, detect, aggregate or codec @1.0.0)"],
    );
    check(
        Guest { state: false, ..Guest::new(Kind::Aggregate) }.text(),
        &["does not export tidegate:plugin/state@1.0.0, without which windows do not survive"],
    );
    check(
        Guest { version: "2.0.0", ..Guest::filter("unreachable") }.text(),
        &["is built for tidegate:plugin/plugin@2.0.0; this gateway speaks tidegate:plugin@1.0.0", "matching SDK"],
    );
    let second = r#"(export "tidegate:plugin/filter@1.0.0" (instance $kind))
        (export "tidegate:plugin/detect@1.0.0" (instance $kind))"#;
    check(
        filter.replace(r#"(export "tidegate:plugin/filter@1.0.0" (instance $kind))"#, second),
        &["exports filter and detect: a plugin is of one kind"],
    );
}

#[test]
fn interfaces_of_another_shape_are_refused() {
    let filter = filter_with("");
    let named = |from: &str, to: &str| filter.replace(from, to);
    check(
        named(r#"(export "keep" (func $rows))"#, r#"(export "retain" (func $rows))"#),
        &["exports tidegate:plugin/filter@1.0.0 with other functions or types than the contract: no function keep"],
    );
    check(
        named(r#"(field "keep" (list u8))"#, r#"(field "keep" (list s8))"#),
        &["exports tidegate:plugin/filter@1.0.0 with other functions or types than the contract: keep: ", "sdk/wit"],
    );
}

#[test]
fn a_file_larger_than_its_cap_is_not_read() {
    let limits = Limits { module_bytes: 100, ..Limits::default() };
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("big.wat");
    fs::write(&file, filter_with("")).expect("written");
    let error = engine().load(&file, &limits).expect_err("too large").to_string();
    says(&error, &["big.wat: is larger than 100 bytes; raise plugins.module_bytes"]);
    let error = engine().load(&folder.path().join("none.wasm"), &limits).expect_err("not there").to_string();
    says(&error, &["none.wasm: cannot be read: No such file", "is plugins.dir right?"]);
}

#[test]
fn what_an_instance_declares_meets_the_caps_before_it_runs() {
    let limits = Limits { call_time: Duration::from_millis(100), ..Limits::default() };
    let describe = |guest: Guest, parts: &[&str]| {
        let error = guest.load_limited(&limits).expect_err("not started");
        says(&error, &["plugin hostile.wat: failed when asked to describe itself: "]);
        says(&error, parts);
    };
    let filter = || Guest::filter("unreachable");
    describe(Guest { memory: "65536", ..filter() }, &["memory: asked for more memory than it may have"]);
    let table = "(table 10000000 funcref)".to_string();
    describe(Guest { core: table, ..filter() }, &["memory: asked for more table elements than it may have"]);
    let start = "(func $forever (loop $l (br $l))) (start $forever)".to_string();
    describe(Guest { core: start, ..filter() }, &["deadline: ran longer than call_time allows"]);
    let start = "(func $boom unreachable) (start $boom)".to_string();
    describe(Guest { core: start, ..filter() }, &["trap: wasm `unreachable` instruction executed (in boom)"]);
    let two = "(memory 200) (memory 200)".to_string();
    describe(Guest { core: two, ..filter() }, &["memory: asked for more memory than it may have"]);
}

#[test]
fn a_schema_of_parameters_larger_than_its_cap_is_refused() {
    // Zeros, as the memory is from its second page on.
    let schema = |bytes: u32| Guest { memory: "3", params: Some([65_536, bytes]), ..Guest::filter("unreachable") };
    let most = schema(65_536).load().expect("the most there may be");
    assert_eq!(most.about().params.len(), About::PARAMS_BYTES_MAX);
    let error = schema(65_537).load().expect_err("larger");
    says(&error, &["plugin hostile.wat: has 65537 bytes of JSON Schema", "the most are 65536: shorten"]);
}

#[test]
fn features_no_plugin_needs_are_off() {
    for (core, part) in [
        ("(memory 1 1 shared)", "threads"),
        ("(memory i64 1)", "memory64"),
        ("(type (struct))", "gc"),
        ("(tag)", "exceptions"),
        ("(func $f (return_call $f))", "tail calls"),
        ("(func (result v128) (i8x16.relaxed_swizzle (v128.const i64x2 0 0) (v128.const i64x2 0 0)))", "relaxed"),
    ] {
        let error = Guest { core: core.into(), ..Guest::filter("unreachable") }.load().expect_err(core).to_string();
        assert!(error.contains("does not compile: ") && error.to_lowercase().contains(part), "{core}: {error}");
    }
}

#[test]
fn a_damaged_cache_is_compiled_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache_dir = Some(folder.path().join("cache"));
    let engine = Engine::new(EngineOptions { cache_dir, ..EngineOptions::default() }).expect("an engine");
    let text = filter_with("");
    let works = || {
        let plugin = engine.load_bytes(Path::new("good.wat"), text.as_bytes(), &Limits::default()).expect("loads");
        let mut runner = Runner::new(plugin, "{}", &schema(), &Limits::default()).expect("configures");
        assert_eq!(runner.keep(Input::of(&batch(&[1.0; 3]))).expect("runs").keep, [1, 1, 1]);
    };
    works();
    let kept = fs::read_dir(folder.path().join("cache")).expect("the cache").next().expect("one file").expect("a file");
    let good = fs::read(kept.path()).expect("readable");
    works();
    assert_eq!(fs::read(kept.path()).expect("readable"), good, "a good entry is used as it is");
    let middle = good.len() / 2;
    let flipped: Vec<u8> = good.iter().enumerate().map(|(at, &byte)| if at == middle { !byte } else { byte }).collect();
    for damaged in [flipped.as_slice(), &good[..middle], &good[..20], &[], b"#!/bin/sh"] {
        fs::write(kept.path(), damaged).expect("written");
        works();
        assert_eq!(fs::read(kept.path()).expect("readable").len(), good.len(), "a damaged entry is replaced");
    }
}

#[test]
fn a_cache_others_may_write_to_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let open = |cache_dir: &Path| {
        let options = EngineOptions { cache_dir: Some(cache_dir.into()), ..EngineOptions::default() };
        Engine::new(options).expect_err("not safe").to_string()
    };
    let cache = folder.path().join("cache");
    fs::create_dir(&cache).expect("made");
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o777)).expect("opened to all");
    says(open(&cache), &["cache: may be written by others (mode 777): its files are run as native code; chmod 700"]);
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o700)).expect("closed");
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&cache, &link).expect("linked");
    says(open(&link), &["link: is not a folder (a link will not do)"]);
    let file = folder.path().join("file");
    fs::write(&file, "").expect("written");
    says(open(&file), &["file: cannot be made: "]);
}
