//! Attribute and derive macros of the Tidegate plugin SDK, which re-exports and documents them.

mod derive;
mod functions;
mod options;

use proc_macro::TokenStream;

/// Reads rows into a struct with named fields: `f64`, `i64`, `bool`, `String`, `Vec<u8>`, or an `Option` of these.
/// `#[record(name = "rel-hum")]` on a field names the stream's field where Rust cannot.
#[proc_macro_derive(Record, attributes(record))]
pub fn record(input: TokenStream) -> TokenStream {
    finish(derive::record(input.into()))
}

/// Emits a struct with named fields as the result of a window, or as a record made by a transform or codec: `f64`, `i64`, `bool`, `String`, or an `Option` of these.
/// `#[record(name = "…", unit = "Cel")]` names the field and its unit.
#[proc_macro_derive(Emits, attributes(record))]
pub fn emits(input: TokenStream) -> TokenStream {
    finish(derive::emits(input.into()))
}

/// Reads parameters into a struct with named fields: `f64`, `i64`, `u32`, `bool`, `String`, `Vec` or `Option` of
/// these. Doc comments become descriptions; `#[param(default = 4.0, unit = "Cel")]`
/// gives a default and a unit (UCUM), which gateways show.
#[proc_macro_derive(Params, attributes(param))]
pub fn params(input: TokenStream) -> TokenStream {
    finish(derive::params(input.into()))
}

/// Makes a function the crate's plugin: `fn(&Record, &mut State, &Params) -> bool`, of which state and parameters may be
/// left out. It may also give a `Result<bool, E>`, whose error sets the record aside. The function itself stays as it is.
#[proc_macro_attribute]
pub fn filter(_: TokenStream, item: TokenStream) -> TokenStream {
    finish(functions::filter(item.into()))
}

/// Makes a function the crate's plugin: `fn(&Record, &mut State, &Params) -> Option<Finding>`, of which state and
/// parameters may be left out. It may also give a `Result` of that, whose error sets the record aside.
#[proc_macro_attribute]
pub fn detect(_: TokenStream, item: TokenStream) -> TokenStream {
    finish(functions::detect(item.into()))
}

/// Makes an `impl` of a state the crate's plugin: `update(&mut self, &Record)`, `merge(&mut self, &Self)` and
/// `finish(&self) -> Output`, each of which may take `&Params` last; `finish` may take a `Window` before that.
#[proc_macro_attribute]
pub fn aggregate(_: TokenStream, item: TokenStream) -> TokenStream {
    finish(functions::aggregate(item.into()))
}

/// Makes a function the crate's plugin: `fn(&Record, &mut State, &Params) -> Made`, of which state and parameters may be
/// left out. `Made` derives `Emits`; or it is an `Option` (none: the record is dropped), a `Vec`, or a `Result` of these,
/// whose error sets the record aside.
#[proc_macro_attribute]
pub fn transform(_: TokenStream, item: TokenStream) -> TokenStream {
    finish(functions::transform(item.into()))
}

/// Makes a function the crate's plugin: `fn(&Frame) -> Made` or `fn(&Frame, &Params) -> Made`, with `Made` as for a
/// transform. Its fields `device: String` and `time: i64` become the record's own.
#[proc_macro_attribute]
pub fn codec(_: TokenStream, item: TokenStream) -> TokenStream {
    finish(functions::codec(item.into()))
}

fn finish(expanded: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    expanded.unwrap_or_else(syn::Error::into_compile_error).into()
}
