//! `filter`, `detect`, `transform`, `codec`, `aggregate`: an author's function or impl, and beside it what makes it the crate's plugin.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{
    Error, FnArg, ImplItem, ImplItemFn, ItemFn, ItemImpl, Result, ReturnType, Signature, Type, TypeReference,
    spanned::Spanned,
};

/// What each attribute stands on, as an author writes it.
const FILTER: &str = "fn(&Record, &mut State, &Params) -> bool, where state and parameters may be left out";
const DETECT: &str = "fn(&Record, &mut State, &Params) -> Option<Finding>, where state and parameters may be left out";
const TRANSFORM: &str = "fn(&Record, &mut State, &Params) -> Made, where state and parameters may be left out";
const CODEC: &str = "fn(&Frame) -> Made or fn(&Frame, &Params) -> Made";
const AGGREGATE: &str =
    "impl State { fn update(&mut self, &Record), fn merge(&mut self, &State), fn finish(&self) -> Output }";

pub(crate) fn filter(item: TokenStream) -> Result<TokenStream> {
    of_device(item, FILTER, [quote!(filter), quote!(FilterFn), quote!(FilterOf), quote!(keep), quote!(Outcome)])
}

pub(crate) fn detect(item: TokenStream) -> Result<TokenStream> {
    of_device(item, DETECT, [quote!(detect), quote!(DetectFn), quote!(DetectOf), quote!(score), quote!(Outcome)])
}

pub(crate) fn transform(item: TokenStream) -> Result<TokenStream> {
    of_device(
        item,
        TRANSFORM,
        [quote!(transform), quote!(TransformFn), quote!(TransformOf), quote!(apply), quote!(Made)],
    )
}

/// A function of a record, its device's state and parameters: the kind, the trait, the plugin made of it, the trait's
/// function and its result.
fn of_device(item: TokenStream, shape: &str, [kind, of, plugin, call, made]: [TokenStream; 5]) -> Result<TokenStream> {
    let function = function(item, shape)?;
    let Arguments { record, state, params } = arguments(&function.sig, shape)?;
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
    let function = function(item, CODEC)?;
    let Arguments { record, state, params } = arguments(&function.sig, CODEC)?;
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
    let span = item.span();
    let implementation: ItemImpl =
        syn::parse2(item).map_err(|_| Error::new(span, format!("an aggregate is {AGGREGATE}")))?;
    if let Some((_, of, _)) = &implementation.trait_ {
        return Err(Error::new_spanned(of, format!("an aggregate is an impl of its own: {AGGREGATE}")));
    }
    let state = &implementation.self_ty;
    let find = |name: &str| -> Result<&ImplItemFn> {
        let mut functions = implementation.items.iter().filter_map(|item| match item {
            ImplItem::Fn(function) => Some(function),
            _ => None,
        });
        let missing = || Error::new_spanned(state, format!("fn {name} is missing: an aggregate is {AGGREGATE}"));
        functions.find(|function| function.sig.ident == name).ok_or_else(missing)
    };
    let (update, merge, finish) = (find("update")?, find("merge")?, find("finish")?);
    let Arguments { record, params: update_params, .. } =
        arguments(&update.sig, "update(&mut self, &Record) or update(&mut self, &Record, &Params)")?;
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

/// A plain function, which a host can call row by row.
fn function(item: TokenStream, shape: &str) -> Result<ItemFn> {
    let span = item.span();
    let function: ItemFn = syn::parse2(item).map_err(|_| Error::new(span, format!("expected a function: {shape}")))?;
    let signature = &function.sig;
    let refused = |what: &dyn quote::ToTokens, why: &str| Err(Error::new_spanned(what, format!("{why}: {shape}")));
    if let Some(word) = &signature.asyncness {
        return refused(word, "a plugin waits for nothing");
    }
    if let Some(generic) = signature.generics.params.iter().find(|p| !matches!(p, syn::GenericParam::Lifetime(_))) {
        return refused(generic, "the gateway knows no generic function");
    }
    if let Some(FnArg::Receiver(receiver)) = signature.inputs.first() {
        return refused(receiver, "expected a function by itself, not a method");
    }
    Ok(function)
}

fn arguments(signature: &Signature, shape: &str) -> Result<Arguments> {
    let (mut record, mut state, mut params) = (None, None, None);
    for argument in &signature.inputs {
        let FnArg::Typed(argument) = argument else { continue };
        let refused = |why: &str| Error::new_spanned(argument, format!("{why}: {shape}"));
        let Type::Reference(TypeReference { mutability, elem, .. }) = &*argument.ty else {
            let ty = &argument.ty;
            return Err(refused(&format!("expected a reference, &{}", quote!(#ty))));
        };
        let place = match (mutability, &record) {
            (Some(_), None) => return Err(refused("the record comes first, as &Record")),
            (Some(_), _) if params.is_some() => return Err(refused("the state comes before the parameters")),
            (Some(_), _) => &mut state,
            (None, None) => &mut record,
            (None, Some(_)) => &mut params,
        };
        if place.replace((**elem).clone()).is_some() {
            return Err(refused("this is one too many"));
        }
    }
    let missing = || Error::new_spanned(&signature.ident, format!("it takes no record: {shape}"));
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
