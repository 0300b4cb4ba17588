//! What decoding a reading into a batch costs: `cargo run --release -p tidegate-devices --example decode_speed`.

use std::sync::Arc;
use tidegate_devices::{DecodeOptions, Decoder};
use tidegate_record::{BatchBuilder, Field, ROWS_MAX, Scalar, Schema, Wall};

const READINGS: usize = 2_000_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let fields = vec![Field::new("temp", Scalar::Float), Field::new("hum", Scalar::Float)];
    let schema = Arc::new(Schema::new(fields)?);
    let options = DecodeOptions { device: Some("/device".into()), time: Some("/ts".into()), ..Default::default() };
    let mut decoder = Decoder::new(options, schema.clone())?;
    let frames: Vec<String> = (0..1000)
        .map(|n| {
            let (device, ts, temp) = (n % 200, 1_700_000_000_123u64 + n, 20.0 + (n % 700) as f64 / 100.0);
            format!(r#"{{"device":"d{device:04}","ts":{ts},"temp":{temp:.2},"hum":40.1}}"#)
        })
        .collect();
    let wall = Wall { micros: 1_800_000_000_000_000, trusted: true };
    let mut out = BatchBuilder::new(schema);
    for _ in 0..3 {
        let start = tokio::time::Instant::now();
        let mut rows = 0;
        for turn in 0..READINGS {
            decoder.decode(None, frames[turn % frames.len()].as_bytes(), wall, &mut out)?;
            if out.rows() == ROWS_MAX {
                rows += out.finish().rows();
            }
        }
        rows += out.finish().rows();
        let nanos = start.elapsed().as_nanos() as f64 / rows as f64;
        println!("{nanos:.0} ns a reading of {} bytes", frames[0].len());
    }
    Ok(())
}
