//! A real Kafka: one KRaft node.

use crate::parts;
use crate::process::{Process, die_with_parent, free_port};
use crate::wait::eventually;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// Longest a start may take; after SIGKILL the node waits for its dead self's session.
const START_MAX: Duration = Duration::from_secs(90);
const STOP_MAX: Duration = Duration::from_secs(60);
const ASK: Duration = Duration::from_secs(5);

/// A Kafka node with its log in a folder of its own.
#[derive(Debug)]
pub struct Kafka {
    port: u16,
    far: u16,
    folder: TempDir,
    process: Process,
}

/// What Kafka keeps of one record.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The partition of the topic.
    pub partition: i32,
    /// The key as text.
    pub key: String,
    /// The value as text.
    pub value: String,
    /// The headers as text.
    pub headers: Vec<(String, String)>,
}

impl Kafka {
    /// Formats a log folder and starts a node on free ports.
    pub fn start() -> Self {
        Self::start_behind(free_port())
    }

    /// The same for clients who come by a link that begins at this port and leads to [`Kafka::far`].
    pub fn start_behind(link: u16) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (port, far, controller) = (free_port(), free_port(), free_port());
        let properties = include_str!("../kafka/server.properties")
            .replace("@PORT@", &port.to_string())
            .replace("@FAR@", &far.to_string())
            .replace("@LINK@", &link.to_string())
            .replace("@CONTROLLER@", &controller.to_string())
            .replace("@LOG@", &folder.path().join("data").display().to_string());
        std::fs::write(folder.path().join("server.properties"), properties).expect("a configuration");
        let mut format = java(&["-Xmx64m", "kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qk", "-c"]);
        let format = format.arg(folder.path().join("server.properties"));
        die_with_parent(format);
        let formatted = format.output().expect("java: run `cargo xtask setup`");
        assert!(formatted.status.success(), "{}", String::from_utf8_lossy(&formatted.stderr));
        let process = spawn(folder.path());
        let kafka = Kafka { port, far, folder, process };
        kafka.ready();
        kafka
    }

    /// Where a link leads to.
    pub fn far(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.far))
    }

    /// `127.0.0.1:PORT`.
    pub fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Stops it in an orderly way.
    pub fn stop(&mut self) {
        self.process.terminate(STOP_MAX);
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on the same log.
    pub fn start_again(&mut self) {
        self.process = spawn(self.folder.path());
        self.ready();
    }

    /// Everything `topic` holds now; an error while it cannot be read (the topic is not there yet).
    pub fn read(&self, topic: &str) -> Result<Vec<Kept>, String> {
        let say = |error: KafkaError| error.to_string();
        let consumer = self.consumer()?;
        let metadata = consumer.fetch_metadata(Some(topic), ASK).map_err(say)?;
        let partitions: Vec<i32> =
            metadata.topics().iter().flat_map(|t| t.partitions().iter().map(|p| p.id())).collect();
        if partitions.is_empty() {
            return Err(format!("topic {topic} is not there"));
        }
        let mut assignment = TopicPartitionList::new();
        let mut left: usize = 0;
        for partition in &partitions {
            let (low, high) = consumer.fetch_watermarks(topic, *partition, ASK).map_err(say)?;
            left += (high - low) as usize;
            assignment.add_partition_offset(topic, *partition, Offset::Beginning).map_err(say)?;
        }
        consumer.assign(&assignment).map_err(say)?;
        let mut kept = Vec::with_capacity(left);
        while kept.len() < left {
            let message = consumer.poll(ASK).ok_or_else(|| format!("{} of {left} records of {topic}", kept.len()))?;
            kept.push(Kept::from(&message.map_err(say)?));
        }
        Ok(kept)
    }

    fn consumer(&self) -> Result<BaseConsumer, String> {
        ClientConfig::new()
            .set("bootstrap.servers", self.brokers())
            .set("group.id", "the-test")
            .set("enable.auto.commit", "false")
            .create()
            .map_err(|error: KafkaError| error.to_string())
    }

    fn ready(&self) {
        eventually(START_MAX, "Kafka answers", || {
            let consumer = self.consumer()?;
            let metadata = consumer.fetch_metadata(None, ASK).map_err(|error| error.to_string())?;
            if metadata.brokers().is_empty() { Err("no broker".into()) } else { Ok(()) }
        });
    }
}

impl Kept {
    /// The value of a header, or empty.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    fn from(message: &impl Message) -> Self {
        let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
        let headers = message.headers().map_or_else(Vec::new, |headers| {
            headers.iter().map(|header| (header.key.to_owned(), text(header.value))).collect()
        });
        let (key, value) = (text(message.key()), text(message.payload()));
        Kept { partition: message.partition(), key, value, headers }
    }
}

fn spawn(folder: &Path) -> Process {
    let mut command = java(&[
        "-Xms64m",
        "-Xmx256m",
        "-XX:+UseSerialGC",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "kafka.Kafka",
    ]);
    command.arg(folder.join("server.properties"));
    Process::spawn("kafka", &mut command, &folder.join("log"))
}

fn java(arguments: &[&str]) -> Command {
    let mut command = Command::new("java");
    let (options, rest) = arguments.split_at(arguments.iter().take_while(|a| a.starts_with('-')).count());
    command.arg("-XX:TieredStopAtLevel=1").args(options);
    command.arg("-cp").arg(parts::kafka_libs().join("*")).args(rest);
    command
}
