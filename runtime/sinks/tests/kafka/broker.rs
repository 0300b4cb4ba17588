//! A real Kafka: one KRaft node, ended with the test that began it.

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;
use tempfile::TempDir;

/// Longest a start may take; after SIGKILL the node waits for its dead self's session.
const START_MAX: Duration = Duration::from_secs(90);
const ASK: Duration = Duration::from_secs(5);

/// A node with its log in a folder of its own.
pub struct Broker {
    port: u16,
    folder: TempDir,
    child: Child,
}

/// What Kafka keeps of one record.
#[derive(Debug, Clone)]
pub struct Kept {
    pub partition: i32,
    pub key: String,
    pub value: serde_json::Value,
    pub headers: BTreeMap<String, String>,
    pub time_ms: i64,
}

/// One node for all tests that do nothing to it.
pub fn shared() -> &'static Broker {
    static SHARED: LazyLock<Broker> = LazyLock::new(|| Broker::start(""));
    &SHARED
}

impl Broker {
    /// Starts a node on free ports; `more` is added to its properties.
    pub fn start(more: &str) -> Self {
        Self::start_with(|_, _| more.to_owned())
    }

    /// Formats a log folder and starts a node on two free ports, with the properties made of them added.
    pub fn start_with(more: impl FnOnce(u16, u16) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (port, controller) = (free_port(), free_port());
        let properties = include_str!("../../../../tests/kafka/server.properties")
            .replace("@PORT@", &port.to_string())
            .replace("@FAR@", &free_port().to_string())
            .replace("@LINK@", &free_port().to_string())
            .replace("@CONTROLLER@", &controller.to_string())
            .replace("@LOG@", &folder.path().join("data").display().to_string());
        let file = folder.path().join("server.properties");
        std::fs::write(&file, format!("{properties}\n{}\n", more(port, controller))).unwrap();
        let tool = ["kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qk", "-c"];
        let formatted = java(&file, &["-Xmx64m"], &tool).output().unwrap();
        assert!(formatted.status.success(), "{}", String::from_utf8_lossy(&formatted.stderr));
        let broker = Broker { port, child: run(folder.path()), folder };
        broker.ready();
        broker
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on the same log.
    pub fn start_again(&mut self) {
        self.child = run(self.folder.path());
        self.ready();
    }

    /// How many partitions a topic has; 0 where there is none.
    pub fn partitions(&self, topic: &str) -> usize {
        let metadata = self.consumer().fetch_metadata(Some(topic), ASK).unwrap();
        metadata.topics().iter().map(|t| t.partitions().len()).sum()
    }

    /// A topic's configuration.
    pub async fn topic_config(&self, topic: &str) -> BTreeMap<String, String> {
        let admin: AdminClient<DefaultClientContext> = self.client().create().unwrap();
        let asked = admin.describe_configs([&ResourceSpecifier::Topic(topic)], &AdminOptions::new()).await.unwrap();
        let entries = asked.into_iter().next().unwrap().unwrap().entries;
        entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect()
    }

    /// Everything a topic holds, each partition in its order.
    pub fn read(&self, topic: &str) -> Vec<Kept> {
        let consumer = self.consumer();
        let mut assignment = TopicPartitionList::new();
        let mut left = 0;
        for partition in 0..self.partitions(topic) as i32 {
            let (low, high) = consumer.fetch_watermarks(topic, partition, ASK).unwrap();
            left += (high - low) as usize;
            assignment.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&assignment).unwrap();
        let mut kept = Vec::with_capacity(left);
        while kept.len() < left {
            let message = consumer.poll(ASK).unwrap_or_else(|| panic!("{} of {left} records", kept.len())).unwrap();
            kept.push(Kept::from(&message));
        }
        kept
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.address()).set("group.id", "the-test").set("enable.auto.commit", "false");
        config
    }

    fn consumer(&self) -> BaseConsumer {
        self.client().create().unwrap()
    }

    fn ready(&self) {
        let consumer = self.consumer();
        // librdkafka itself waits for the node to come, and asks again.
        let metadata = consumer.fetch_metadata(None, START_MAX);
        match metadata {
            Ok(metadata) => assert_eq!(metadata.brokers().len(), 1),
            Err(error) => {
                let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                panic!("Kafka does not answer ({error}): {log}")
            }
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Kept {
    fn from(message: &impl Message) -> Self {
        let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap_or_default().to_vec()).unwrap();
        let headers = message.headers().unwrap().iter().map(|h| (h.key.to_owned(), text(h.value))).collect();
        Kept {
            partition: message.partition(),
            key: text(message.key()),
            value: serde_json::from_slice(message.payload().unwrap()).unwrap(),
            headers,
            time_ms: message.timestamp().to_millis().unwrap(),
        }
    }

    /// The field `n`.
    pub fn n(&self) -> i64 {
        self.value["n"].as_i64().unwrap()
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn run(folder: &Path) -> Child {
    let options = ["-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"];
    let log = std::fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
    let mut command = java(&folder.join("server.properties"), &options, &["kafka.Kafka"]);
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    spawn(command)
}

/// Begins a child on a thread that stays as long as this process: it would die with any other (PR_SET_PDEATHSIG).
fn spawn(command: Command) -> Child {
    type Order = (Command, SyncSender<std::io::Result<Child>>);
    static NURSERY: LazyLock<SyncSender<Order>> = LazyLock::new(|| {
        let (give, take) = sync_channel::<Order>(1);
        std::thread::spawn(move || take.iter().for_each(|(mut command, reply)| reply.send(command.spawn()).unwrap()));
        give
    });
    let (reply, child) = sync_channel(1);
    NURSERY.send((command, reply)).unwrap();
    child.recv().unwrap().unwrap()
}

/// Java with Kafka's jars; it dies with the thread that starts it.
fn java(properties: &Path, options: &[&str], main: &[&str]) -> Command {
    let mut command = Command::new("java");
    command.arg("-XX:TieredStopAtLevel=1").args(options).arg("-cp").arg(jars().join("*")).args(main).arg(properties);
    // SAFETY: prctl(2) is async-signal-safe and touches no memory of ours.
    unsafe {
        command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        })
    };
    command
}

/// `target/kafka/libs`, beside the folder of this test.
fn jars() -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    let jars = exe.ancestors().nth(3).unwrap().join("kafka/libs");
    assert!(jars.exists(), "{} is not there: run `cargo xtask setup`", jars.display());
    jars
}
