//! A filter that keeps the records in which a field is above one limit, below another, or between both.

use tidegate::{Batch, Fault, Field, Filter, Issue, Params, Plan, Plugin, Scalar, mask};

/// What to keep.
#[derive(Params)]
pub struct Limits {
    /// The field to look at, a number.
    field: String,
    /// Keep values greater than this.
    above: Option<f64>,
    /// Keep values less than this.
    below: Option<f64>,
    /// Keep records in which the field is null.
    #[param(default = false)]
    keep_nulls: bool,
}

/// The filter.
pub struct Threshold {
    /// Least and greatest value kept.
    least: f64,
    greatest: f64,
    keep_nulls: bool,
}

impl Plugin for Threshold {
    type Params = Limits;

    fn configure(params: Limits, fields: &[Field]) -> Result<(Self, Plan), Vec<Issue>> {
        let Limits { field, above, below, keep_nulls } = params;
        let mut issues = Vec::new();
        match fields.iter().find(|known| known.name == field) {
            Some(known) if matches!(known.scalar, Scalar::Float | Scalar::Integer) => {}
            Some(_) => issues.push(Issue::new("/field", format!("field {field} is not a number"))),
            None => issues.push(Issue::new("/field", format!("the input has no field {field}"))),
        }
        if above.is_none() && below.is_none() {
            issues.push(Issue::new("/above", "neither above nor below is given: nothing to do"));
        }
        // Greater than a limit is at least the next value; so a limit not given is no limit, even for infinities.
        let least = above.map_or(f64::NEG_INFINITY, f64::next_up);
        let greatest = below.map_or(f64::INFINITY, f64::next_down);
        if least > greatest {
            issues.push(Issue::new("/above", "no value is above this and below the other limit"));
        }
        if !issues.is_empty() {
            return Err(issues);
        }
        Ok((Threshold { least, greatest, keep_nulls }, Plan { reads: vec![field], ..Plan::default() }))
    }
}

impl Filter for Threshold {
    fn keep(&mut self, batch: &Batch, _: &mut Vec<Fault>) -> Vec<u8> {
        let column = &batch.columns[0];
        let (least, greatest) = (self.least, self.greatest);
        let values = column.numbers().unwrap_or_default();
        let mut keep = mask(&values, |value| least <= value && value <= greatest);
        if let Some(valid) = &column.valid {
            let null = u8::from(self.keep_nulls);
            keep.iter_mut().zip(valid).filter(|(_, valid)| **valid == 0).for_each(|(keep, _)| *keep = null);
        }
        keep
    }
}

tidegate::export!(filter Threshold);

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate::Column;

    fn limits(above: Option<f64>, below: Option<f64>, keep_nulls: bool) -> Limits {
        Limits { field: "temp".into(), above, below, keep_nulls }
    }

    fn check(limits: Limits, values: &[Option<f64>], expected: &[u8]) {
        let fields = [Field { name: "temp".into(), scalar: Scalar::Float, unit: String::new() }];
        let (mut filter, plan) = Threshold::configure(limits, &fields).expect("configures");
        assert_eq!(plan.reads, ["temp"]);
        let columns = vec![Column::floats(values.iter().copied())];
        let batch = Batch { rows: values.len() as u32, times: None, slots: None, columns };
        assert_eq!(filter.keep(&batch, &mut Vec::new()), expected);
    }

    #[test]
    fn limits_themselves_are_not_kept() {
        check(limits(Some(1.0), None, false), &[Some(1.0), Some(1.1), Some(f64::INFINITY)], &[0, 1, 1]);
        check(limits(None, Some(2.0), false), &[Some(2.0), Some(1.9)], &[0, 1]);
        check(limits(Some(1.0), Some(2.0), false), &[Some(1.5), Some(0.5), Some(2.5), Some(f64::NAN)], &[1, 0, 0, 0]);
    }

    #[test]
    fn nulls_go_as_asked() {
        check(limits(Some(-1.0), None, false), &[None, Some(0.0)], &[0, 1]);
        check(limits(Some(1.0), None, true), &[None, Some(0.0)], &[1, 0]);
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let issues = Threshold::configure(limits(None, None, false), &[]).err().expect("refused");
        assert_eq!(issues.iter().map(|i| i.at.as_str()).collect::<Vec<_>>(), ["/field", "/above"]);
        assert!(Threshold::configure(limits(Some(2.0), Some(2.0), false), &[]).is_err());
    }
}
