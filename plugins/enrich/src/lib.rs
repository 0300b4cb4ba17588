//! A transform that adds columns of a table of the gateway: the site of a device, the target of a room. Once a batch it looks
//! all its records up.

use tidegate::lookup::{self, differs};
use tidegate::{Batch, Column, Fault, Field, Issue, Params, Plan, Plugin, Table, Transform};

/// What to add.
#[derive(Params)]
pub struct Enrichment {
    /// The table, `[tables.NAME]` of the configuration.
    table: String,
    /// The field whose value is looked up in the table's key; `device` is the record's device.
    #[param(default = "device")]
    by: String,
    /// The table's columns to add, by their names there; left out: all but the key.
    columns: Option<Vec<String>>,
    /// What becomes of a record that has no row: keep (its columns are null), drop, or reject (to the dead letters).
    #[param(default = "keep")]
    unknown: String,
}

/// What becomes of a record without a row.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Unknown {
    Keep,
    Drop,
    Reject,
}

/// The transform.
pub struct Enrich {
    table: lookup::Table,
    columns: Vec<String>,
    unknown: Unknown,
}

impl Plugin for Enrich {
    type Params = Enrichment;

    fn configure(params: Enrichment, fields: &[Field]) -> Result<(Self, Plan), Vec<Issue>> {
        let Enrichment { table, by, columns, unknown } = params;
        let mut issues = Vec::new();
        let mut unknown_of = |word: &str| match word {
            "keep" => Unknown::Keep,
            "drop" => Unknown::Drop,
            "reject" => Unknown::Reject,
            _ => {
                issues.push(Issue::new("/unknown", format!("{word:?} is none of keep, drop and reject")));
                Unknown::Keep
            }
        };
        let unknown = unknown_of(&unknown);
        let field = fields.iter().find(|field| field.name == by);
        if field.is_none() {
            let has: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
            issues.push(Issue::new("/by", format!("the input has no field {by:?}; it has {}", has.join(", "))));
        }
        let at = |at: &str, issue: Issue| Issue::new(at, issue.message);
        let table = match lookup::table(&table) {
            Ok(table) => table,
            Err(issue) => {
                issues.push(at("/table", issue));
                return Err(issues);
            }
        };
        if let Some(field) = field.filter(|field| field.scalar != table.key().scalar) {
            let wants = format!("field {by}");
            issues.push(Issue::new("/by", differs(&table, table.key(), &wants, field.scalar)));
        }
        let all = || table.columns().iter().map(|column| column.name.clone()).collect();
        let columns: Vec<String> = columns.unwrap_or_else(all);
        if columns.is_empty() {
            issues.push(Issue::new("/columns", "no column is added: nothing to do"));
        }
        let mut emits = Vec::new();
        for (index, name) in columns.iter().enumerate() {
            match table.column(name) {
                Ok(_) if columns[..index].contains(name) => {
                    issues.push(Issue::new("/columns", format!("{name} is added twice")));
                }
                Ok(_) if name == "device" || name == "time" => {
                    issues.push(Issue::new("/columns", format!("every record has its {name} already")));
                }
                Ok(column) => emits.push(column.clone()),
                Err(issue) => issues.push(at("/columns", issue)),
            }
        }
        if !issues.is_empty() {
            return Err(issues);
        }
        Ok((Enrich { table, columns, unknown }, Plan { reads: vec![by], emits, ..Plan::default() }))
    }
}

impl Transform for Enrich {
    fn apply(&mut self, batch: &Batch) -> Table {
        let keys = &batch.columns[0];
        let key = self.table.key().name.as_str();
        // The key's own column tells where there is a row.
        let of_key = self.columns.iter().position(|name| name == key);
        let more = (of_key.is_none() && self.unknown != Unknown::Keep).then_some(key);
        let want: Vec<&str> = self.columns.iter().map(String::as_str).chain(more).collect();
        let mut columns = self.table.find(keys, &want);
        if self.unknown == Unknown::Keep {
            return Table { origin: None, columns, faults: Vec::new() };
        }
        let hits = columns[of_key.unwrap_or(want.len() - 1)].valid.clone();
        columns.truncate(self.columns.len());
        let Some(hits) = hits else { return Table { origin: None, columns, faults: Vec::new() } };
        let missing = (0..batch.rows).filter(|&row| hits[row as usize] == 0);
        if self.unknown == Unknown::Reject {
            let reason = format!("table {} has no row of its {}", self.table.name(), key);
            let faults = missing.map(|row| Fault { row, reason: reason.clone() }).collect();
            return Table { origin: None, columns, faults };
        }
        let there: Vec<u32> = (0..batch.rows).filter(|&row| hits[row as usize] != 0).collect();
        let columns = columns.iter().map(|column| column.take(&there)).collect::<Vec<Column>>();
        Table { origin: Some(there), columns, faults: Vec::new() }
    }
}

tidegate::export!(transform Enrich);

#[cfg(test)]
mod tests;
