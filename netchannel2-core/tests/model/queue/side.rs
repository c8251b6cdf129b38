// SPDX-License-Identifier: GPL-2.0 OR MIT

//! One side of a queue.

use std::collections::VecDeque;

use netchannel2_core::{
    error::Violation,
    grant::GrantRef,
    moderation::Settings,
    pool::{
        ChunkCount,
        Notice,
        OwnPool,
        SlotEntry,
        CHUNK_PAGES, //
    },
    queue::{
        Event,
        FinishError,
        Receiver,
        SendError,
        Sender, //
    },
    units::{
        InlineLength,
        PacketId, //
    },
    wire::{
        Features,
        FinishStatus,
        MaxPackets,
        PoolAdd,
        PoolAnswer,
        Purpose,
        SetModeration,
        Way,
        WishNumber, //
    }, //
};

use super::sent::Sent;
use crate::memory::Memory;

/// One side of a queue, with an owner that does what a driver does.
pub(super) struct Side<'a> {
    pub(super) sender: Sender<&'a Memory>,
    pub(super) receiver: Receiver<&'a Memory>,
    pub(super) pool: OwnPool<Vec<SlotEntry>>,
    /// Packets that are sent and not finished.
    pub(super) unfinished: VecDeque<PacketId>,
    /// Packets that are received and not finished.
    pub(super) owed: Vec<PacketId>,
    /// What was sent and not received by the other side.
    pub(super) in_flight: VecDeque<Sent>,
    /// What could not be sent yet.
    pub(super) waiting: VecDeque<Sent>,
    /// Whether the event channel has fired since the side last looked.
    pub(super) event: bool,
    pub(super) asleep: bool,
    /// The last wish about events that this side had, and the one that the other side has
    /// answered.
    pub(super) wish: WishNumber,
    pub(super) in_force: Option<WishNumber>,
}

impl<'a> Side<'a> {
    pub(super) fn new(sends: &'a Memory, receives: &'a Memory, own_credit: MaxPackets) -> Self {
        Self {
            sender: Sender::new(sends, own_credit, Features::all()),
            receiver: Receiver::new(receives, own_credit, Features::all()),
            pool: OwnPool::new(vec![SlotEntry::default(); 96], ChunkCount::MAX),
            unfinished: VecDeque::new(),
            owed: Vec::new(),
            in_flight: VecDeque::new(),
            waiting: VecDeque::new(),
            event: false,
            asleep: false,
            wish: WishNumber::default(),
            in_force: None,
        }
    }

    /// Sends what waits, in order, as far as it goes.
    pub(super) fn send(&mut self) -> Result<(), SendError> {
        let (consumed, produced) = self.sender.progress().unwrap();
        self.pool.reap(consumed, produced);
        while let Some(sent) = self.waiting.front_mut() {
            if sent.way == Way::Staged && !sent.stage(&mut self.pool) {
                // A driver takes another way.
                self.waiting.pop_front();
                continue;
            }
            let inline = InlineLength::new(sent.bytes.len() as u16).unwrap();
            let may = self.sender.can_send(
                sent.way,
                sent.length,
                inline,
                sent.fragments.len() + sent.slots.len(),
            );
            let result = match sent.way {
                Way::Inline => self.sender.send_inline(sent.meta, sent.length, |writer| {
                    for piece in sent.bytes.chunks(100) {
                        writer.write(piece).unwrap();
                    }
                    assert!(writer.write(&[0]).is_err());
                }),
                Way::Staged => {
                    let result = self.sender.send_staged(sent.meta, sent.length, &sent.slots);
                    match result {
                        Ok(end) => self.pool.commit(end),
                        Err(_) => self.pool.cancel(),
                    }
                    result.map(|_| ())
                }
                _ => self
                    .sender
                    .send_granted(sent.meta, sent.length, &sent.bytes, &sent.fragments)
                    .map(|id| {
                        assert!(!self.unfinished.contains(&id));
                        self.unfinished.push_back(id);
                    }),
            };
            assert_eq!(may, result);
            result?;
            self.in_flight.extend(self.waiting.pop_front());
        }
        Ok(())
    }

    /// Has the pool grow and shrink.
    pub(super) fn tend(&mut self) {
        if let Some(chunk) = self.pool.grow() {
            self.pool.prepared(chunk);
        }
        while let Some(chunk) = self.pool.next_withdrawn() {
            self.pool.gone(chunk);
        }
        while let Some(notice) = self.pool.next_notice() {
            let result = match notice {
                Notice::Add(chunk) => self.sender.send_pool_add(PoolAdd {
                    chunk,
                    references: [GrantRef::FIRST; CHUNK_PAGES as usize],
                }),
                Notice::Drop(chunk) => self.sender.send_pool_drop(chunk),
            };
            match result {
                Ok(()) => self.pool.told(notice),
                Err(_) => break,
            }
        }
    }

    /// Takes one message, which `peer` has sent.
    pub(super) fn receive(&mut self, peer: &mut VecDeque<Sent>) -> Result<bool, Violation> {
        let Some(event) = self.receiver.next()? else {
            return Ok(false);
        };
        match event {
            Event::Ready(limit) => self.sender.on_set_max_packets(limit)?,
            Event::Finish => {
                for finish in self.receiver.finishes().iter() {
                    self.sender.on_finish(finish)?;
                    self.unfinished.retain(|id| *id != finish.id);
                }
            }
            Event::SetModeration => {
                let said = self.receiver.moderation().unwrap();
                match said.purpose {
                    // Answered each time, as a side with limits does.
                    Purpose::Wish => self.sender.set_moderation(SetModeration {
                        purpose: Purpose::InForce,
                        ..said
                    }),
                    Purpose::InForce => self.in_force = Some(said.number),
                }
            }
            Event::Packet(mut inline) => {
                let packet = *self.receiver.packet();
                let mut bytes = vec![0; inline.len().as_usize()];
                self.receiver.copy_inline(&mut inline, &mut bytes).unwrap();
                let received = Sent {
                    way: packet.way,
                    length: packet.length,
                    bytes,
                    fragments: packet.fragments.as_slice().to_vec(),
                    slots: packet.staged.as_slice().to_vec(),
                    meta: packet.meta,
                };
                assert_eq!(Some(received), peer.pop_front());
                self.owed.extend(packet.id);
            }
            Event::PoolAdd(chunk) => {
                self.receiver.borrowed().mapped(chunk);
                self.sender.queue_answer(chunk, PoolAnswer::Mapped);
            }
            Event::PoolDrop(chunk) => {
                self.receiver.borrowed().dropped(chunk);
                self.sender.queue_answer(chunk, PoolAnswer::Dropped);
            }
            Event::PoolAnswer(chunk, answer) => self.pool.on_answer(chunk, answer)?,
        }
        Ok(true)
    }

    pub(super) fn wish(&mut self) {
        self.wish = self.wish.next();
        self.sender.set_moderation(SetModeration {
            purpose: Purpose::Wish,
            number: self.wish,
            settings: Settings::IMMEDIATE,
        });
    }

    pub(super) fn finish(&mut self, which: usize) {
        if self.owed.is_empty() {
            return;
        }
        let id = self.owed.swap_remove(which % self.owed.len());
        self.receiver.finished(id, FinishStatus::Ok).unwrap();
        self.sender.queue_finish(id, FinishStatus::Ok).unwrap();
        assert_eq!(
            self.sender.queue_finish(id, FinishStatus::Ok),
            Err(FinishError::Duplicate(id))
        );
    }
}
