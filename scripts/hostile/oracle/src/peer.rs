// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A queue of the core crate that answers what it receives.

use std::{
    collections::VecDeque,
    fs::OpenOptions,
    os::unix::fs::FileExt as _,
    sync::Arc, //
};

use netchannel2_core::{
    error::Violation,
    grant::{
        Fragment,
        GrantRef, //
    },
    moderation::Settings,
    queue::{
        Event,
        Receiver,
        SendError,
        Sender, //
    },
    ring::{
        control::Direction,
        Rearm, //
    },
    units::{
        FragmentLength,
        PacketLength,
        PageOffset,
        RingOrder, //
    },
    wire::{
        Features,
        FinishStatus,
        MaxPackets,
        PacketCount,
        PacketMeta,
        Purpose,
        SetModeration,
        WishNumber, //
    },
};

use crate::{
    host,
    memory::FileRing,
    staging::Staging, //
};

/// References from here on are granted to nobody, as far as this peer is concerned.
pub const NOT_GRANTED: u32 = 30_000;

/// How many packets the hostile peer may have outstanding.
const CREDIT: u32 = 64;

/// How many packets are received before they are finished, as a driver does with a batch.
const BATCH: usize = 256;

pub struct Peer {
    data: FileRing,
    sender: Sender<FileRing>,
    receiver: Receiver<FileRing>,
    staging: Staging,
    answers: VecDeque<Vec<u8>>,
}

impl Peer {
    /// Takes the end of the queue that `role` does not have.
    pub fn new(
        role: &str,
        file: &str,
        order: u8,
        features: u32,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let file = Arc::new(OpenOptions::new().read(true).write(true).open(file)?);
        let order = RingOrder::new(order).ok_or("order")?;
        let ring = |direction| FileRing {
            file: file.clone(),
            order,
            direction,
        };
        let (own, other) = match role {
            "front" => (Direction::Rx, Direction::Tx),
            _ => (Direction::Tx, Direction::Rx),
        };
        let credit = MaxPackets::of_any_length(PacketCount::clamped(CREDIT).ok_or("credit")?);
        let features = Features::from_bits_truncate(features);
        let mut sender = Sender::new(ring(own), credit, features);
        sender.set_moderation(SetModeration {
            purpose: Purpose::Wish,
            number: WishNumber::default(),
            settings: Settings::IMMEDIATE,
        });
        let mut peer = Self {
            data: ring(own),
            sender,
            receiver: Receiver::new(ring(other), credit, features),
            staging: Staging::new(features),
            answers: VecDeque::new(),
        };
        peer.turn().map_err(|violation| violation.to_string())?;
        Ok(peer)
    }

    /// Receives everything, finishes, answers, and looks at all indices of the hostile peer.
    pub fn turn(&mut self) -> Result<(), Violation> {
        loop {
            let busy = self.receive()?;
            self.staging.tend(&mut self.sender, &mut self.receiver)?;
            self.answer()?;
            let _ = self.sender.publish()?;
            let _ = self.receiver.publish();
            let _ = self.sender.arm_space()?;
            let _ = self.sender.missing_finish()?;
            if !busy && self.receiver.arm()? == Rearm::Idle {
                return Ok(());
            }
        }
    }

    fn receive(&mut self) -> Result<bool, Violation> {
        let mut finishes = Vec::new();
        let mut count = 0;
        while count < BATCH {
            let Some(event) = self.receiver.next()? else {
                break;
            };
            count += 1;
            match event {
                Event::Ready(limit) => self.sender.on_set_max_packets(limit)?,
                Event::PoolAdd(_) => {
                    if let Some(add) = self.receiver.pool_add() {
                        self.staging.add(add);
                    }
                }
                Event::SetModeration => {
                    // Answered as by a side with limits, which this one does not have.
                    if let Some(said) = self.receiver.moderation() {
                        if said.purpose == Purpose::Wish {
                            self.sender.set_moderation(SetModeration {
                                purpose: Purpose::InForce,
                                ..said
                            });
                        }
                    }
                }
                Event::PoolDrop(chunk) => self.staging.drop_chunk(chunk),
                Event::PoolAnswer(chunk, answer) => self.staging.on_answer(chunk, answer)?,
                Event::Finish => {
                    for finish in self.receiver.finishes().iter() {
                        self.sender.on_finish(finish)?;
                    }
                }
                Event::Packet(mut inline) => {
                    let packet = *self.receiver.packet();
                    let mut frame = vec![0; usize::from(packet.inline_length.get())];
                    let copied = self.receiver.copy_inline(&mut inline, &mut frame);
                    assert_eq!(copied, Ok(()), "the token is fresh");
                    if let Some(id) = packet.id {
                        let refused = |part: &Fragment| part.reference().get() >= NOT_GRANTED;
                        let failed = packet.fragments.as_slice().iter().any(refused);
                        let status = if failed {
                            FinishStatus::CopyFailed
                        } else {
                            FinishStatus::Ok
                        };
                        finishes.push((id, status));
                    } else {
                        frame.extend(self.staging.read(&self.data, packet.staged.as_slice()));
                        self.answers.extend(host::answer(&frame));
                    }
                }
            }
        }
        for (id, status) in finishes {
            self.receiver.finished(id, status)?;
            let queued = self.sender.queue_finish(id, status);
            assert_eq!(queued, Ok(()), "finished once");
        }
        Ok(count > 0)
    }

    fn answer(&mut self) -> Result<(), Violation> {
        while let Some(frame) = self.answers.front() {
            match self.send(&frame.clone()) {
                Ok(()) => {
                    self.answers.pop_front();
                }
                Err(SendError::Violation(violation)) => return Err(violation),
                Err(SendError::RingFull | SendError::NoCredit | SendError::NotReady) => break,
                Err(error) => panic!("cannot answer: {error:?}"),
            }
        }
        // As a device drops what its queue does not hold.
        self.answers.truncate(1000);
        Ok(())
    }

    fn send(&mut self, frame: &[u8]) -> Result<(), SendError> {
        let length = u32::try_from(frame.len()).map_err(|_| SendError::TooBig)?;
        let length = PacketLength::new(length).map_err(SendError::Malformed)?;
        let meta = PacketMeta::default();
        if frame.len() <= 256 {
            return self.sender.send_inline(meta, length, |writer| {
                let _ = writer.write(frame);
            });
        }
        let staged = self
            .staging
            .send(&mut self.sender, &self.data, length, frame);
        if let Some(result) = staged {
            return result;
        }
        let fragment = || {
            let length = FragmentLength::new(u16::try_from(frame.len()).ok()?)?;
            Fragment::new(GrantRef::new(100)?, PageOffset::ZERO, length)
        };
        let fragment = fragment().ok_or(SendError::TooBig)?;
        self.data
            .file
            .write_all_at(frame, self.data.data())
            .expect("the file can be written");
        self.sender
            .send_granted(meta, length, &[], &[fragment])
            .map(drop)
    }
}
