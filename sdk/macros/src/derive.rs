//! `Record`, `Emits`, `Params`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Data, DeriveInput, Error, Expr, ExprLit, Field, Fields, Lit, Meta, Result, punctuated::Punctuated};

pub(crate) fn record(input: TokenStream) -> Result<TokenStream> {
    let input: DeriveInput = syn::parse2(input)?;
    let name = &input.ident;
    let fields = named(&input)?;
    let types: Vec<_> = fields.iter().map(|field| &field.ty).collect();
    let idents: Vec<_> = fields.iter().map(|field| &field.ident).collect();
    let names = fields.iter().map(|field| text(field, "record", "name")).collect::<Result<Vec<_>>>()?;
    let names = names.into_iter().zip(&idents).map(|(name, ident)| name.unwrap_or_else(|| quote_name(ident)));
    let at: Vec<_> = (0..types.len()).map(syn::Index::from).collect();
    Ok(quote! {
        const _: () = {
            use ::tidegate::{Cell, Column, Record, Scalar};
            impl Record for #name {
                const FIELDS: &'static [(&'static str, Scalar, bool)] =
                    &[#((#names, <#types as Cell>::SCALAR, <#types as Cell>::NULLS)),*];
                type Columns<'a> = (#(<#types as Cell>::Source<'a>,)*);

                fn columns(columns: &[Column]) -> Self::Columns<'_> {
                    (#(<#types as Cell>::source(&columns[#at]),)*)
                }

                #[inline(always)]
                fn read(columns: &Self::Columns<'_>, row: usize) -> Self {
                    #name { #(#idents: <#types as Cell>::read(&columns.#at, row)),* }
                }
            }
        };
    })
}

pub(crate) fn emits(input: TokenStream) -> Result<TokenStream> {
    let input: DeriveInput = syn::parse2(input)?;
    let name = &input.ident;
    let mut descriptions = Vec::new();
    let mut pushes = Vec::new();
    for (at, field) in named(&input)?.iter().enumerate() {
        let (ident, ty) = (&field.ident, &field.ty);
        let field_name = text(field, "record", "name")?.unwrap_or_else(|| quote_name(ident));
        let unit = text(field, "record", "unit")?.unwrap_or_default();
        descriptions.push(quote! {
            Field { name: #field_name.into(), scalar: <#ty as Value>::SCALAR, unit: #unit.into() }
        });
        pushes.push(quote! { <#ty as Value>::push(self.#ident, &mut columns[#at]); });
    }
    Ok(quote! {
        const _: () = {
            use ::tidegate::{Column, Emits, Field, Value};
            impl Emits for #name {
                fn fields() -> ::std::vec::Vec<Field> {
                    ::std::vec![#(#descriptions),*]
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
        let default = attribute(field, "param", "default")?;
        let unit = text(field, "param", "unit")?.unwrap_or_default();
        let (json, value) = match &default {
            None => (String::new(), quote!(::std::option::Option::None)),
            Some(Expr::Lit(ExprLit { lit: Lit::Str(text), .. })) => {
                (format!("{:?}", text.value()), quote!(::std::option::Option::Some(#text.into())))
            }
            Some(value) => (quote!(#value).to_string().replace(' ', ""), quote!(::std::option::Option::Some(#value))),
        };
        let local = format_ident!("field_{}", field_name);
        schema.push(quote! { .param::<#ty>(#field_name, #description, #unit, #json) });
        reads.push(quote! { let #local = reader.take::<#ty>(#field_name, #value); });
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
    match &input.data {
        Data::Struct(data) if input.generics.params.is_empty() => match &data.fields {
            Fields::Named(fields) => Ok(&fields.named),
            _ => Err(Error::new_spanned(&input.ident, "needs named fields")),
        },
        _ => Err(Error::new_spanned(&input.ident, "needs a struct without generics")),
    }
}

fn quote_name(ident: &Option<syn::Ident>) -> String {
    ident.as_ref().map(|ident| ident.to_string().trim_start_matches("r#").to_string()).unwrap_or_default()
}

/// `#[attribute(key = "text")]` of a field.
fn text(field: &Field, attribute_name: &str, key: &str) -> Result<Option<String>> {
    match attribute(field, attribute_name, key)? {
        None => Ok(None),
        Some(Expr::Lit(ExprLit { lit: Lit::Str(text), .. })) => Ok(Some(text.value())),
        Some(other) => Err(Error::new_spanned(other, "expected a text")),
    }
}

/// `#[attribute(key = value)]` of a field.
fn attribute(field: &Field, attribute: &str, key: &str) -> Result<Option<Expr>> {
    let mut found = None;
    for attr in field.attrs.iter().filter(|attr| attr.path().is_ident(attribute)) {
        for meta in attr.parse_args_with(Punctuated::<Meta, syn::Token![,]>::parse_terminated)? {
            let meta = meta.require_name_value()?.clone();
            match meta.path.get_ident().map(ToString::to_string).as_deref() {
                Some(name) if name == key => found = Some(meta.value),
                Some("name" | "unit") if attribute == "record" => {}
                Some("default" | "unit") if attribute == "param" => {}
                _ => return Err(Error::new_spanned(meta.path, format!("unknown, expected {key}"))),
            }
        }
    }
    Ok(found)
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
