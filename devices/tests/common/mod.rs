//! Real brokers and a custody whose receipts a test controls.
// Functions outside of #[test] functions count as library code for these lints.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use futures::future::BoxFuture;
use rumqttc::{AsyncClient, Event, MqttOptions, Outgoing, Packet, QoS};
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tidegate_devices::{DecodeOptions, Handle, Intake, LossReason, Parcel, Receipt, Refusal, Source, mqtt};
use tidegate_record::{Batch, Field, Scalar, Schema, Values, Wall};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long a condition may take to hold.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Waits until `holds`, at most [`DEADLINE`]; then fails with what `shown` says.
#[track_caller]
pub fn eventually<T: std::fmt::Debug>(
    mut look: impl FnMut() -> T,
    mut holds: impl FnMut(&T) -> bool,
) -> impl Future<Output = T> {
    let place = std::panic::Location::caller();
    async move {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        loop {
            let seen = look();
            if holds(&seen) {
                return seen;
            }
            assert!(tokio::time::Instant::now() < deadline, "{place}: never came true, last seen {seen:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

pub fn schema() -> Arc<Schema> {
    Arc::new(Schema::new(vec![Field::new("temp", Scalar::Float), Field::new("hum", Scalar::Float)]).unwrap())
}

pub fn decode() -> DecodeOptions {
    DecodeOptions { device: Some("/device".into()), time: Some("/ts".into()), ..Default::default() }
}

/// A reading whose `temp` is `number`.
pub fn reading(number: usize) -> String {
    format!(r#"{{"device":"d1","ts":1700000000000,"temp":{number}}}"#)
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A mosquitto of our own, with its sessions on disk.
pub struct Mosquitto {
    pub port: u16,
    pub dir: TempDir,
    child: Option<Child>,
}

impl Mosquitto {
    pub async fn start() -> Self {
        Self::start_with("allow_anonymous true\n").await
    }

    /// `settings` may name files in `{dir}`.
    pub async fn start_with(settings: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::start_in(dir, settings).await
    }

    pub async fn start_in(dir: TempDir, settings: &str) -> Self {
        let port = free_port();
        let path = dir.path().display().to_string();
        let settings = settings.replace("{dir}", &path);
        let config = format!(
            "user root\nlistener {port} 127.0.0.1\npersistence true\npersistence_location {path}/\n\
             log_dest file {path}/log\n{settings}"
        );
        fs::write(dir.path().join("conf"), config).unwrap();
        let mut broker = Mosquitto { port, dir, child: None };
        broker.restart().await;
        broker
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Has it write its sessions to disk, and waits until they hold `text`.
    pub async fn save(&self, text: &str) {
        let pid = self.child.as_ref().map(Child::id).expect("a running broker");
        let saved = self.dir.path().join("mosquitto.db");
        let holds = || {
            let sent = Command::new("kill").args(["-USR1", &pid.to_string()]).status();
            assert!(sent.unwrap().success());
            fs::read(&saved).unwrap_or_default().windows(text.len()).any(|w| w == text.as_bytes())
        };
        eventually(holds, |&holds| holds).await;
    }

    /// Waits until its log holds `text`.
    pub async fn says(&self, text: &str) {
        let log = self.dir.path().join("log");
        eventually(|| fs::read_to_string(&log).unwrap_or_default(), |log| log.contains(text)).await;
    }

    pub async fn restart(&mut self) {
        let mut command = Command::new("/usr/sbin/mosquitto");
        command.arg("-c").arg(self.dir.path().join("conf")).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().expect("mosquitto is installed"));
        let port = self.port;
        eventually(|| TcpStream::connect(("127.0.0.1", port)).is_ok(), |&up| up).await;
    }

    pub fn options(&self, version: mqtt::Version) -> mqtt::Options {
        mqtt::Options {
            url: format!("mqtt://127.0.0.1:{}", self.port),
            topics: vec!["sensors/#".into()],
            client_id: "gateway".into(),
            version,
            linger: Duration::from_millis(2),
            decode: decode(),
            ..Default::default()
        }
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Publishes and waits until the broker has everything.
pub async fn publish(port: u16, qos: QoS, retain: bool, messages: &[(&str, Vec<u8>)]) {
    let mut options = MqttOptions::new(format!("publisher-{port}"), "127.0.0.1", port);
    options.set_max_packet_size(1 << 20, 1 << 20).set_inflight(200);
    let (client, mut events) = AsyncClient::new(options, messages.len() + 1);
    for (topic, payload) in messages {
        client.try_publish(*topic, qos, retain, payload.clone()).unwrap();
    }
    let mut left = messages.len();
    let all = async {
        while left > 0 {
            match events.poll().await.unwrap() {
                Event::Incoming(Packet::PubAck(_) | Packet::PubComp(_)) => left -= 1,
                Event::Outgoing(Outgoing::Publish(_)) if qos == QoS::AtMostOnce => left -= 1,
                _ => {}
            }
        }
        // A ping that is answered comes behind everything that was written.
        client.try_disconnect().unwrap();
        while events.poll().await.is_ok() {}
    };
    tokio::time::timeout(DEADLINE, all).await.expect("the broker takes the messages");
}

/// Publishes readings `numbers` at QoS 1.
pub async fn publish_readings(port: u16, numbers: std::ops::Range<usize>) {
    let messages: Vec<_> = numbers.map(|n| ("sensors/a", reading(n).into_bytes())).collect();
    publish(port, QoS::AtLeastOnce, false, &messages).await;
}

/// The gateway's side of a source, under a test's control: it stands in for the store, since no real store can be told
/// when to be durable.
#[derive(Default)]
pub struct Custody {
    inner: Mutex<Inner>,
    room: Arc<Notify>,
}

#[derive(Default)]
struct Inner {
    parcels: Vec<Parcel>,
    waiting: Vec<oneshot::Sender<Result<(), String>>>,
    durable: usize,
    state: Option<Vec<u8>>,
    register: Option<Vec<u8>>,
    hold: bool,
    full: bool,
    failed: bool,
}

impl Custody {
    /// Everything is durable at once.
    pub fn quick() -> Arc<Self> {
        Arc::default()
    }

    /// Nothing is durable until [`Custody::release`].
    pub fn holding() -> Arc<Self> {
        let custody = Self::default();
        custody.inner.lock().unwrap().hold = true;
        Arc::new(custody)
    }

    /// The next run of a gateway whose last durable state is `state`.
    pub fn with_state(state: Option<Vec<u8>>) -> Arc<Self> {
        let custody = Self::default();
        custody.inner.lock().unwrap().state = state;
        Arc::new(custody)
    }

    /// The next run of a gateway that had this one, with everything durable that it holds to be.
    pub fn after(before: &Custody) -> Arc<Self> {
        let (custody, before) = (Self::default(), before.inner.lock().unwrap());
        {
            let mut inner = custody.inner.lock().unwrap();
            (inner.state, inner.register) = (before.state.clone(), before.register.clone());
        }
        Arc::new(custody)
    }

    /// From now on nothing is durable until [`Custody::release`].
    pub fn hold(&self) {
        self.inner.lock().unwrap().hold = true;
    }

    /// Makes everything durable, now and from now on.
    pub fn release(&self) {
        let mut inner = self.inner.lock().unwrap();
        inner.hold = false;
        inner.durable = inner.parcels.len();
        inner.state = inner.parcels.iter().rev().find_map(|p| p.state.clone());
        inner.register = inner.parcels.iter().rev().find_map(|p| p.register.clone().map(Vec::from));
        for receipt in inner.waiting.drain(..) {
            _ = receipt.send(Ok(()));
        }
    }

    pub fn set_full(&self, full: bool) {
        self.inner.lock().unwrap().full = full;
        if !full {
            self.room.notify_waiters();
        }
    }

    /// The store is poisoned: nothing that waits will ever be durable.
    pub fn fail(&self) {
        let mut inner = self.inner.lock().unwrap();
        inner.failed = true;
        for receipt in inner.waiting.drain(..) {
            _ = receipt.send(Err("fsync failed".into()));
        }
    }

    pub fn parcels(&self) -> usize {
        self.inner.lock().unwrap().parcels.len()
    }

    /// The state that came with the last parcel, durable or not.
    pub fn last_state(&self) -> Option<Vec<u8>> {
        self.inner.lock().unwrap().parcels.iter().rev().find_map(|p| p.state.clone())
    }

    pub fn hurried(&self) -> bool {
        self.inner.lock().unwrap().parcels.iter().any(|p| p.hurry)
    }

    /// The `temp` of every record taken, in order.
    pub fn temps(&self) -> Vec<f64> {
        let floats = |batch: &Batch| match &batch.columns()[0].values {
            Values::Floats(values) => values.clone(),
            other => panic!("{other:?}"),
        };
        let inner = self.inner.lock().unwrap();
        inner.parcels.iter().flat_map(|p| &p.records).flat_map(|d| floats(&d.batch)).collect()
    }

    /// The dead letters as JSON.
    pub fn letters(&self) -> Vec<serde_json::Value> {
        let inner = self.inner.lock().unwrap();
        let batches = inner.parcels.iter().flat_map(|p| &p.dead_letters);
        let rows = |b: &Batch| (0..b.rows()).map(|r| serde_json::to_value(b.row(r)).unwrap()).collect::<Vec<_>>();
        batches.flat_map(|dated| rows(&dated.batch)).collect()
    }

    pub fn lost(&self, reason: LossReason) -> u64 {
        let inner = self.inner.lock().unwrap();
        inner.parcels.iter().flat_map(|p| &p.losses).filter(|l| l.reason == reason).map(|l| l.count).sum()
    }
}

impl Intake for Custody {
    fn commit(&self, parcel: Parcel) -> Result<Receipt, Refusal> {
        let mut inner = self.inner.lock().unwrap();
        assert!(parcel.records.iter().all(|b| (1..=tidegate_record::ROWS_MAX).contains(&b.batch.rows())));
        if inner.failed {
            return Err(Refusal::Failed("the store is poisoned".into()));
        }
        // As the store does: what appends nothing has room.
        if inner.full && !(parcel.records.is_empty() && parcel.dead_letters.is_empty()) {
            return Err(Refusal::Full(parcel));
        }
        let (state, register) = (parcel.state.clone(), parcel.register.clone().map(Vec::from));
        inner.parcels.push(parcel);
        if inner.hold {
            let (tell, receipt) = oneshot::channel();
            inner.waiting.push(tell);
            return Ok(Box::pin(async { receipt.await.unwrap_or_else(|_| Err("the store is gone".into())) }));
        }
        inner.durable += 1;
        inner.state = state.or(inner.state.take());
        inner.register = register.or(inner.register.take());
        Ok(Box::pin(std::future::ready(Ok(()))))
    }

    fn room(&self) -> BoxFuture<'static, ()> {
        let room = self.room.clone();
        Box::pin(async move { room.notified().await })
    }

    fn state(&self) -> Option<Vec<u8>> {
        self.inner.lock().unwrap().state.clone()
    }

    fn register(&self) -> Option<Vec<u8>> {
        self.inner.lock().unwrap().register.clone()
    }

    fn wall(&self) -> Wall {
        Wall { micros: 1_800_000_000_000_000, trusted: true }
    }
}

/// A running source.
pub struct Running {
    pub handle: Handle,
    drain: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub fn start(source: Source, custody: &Arc<Custody>) -> Self {
        let (handle, drain) = (source.handle(), CancellationToken::new());
        let task = tokio::spawn(source.run(custody.clone(), drain.clone()));
        Running { handle, drain, task }
    }

    pub fn mqtt(options: mqtt::Options, custody: &Arc<Custody>) -> Self {
        let source = mqtt::Source::build("field", options, schema()).unwrap();
        Self::start(Source::Mqtt(Box::new(source)), custody)
    }

    /// Waits until frames can come.
    pub async fn connected(&self) {
        eventually(|| self.handle.status(), |s| s.state == tidegate_devices::State::Connected).await;
    }

    /// Waits until the status gives a reason that contains `words`, and gives it.
    pub async fn says(&self, words: &str) -> tidegate_devices::Status {
        let contains = |s: &tidegate_devices::Status| s.reason.as_ref().is_some_and(|r| r.contains(words));
        eventually(|| self.handle.status(), contains).await
    }

    /// Ends it as a crash would.
    pub async fn crash(self) {
        self.task.abort();
        _ = self.task.await;
    }

    /// Drains it.
    pub async fn drain(self) -> tidegate_devices::Status {
        self.drain.cancel();
        tokio::time::timeout(DEADLINE, self.task).await.expect("the drain ends").unwrap();
        self.handle.status()
    }
}

/// A certificate authority of a test, and a certificate it signed for `name`: PEM files `ca`, `cert`, `key` in `dir`.
pub fn certificates(dir: &std::path::Path, name: &str) -> PathBuf {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
    let mut authority = CertificateParams::new(vec![]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // OpenSSL takes a certificate that has its issuer's name for one that signed itself.
    authority.distinguished_name.push(DnType::CommonName, "authority of a test");
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.into()]).unwrap().signed_by(&key, &authority).unwrap();
    fs::write(dir.join("ca"), authority.pem()).unwrap();
    fs::write(dir.join("cert"), certificate.pem()).unwrap();
    fs::write(dir.join("key"), key.serialize_pem()).unwrap();
    dir.join("ca")
}
