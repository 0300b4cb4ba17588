//! Options of fields, and what is written there.

use syn::punctuated::Punctuated;
use syn::spanned::Spanned as _;
use syn::{Error, Expr, ExprLit, ExprUnary, Field, Lit, Meta, MetaNameValue, Result, Token, UnOp};

/// What stands in `#[attribute(key = value, …)]` of a field.
pub(crate) struct Options(Vec<(String, MetaNameValue)>);

impl Options {
    /// Those of a field: they are of `known`, and each stands there once.
    pub(crate) fn of(field: &Field, attribute: &str, known: &[&str]) -> Result<Options> {
        let mut options: Vec<(String, MetaNameValue)> = Vec::new();
        for attr in field.attrs.iter().filter(|attr| attr.path().is_ident(attribute)) {
            for meta in attr.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)? {
                let name = meta.path().get_ident().map(ToString::to_string).unwrap_or_default();
                let Meta::NameValue(meta) = meta else {
                    return Err(Error::new_spanned(&meta, format!("expected a value: {name} = …")));
                };
                if !known.contains(&name.as_str()) {
                    let message = format!("{name} is none of {}: #[{attribute}({} = …)]", known.join(", "), known[0]);
                    return Err(Error::new_spanned(&meta.path, message));
                }
                if options.iter().any(|(other, _)| *other == name) {
                    return Err(Error::new_spanned(&meta.path, format!("{name} stands there twice: take one away")));
                }
                options.push((name, meta));
            }
        }
        Ok(Options(options))
    }

    /// An option's value.
    pub(crate) fn value(&self, key: &str) -> Option<&Expr> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, meta)| &meta.value)
    }

    /// The value of an option that is a text.
    pub(crate) fn text(&self, key: &str) -> Result<Option<String>> {
        match self.value(key) {
            None => Ok(None),
            Some(Expr::Lit(ExprLit { lit: Lit::Str(text), .. })) => Ok(Some(text.value())),
            Some(other) => Err(Error::new_spanned(other, format!("expected a text: {key} = \"…\""))),
        }
    }

    /// Refuses options that would have no effect here; `why` goes on after their name.
    pub(crate) fn without(&self, keys: &[&str], why: &str) -> Result<()> {
        match self.0.iter().find(|(name, _)| keys.contains(&name.as_str())) {
            Some((name, meta)) => Err(Error::new_spanned(&meta.path, format!("{name} {why}"))),
            None => Ok(()),
        }
    }
}

/// A literal as JSON has it: Rust's may have underscores, a base, a type and nothing after the point.
pub(crate) fn json(value: &Expr) -> Result<String> {
    match value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Ok(quoted(&text.value())),
        Expr::Lit(ExprLit { lit: Lit::Bool(word), .. }) => Ok(word.value.to_string()),
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => Ok(number.base10_digits().into()),
        Expr::Lit(ExprLit { lit: Lit::Float(number), .. }) => Ok(match number.base10_digits() {
            digits if digits.ends_with('.') => format!("{digits}0"),
            digits => digits.into(),
        }),
        Expr::Unary(ExprUnary { op: UnOp::Neg(_), expr, .. }) if !matches!(**expr, Expr::Unary(_)) => {
            Ok(format!("-{}", json(expr)?))
        }
        other => Err(Error::new(other.span(), "expected a number, a text, true or false, written out")),
    }
}

fn quoted(text: &str) -> String {
    let one = |char: char| match char {
        '"' | '\\' => format!("\\{char}"),
        '\0'..'\u{20}' => format!("\\u{:04x}", u32::from(char)),
        other => other.to_string(),
    };
    format!("\"{}\"", text.chars().map(one).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(written: &str, expected: &str) {
        let expr = syn::parse_str(written).expect("an expression");
        assert_eq!(json(&expr).map_err(|error| error.to_string()), Ok(expected.to_string()), "{written}");
    }

    #[test]
    fn a_default_of_rust_is_one_of_json() {
        check("1_000", "1000");
        check("-0x10_i64", "-16");
        check("1_000.5f64", "1000.5");
        check("-3.", "-3.0");
        check("1e3", "1e3");
        check("true", "true");
        check("\"a\\\"b\\\\\\n\\u{e9}\"", "\"a\\\"b\\\\\\u000aé\"");
        let none: Expr = syn::parse_str("LIMIT + 1").expect("an expression");
        assert!(json(&none).is_err());
    }
}
