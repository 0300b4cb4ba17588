//! Opening a port, and why it cannot be used.

use super::{FlowControl, Options, Parity};
use std::io;
use tokio_serial::{DataBits, SerialPortBuilderExt as _, SerialStream, StopBits};

/// Opens the port, for us alone. The error is a sentence.
pub(super) fn open(options: &Options) -> Result<SerialStream, String> {
    let path = options.port.to_string_lossy();
    tokio_serial::new(path.clone(), options.baud)
        .data_bits(match options.data_bits {
            5 => DataBits::Five,
            6 => DataBits::Six,
            7 => DataBits::Seven,
            _ => DataBits::Eight,
        })
        .parity(match options.parity {
            Parity::None => tokio_serial::Parity::None,
            Parity::Odd => tokio_serial::Parity::Odd,
            Parity::Even => tokio_serial::Parity::Even,
        })
        .stop_bits(if options.stop_bits == 2 { StopBits::Two } else { StopBits::One })
        .flow_control(match options.flow_control {
            FlowControl::None => tokio_serial::FlowControl::None,
            FlowControl::Software => tokio_serial::FlowControl::Software,
            FlowControl::Hardware => tokio_serial::FlowControl::Hardware,
        })
        .open_native_async()
        .map_err(|error| reason(&error, &path))
}

fn reason(error: &tokio_serial::Error, path: &str) -> String {
    use tokio_serial::ErrorKind as Kind;
    match error.kind() {
        _ if error.to_string().contains("exclusive lock") => format!("{path} is in use by another program"),
        Kind::NoDevice | Kind::Io(io::ErrorKind::NotFound) => format!("{path} is not there: is the device plugged in?"),
        Kind::Io(io::ErrorKind::PermissionDenied) => {
            format!("{path} may not be opened: add the gateway's user to its group (dialout)")
        }
        _ => format!("{path}: {error}"),
    }
}

/// Why reading ended.
pub(super) fn read_reason(error: &io::Error, path: &str) -> String {
    match error.raw_os_error() {
        Some(libc::EIO | libc::ENXIO | libc::ENODEV) => format!("{path} hung up: was the device unplugged?"),
        _ => format!("{path}: {error}"),
    }
}
