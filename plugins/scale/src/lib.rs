//! A transform that converts a field: `value × factor + offset`, such as °F to °C or a sensor's calibration.

use tidegate::{Batch, Column, Field, Issue, Params, Plan, Plugin, Scalar, Table, Transform, Values};

/// What to convert.
#[derive(Params)]
pub struct Conversion {
    /// The field to convert, a number.
    field: String,
    /// What a value is multiplied by.
    #[param(default = 1.0)]
    factor: f64,
    /// What is added then, in the new unit.
    #[param(default = 0.0)]
    offset: f64,
    /// The name of the result; left out: the field's own, which it replaces.
    to: Option<String>,
    /// The unit of the result, UCUM, such as Cel.
    unit: Option<String>,
}

/// The transform.
pub struct Scale {
    factor: f64,
    offset: f64,
}

impl Plugin for Scale {
    type Params = Conversion;

    fn configure(params: Conversion, fields: &[Field]) -> Result<(Self, Plan), Vec<Issue>> {
        let Conversion { field, factor, offset, to, unit } = params;
        let known = fields.iter().find(|known| known.name == field);
        let mut issues = Vec::new();
        match known {
            Some(known) if matches!(known.scalar, Scalar::Float | Scalar::Integer) => {}
            Some(_) => issues.push(Issue::new("/field", format!("field {field} is not a number"))),
            None => issues.push(Issue::new("/field", format!("the input has no field {field}"))),
        }
        if factor == 1.0 && offset == 0.0 && to.is_none() && unit.is_none() {
            issues.push(Issue::new("/factor", "neither factor nor offset is given: nothing to do"));
        }
        if !issues.is_empty() {
            return Err(issues);
        }
        let unit = unit.unwrap_or_default();
        let emits = vec![Field { name: to.unwrap_or_else(|| field.clone()), scalar: Scalar::Float, unit }];
        Ok((Scale { factor, offset }, Plan { reads: vec![field], emits, ..Plan::default() }))
    }
}

impl Transform for Scale {
    fn apply(&mut self, batch: &Batch) -> Table {
        let column = &batch.columns[0];
        let Scale { factor, offset } = *self;
        let values = column.numbers().unwrap_or_default().iter().map(|value| value * factor + offset).collect();
        let columns = vec![Column { values: Values::Floats(values), valid: column.valid.clone() }];
        Table { origin: None, columns, faults: Vec::new() }
    }
}

tidegate::export!(transform Scale);

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> [Field; 1] {
        [Field { name: "temp".into(), scalar: Scalar::Float, unit: "[degF]".into() }]
    }

    fn fahrenheit() -> Conversion {
        let (factor, unit) = (5.0 / 9.0, Some("Cel".into()));
        Conversion { field: "temp".into(), factor, offset: -32.0 * factor, to: None, unit }
    }

    #[test]
    fn fahrenheit_becomes_celsius_and_nulls_stay() {
        let (mut scale, plan) = Scale::configure(fahrenheit(), &fields()).unwrap_or_else(|_| panic!("configures"));
        assert_eq!((plan.emits[0].name.as_str(), plan.emits[0].unit.as_str()), ("temp", "Cel"));
        let columns = vec![Column::floats([Some(212.0), None, Some(-40.0)])];
        let table = scale.apply(&Batch { rows: 3, times: None, slots: None, columns });
        let Values::Floats(values) = &table.columns[0].values else { panic!("floats") };
        assert!((values[0] - 100.0).abs() < 1e-9 && (values[2] + 40.0).abs() < 1e-9, "{values:?}");
        assert_eq!((table.origin, &table.columns[0].valid), (None, &Some(vec![1, 0, 1])));
    }

    #[test]
    fn nothing_to_do_and_a_field_that_is_not_there_are_told_together() {
        let nothing = Conversion { factor: 1.0, offset: 0.0, unit: None, ..fahrenheit() };
        let issues = Scale::configure(nothing, &[]).err().expect("refused");
        assert_eq!(issues.iter().map(|issue| issue.at.as_str()).collect::<Vec<_>>(), ["/field", "/factor"]);
    }
}
