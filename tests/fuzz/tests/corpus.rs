//! Every target over its kept inputs: what was found once is never broken again.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use tidegate_fuzz::{TARGETS, Verdict, target};

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus");
/// Most bytes of the inputs of a target: they are in the repository.
const CORPUS_BYTES_MAX: u64 = 512 << 10;

fn folder(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Runs a target over its inputs. Both verdicts are among them: a target that takes nothing, or everything, shows
/// nothing.
fn replay(name: &str) {
    let target = target(name).expect("a target");
    let inputs = folder(&Path::new(CORPUS).join(name));
    let bytes: u64 = inputs.iter().map(|input| input.metadata().unwrap().len()).sum();
    assert!(bytes <= CORPUS_BYTES_MAX, "{bytes} bytes are kept, at most {CORPUS_BYTES_MAX}");
    let mut verdicts = Vec::new();
    for path in &inputs {
        let input = std::fs::read(path).unwrap();
        let verdict = catch_unwind(AssertUnwindSafe(|| (target.run)(&input)));
        verdicts.push(verdict.unwrap_or_else(|_| panic!("{} breaks a property of {name}", path.display())));
    }
    for verdict in [Verdict::Accepted, Verdict::Refused] {
        let count = verdicts.iter().filter(|&&found| found == verdict).count();
        assert!(count >= 5, "{count} of {} inputs are {verdict:?}", inputs.len());
    }
}

#[test]
fn every_target_has_a_corpus_and_a_test_here() {
    let names: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_string()).collect();
    let corpora = folder(Path::new(CORPUS)).iter().map(|f| f.file_name().unwrap().to_string_lossy().into()).collect();
    assert_eq!(names, corpora, "targets (left) and folders of {CORPUS} (right)");
    let here = include_str!("corpus.rs");
    for name in names {
        assert!(here.contains(&format!("replay(\"{name}\")")), "no test replays {name}");
    }
}

#[test]
fn stored_blocks_are_blocks_or_damage() {
    replay("block");
}

#[test]
fn frames_are_the_same_however_their_bytes_come_in() {
    replay("framing");
}

#[test]
fn frames_are_decoded_whole_or_not_at_all() {
    replay("decode");
}

#[test]
fn configurations_are_taken_or_every_problem_has_its_place() {
    replay("config");
}

#[test]
fn replies_of_plugins_are_sound_or_faults() {
    replay("guest");
}

#[test]
fn whatever_is_said_to_the_listener_it_answers_mqtt_and_keeps_what_it_acknowledged() {
    replay("listener");
}
