// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A host that answers ARP and pings at whatever address it is asked for.

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// Returns the answer to a frame, if it is a question.
pub fn answer(frame: &[u8]) -> Option<Vec<u8>> {
    let mut answer = frame.to_vec();
    answer.get_mut(0..6)?.copy_from_slice(frame.get(6..12)?);
    answer.get_mut(6..12)?.copy_from_slice(&MAC);
    match frame.get(12..14)? {
        [0x08, 0x06] if frame.get(20..22)? == [0, 1] => {
            answer[21] = 2;
            answer.get_mut(22..28)?.copy_from_slice(&MAC);
            answer.get_mut(28..32)?.copy_from_slice(frame.get(38..42)?);
            answer.get_mut(32..42)?.copy_from_slice(frame.get(22..32)?);
            Some(answer)
        }
        [0x08, 0x00] if frame.get(23) == Some(&1) && frame.get(34) == Some(&8) => {
            answer.get_mut(26..30)?.copy_from_slice(frame.get(30..34)?);
            answer.get_mut(30..34)?.copy_from_slice(frame.get(26..30)?);
            // The checksum is not adjusted: the peers under test do not look at it.
            answer[34] = 0;
            Some(answer)
        }
        _ => None,
    }
}
