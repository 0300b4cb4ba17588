//! A request's body: records as NDJSON or a JSON array, compressed.

use super::Format;
use crate::Request;
use crate::upstream::Identified;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{self, Write};

/// Text is handed to the compressor in runs of about this size.
const RUN_BYTES: usize = 16 * 1024;

/// A body ready for the wire. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Body {
    /// The key of the request it is of.
    pub(super) key: String,
    /// As it goes out.
    pub(super) bytes: Bytes,
}

impl Body {
    /// Writes a request; on a thread of its own, since it may take long for a network's patience.
    pub(super) async fn of(request: Request, format: Format, gzip: bool) -> Result<Self, String> {
        let wrote = tokio::task::spawn_blocking(move || {
            let bytes = write(&request, format, gzip)?;
            Ok::<_, io::Error>(Body { key: request.key(), bytes: bytes.into() })
        });
        let wrote = wrote.await.map_err(|e| format!("writing the request: {e}"))?;
        wrote.map_err(|e| format!("writing the request: {e}"))
    }
}

fn write(request: &Request, format: Format, gzip: bool) -> io::Result<Vec<u8>> {
    if gzip {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        write_records(request, format, &mut encoder)?;
        encoder.finish()
    } else {
        let mut plain = Vec::new();
        write_records(request, format, &mut plain)?;
        Ok(plain)
    }
}

fn write_records(request: &Request, format: Format, out: &mut impl Write) -> io::Result<()> {
    let mut run = Vec::with_capacity(2 * RUN_BYTES);
    for (index, record) in request.records().enumerate() {
        match format {
            Format::Ndjson => {}
            Format::Json if index == 0 => run.push(b'['),
            Format::Json => run.push(b','),
        }
        serde_json::to_writer(&mut run, &Identified(record))?;
        if format == Format::Ndjson {
            run.push(b'\n');
        }
        if run.len() >= RUN_BYTES {
            out.write_all(&run)?;
            run.clear();
        }
    }
    if format == Format::Json {
        run.push(b']');
    }
    out.write_all(&run)
}
