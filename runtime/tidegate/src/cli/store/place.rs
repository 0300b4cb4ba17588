//! Which store is meant, and whether a gateway has it open.

use super::super::client::{Client, Refused};
use super::super::{exit, failed};
use crate::config::{self, Config};
use clap::Args;
use std::path::{Path, PathBuf};
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
    /// The folder, of a store that no gateway has open; what is wrong is told on standard error. `why` ends the sentence
    /// that says why a gateway is not to.
    pub(super) fn find(&self, why: &str) -> Result<PathBuf, ExitCode> {
        let Some(file) = &self.config else { return Ok(self.dir.clone().unwrap_or_default()) };
        let config = loaded(file)?;
        let client = Client::new(&format!("http://{}", config.control.listen));
        let client = client.map_err(|reason| failed(exit::START, &reason))?;
        match client.json::<Listing>(&["api", "v1", "streams"], &[]) {
            Ok(listing) if listing.gateway == config.gateway => Err(failed(
                exit::START,
                &format!(
                    "the gateway at {} is at work on this store, and {why}. Stop the gateway first",
                    client.base()
                ),
            )),
            // Whoever has it open for all that is told by its lock.
            _ => Ok(config.store.path),
        }
    }
}

fn loaded(file: &Path) -> Result<Config, ExitCode> {
    config::load(file).map_err(|errors| {
        eprintln!("{errors}");
        ExitCode::from(exit::CONFIG)
    })
}

impl Place {
    /// The same, of what was set aside in a folder that nobody has open.
    pub(super) fn find_aside(&self, name: &str) -> Result<Found, ExitCode> {
        let folder = Folder { config: self.config.clone(), dir: self.dir.clone() };
        if self.url.is_some() {
            return Err(failed(exit::START, "what was set aside is read from its folder: give --dir or --config"));
        }
        let store = Offline::open_aside(&folder.find("what was set aside is read with its folder locked")?, name);
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

/// Where a store is.
pub(super) enum Located {
    /// A gateway has it open.
    Running(Client),
    /// Nobody is known to: its folder.
    Folder(PathBuf),
}

impl Place {
    /// Finds the store, and opens it where nobody has; what is wrong is told on standard error.
    pub(super) fn find(&self) -> Result<Found, ExitCode> {
        match self.locate()? {
            Located::Running(client) => Ok(Found::Running(client)),
            Located::Folder(folder) => match Offline::open(&folder) {
                Ok(store) => Ok(Found::Offline(Box::new(store))),
                Err(error) => Err(failed(exit::START, &error.to_string())),
            },
        }
    }

    /// Finds the store; what is wrong is told on standard error.
    pub(super) fn locate(&self) -> Result<Located, ExitCode> {
        let say = |reason: String| failed(exit::START, &reason);
        if let Some(url) = &self.url {
            return Client::new(url).map(Located::Running).map_err(say);
        }
        let Some(file) = &self.config else { return Ok(Located::Folder(self.dir.clone().unwrap_or_default())) };
        let config = loaded(file)?;
        let client = Client::new(&format!("http://{}", config.control.listen)).map_err(say)?;
        match client.json::<Listing>(&["api", "v1", "streams"], &[]) {
            Ok(listing) if listing.gateway == config.gateway => {
                Ok(Located::Running(client.bearing(config.control.token)))
            }
            Ok(listing) => Err(say(format!(
                "at {} runs the gateway {:?}, and {} is of {:?}. Give --dir or --url",
                client.base(),
                listing.gateway,
                file.display(),
                config.gateway
            ))),
            Err(Refused::Unreachable(_)) => Ok(Located::Folder(config.store.path)),
            Err(Refused::Answer(reason)) => Err(say(reason)),
        }
    }
}
