//! Which store is meant, and whether a gateway has it open.

use super::super::client::{Client, Refused};
use super::super::{exit, failed};
use crate::config;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use tidegate_store::{Listing, Offline};

/// Which store.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Place {
    /// The gateway's configuration: the gateway is asked if it runs, else its store.path is opened
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The store's folder, which no gateway may have open
    #[arg(long, value_name = "PATH")]
    dir: Option<PathBuf>,
    /// The local HTTP of a running gateway
    #[arg(long)]
    url: Option<String>,
}

/// Which store, for what can only be done while no gateway has it open.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Folder {
    /// The gateway's configuration: its store.path is meant
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The store's folder
    #[arg(long, value_name = "PATH")]
    dir: Option<PathBuf>,
}

impl Folder {
    /// The folder; what is wrong is told on standard error.
    pub(super) fn find(&self) -> Result<PathBuf, ExitCode> {
        let Some(file) = &self.config else { return Ok(self.dir.clone().unwrap_or_default()) };
        config::load(file).map(|config| config.store.path).map_err(|errors| {
            eprintln!("{errors}");
            ExitCode::from(exit::CONFIG)
        })
    }
}

impl Place {
    /// The same, of what was set aside in a folder that nobody has open.
    pub(super) fn find_aside(&self, name: &str) -> Result<Found, ExitCode> {
        let folder = Folder { config: self.config.clone(), dir: self.dir.clone() };
        if self.url.is_some() {
            return Err(failed(exit::START, "what was set aside is read from its folder: give --dir or --config"));
        }
        let store = Offline::open_aside(&folder.find()?, name);
        store.map(|store| Found::Offline(Box::new(store))).map_err(|error| failed(exit::START, &error.to_string()))
    }
}

/// A store that can be asked.
pub(super) enum Found {
    /// A gateway has it open.
    Running(Client),
    /// Nobody has.
    Offline(Box<Offline>),
}

impl Place {
    /// Finds the store; what is wrong is told on standard error.
    pub(super) fn find(&self) -> Result<Found, ExitCode> {
        let say = |reason: String| failed(exit::START, &reason);
        if let Some(url) = &self.url {
            return Client::new(url).map(Found::Running).map_err(say);
        }
        let Some(file) = &self.config else {
            let folder = self.dir.clone().unwrap_or_default();
            return offline(&folder).map_err(say);
        };
        let config = config::load(file).map_err(|errors| {
            eprintln!("{errors}");
            ExitCode::from(exit::CONFIG)
        })?;
        let client = Client::new(&format!("http://{}", config.control.listen)).map_err(say)?;
        match client.json::<Listing>(&["api", "v1", "streams"], &[]) {
            Ok(listing) if listing.gateway == config.gateway => Ok(Found::Running(client)),
            Ok(listing) => Err(say(format!(
                "at {} runs the gateway {:?}, and {} is of {:?}. Give --dir or --url",
                client.base(),
                listing.gateway,
                file.display(),
                config.gateway
            ))),
            Err(Refused::Unreachable(_)) => offline(&config.store.path).map_err(say),
            Err(Refused::Answer(reason)) => Err(say(reason)),
        }
    }
}

fn offline(folder: &std::path::Path) -> Result<Found, String> {
    Offline::open(folder).map(|store| Found::Offline(Box::new(store))).map_err(|error| error.to_string())
}
