//! A codec for RuuviTag sensors: data format 5, 24 bytes, as gateways pass them on over MQTT or a serial line, raw or as
//! hexadecimal text, with or without the manufacturer's number before it.
//!
//! The format and the test vectors: <https://docs.ruuvi.com/communication/bluetooth-advertisements/data-format-5-rawv2>.

use tidegate::{Emits, Frame, codec};

/// What a sensor measured; what it marks as invalid is null.
#[derive(Emits, Debug, PartialEq)]
pub struct Measured {
    /// The sensor's address, twelve hexadecimal digits.
    pub device: String,
    /// Temperature.
    #[record(unit = "Cel")]
    pub temp: Option<f64>,
    /// Relative humidity.
    #[record(unit = "%")]
    pub hum: Option<f64>,
    /// Air pressure.
    #[record(unit = "Pa")]
    pub pressure: Option<f64>,
    /// Acceleration.
    #[record(unit = "[g]")]
    pub acceleration_x: Option<f64>,
    /// Acceleration.
    #[record(unit = "[g]")]
    pub acceleration_y: Option<f64>,
    /// Acceleration.
    #[record(unit = "[g]")]
    pub acceleration_z: Option<f64>,
    /// Battery voltage.
    #[record(unit = "V")]
    pub battery: Option<f64>,
    /// Power it sends with, dBm.
    pub power: Option<i64>,
    /// Movements counted, 0 to 254 and again from 0.
    pub movements: Option<i64>,
    /// Readings counted, 0 to 65534 and again from 0.
    pub sequence: Option<i64>,
}

/// Bytes of a payload.
const LEN: usize = 24;
/// Ruuvi Innovations' number (0x0499) as it stands in an advertisement.
const MANUFACTURER: [u8; 2] = [0x99, 0x04];

/// The reading in an advertisement.
#[codec]
pub fn ruuvi(frame: &Frame) -> Result<Measured, String> {
    let bytes = bytes(&frame.bytes)?;
    let bytes = bytes.strip_prefix(&MANUFACTURER).unwrap_or(&bytes);
    let Ok(bytes) = <&[u8; LEN]>::try_from(bytes) else {
        return Err(format!("{} bytes, where data format 5 has {LEN}", bytes.len()));
    };
    if bytes[0] != 5 {
        return Err(format!("data format {}: this codec knows 5", bytes[0]));
    }
    let unsigned = |at: usize| Some(u16::from_be_bytes([bytes[at], bytes[at + 1]])).filter(|&v| v != u16::MAX);
    let signed = |at: usize| Some(i16::from_be_bytes([bytes[at], bytes[at + 1]])).filter(|&v| v != i16::MIN);
    // Counted in the unit's own steps, so that 24.3 is 24.3.
    let steps = |value: Option<f64>, steps: f64| value.map(|value| value / steps);
    let power = u16::from_be_bytes([bytes[13], bytes[14]]);
    let (volt, dbm) = (power >> 5, power & 0x1f);
    Ok(Measured {
        device: bytes[18..].iter().map(|byte| format!("{byte:02x}")).collect(),
        temp: steps(signed(1).map(f64::from), 200.0),
        hum: steps(unsigned(3).map(f64::from), 400.0),
        pressure: unsigned(5).map(|value| f64::from(value) + 50_000.0),
        acceleration_x: steps(signed(7).map(f64::from), 1000.0),
        acceleration_y: steps(signed(9).map(f64::from), 1000.0),
        acceleration_z: steps(signed(11).map(f64::from), 1000.0),
        battery: (volt != 0x7ff).then(|| f64::from(volt + 1600) / 1000.0),
        power: (dbm != 0x1f).then(|| i64::from(dbm) * 2 - 40),
        movements: Some(bytes[15]).filter(|&v| v != u8::MAX).map(i64::from),
        sequence: unsigned(16).map(i64::from),
    })
}

/// The payload, which may be written in hexadecimal.
fn bytes(frame: &[u8]) -> Result<Vec<u8>, String> {
    let text = frame.trim_ascii();
    if text.len() < 2 * LEN {
        return Ok(frame.to_vec());
    }
    let digit = |byte: &u8| (*byte as char).to_digit(16).map(|digit| digit as u8);
    let digits: Option<Vec<u8>> = text.iter().map(digit).collect();
    match digits {
        Some(digits) if digits.len() % 2 == 0 => Ok(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()),
        _ => Err(format!("{} bytes that are neither a payload nor hexadecimal", frame.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published vectors: what is valid, the greatest values, what is invalid.
    const VALID: &str = "0512FC5394C37C0004FFFC040CAC364200CDCBB8334C884F";
    const MAXIMUM: &str = "057FFFFFFEFFFE7FFF7FFF7FFFFFDEFEFFFECBB8334C884F";
    const INVALID: &str = "058000FFFFFFFF800080008000FFFFFFFFFFFFFFFFFFFFFF";

    fn decoded(bytes: impl Into<Vec<u8>>) -> Result<Measured, String> {
        ruuvi(&Frame { bytes: bytes.into(), topic: "ruuvi/tag".into() })
    }

    #[test]
    fn the_published_vectors_decode_to_the_published_values() {
        let expected = Measured {
            device: "cbb8334c884f".into(),
            temp: Some(24.3),
            hum: Some(53.49),
            pressure: Some(100_044.0),
            acceleration_x: Some(0.004),
            acceleration_y: Some(-0.004),
            acceleration_z: Some(1.036),
            battery: Some(2.977),
            power: Some(4),
            movements: Some(66),
            sequence: Some(205),
        };
        assert_eq!(decoded(VALID), Ok(expected));
        let maximum = decoded(MAXIMUM).unwrap();
        assert_eq!((maximum.temp, maximum.hum, maximum.pressure), (Some(163.835), Some(163.835), Some(115_534.0)));
        assert_eq!((maximum.battery, maximum.power, maximum.movements), (Some(3.646), Some(20), Some(254)));
        assert_eq!(maximum.sequence, Some(65_534));
        let invalid = decoded(INVALID).unwrap();
        assert_eq!((invalid.temp, invalid.hum, invalid.pressure, invalid.acceleration_x), (None, None, None, None));
        assert_eq!((invalid.battery, invalid.power, invalid.movements, invalid.sequence), (None, None, None, None));
    }

    #[test]
    fn raw_bytes_hexadecimal_and_an_advertisement_are_the_same_reading() {
        let raw = bytes(VALID.as_bytes()).unwrap();
        assert_eq!(decoded(raw.clone()), decoded(VALID));
        assert_eq!(decoded([&MANUFACTURER[..], &raw].concat()), decoded(VALID));
        assert_eq!(decoded(format!("9904{VALID}\n")), decoded(VALID));
    }

    #[test]
    fn what_is_no_payload_is_told_why() {
        assert_eq!(decoded("abc"), Err("3 bytes, where data format 5 has 24".into()));
        assert_eq!(decoded([3; LEN]), Err("data format 3: this codec knows 5".into()));
        assert_eq!(decoded("z".repeat(48)), Err("48 bytes that are neither a payload nor hexadecimal".into()));
    }
}
