//! `Record`, `Emits`, `Params`.

use crate::options::{Options, json};
use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned as _;
use syn::{Data, DeriveInput, Error, Expr, ExprLit, Field, Fields, Lit, Meta, Result};

pub(crate) fn record(input: TokenStream) -> Result<TokenStream> {
    let input: DeriveInput = syn::parse2(input)?;
    let name = &input.ident;
    let fields = named(&input)?;
    let (mut plain, mut help, mut looked) = (Vec::new(), Vec::new(), Vec::new());
    for field in fields {
        let options = Options::of(field, "record", &["name", "unit", "table", "key"])?;
        match options.text("table")? {
            Some(table) => {
                options.without(&["name", "unit"], "is of a field of the records: this one is a row of a table")?;
                looked.push(LookedField { field, table, key: key(&options)? });
            }
            None => {
                options.without(&["key"], "looks a row of a table up: name the table beside it, table = \"…\"")?;
                let (unit, doc) = (options.text("unit")?.unwrap_or_default(), doc(field));
                help.push(quote!((#unit, #doc)));
                plain.push((field, options.text("name")?.unwrap_or_else(|| quote_name(&field.ident))));
            }
        }
    }
    let at = (0..plain.len()).map(syn::Index::from).collect::<Vec<_>>();
    // What is wrong with a field's type is told where it stands.
    let cell = |field: &Field, what: TokenStream| {
        let ty = &field.ty;
        quote_spanned!(ty.span()=> <#ty as ::tidegate::Cell>::#what)
    };
    let of_cells = |what: TokenStream| plain.iter().map(|(field, _)| cell(field, what.clone())).collect::<Vec<_>>();
    let (scalars, nulls) = (of_cells(quote!(SCALAR)), of_cells(quote!(NULLS)));
    let (sources, finds, reads) = (of_cells(quote!(Source<'a>)), of_cells(quote!(source)), of_cells(quote!(read)));
    let idents = plain.iter().map(|(field, _)| &field.ident);
    let names = plain.iter().map(|(_, name)| name);
    let lookups = lookups(&plain, &looked)?;
    // Every record has a device: where it is looked up and is no field, it is read all the same.
    let device = lookups.reads_device.then(|| quote!(("device", Scalar::Text, true),));
    let Lookups { described, opened, .. } = lookups;
    let rows = looked.iter().map(LookedField::row).collect::<Vec<_>>();
    let of_looked = looked.iter().map(|LookedField { field, .. }| {
        let ty = &field.ty;
        quote_spanned!(ty.span()=> <#ty as ::tidegate::lookup::Looked>::read)
    });
    let looked_idents = looked.iter().map(|looked| &looked.field.ident);
    let found = (0..looked.len()).collect::<Vec<_>>();
    let place = (plain.len()..plain.len() + looked.len()).map(syn::Index::from).collect::<Vec<_>>();
    Ok(quote! {
        const _: () = {
            use ::tidegate::{Column, Record, Scalar, lookup};
            impl Record for #name {
                const FIELDS: &'static [(&'static str, Scalar, bool)] = &[#((#names, #scalars, #nulls),)* #device];
                const HELP: &'static [(&'static str, &'static str)] = &[#(#help),*];
                #described
                type Columns<'a> = (
                    #(#sources,)*
                    #((<#rows as Record>::Columns<'a>, ::std::option::Option<&'a [u8]>),)*
                );

                fn columns<'a>(columns: &'a [Column], found: &'a [lookup::Found]) -> Self::Columns<'a> {
                    (
                        #(#finds(&columns[#at]),)*
                        #((<#rows as Record>::columns(&found[#found].columns, &[]), found[#found].hits.as_deref()),)*
                    )
                }

                #[inline(always)]
                fn read(columns: &Self::Columns<'_>, row: usize) -> Self {
                    #name {
                        #(#idents: #reads(&columns.#at, row),)*
                        #(#looked_idents: #of_looked(&columns.#place.0, columns.#place.1, row),)*
                    }
                }

                #opened
            }
        };
    })
}

/// A field that is a row of a table.
struct LookedField<'f> {
    field: &'f Field,
    table: String,
    /// The field that is looked up, and where it is named.
    key: Option<(String, Expr)>,
}

impl LookedField<'_> {
    /// The type of a row, without an option around it.
    fn row(&self) -> TokenStream {
        let ty = &self.field.ty;
        quote_spanned!(ty.span()=> <#ty as ::tidegate::lookup::Looked>::Row)
    }
}

fn key(options: &Options) -> Result<Option<(String, Expr)>> {
    Ok(options.text("key")?.zip(options.value("key").cloned()))
}

/// What a record with rows of tables has beyond one without.
struct Lookups {
    described: TokenStream,
    opened: TokenStream,
    reads_device: bool,
}

fn lookups(plain: &[(&Field, String)], looked: &[LookedField<'_>]) -> Result<Lookups> {
    let mut described = Vec::new();
    let mut reads_device = false;
    for looked in looked {
        let (LookedField { field, table, key }, row) = (looked, looked.row());
        let (key, named) = key.as_ref().map_or(("device", None), |(name, expr)| (name.as_str(), Some(expr)));
        let place = plain.iter().position(|(_, name)| name == key);
        if place.is_none() && key != "device" {
            let message = format!(
                "the struct has no field {key:?} to look up: the key is a field beside this one, or the device"
            );
            return Err(Error::new_spanned(named, message));
        }
        reads_device |= place.is_none();
        let (place, ty) = (place.unwrap_or(plain.len()), &field.ty);
        let needed = quote_spanned!(ty.span()=> <#ty as ::tidegate::lookup::Looked>::NEEDED);
        described.push(quote! {
            lookup::Lookup {
                table: #table,
                key: #place,
                needed: #needed,
                fields: {
                    type Row = #row;
                    assert!(<Row as Record>::LOOKUPS.is_empty(), "a row of a table cannot have rows of tables itself");
                    <Row as Record>::FIELDS
                },
            }
        });
    }
    if looked.is_empty() {
        return Ok(Lookups { described: quote!(), opened: quote!(), reads_device });
    }
    Ok(Lookups {
        described: quote!(const LOOKUPS: &'static [lookup::Lookup] = &[#(#described),*];),
        opened: quote! {
            fn open() -> ::std::result::Result<::std::vec::Vec<lookup::Table>, ::std::vec::Vec<::tidegate::Issue>> {
                lookup::open(Self::LOOKUPS, Self::FIELDS)
            }

            fn find(tables: &[lookup::Table], columns: &[Column]) -> ::std::vec::Vec<lookup::Found> {
                lookup::find(Self::LOOKUPS, tables, columns)
            }
        },
        reads_device,
    })
}

pub(crate) fn emits(input: TokenStream) -> Result<TokenStream> {
    let input: DeriveInput = syn::parse2(input)?;
    let name = &input.ident;
    let (mut descriptions, mut help) = (Vec::new(), Vec::new());
    let mut pushes = Vec::new();
    for (at, field) in named(&input)?.iter().enumerate() {
        let (ident, ty) = (&field.ident, &field.ty);
        let options = Options::of(field, "record", &["name", "unit"])?;
        let field_name = options.text("name")?.unwrap_or_else(|| quote_name(ident));
        let unit = options.text("unit")?.unwrap_or_default();
        let scalar = quote_spanned!(ty.span()=> <#ty as ::tidegate::Value>::SCALAR);
        let push = quote_spanned!(ty.span()=> <#ty as ::tidegate::Value>::push);
        help.push(doc(field));
        descriptions.push(quote! {
            Field { name: #field_name.into(), scalar: #scalar, unit: #unit.into() }
        });
        pushes.push(quote! { #push(self.#ident, &mut columns[#at]); });
    }
    Ok(quote! {
        const _: () = {
            use ::tidegate::{Column, Emits, Field};
            impl Emits for #name {
                fn fields() -> ::std::vec::Vec<Field> {
                    ::std::vec![#(#descriptions),*]
                }
                fn help() -> ::std::vec::Vec<&'static str> {
                    ::std::vec![#(#help),*]
                }
                fn emit(self, columns: &mut [Column]) {
                    #(#pushes)*
                }
            }
        };
    })
}

pub(crate) fn params(input: TokenStream) -> Result<TokenStream> {
    let input: DeriveInput = syn::parse2(input)?;
    let name = &input.ident;
    let (mut schema, mut reads, mut idents) = (Vec::new(), Vec::new(), Vec::new());
    for field in named(&input)?.iter() {
        let (ident, ty) = (&field.ident, &field.ty);
        let (field_name, description) = (quote_name(ident), doc(field));
        let options = Options::of(field, "param", &["default", "unit"])?;
        let unit = options.text("unit")?.unwrap_or_default();
        let default = options.value("default");
        let json = default.map(json).transpose()?.unwrap_or_default();
        let value = match default {
            None => quote!(::std::option::Option::None),
            Some(Expr::Lit(ExprLit { lit: Lit::Str(text), .. })) => quote!(::std::option::Option::Some(#text.into())),
            Some(value) => quote!(::std::option::Option::Some(#value)),
        };
        let local = format_ident!("field_{}", field_name);
        // The schema asks first whether the type may be one of a parameter.
        schema.push(quote_spanned! {ty.span()=> .param::<#ty>(#field_name, #description, #unit, #json) });
        reads.push(quote_spanned! {ty.span()=> let #local = reader.take::<#ty>(#field_name, #value); });
        idents.push(quote! { #ident: #local? });
    }
    Ok(quote! {
        const _: () = {
            use ::tidegate::{Params, ParamsReader, Schema};
            impl Params for #name {
                fn schema() -> Schema {
                    Schema::default() #(#schema)*
                }
                fn read(reader: &mut ParamsReader) -> ::std::option::Option<Self> {
                    #(#reads)*
                    ::std::option::Option::Some(#name { #(#idents),* })
                }
            }
        };
    })
}

fn named(input: &DeriveInput) -> Result<&Punctuated<Field, syn::Token![,]>> {
    let shape = "expected a struct with named fields, such as struct Climate { temp: f64 }";
    if let Some(generic) = input.generics.params.first() {
        return Err(Error::new_spanned(generic, format!("the gateway knows no generics: {shape}")));
    }
    match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => Ok(&fields.named),
            _ => Err(Error::new_spanned(&input.ident, shape)),
        },
        _ => Err(Error::new_spanned(&input.ident, shape)),
    }
}

fn quote_name(ident: &Option<syn::Ident>) -> String {
    ident.as_ref().map(|ident| ident.to_string().trim_start_matches("r#").to_string()).unwrap_or_default()
}

/// A field's doc comment, in one line.
fn doc(field: &Field) -> String {
    let lines = field.attrs.iter().filter(|attr| attr.path().is_ident("doc")).filter_map(|attr| match &attr.meta {
        Meta::NameValue(meta) => match &meta.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value().trim().to_string()),
            _ => None,
        },
        _ => None,
    });
    lines.collect::<Vec<_>>().join(" ")
}
