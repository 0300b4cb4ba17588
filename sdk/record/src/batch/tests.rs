use super::*;
use crate::{BatchBuilder, Field, Scalar, Values};
use proptest::prelude::*;

type RowSpec = (u8, i64, Option<f64>, Option<String>);

fn schema() -> Arc<Schema> {
    Arc::new(Schema::new(vec![Field::new("x", Scalar::Float), Field::new("note", Scalar::Text)]).unwrap())
}

fn batch(rows: &[RowSpec]) -> Batch {
    let mut b = BatchBuilder::new(schema());
    for (device, time, x, note) in rows {
        x.map(|x| b.float(0, x));
        note.as_ref().map(|note| b.text(1, note));
        b.end_row(&format!("d{device}"), *time).unwrap();
    }
    b.finish()
}

fn rows() -> impl Strategy<Value = Vec<RowSpec>> {
    prop::collection::vec((0u8..5, any::<i64>(), any::<Option<f64>>(), any::<Option<String>>()), 0..40)
}

proptest! {
    #[test]
    fn parts_joined_again_are_the_whole(rows in rows(), cut in any::<prop::sample::Index>()) {
        let whole = batch(&rows);
        let cut = cut.index(rows.len() + 1);
        let parts = [Arc::new(batch(&rows[..cut])), Arc::new(batch(&rows[cut..]))];
        prop_assert_eq!(&*Batch::concat(&parts).unwrap(), &whole);
        prop_assert_eq!(&whole.slice(0..cut), &*parts[0]);
        prop_assert_eq!(&whole.slice(cut..rows.len()), &*parts[1]);
    }

    #[test]
    fn filter_takes_the_rows_kept(rows in rows(), seed in any::<u64>()) {
        let keep: Vec<u8> = (0..rows.len()).map(|row| (seed >> (row % 64)) as u8 & 1).collect();
        let kept: Vec<RowSpec> = rows.iter().zip(&keep).filter(|(_, k)| **k == 1).map(|(r, _)| r.clone()).collect();
        let filtered = batch(&rows).filter(&keep);
        prop_assert_eq!(&filtered, &batch(&kept));
        prop_assert_eq!(&filtered.compact_devices(), &filtered);
    }
}

#[test]
fn parts_that_do_not_fit_are_refused_by_name() {
    let good = batch(&[(1, 5, Some(1.0), None)]);
    let devices = || good.devices().clone();
    let columns = || good.columns().to_vec();
    let of = |devices, ids, times, columns| Batch::from_parts(schema(), devices, ids, times, columns);
    assert_eq!(of(devices(), vec![0], vec![5], columns()).unwrap(), good);
    let error = |result: Result<Batch, BatchError>| result.unwrap_err().to_string();
    assert_eq!(error(of(devices(), vec![1], vec![5], columns())), "row 0 names device 1 of a dictionary of 1");
    assert_eq!(error(of(devices(), vec![0, 0], vec![5], columns())), "column device has 2 rows where 1 were expected");
    assert_eq!(error(of(devices(), vec![0], vec![5], Vec::new())), "0 columns for a schema of 2 fields");
    let mut wrong = columns();
    wrong[0] = Column::of(Values::Integers(vec![1]));
    assert_eq!(error(of(devices(), vec![0], vec![5], wrong)), "column x holds i64 where the schema says f64");
    let mut bad = columns();
    bad[1] = Column::of(Values::Texts(Blobs::from_parts(vec![0, 1], vec![0xff]).unwrap()));
    assert_eq!(error(of(devices(), vec![0], vec![5], bad)), "note holds text that is not UTF-8");
}

#[test]
fn pieces_are_the_whole_in_order_each_within_bounds() {
    let small: Vec<RowSpec> = (0..3 * ROWS_MAX as i64 + 1).map(|n| ((n % 5) as u8, n, None, None)).collect();
    let long: Vec<RowSpec> = (0..40).map(|n| (n as u8, n, None, Some("x".repeat(1 << 20)))).collect();
    let alone: Vec<RowSpec> = (0..2).map(|n| (n as u8, n, None, Some("x".repeat(BATCH_BYTES_MAX)))).collect();
    for (rows, least) in [(small, 4), (long, 3), (alone, 2)] {
        let whole = Arc::new(batch(&rows));
        let pieces = whole.clone().pieces();
        assert!(pieces.len() >= least, "{} pieces", pieces.len());
        for piece in &pieces {
            assert!(piece.rows() <= ROWS_MAX && (piece.rows() == 1 || piece.memory_bytes() <= BATCH_BYTES_MAX));
        }
        assert_eq!(Batch::concat(&pieces).unwrap(), whole);
    }
    assert!(Arc::new(batch(&[])).pieces().is_empty());

    // Names that are too many bytes together: a piece has its own alone.
    let mut many = BatchBuilder::new(schema());
    for n in 0..70_000 {
        many.end_row(&format!("{n:0250}"), n).unwrap();
    }
    let whole = Arc::new(many.finish());
    let pieces = whole.clone().pieces();
    assert!(pieces.iter().all(|piece| piece.devices().len() == piece.rows()));
    assert_eq!(pieces.len(), 70_000_usize.div_ceil(ROWS_MAX));
}
