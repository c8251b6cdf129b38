// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What is done with each input of `message_parse`; ordinary tests do it too.

use netchannel2_core::wire::{
    Features,
    HeadLength,
    Message,
    MAX_HEAD, //
};

/// Parses `input` behind two bytes of features, and emits again what was accepted: it must be the
/// same.
pub(crate) fn message_parse(input: &[u8]) {
    let Some((features, head)) = input.split_first_chunk() else {
        return;
    };
    let negotiated = Features::from_bits_truncate(u16::from_le_bytes(*features).into());
    if let Some(first) = head.first_chunk() {
        if let Ok(length) = HeadLength::of(*first) {
            assert!((8..=MAX_HEAD).contains(&length.as_usize()));
        }
    }
    let message = match Message::parse(head, negotiated) {
        Ok(message) => message,
        Err(violation) => {
            assert!(!violation.to_string().is_empty());
            return;
        }
    };
    let mut buffer = [0; MAX_HEAD];
    let length = message.emit(&mut buffer).expect("the longest head fits");
    let emitted = &buffer[..length];
    assert_eq!(Message::parse(emitted, negotiated), Ok(message));
    // A PAD's size is the ring's to check, and the number of packets is clamped.
    if !matches!(message, Message::Pad | Message::SetMaxPackets(_)) {
        assert_eq!(Some(emitted), head.get(..length));
    }
}
