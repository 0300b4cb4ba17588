//! What a plugin begins with: the same operators in every language, and the same cases for them.

use super::Lang;
use std::borrow::Cow;
use tidegate_sandbox::Kind;

/// A file of a template and its text. `@name@` stands for the plugin's name, `@sdk@` for where the SDK is.
pub type File = (&'static str, Cow<'static, str>);

/// The contract, which lies beside every plugin that is not in Rust.
const CONTRACT: &str = include_str!("../../../../sdk/wit/tidegate.wit");

macro_rules! by_kind {
    ($kind:expr, $before:literal, $after:literal: $($word:ident)*) => {
        match $kind.word() {
            $(stringify!($word) => Some(include_str!(concat!("templates/", $before, stringify!($word), $after))),)*
            _ => None,
        }
    };
}

/// The files of a plugin; none where a language has no template of that kind.
pub fn files(lang: Lang, kind: Kind) -> Option<Vec<File>> {
    let mut files = match lang {
        Lang::Rust => rust(kind)?,
        Lang::C => vec![
            ("plugin.c", by_kind!(kind, "c/", ".c": filter detect aggregate)?.into()),
            ("tidegate.h", include_str!("templates/c/tidegate.h").into()),
        ],
        Lang::Wat => {
            let text = by_kind!(kind, "wat/", ".wat": filter detect aggregate)?;
            let text = text.replace(";; @state@\n", include_str!("templates/wat/state.wat"));
            vec![("plugin.wat", text.replace(";; @common@\n", include_str!("templates/wat/common.wat")).into())]
        }
        Lang::Js => vec![
            ("plugin.js", by_kind!(kind, "js/", ".js": filter detect aggregate)?.into()),
            ("tidegate.js", include_str!("templates/js/tidegate.js").into()),
            ("contract.d.ts", include_str!("templates/js/contract.d.ts").into()),
            ("jsconfig.json", include_str!("templates/js/jsconfig.json").into()),
            ("package.json", include_str!("templates/js/package.json").into()),
            (".gitignore", "node_modules\n".into()),
        ],
        Lang::Python => vec![
            ("plugin.py", by_kind!(kind, "python/", ".py": filter detect aggregate)?.into()),
            ("tidegate.py", include_str!("templates/python/tidegate.py").into()),
            ("requirements.txt", include_str!("templates/python/requirements.txt").into()),
            (".gitignore", ".venv\n__pycache__\n".into()),
        ],
        Lang::Go => go(kind)?,
    };
    if lang != Lang::Rust {
        files.push(("wit/world.wit", world(kind).into()));
        files.push(("wit/deps/tidegate/tidegate.wit", CONTRACT.into()));
    }
    let cases = by_kind!(kind, "", ".cases.yaml": filter transform detect aggregate codec)?;
    files.push(("cases.yaml", cases.into()));
    Some(files)
}

fn rust(kind: Kind) -> Option<Vec<File>> {
    let lib = by_kind!(kind, "rust/", ".rs.txt": filter transform detect aggregate codec)?;
    Some(vec![
        ("Cargo.toml", include_str!("templates/rust/manifest.toml.txt").into()),
        ("src/lib.rs", lib.into()),
        (".gitignore", "target\n".into()),
    ])
}

fn go(kind: Kind) -> Option<Vec<File>> {
    let mut files: Vec<File> = vec![
        ("plugin.go", by_kind!(kind, "go/", ".go": filter detect aggregate)?.into()),
        ("tidegate.go", include_str!("templates/go/tidegate.go").into()),
        ("tidegate_kind.go", by_kind!(kind, "go/tidegate_", ".go": filter detect aggregate)?.into()),
        ("go.mod", include_str!("templates/go/go.mod.txt").into()),
    ];
    if kind != Kind::Filter {
        files.push(("tidegate_state.go", include_str!("templates/go/tidegate_state.go").into()));
    }
    Some(files)
}

/// What the plugin exports.
fn world(kind: Kind) -> String {
    let kind = kind.word();
    format!(
        "package my:plugin;\n\n/// What the plugin exports, and what it imports: `include tidegate:plugin/logging@1.0.0;` \
         would be the log.\nworld plugin {{\n  include tidegate:plugin/{kind}-plugin@1.0.0;\n}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use wit_parser::{Resolve, TypeDefKind};

    /// The types of JavaScript name all that the contract has; it is closed, so they stay as they are.
    #[test]
    fn what_an_editor_completes_is_the_contract() {
        let types = include_str!("templates/js/contract.d.ts");
        let mut resolve = Resolve::default();
        resolve.push_str("tidegate.wit", CONTRACT).unwrap();
        let mut names: Vec<(String, String)> = Vec::new();
        for (_, interface) in &resolve.interfaces {
            let of = interface.name.clone().unwrap_or_default();
            names.extend(interface.functions.keys().map(|name| (of.clone(), format!("{name}("))));
            for id in interface.types.values() {
                let fields: Vec<String> = match &resolve.types[*id].kind {
                    TypeDefKind::Record(record) => record.fields.iter().map(|f| format!("{}: ", f.name)).collect(),
                    TypeDefKind::Variant(variant) => {
                        variant.cases.iter().map(|c| format!("tag: \"{}\"", c.name)).collect()
                    }
                    TypeDefKind::Enum(cases) => cases.cases.iter().map(|c| format!("\"{}\"", c.name)).collect(),
                    _ => Vec::new(),
                };
                names.extend(fields.into_iter().map(|field| (of.clone(), field)));
            }
        }
        assert!(names.len() > 60, "{names:?}");
        let missing: Vec<_> = names.iter().filter(|(_, name)| !types.contains(name.as_str())).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
