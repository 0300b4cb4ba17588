//! The serial source on real pseudo terminals.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use common::{Custody, Running, eventually, schema};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tidegate_devices::serial::pty::Pty;
use tidegate_devices::serial::{FramingOptions, Options, Source as SerialSource};
use tidegate_devices::simulator::{self, Simulator, write_lines};
use tidegate_devices::{DecodeOptions, LossReason, Source, State, decode};
use tokio::io::AsyncWriteExt as _;
use tokio_util::sync::CancellationToken;

fn options(port: PathBuf) -> Options {
    let columns = ["device", "time", "temp", "hum"].map(String::from).into();
    let decode = DecodeOptions { format: decode::Format::Csv, columns, ..Default::default() };
    Options { port, decode, frame_bytes_max: 64, linger: Duration::from_millis(2), ..Default::default() }
}

fn start(options: Options, custody: &Arc<Custody>) -> Running {
    let source = SerialSource::build("meter", options, schema()).unwrap();
    Running::start(Source::Serial(Box::new(source)), custody)
}

/// Two terminals joined by socat, at `dir/a` and `dir/b`.
fn socat(dir: &Path) -> Child {
    let end = |name: &str| format!("pty,raw,echo=0,link={}", dir.join(name).display());
    let mut command = Command::new("socat");
    command.arg(end("a")).arg(end("b")).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("socat is installed")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simulated_meter_is_read_to_the_last_line() {
    let mut pty = Pty::open().unwrap();
    let custody = Custody::quick();
    let source = start(options(pty.path.clone()), &custody);
    source.connected().await;
    pty.far.write_all(b"\n").await.unwrap();
    let fleet = simulator::Options { devices: 5, rate: 5_000.0, ..Default::default() };
    let sent: Vec<_> = Simulator::new(fleet.clone()).take(500).collect();
    let written = write_lines(&mut pty.far, Simulator::new(fleet), Some(500), CancellationToken::new()).await.unwrap();
    assert_eq!(written, 500);
    let temps = eventually(|| custody.temps(), |t| t.len() == 500).await;
    for (reading, temp) in sent.iter().zip(temps) {
        let simulator::Values::Climate { temp: expected, .. } = reading.values else { panic!("climate") };
        assert_eq!(temp, expected);
    }
    assert_eq!(source.handle.status().state, State::Connected);
    source.crash().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn noise_and_endless_lines_are_set_aside_and_reading_goes_on() {
    let mut pty = Pty::open().unwrap();
    let custody = Custody::quick();
    let source = start(options(pty.path.clone()), &custody);
    source.connected().await;
    let mut bytes = b"\nd1,1000,1.5,40\r\nnonsense\n".to_vec();
    bytes.extend(vec![b'x'; 5_000]);
    bytes.extend(b"\nd1,2000,2.5,41\n");
    pty.far.write_all(&bytes).await.unwrap();
    eventually(|| custody.temps(), |t| *t == [1.5, 2.5]).await;
    let letters = eventually(|| custody.letters(), |l| l.len() == 2).await;
    assert_eq!(letters[0]["reason"], "1 values where 4 columns are configured, line 1");
    assert_eq!((&letters[1]["stage"], &letters[1]["frame_bytes"]), (&"frame".into(), &5_000.into()));
    assert_eq!(letters[1]["origin"], pty.path.to_str().unwrap());
    let status = source.drain().await;
    assert_eq!((status.resyncs, status.records, status.dead_letters), (1, 2, 2));
    assert_eq!(custody.lost(LossReason::Decode), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_goes_away_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let custody = Custody::quick();
    let source = start(options(dir.path().join("b")), &custody);
    let status = source.says("is not there: is the device plugged in?").await;
    assert_eq!(status.state, State::Retrying);
    for number in 1..=2 {
        let mut wire = socat(dir.path());
        source.connected().await;
        std::fs::OpenOptions::new()
            .write(true)
            .open(dir.path().join("a"))
            .and_then(|mut far| std::io::Write::write_all(&mut far, format!("\nd1,1000,{number},40\n").as_bytes()))
            .unwrap();
        eventually(|| custody.temps().len(), |&n| n == number).await;
        wire.kill().unwrap();
        wire.wait().unwrap();
        // socat leaves its links behind when it is killed.
        _ = (std::fs::remove_file(dir.path().join("a")), std::fs::remove_file(dir.path().join("b")));
        eventually(|| source.handle.status().state, |&s| s == State::Retrying).await;
    }
    assert_eq!(custody.temps(), [1.0, 2.0]);
    source.crash().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hang_up_of_the_device_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let mut wire = socat(dir.path());
    let custody = Custody::quick();
    let source = start(options(dir.path().join("b")), &custody);
    source.connected().await;
    wire.kill().unwrap();
    wire.wait().unwrap();
    source.says("b").await;
    source.crash().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_said() {
    let pty = Pty::open().unwrap();
    let custody = Custody::quick();
    let one = start(options(pty.path.clone()), &custody);
    one.connected().await;
    let two = start(options(pty.path.clone()), &custody);
    two.says("is in use by another program").await;
    one.crash().await;
    two.connected().await;
    two.crash().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_store_drops_the_newest_frames_and_reading_goes_on() {
    let mut pty = Pty::open().unwrap();
    let custody = Custody::quick();
    custody.set_full(true);
    let framing = FramingOptions::Delimiter(b"|".to_vec());
    let source = start(Options { framing, ..options(pty.path.clone()) }, &custody);
    source.connected().await;
    let total = 12_000;
    pty.far.write_all(b"|").await.unwrap();
    for number in 0..total {
        pty.far.write_all(format!("d1,1000,{number},40|").as_bytes()).await.unwrap();
    }
    let status = eventually(|| source.handle.status(), |s| s.frames == total).await;
    assert!(status.dropped > 0, "{status:?}");
    custody.set_full(false);
    eventually(|| custody.lost(LossReason::Full), |&n| n == status.dropped).await;
    let kept = custody.temps();
    assert_eq!(kept.len() as u64 + status.dropped, total);
    assert!(kept.iter().enumerate().all(|(at, &temp)| temp == at as f64), "the newest went");
    source.crash().await;
}

/// The plug went in while the meter was writing a line.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_line_that_began_before_the_port_was_open_is_no_reading() {
    let mut pty = Pty::open().unwrap();
    pty.far.write_all(b"2,1000,1.5,40\nd42,1000,2.5,40\n").await.unwrap();
    let custody = Custody::quick();
    let source = start(options(pty.path.clone()), &custody);
    eventually(|| custody.temps(), |t| *t == [2.5]).await;
    let letters = eventually(|| custody.letters(), |l| l.len() == 1).await;
    assert_eq!((&letters[0]["stage"], &letters[0]["frame_bytes"]), (&"frame".into(), &13.into()));
    assert_eq!(source.drain().await.resyncs, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_of_a_full_store_does_not_wait_for_room_and_says_what_is_lost() {
    let mut pty = Pty::open().unwrap();
    let custody = Custody::quick();
    custody.set_full(true);
    let source = start(options(pty.path.clone()), &custody);
    source.connected().await;
    pty.far.write_all(b"\nd1,1000,1.5,40\nd1,2000,2.5,40\nnonsense\n").await.unwrap();
    eventually(|| source.handle.status().frames, |&n| n == 3).await;
    assert_eq!(source.drain().await.state, State::Stopped);
    assert_eq!((custody.temps(), custody.lost(LossReason::Full)), (vec![], 3));
}
