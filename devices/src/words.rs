//! What libraries name in camel case, for sentences.

/// `NotAuthorized` → `not authorized`.
pub(crate) fn words(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push(' ');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}
