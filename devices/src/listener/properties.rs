//! The properties of MQTT 5 packets, as far as a listener cares. All are checked, most are passed over.

use super::end::End;
use super::reader::Reader;

const SESSION_EXPIRY: u8 = 17;
const AUTH_METHOD: u8 = 21;
const RECEIVE_MAX: u8 = 33;
const TOPIC_ALIAS: u8 = 35;
const USER: u8 = 38;
const PACKET_BYTES_MAX: u8 = 39;

/// Which properties a packet may have.
pub(super) const IN_CONNECT: &[u8] =
    &[SESSION_EXPIRY, AUTH_METHOD, 22, 23, 25, RECEIVE_MAX, 34, USER, PACKET_BYTES_MAX];
pub(super) const IN_WILL: &[u8] = &[1, 2, 3, 8, 9, 24, USER];
pub(super) const IN_PUBLISH: &[u8] = &[1, 2, 3, 8, 9, TOPIC_ALIAS, USER];
pub(super) const IN_ACK: &[u8] = &[31, USER];
pub(super) const IN_SUBSCRIBE: &[u8] = &[11, USER];
pub(super) const IN_UNSUBSCRIBE: &[u8] = &[USER];
pub(super) const IN_DISCONNECT: &[u8] = &[SESSION_EXPIRY, 28, 31, USER];

/// What of the properties matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Properties {
    pub session_expiry: Option<u32>,
    pub packet_bytes_max: Option<u32>,
    pub topic_alias: bool,
    pub auth_method: bool,
}

impl Properties {
    /// Reads the properties at the front of `reader`.
    pub fn read(reader: &mut Reader<'_>, allowed: &[u8]) -> Result<Self, End> {
        let length = reader.varint()?;
        let mut block = Reader::new(reader.take(length)?);
        let mut out = Properties::default();
        let mut seen = 0u64;
        while !block.is_empty() {
            let name = block.u8()?;
            if !allowed.contains(&name) {
                return Err(End::Protocol("a property that may not stand in this packet"));
            }
            if name != USER && seen & (1 << name) != 0 {
                return Err(End::Protocol("a property that is there twice"));
            }
            seen |= 1 << name;
            out.take(name, &mut block)?;
        }
        Ok(out)
    }

    fn take(&mut self, name: u8, block: &mut Reader<'_>) -> Result<(), End> {
        match name {
            SESSION_EXPIRY => self.session_expiry = Some(block.u32()?),
            PACKET_BYTES_MAX => {
                let max = block.u32()?;
                if max == 0 {
                    return Err(End::Protocol("a maximum packet size of 0"));
                }
                self.packet_bytes_max = Some(max);
            }
            RECEIVE_MAX => {
                if block.u16()? == 0 {
                    return Err(End::Protocol("a receive maximum of 0"));
                }
            }
            TOPIC_ALIAS => {
                block.u16()?;
                self.topic_alias = true;
            }
            AUTH_METHOD => {
                block.text()?;
                self.auth_method = true;
            }
            1 | 23 | 25 => drop(block.u8()?),
            34 => drop(block.u16()?),
            2 | 24 => drop(block.u32()?),
            11 => drop(block.varint()?),
            3 | 8 | 28 | 31 => drop(block.text()?),
            9 | 22 => drop(block.binary()?),
            USER => {
                block.text()?;
                block.text()?;
            }
            _ => return Err(End::Malformed("an unknown property")),
        }
        Ok(())
    }
}
