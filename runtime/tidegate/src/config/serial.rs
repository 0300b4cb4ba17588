//! `type = "serial"`: a source that reads a serial port.

use super::decode;
use super::section::Section;
use super::units::Size;
use std::time::Duration;
use tidegate_devices::serial::{DELIMITER_BYTES_MAX, FRAME_BYTES_MAX, FlowControl, FramingOptions, Options, Parity};

pub(super) fn read(section: &mut Section<'_>, max_future: Duration) -> Options {
    let default = Options::default();
    let port = section.needed_text("port");
    let frame_bytes_max = Size(default.frame_bytes_max as u64);
    Options {
        port: section.context.resolve(&port),
        baud: section.within("baud", default.baud, 50..=12_000_000),
        data_bits: section.within("data_bits", default.data_bits, 5..=8),
        parity: section.word("parity", "none", &[("none", Parity::None), ("odd", Parity::Odd), ("even", Parity::Even)]),
        stop_bits: section.within("stop_bits", default.stop_bits, 1..=2),
        flow_control: section.word(
            "flow_control",
            "none",
            &[("none", FlowControl::None), ("software", FlowControl::Software), ("hardware", FlowControl::Hardware)],
        ),
        framing: framing(section),
        frame_bytes_max: section.within("frame_bytes_max", frame_bytes_max, Size(16)..=Size(FRAME_BYTES_MAX as u64)).0
            as usize,
        decode: decode::read(section, false, max_future),
        ..default
    }
}

fn framing(section: &mut Section<'_>) -> FramingOptions {
    let by_line = section.word("framing", "line", &[("line", true), ("delimiter", false)]);
    let text = section.or("delimiter", "\n".to_string());
    let delimiter = unescape(&text).unwrap_or_else(|reason| {
        section.problem("delimiter", reason);
        Vec::new()
    });
    if by_line {
        if delimiter != b"\n" {
            section.problem("delimiter", "only with framing = \"delimiter\"");
        }
        return FramingOptions::Line;
    }
    if !(1..=DELIMITER_BYTES_MAX).contains(&delimiter.len()) {
        section.problem("delimiter", format!("{} bytes are outside of 1 to {DELIMITER_BYTES_MAX}", delimiter.len()));
    }
    FramingOptions::Delimiter(delimiter)
}

/// The bytes of a text with `\n \r \t \0 \\ \xNN`.
fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        let escape = &rest[at + 1..];
        let (byte, length) = match escape.as_bytes().first() {
            Some(b'n') => (Some(b'\n'), 1),
            Some(b'r') => (Some(b'\r'), 1),
            Some(b't') => (Some(b'\t'), 1),
            Some(b'0') => (Some(0), 1),
            Some(b'\\') => (Some(b'\\'), 1),
            Some(b'x') => (escape.get(1..3).and_then(|hex| u8::from_str_radix(hex, 16).ok()), 3),
            _ => (None, 0),
        };
        out.push(
            byte.ok_or_else(|| format!("{text:?}: after '\\' comes n, r, t, 0, \\ or xNN (two hexadecimal digits)"))?,
        );
        rest = &escape[length..];
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::unescape;

    #[test]
    fn delimiters_are_unescaped() {
        let cases: [(&str, &[u8]); 4] =
            [("\n", b"\n"), (r"\r\n", b"\r\n"), (r"a\x02\0\\b", b"a\x02\0\\b"), ("ä", "ä".as_bytes())];
        for (text, bytes) in cases {
            assert_eq!(unescape(text).as_deref(), Ok(bytes), "{text}");
        }
        for bad in [r"\", r"\q", r"\x1", r"\xäö"] {
            assert!(unescape(bad).is_err(), "{bad}");
        }
    }
}
