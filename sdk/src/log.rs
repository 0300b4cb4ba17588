//! Lines for the gateway's log, where an operator grants them: `grant = ["log"]`. A plugin that never says a line does not
//! import it.

pub use crate::bindings::log::Level;

/// Says a line: `log!(warn, "battery of {device} at {volts} V")`, with `debug`, `info`, `warn` or `error`.
///
/// Bounded: the gateway keeps 512 bytes of a line and so many lines a call and a minute. Native tests read them by
/// [`crate::testing::logged`].
#[macro_export]
macro_rules! log {
    (debug, $($text:tt)+) => { $crate::log::line($crate::log::Level::Debug, &::std::format!($($text)+)) };
    (info, $($text:tt)+) => { $crate::log::line($crate::log::Level::Info, &::std::format!($($text)+)) };
    (warn, $($text:tt)+) => { $crate::log::line($crate::log::Level::Warn, &::std::format!($($text)+)) };
    (error, $($text:tt)+) => { $crate::log::line($crate::log::Level::Error, &::std::format!($($text)+)) };
}

/// Says a line.
pub fn line(level: Level, message: &str) {
    #[cfg(target_arch = "wasm32")]
    crate::bindings::log::log(level, message);
    #[cfg(not(target_arch = "wasm32"))]
    crate::testing::say(level, message);
}

/// Has the message of a panic and its place said as an error: it is then part of the fault, in the dead letters too. Call
/// it in `configure`, or first thing in a function: it does something once. Like any line it needs `grant = ["log"]`;
/// without it a fault names the functions alone.
pub fn panics() {
    #[cfg(target_arch = "wasm32")]
    {
        static HOOKED: std::sync::Once = std::sync::Once::new();
        let say = |panic: &std::panic::PanicHookInfo<'_>| line(Level::Error, &panic.to_string().replace('\n', " "));
        HOOKED.call_once(|| std::panic::set_hook(Box::new(say)));
    }
}
