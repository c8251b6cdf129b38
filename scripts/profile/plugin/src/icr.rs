// SPDX-License-Identifier: GPL-2.0
//! The interrupt command register of the x2APIC, by which a processor interrupts others.
//!
//! Intel SDM, volume 3, "x2APIC Interrupt Command Register" and "Logical Destination Mode in x2APIC Mode".

use crate::units::Vcpu;

/// Its number as a model-specific register.
pub const ICR: u32 = 0x830;

const LOGICAL: u32 = 1 << 11;
const SHORTHAND: u32 = 0b11 << 18;
const TO_SELF: u32 = 0b01 << 18;
const TO_ALL: u32 = 0b10 << 18;
const TO_OTHERS: u32 = 0b11 << 18;
const BROADCAST: u32 = u32::MAX;
/// Of a logical destination, the part that says which processors of the cluster.
const MEMBERS: u32 = 0xffff;

/// A value that is written to the register.
#[derive(Debug, Clone, Copy)]
pub struct Command {
    /// The low half: what interrupt, and how the destination is to be read.
    pub low: u32,
    /// The high half: the destination.
    pub destination: u32,
}

impl Command {
    /// Whether it interrupts `target` when `sender` writes it. A processor's number is the ID of its APIC.
    #[must_use]
    pub fn reaches(self, sender: Vcpu, target: Vcpu) -> bool {
        match self.low & SHORTHAND {
            TO_SELF => target == sender,
            TO_ALL => true,
            TO_OTHERS => target != sender,
            _ if self.destination == BROADCAST => true,
            _ if self.low & LOGICAL != 0 => {
                let (cluster, member) = (target.0 >> 4, 1 << (target.0 & 0xf));
                self.destination >> 16 == cluster && self.destination & MEMBERS & member != 0
            }
            _ => self.destination == target.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whom of 20 processors a command of number 2 reaches.
    fn reached(low: u32, destination: u32) -> Vec<u32> {
        let command = Command { low, destination };
        let all = Vcpu::all(20).filter(|&target| command.reaches(Vcpu(2), target));
        all.map(|it| it.0).collect()
    }

    #[test]
    fn a_physical_destination_is_one_processor_or_all() {
        assert_eq!(reached(0xfb, 1), [1]);
        assert_eq!(reached(0xfb, 17), [17]);
        assert_eq!(reached(0xfb, BROADCAST), (0..20).collect::<Vec<_>>());
        assert_eq!(reached(0xfb, 99), []);
    }

    #[test]
    fn a_logical_destination_is_members_of_a_cluster() {
        assert_eq!(reached(LOGICAL | 0xfb, 0b101), [0, 2]);
        assert_eq!(reached(LOGICAL | 0xfb, (1 << 16) | 0b1010), [17, 19]);
        assert_eq!(reached(LOGICAL | 0xfb, 0), []);
    }

    #[test]
    fn a_shorthand_needs_no_destination() {
        assert_eq!(reached(TO_SELF | 0xfb, 7), [2]);
        assert_eq!(reached(TO_ALL | LOGICAL, 0).len(), 20);
        let others = reached(TO_OTHERS, 2);
        assert_eq!((others.len(), others.contains(&2)), (19, false));
    }
}
