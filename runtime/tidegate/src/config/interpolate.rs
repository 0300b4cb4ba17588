//! `${VAR}` and `${VAR:-default}` in texts.

/// `text` with its variables replaced. What a variable holds is not expanded again, and never part of an error.
pub(super) fn expand(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        out.push_str(&rest[..start]);
        let Some(length) = rest[start..].find('}') else {
            return Err(format!("\"${{\" without its \"}}\" in {text:?}"));
        };
        let inside = &rest[start + 2..start + length];
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        if !valid(name) {
            return Err(format!("{name:?} is no name of an environment variable"));
        }
        // As in a shell, an empty variable takes the default of `:-`.
        match (variable(name).filter(|value| default.is_none() || !value.is_empty()), default) {
            (Some(value), _) => out.push_str(&value),
            (None, Some(default)) => out.push_str(default),
            (None, None) => {
                return Err(format!("environment variable {name} is not set: set it, or write ${{{name}:-default}}"));
            }
        }
        rest = &rest[start + length + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

fn valid(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !name.as_bytes()[0].is_ascii_digit()
}

#[cfg(test)]
mod tests {
    use super::expand;

    #[test]
    fn variables_are_replaced_once() {
        let env = |name: &str| match name {
            "A" => Some("one".to_string()),
            "B" => Some("${A}".to_string()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let cases = [
            ("plain", Ok("plain")),
            ("x${A}y${B}", Ok("xoney${A}")),
            ("${NONE:-two}", Ok("two")),
            ("${NONE:-}", Ok("")),
            ("${EMPTY:-three}|${EMPTY}", Ok("three|")),
            ("$A {A}", Ok("$A {A}")),
            ("${NONE}", Err("environment variable NONE is not set: set it, or write ${NONE:-default}")),
            ("${A", Err("\"${\" without its \"}\" in \"${A\"")),
            ("${}", Err("\"\" is no name of an environment variable")),
        ];
        for (text, expected) in cases {
            let expected = expected.map(str::to_string).map_err(str::to_string);
            assert_eq!(expand(text, &env), expected, "{text}");
        }
    }
}
