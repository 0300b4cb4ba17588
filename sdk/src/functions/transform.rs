//! Transforms and codecs of one function.

use crate::emit::{Emits, empty_columns};
use crate::help;
use crate::lookup::Found;
use crate::plugin::outcome::Made;
use crate::record::Reader;
use crate::{Batch, Cell, Codec, Column, Field, FieldsHelp, Issue, Params, Plan, Plugin, Record, Scalar, Slots, State};
use crate::{Table, Transform};
use serde::{Serialize, de::DeserializeOwned};

/// A transform of one function.
pub trait TransformFn: 'static {
    /// What it reads.
    type Record: Record;
    /// What it remembers of a device.
    type State: Default + Serialize + DeserializeOwned + 'static;
    /// Its parameters.
    type Params: Params + 'static;
    /// The records it makes of one.
    type Made: Made;
    /// The author's function.
    fn apply(record: &Self::Record, state: &mut Self::State, params: &Self::Params) -> Self::Made;
}

/// A [`TransformFn`] as a plugin.
pub struct TransformOf<F: TransformFn> {
    params: F::Params,
    reader: Reader<F::Record>,
    slots: Slots<F::State>,
}

impl<F: TransformFn> Plugin for TransformOf<F> {
    type Params = F::Params;

    fn configure(params: F::Params, fields: &[Field]) -> Result<(Self, Plan), Vec<Issue>> {
        let emits = <F::Made as Made>::Row::fields();
        let (reader, reads) = Reader::new(fields)?;
        Ok((TransformOf { params, reader, slots: Slots::default() }, Plan { reads, emits, ..Plan::default() }))
    }

    fn fields_help() -> Option<FieldsHelp> {
        Some(FieldsHelp { reads: help::reads::<F::Record>(), emits: help::emits::<<F::Made as Made>::Row>() })
    }
}

impl<F: TransformFn> Transform for TransformOf<F> {
    fn apply(&mut self, batch: &Batch) -> Table {
        let TransformOf { params, reader, slots } = self;
        let of_row = batch.slots.as_deref();
        table(reader, batch, |row, r| F::apply(&r, slots.at(of_row.map_or(0, |slots| slots[row])), params))
    }
}

super::state_is_slots!(TransformOf, TransformFn);

/// A frame as a codec gets it: the bytes of one message, and where they came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The topic it was published to; empty on a serial line.
    pub topic: String,
}

impl Record for Frame {
    const FIELDS: &'static [(&'static str, Scalar, bool)] =
        &[("frame", Scalar::Bytes, false), ("topic", Scalar::Text, false)];
    type Columns<'a> = (<Vec<u8> as Cell>::Source<'a>, <String as Cell>::Source<'a>);

    fn columns<'a>(columns: &'a [Column], _: &'a [Found]) -> Self::Columns<'a> {
        (<Vec<u8> as Cell>::source(&columns[0]), <String as Cell>::source(&columns[1]))
    }

    fn read((frames, topics): &Self::Columns<'_>, row: usize) -> Self {
        Frame { bytes: Cell::read(frames, row), topic: Cell::read(topics, row) }
    }
}

/// A codec of one function.
pub trait CodecFn: 'static {
    /// Its parameters.
    type Params: Params + 'static;
    /// The records it makes of a frame.
    type Made: Made;
    /// The author's function.
    fn decode(frame: &Frame, params: &Self::Params) -> Self::Made;
}

/// A [`CodecFn`] as a plugin.
pub struct CodecOf<F: CodecFn> {
    params: F::Params,
    reader: Reader<Frame>,
}

impl<F: CodecFn> Plugin for CodecOf<F> {
    type Params = F::Params;

    fn configure(params: F::Params, fields: &[Field]) -> Result<(Self, Plan), Vec<Issue>> {
        let emits = <F::Made as Made>::Row::fields();
        let (reader, reads) = Reader::new(fields)?;
        Ok((CodecOf { params, reader }, Plan { reads, emits, ..Plan::default() }))
    }

    fn fields_help() -> Option<FieldsHelp> {
        Some(FieldsHelp { reads: help::reads::<Frame>(), emits: help::emits::<<F::Made as Made>::Row>() })
    }
}

impl<F: CodecFn> Codec for CodecOf<F> {
    fn decode(&mut self, batch: &Batch) -> Table {
        table(&self.reader, batch, |_, frame| F::decode(&frame, &self.params))
    }
}

/// What `make` makes of every row.
fn table<R: Record, M: Made>(reader: &Reader<R>, batch: &Batch, mut make: impl FnMut(usize, R) -> M) -> Table {
    let rows = batch.rows as usize;
    let mut columns = empty_columns::<M::Row>();
    let (mut origin, mut faults) = (Vec::with_capacity(rows), Vec::new());
    reader.each::<(), Result<(), String>>(
        batch,
        &mut faults,
        |row, record| {
            make(row, record).each(|made| {
                made.emit(&mut columns);
                origin.push(row as u32);
            })
        },
        |_, ()| {},
    );
    let one_to_one = origin.len() == rows && (0u32..).zip(&origin).all(|(row, &from)| row == from);
    Table { origin: (!one_to_one).then_some(origin), columns, faults }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Blobs, Fault, Values, read_state};

    #[derive(Debug, PartialEq)]
    struct Double(f64);

    impl Emits for Double {
        fn fields() -> Vec<Field> {
            vec![Field { name: "double".into(), scalar: Scalar::Float, unit: String::new() }]
        }
        fn emit(self, columns: &mut [Column]) {
            crate::Value::push(self.0, &mut columns[0]);
        }
    }

    struct Temp(f64);

    impl Record for Temp {
        const FIELDS: &'static [(&'static str, Scalar, bool)] = &[("temp", Scalar::Float, false)];
        type Columns<'a> = <f64 as Cell>::Source<'a>;
        fn columns<'a>(columns: &'a [Column], _: &'a [Found]) -> Self::Columns<'a> {
            <f64 as Cell>::source(&columns[0])
        }
        fn read(columns: &Self::Columns<'_>, row: usize) -> Self {
            Temp(Cell::read(columns, row))
        }
    }

    fn temps(values: &[f64]) -> Batch {
        let columns = vec![Column { values: Values::Floats(values.to_vec()), valid: None }];
        Batch { rows: values.len() as u32, times: None, slots: None, columns }
    }

    fn reader() -> Reader<Temp> {
        let temp = Field { name: "temp".into(), scalar: Scalar::Float, unit: String::new() };
        Reader::new(&[temp]).expect("reads temp").0
    }

    #[test]
    fn one_record_of_each_needs_no_origins() {
        let made = table(&reader(), &temps(&[1.0, 2.0]), |_, Temp(t): Temp| Double(t * 2.0));
        assert_eq!((made.origin, made.columns), (None, vec![Column::floats([Some(2.0), Some(4.0)])]));
    }

    #[test]
    fn none_many_and_refused_are_told_apart_by_their_origins() {
        let made = table(&reader(), &temps(&[0.0, 1.0, 2.0, -1.0]), |_, Temp(t): Temp| match t {
            t if t < 0.0 => Err("below zero"),
            t => Ok((0..t as usize).map(|_| Double(t)).collect::<Vec<_>>()),
        });
        assert_eq!(made.origin, Some(vec![1, 2, 2]));
        assert_eq!(made.faults, [Fault { row: 3, reason: "below zero".into() }]);
        assert_eq!(made.columns, [Column::floats([Some(1.0), Some(2.0), Some(2.0)])]);
    }

    struct Rate;

    impl TransformFn for Rate {
        type Record = Temp;
        type State = Option<f64>;
        type Params = ();
        type Made = Option<Double>;
        fn apply(Temp(now): &Temp, last: &mut Option<f64>, (): &()) -> Option<Double> {
            last.replace(*now).map(|last| Double(now - last))
        }
    }

    #[test]
    fn a_transform_remembers_each_device() {
        let (mut rate, plan) = TransformOf::<Rate>::configure(
            (),
            &[Field { name: "temp".into(), scalar: Scalar::Float, unit: String::new() }],
        )
        .unwrap();
        assert_eq!((plan.reads, plan.emits), (vec!["temp".to_string()], Double::fields()));
        let batch = Batch { slots: Some(vec![0, 1, 0]), ..temps(&[1.0, 10.0, 4.0]) };
        let made = rate.apply(&batch);
        assert_eq!((made.origin, made.columns), (Some(vec![2]), vec![Column::floats([Some(3.0)])]));
        let mut saved = Vec::new();
        rate.save(1, &mut saved);
        assert_eq!(read_state::<Option<f64>>(&saved), Ok(Some(10.0)));
    }

    struct Words;

    impl CodecFn for Words {
        type Params = ();
        type Made = Vec<Double>;
        fn decode(frame: &Frame, (): &()) -> Vec<Double> {
            let text = String::from_utf8_lossy(&frame.bytes).into_owned();
            text.split(' ').filter_map(|word| word.parse().ok()).map(Double).collect()
        }
    }

    #[test]
    fn a_codec_makes_records_of_frames() {
        let fields = [("frame", Scalar::Bytes), ("topic", Scalar::Text)].map(|(name, scalar)| Field {
            name: name.into(),
            scalar,
            unit: String::new(),
        });
        let (mut codec, _) = CodecOf::<Words>::configure((), &fields).unwrap();
        let (mut frames, mut topics) = (Blobs::none(), Blobs::none());
        for frame in ["1 2", "", "3"] {
            frames.push(frame.as_bytes());
            topics.push(b"meters/1");
        }
        let columns = vec![
            Column { values: Values::Bytes(frames), valid: None },
            Column { values: Values::Texts(topics), valid: None },
        ];
        let made = codec.decode(&Batch { rows: 3, times: None, slots: None, columns });
        assert_eq!(made.origin, Some(vec![0, 0, 2]));
        assert_eq!(made.columns, [Column::floats([Some(1.0), Some(2.0), Some(3.0)])]);
        assert!(CodecOf::<Words>::configure((), &fields[..1]).is_err(), "there is no topic");
    }
}
