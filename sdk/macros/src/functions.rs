//! `filter`, `detect`, `transform`, `codec`, `aggregate`: an author's function or impl, and beside it what makes it the crate's plugin.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, FnArg, ImplItem, ImplItemFn, ItemFn, ItemImpl, Result, ReturnType, Signature, Type, TypeReference};

pub(crate) fn filter(item: TokenStream) -> Result<TokenStream> {
    let function: ItemFn = syn::parse2(item)?;
    let Arguments { record, state, params } = arguments(&function.sig)?;
    if let Some(state) = state {
        return Err(Error::new_spanned(state, "a filter of one function has no state: implement tidegate::Filter"));
    }
    let (name, outcome) = (&function.sig.ident, output(&function.sig));
    let pass = params.is_some().then(|| quote!(params));
    let params = params.unwrap_or_else(unit);
    let known = known();
    Ok(quote! {
        #function

        #known

        const _: () = {
            struct Function;
            impl ::tidegate::functions::FilterFn for Function {
                type Record = #record;
                type Params = #params;
                type Outcome = #outcome;
                #[inline(always)]
                fn keep(record: &#record, params: &#params) -> #outcome {
                    let _ = params;
                    #name(record, #pass)
                }
            }
            ::tidegate::export!(@ ::tidegate::functions::FilterOf<Function>, false, [filter]);
        };
    })
}

pub(crate) fn detect(item: TokenStream) -> Result<TokenStream> {
    of_device(item, [quote!(detect), quote!(DetectFn), quote!(DetectOf), quote!(score), quote!(Outcome)])
}

pub(crate) fn transform(item: TokenStream) -> Result<TokenStream> {
    of_device(item, [quote!(transform), quote!(TransformFn), quote!(TransformOf), quote!(apply), quote!(Made)])
}

/// A function of a record, its device's state and parameters: the kind, the trait, the plugin made of it, the trait's
/// function and its result.
fn of_device(item: TokenStream, [kind, of, plugin, call, made]: [TokenStream; 5]) -> Result<TokenStream> {
    let function: ItemFn = syn::parse2(item)?;
    let Arguments { record, state, params } = arguments(&function.sig)?;
    let (name, output) = (&function.sig.ident, output(&function.sig));
    let slots = state.is_some();
    let kind = if slots { quote!(#kind state) } else { kind };
    let pass_state = state.is_some().then(|| quote!(state,));
    let pass_params = params.is_some().then(|| quote!(params));
    let (state, params) = (state.unwrap_or_else(unit), params.unwrap_or_else(unit));
    let known = known();
    Ok(quote! {
        #function

        #known

        const _: () = {
            struct Function;
            impl ::tidegate::functions::#of for Function {
                type Record = #record;
                type State = #state;
                type Params = #params;
                type #made = #output;
                #[inline(always)]
                fn #call(record: &#record, state: &mut #state, params: &#params) -> #output {
                    let _ = (&state, params);
                    #name(record, #pass_state #pass_params)
                }
            }
            ::tidegate::export!(@ ::tidegate::functions::#plugin<Function>, #slots, [#kind]);
        };
    })
}

pub(crate) fn codec(item: TokenStream) -> Result<TokenStream> {
    let function: ItemFn = syn::parse2(item)?;
    let Arguments { record, state, params } = arguments(&function.sig)?;
    if let Some(state) = state {
        return Err(Error::new_spanned(state, "a codec has no state: what needs it is a transform behind it"));
    }
    let (name, made) = (&function.sig.ident, output(&function.sig));
    let pass = params.is_some().then(|| quote!(params));
    let params = params.unwrap_or_else(unit);
    let known = known();
    Ok(quote! {
        #function

        #known

        const _: () = {
            struct Function;
            impl ::tidegate::functions::CodecFn for Function {
                type Params = #params;
                type Made = #made;
                fn decode(frame: &::tidegate::Frame, params: &#params) -> #made {
                    let _ = params;
                    let frame: &#record = frame;
                    #name(frame, #pass)
                }
            }
            ::tidegate::export!(@ ::tidegate::functions::CodecOf<Function>, false, [codec]);
        };
    })
}

pub(crate) fn aggregate(item: TokenStream) -> Result<TokenStream> {
    let implementation: ItemImpl = syn::parse2(item)?;
    let state = &implementation.self_ty;
    let find = |name: &str| -> Result<&ImplItemFn> {
        let mut functions = implementation.items.iter().filter_map(|item| match item {
            ImplItem::Fn(function) => Some(function),
            _ => None,
        });
        let missing = || Error::new_spanned(state, format!("an aggregate needs fn {name}"));
        functions.find(|function| function.sig.ident == name).ok_or_else(missing)
    };
    let (update, merge, finish) = (find("update")?, find("merge")?, find("finish")?);
    let Arguments { record, params: update_params, .. } = arguments(&update.sig)?;
    let takes = |function: &ImplItemFn| function.sig.inputs.len();
    let (outcome, result) = (output(&update.sig), output(&finish.sig));
    let pass = |given: bool| given.then(|| quote!(params));
    let pass_update = pass(update_params.is_some());
    let pass_merge = pass(takes(merge) > 2);
    let by_value = |arg: &FnArg| matches!(arg, FnArg::Typed(arg) if !matches!(*arg.ty, Type::Reference(_)));
    let windowed = finish.sig.inputs.iter().any(by_value);
    let pass_window = windowed.then(|| quote!(window,));
    let pass_finish = pass(takes(finish) > 1 + usize::from(windowed));
    let params = update_params.or_else(|| last_reference(&finish.sig)).unwrap_or_else(unit);
    let known = known();
    Ok(quote! {
        #implementation

        #known

        const _: () = {
            use ::tidegate::functions::{AggregateFn, AggregateOf};
            impl AggregateFn for #state {
                type Record = #record;
                type Params = #params;
                type Output = #result;
                type Outcome = #outcome;
                #[inline(always)]
                fn update(&mut self, record: &#record, params: &#params) -> #outcome {
                    let _ = params;
                    <#state>::update(self, record, #pass_update)
                }
                fn merge(&mut self, later: &Self, params: &#params) {
                    let _ = params;
                    <#state>::merge(self, later, #pass_merge)
                }
                fn finish(&self, window: ::tidegate::Window, params: &#params) -> #result {
                    let _ = (window, params);
                    <#state>::finish(self, #pass_window #pass_finish)
                }
            }
            ::tidegate::export!(@ AggregateOf<#state>, true, [aggregate state]);
        };
    })
}

/// What native tests know the crate's plugin by; a second one in the same place is an error that names it.
fn known() -> TokenStream {
    quote! {
        #[doc(hidden)]
        #[allow(dead_code)]
        pub(crate) struct ThePluginOfThisCrate;
    }
}

/// What a function takes: `&Record`, maybe `&mut State`, maybe `&Params`.
struct Arguments {
    record: Type,
    state: Option<Type>,
    params: Option<Type>,
}

fn arguments(signature: &Signature) -> Result<Arguments> {
    let (mut record, mut state, mut params) = (None, None, None);
    for argument in &signature.inputs {
        let FnArg::Typed(argument) = argument else { continue };
        let Type::Reference(TypeReference { mutability, elem, .. }) = &*argument.ty else {
            return Err(Error::new_spanned(&argument.ty, "expected a reference"));
        };
        let place = match (mutability, &record) {
            (Some(_), _) => &mut state,
            (None, None) => &mut record,
            (None, Some(_)) => &mut params,
        };
        if place.replace((**elem).clone()).is_some() {
            return Err(Error::new_spanned(argument, "expected (&Record, &mut State, &Params)"));
        }
    }
    let missing = || Error::new_spanned(&signature.ident, "expected a &Record");
    Ok(Arguments { record: record.ok_or_else(missing)?, state, params })
}

fn last_reference(signature: &Signature) -> Option<Type> {
    match signature.inputs.last()? {
        FnArg::Typed(argument) => match &*argument.ty {
            Type::Reference(reference) => Some((*reference.elem).clone()),
            _ => None,
        },
        FnArg::Receiver(_) => None,
    }
}

fn output(signature: &Signature) -> TokenStream {
    match &signature.output {
        ReturnType::Default => quote!(()),
        ReturnType::Type(_, output) => quote!(#output),
    }
}

fn unit() -> Type {
    Type::Tuple(syn::TypeTuple { paren_token: Default::default(), elems: Default::default() })
}
