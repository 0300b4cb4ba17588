//! From a file to a plugin: what it is, whether it speaks the contract, what it says about itself.

use crate::context::Context;
use crate::engine::Shared;
use crate::guest::Guest;
use crate::plugin::{Exports, PACKAGE};
use crate::{About, Grant, Kind, Limits, LoadProblem, Plugin, cache, compile, fault, imports};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use wasmtime::component::{Component, InstancePre, Linker};

/// Layer 0, version 1 of a binary is a core module; layer 1 a component.
const CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// The file's bytes, no more than allowed.
pub(crate) fn read(file: &Path, limits: &Limits) -> Result<Vec<u8>, LoadProblem> {
    let mut bytes = Vec::new();
    File::open(file)?.take(limits.module_bytes as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A plugin of a file's bytes.
pub(crate) fn load(engine: &Shared, bytes: &[u8], limits: &Limits) -> Result<Plugin, LoadProblem> {
    // Before anything of it is looked at, and over the very bytes that are compiled.
    let signer = engine.trust.judge(bytes)?;
    let wasm = component_of(bytes, limits)?;
    let hash: [u8; 32] = Sha256::digest(&wasm).into();
    let component = native(engine, &wasm, &hash)?;
    let imports = imports::wanted(&component)?;
    let refused: Vec<Grant> = imports.iter().copied().filter(|&grant| !limits.grants.has(grant)).collect();
    if !refused.is_empty() {
        return Err(LoadProblem::NotGranted(refused));
    }
    let (kind, exports) = Exports::find(&component)?;
    let (has_state, counts_fuel) = (exports.state.is_some(), engine.fuel);
    let pre = pre(engine, &component, limits).map_err(|error| LoadProblem::ImportShape(format!("{error:#}")))?;
    let about = About { name: String::new(), version: String::new(), summary: String::new(), params: String::new() };
    let mut plugin = Plugin {
        about,
        kind,
        hash,
        signer,
        has_state,
        counts_fuel,
        imports,
        label: Arc::from("not yet described"),
        pre,
        exports,
    };
    let mut guest = Guest::start(&plugin, limits).map_err(LoadProblem::Describe)?;
    guest.check_types(kind)?;
    let about = guest.describe().map_err(LoadProblem::Describe)?;
    if about.params.len() > About::PARAMS_BYTES_MAX {
        return Err(LoadProblem::Params { bytes: about.params.len() });
    }
    plugin.about = About {
        name: fault::bounded(about.name),
        version: fault::bounded(about.version),
        summary: fault::bounded(about.summary),
        params: about.params,
    };
    plugin.label = format!("{} {}", plugin.about.name, plugin.about.version).into();
    Ok(plugin)
}

/// Linked with what is granted.
fn pre(engine: &Shared, component: &Component, limits: &Limits) -> wasmtime::Result<InstancePre<Context>> {
    let mut linker = Linker::<Context>::new(&engine.wasmtime);
    imports::link(&mut linker, &limits.grants)?;
    linker.instantiate_pre(component)
}

/// The binary component in `bytes`, which may be text.
fn component_of<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Cow<'a, [u8]>, LoadProblem> {
    let max = limits.module_bytes;
    if bytes.len() > max {
        return Err(LoadProblem::Large { max });
    }
    if bytes.starts_with(b"\x7fELF") {
        return Err(LoadProblem::Native);
    }
    let wasm = match bytes.starts_with(b"\0asm") {
        true => Cow::Borrowed(bytes),
        false => Cow::Owned(assemble(bytes)?),
    };
    match &*wasm {
        wasm if wasm.starts_with(CORE_MODULE) => Err(LoadProblem::CoreModule),
        wasm if !wasm.starts_with(COMPONENT) => Err(LoadProblem::NotWasm),
        wasm if wasm.len() > max => Err(LoadProblem::Large { max }),
        _ => Ok(wasm),
    }
}

fn assemble(bytes: &[u8]) -> Result<Vec<u8>, LoadProblem> {
    let text = std::str::from_utf8(bytes).map_err(|_| LoadProblem::NotWasm)?;
    if !text.trim_start().starts_with(['(', ';']) {
        return Err(LoadProblem::NotWasm);
    }
    wat::parse_str(text).map_err(|error| LoadProblem::Text(error.to_string()))
}

/// The compiled component, from the cache or freshly compiled.
fn native(engine: &Shared, wasm: &[u8], hash: &[u8; 32]) -> Result<Component, LoadProblem> {
    let key = cache::key(hash, &engine.wasmtime);
    if let Some(native) = engine.cache.as_ref().and_then(|cache| cache.get(&key)) {
        // SAFETY: only `put` below writes to the cache, whose folder nobody else may write to, and the checksum holds.
        match unsafe { Component::deserialize(&engine.wasmtime, &native) } {
            Ok(component) => return Ok(component),
            Err(error) => tracing::warn!(%error, "compiled plugin does not load, compiling it again"),
        }
    }
    let native = compile::compile(engine, wasm)?;
    if let Some(cache) = &engine.cache
        && let Err(error) = cache.put(&key, &native)
    {
        tracing::warn!(%error, "compiled plugin not kept, it will be compiled again at the next start");
    }
    // SAFETY: made by our own compiler just now, in this process or in a child that wrote to our own folder.
    unsafe { Component::deserialize(&engine.wasmtime, &native) }.map_err(|e| LoadProblem::Compile(format!("{e:#}")))
}

impl Exports {
    /// What of the contract a component exports: `plugin`, one kind, and maybe `state`.
    fn find(component: &Component) -> Result<(Kind, Exports), LoadProblem> {
        let engine = component.engine();
        let names: Vec<String> = component.component_type().exports(engine).map(|(n, _)| n.to_string()).collect();
        let (package, version) = PACKAGE.split_once('@').unwrap_or((PACKAGE, ""));
        let stranger = |name: &&String| {
            let ours = name.strip_prefix(package).and_then(|rest| rest.strip_prefix('/'));
            ours.is_some_and(|rest| rest.split_once('@').is_none_or(|(_, found)| found != version))
        };
        if let Some(found) = names.iter().find(stranger) {
            return Err(LoadProblem::Version { found: found.clone() });
        }
        let has = |interface: &str| names.contains(&crate::plugin::interface(interface));
        let missing = |missing: &str| Err(LoadProblem::Missing { missing: missing.into(), exports: names.clone() });
        if !has("plugin") {
            return missing(&crate::plugin::interface("plugin"));
        }
        let mut kinds = Kind::ALL.into_iter().filter(|kind| has(kind.word()));
        let Some(kind) = kinds.next() else {
            return missing(&format!("a kind ({package}/filter, transform, detect, aggregate or codec @{version})"));
        };
        if let Some(other) = kinds.next() {
            return Err(LoadProblem::Kinds(kind.word(), other.word()));
        }
        if kind == Kind::Aggregate && !has("state") {
            return missing(&format!("{}, without which windows do not survive", crate::plugin::interface("state")));
        }
        Exports::of(component, kind, has("state")).map(|exports| (kind, exports))
    }
}
