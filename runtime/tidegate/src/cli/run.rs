//! `tidegate run`.

use super::{exit, failed, runtime};
use crate::config::{self, Config};
use crate::http;
use crate::log;
use crate::topology::{Gateway, Medium};
use sd_notify::NotifyState;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tidegate_record::SystemClock;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How much longer than `control.drain_timeout` a drain may take: the last commit comes after the sinks.
const DRAIN_GRACE: Duration = Duration::from_secs(5);

/// Runs the gateway until a signal, then drains it.
pub fn run(file: &Path, medium: Medium) -> ExitCode {
    let config = match config::load(file) {
        Ok(config) => config,
        Err(errors) => {
            eprintln!("{errors}");
            return ExitCode::from(exit::CONFIG);
        }
    };
    if let Err(reason) = log::start(&config.log) {
        return failed(exit::START, &reason);
    }
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(reason) => return failed(exit::START, &reason),
    };
    let code = runtime.block_on(gateway(config, medium));
    // Whatever still runs was told to stop or is past its deadline.
    runtime.shutdown_background();
    code
}

async fn gateway(config: Config, medium: Medium) -> ExitCode {
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return failed(exit::START, &format!("signals cannot be listened for: {error}")),
    };
    config.warnings.iter().for_each(|warning| tracing::warn!(warning, "unwise configuration"));
    http::metrics::install();
    let drain_timeout = config.control.drain_timeout;
    let clock = Arc::new(SystemClock::trusting(config.clock));
    let gateway = tokio::select! {
        biased;
        started = Gateway::start(config, medium, clock) => match started {
            Ok(gateway) => gateway,
            Err(error) => {
                tracing::error!(%error, "the gateway does not start");
                return ExitCode::from(exit::START);
            }
        },
        name = signals.next() => {
            tracing::info!(signal = name, "ended while starting");
            return ExitCode::from(exit::DRAIN);
        }
    };
    tell_supervisor(NotifyState::Ready);
    let name = signals.next().await;
    tracing::info!(signal = name, "drain begins");
    tell_supervisor(NotifyState::Stopping);
    tokio::select! {
        biased;
        drained = gateway.drain(drain_timeout) => match drained {
            Ok(()) => {
                tracing::info!("drained");
                ExitCode::SUCCESS
            }
            Err(unfinished) => {
                let unfinished = unfinished.join("; ");
                tracing::warn!(unfinished, "the drain did not end well; what was acknowledged is durable");
                ExitCode::from(exit::DRAIN)
            }
        },
        () = tokio::time::sleep(drain_timeout + DRAIN_GRACE) => {
            tracing::warn!("the drain did not end in time; what was acknowledged is durable");
            ExitCode::from(exit::DRAIN)
        }
        name = signals.next() => {
            tracing::warn!(signal = name, "drain cut short; what was acknowledged is durable");
            ExitCode::from(exit::DRAIN)
        }
    }
}

/// Does nothing where no supervisor asked (`NOTIFY_SOCKET` is not set).
fn tell_supervisor(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "the supervisor cannot be told");
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
