//! The contract's imports: which a component wants, and what the host gives where they are granted.

use crate::context::Context;
use crate::lines::Level;
use crate::plugin::{PACKAGE, interface};
use crate::{Grant, Grants, LoadProblem, TEXT_BYTES_MAX, lookup};
use wasmtime::StoreContextMut;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker, WasmStr};

/// The imports of the contract a component wants. Every component imports the contract's types; functions are what must
/// be granted. An error for what no gateway grants.
pub(crate) fn wanted(component: &Component) -> Result<Vec<Grant>, LoadProblem> {
    let engine = component.engine();
    let (mut wanted, mut strange) = (Vec::new(), Vec::new());
    for (name, import) in component.component_type().imports(engine) {
        match import.ty {
            ComponentItem::ComponentInstance(instance) => {
                let functions = instance.exports(engine).filter(|(_, item)| is_needed(&item.ty));
                let functions: Vec<String> = functions.map(|(function, _)| format!("{name}#{function}")).collect();
                let ours = Grant::ALL.into_iter().find(|grant| interface(grant.word()) == name);
                match ours {
                    Some(grant) if !functions.is_empty() => wanted.push(grant),
                    Some(_) => {}
                    None if functions.is_empty() => {}
                    None if is_other_version(name) => return Err(LoadProblem::Version { found: name.to_string() }),
                    None => strange.extend(functions),
                }
            }
            item if is_needed(&item) => strange.push(name.to_string()),
            _ => {}
        }
    }
    if strange.is_empty() { Ok(wanted) } else { Err(LoadProblem::Imports(strange)) }
}

fn is_needed(item: &ComponentItem) -> bool {
    !matches!(item, ComponentItem::Type(_))
}

/// An interface we grant, of another version of the contract.
fn is_other_version(name: &str) -> bool {
    let package = PACKAGE.split_once('@').map_or(PACKAGE, |(package, _)| package);
    let ours = name.strip_prefix(package).and_then(|rest| rest.strip_prefix('/'));
    let word = ours.and_then(|rest| rest.split_once('@')).map(|(word, _)| word);
    word.is_some_and(|word| Grant::ALL.iter().any(|grant| grant.word() == word))
}

/// Links what is granted, and nothing else.
pub(crate) fn link(linker: &mut Linker<Context>, grants: &Grants) -> wasmtime::Result<()> {
    if grants.log {
        linker.instance(&interface("log"))?.func_wrap("log", log)?;
    }
    if grants.clock {
        let mut clock = linker.instance(&interface("clock"))?;
        clock.func_wrap("arrival", |store: StoreContextMut<'_, Context>, ()| Ok((store.data().arrival()?.clock,)))?;
        clock.func_wrap("wall", |store: StoreContextMut<'_, Context>, ()| Ok((store.data().arrival()?.wall,)))?;
    }
    if grants.lookup {
        lookup::link(linker)?;
    }
    Ok(())
}

/// A line over its bound costs the plugin its line and the host nothing: its text is not even read.
fn log(mut store: StoreContextMut<'_, Context>, (level, message): (Level, WasmStr)) -> wasmtime::Result<()> {
    let Context { said, log_limits, .. } = store.data_mut();
    if !said.has_room(log_limits) {
        return Ok(());
    }
    let text = message.to_str(&store)?;
    let (bytes, message) = (text.len(), text.chars().take(TEXT_BYTES_MAX).collect::<String>());
    let Context { said, log_limits, .. } = store.data_mut();
    said.push(level, &message, bytes, log_limits);
    Ok(())
}
