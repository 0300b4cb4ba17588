//! One target under libFuzzer: `TIDEGATE_FUZZ=block fuzz CORPUS …`. What it takes is libFuzzer's: `fuzz -help=1`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use tidegate_fuzz::{TARGETS, Target, target};

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("TIDEGATE_FUZZ").unwrap_or_default();
    target(&name).unwrap_or_else(|| {
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        eprintln!("TIDEGATE_FUZZ={name:?} is no target: it is one of {}", names.join(", "));
        std::process::exit(2);
    })
});

fuzz_target!(|input: &[u8]| {
    (TARGET.run)(input);
});
