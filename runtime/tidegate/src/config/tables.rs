//! `[tables.NAME]`: files that plugins look things up in.

use super::section::Section;
use super::streams;
use super::units::Size;
use std::path::{Path, PathBuf};
use tidegate_record::Field;

const FORMATS: [&str; 3] = ["csv", "json", "sqlite"];
const MAX_BYTES: Size = Size::mib(16);
const MAX_ROWS: usize = 100_000;

/// A table as configured; its file is not read yet.
#[derive(Debug, Clone)]
pub struct TableConfig {
    /// Its name.
    pub name: String,
    /// The file.
    pub file: PathBuf,
    /// What the file is.
    pub format: TableFormat,
    /// The column whose values are looked up.
    pub key: String,
    /// Columns whose type or unit is declared; the others' are seen from their values.
    pub fields: Vec<Field>,
    /// Most bytes of the file, or of what a query gives.
    pub max_bytes: u64,
    /// Most rows.
    pub max_rows: usize,
}

/// What a table's file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableFormat {
    /// Comma-separated values, the first line of which names the columns.
    Csv,
    /// A list of objects.
    Json,
    /// A SQLite database, and the query that gives the rows.
    Sqlite(String),
}

/// The tables in the order of the file.
pub(super) fn read(root: &mut Section<'_>) -> Vec<TableConfig> {
    root.named("tables", |name, section| {
        let file = section.needed_text("file");
        let format = format(section, &file);
        TableConfig {
            name: name.into(),
            file: section.context.resolve(&file),
            format,
            key: section.needed_text("key"),
            fields: fields(section),
            max_bytes: section.within("max_bytes", MAX_BYTES, Size::kib(1)..=Size::gib(1)).0,
            max_rows: section.within("max_rows", MAX_ROWS, 1..=10_000_000),
        }
    })
}

fn format(section: &mut Section<'_>, file: &str) -> TableFormat {
    let given = section.text("format");
    let word = given.clone().or_else(|| by_extension(file).map(str::to_string));
    let (table, query) = (section.text("table"), section.text("query"));
    let format = match word.as_deref() {
        Some("csv") => TableFormat::Csv,
        Some("json") => TableFormat::Json,
        Some("sqlite") => return TableFormat::Sqlite(sql(section, table, query)),
        Some(other) => {
            section.problem("format", format!("{other:?} is none of {}", FORMATS.join(", ")));
            return TableFormat::Csv;
        }
        None if file.is_empty() => return TableFormat::Csv,
        None => {
            let message =
                format!("{file:?} ends with none of .csv, .json, .db and .sqlite: say what it is with format");
            section.problem("file", message);
            return TableFormat::Csv;
        }
    };
    section.not_here(&["table", "query"], "only a SQLite database has tables and queries");
    format
}

fn by_extension(file: &str) -> Option<&'static str> {
    match Path::new(file).extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "csv" => Some("csv"),
        "json" => Some("json"),
        "db" | "db3" | "sqlite" | "sqlite3" => Some("sqlite"),
        _ => None,
    }
}

fn sql(section: &mut Section<'_>, table: Option<String>, query: Option<String>) -> String {
    match (table, query) {
        (Some(table), None) => format!("SELECT * FROM \"{}\"", table.replace('"', "\"\"")),
        (None, Some(query)) => query,
        _ => {
            let path = section.path.clone();
            section.context.problem_at(&path, "a SQLite database needs one of table and query");
            String::new()
        }
    }
}

fn fields(section: &mut Section<'_>) -> Vec<Field> {
    section.entries("fields").iter().filter_map(|(name, value)| streams::field(name, value)).collect()
}
