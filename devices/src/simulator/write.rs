//! Plays a fleet over a serial line.

use super::{Pace, Simulator};
use std::io;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

/// Writes the fleet's readings as CSV lines at its rate until `stop`, or until `count` are written; gives how many.
pub async fn write_lines(
    mut port: impl AsyncWrite + Unpin,
    mut simulator: Simulator,
    count: Option<u64>,
    stop: CancellationToken,
) -> io::Result<u64> {
    let mut pace = Pace::new(simulator.options().rate);
    let limit = count.unwrap_or(u64::MAX);
    let mut written = 0;
    while written < limit && !stop.is_cancelled() {
        let mut lines = String::new();
        for _ in 0..pace.due().await.min(limit - written) {
            lines.push_str(&simulator.reading().csv());
            lines.push('\n');
            written += 1;
        }
        tokio::select! {
            biased;
            result = port.write_all(lines.as_bytes()) => result?,
            () = stop.cancelled() => {}
        }
    }
    port.flush().await?;
    Ok(written)
}
