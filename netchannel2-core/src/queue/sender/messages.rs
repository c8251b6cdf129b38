// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What a sender says beside packets: FINISH, chunks of pools, moderation.

use super::{
    Queued,
    SendError,
    Sender, //
};
use crate::{
    error::Violation,
    pool::ChunkIndex,
    queue::finishes::{
        FinishError,
        Flush, //
    },
    ring::{
        Reserve,
        SharedRing, //
    },
    units::{
        Bytes,
        PacketId, //
    },
    wire::{
        Features,
        Finish,
        FinishStatus,
        Message,
        MessageSize,
        PoolAdd,
        PoolAnswer,
        SetModeration,
        MAX_FINISHES, //
    },
};

pub(super) const SET_MAX_PACKETS_SIZE: MessageSize = size(16);
const POOL_ADD_SIZE: MessageSize = size(PoolAdd::SIZE);
const POOL_CHUNK_SIZE: MessageSize = size(8);

const fn size(size: u16) -> MessageSize {
    match MessageSize::new(size) {
        Ok(size) => size,
        Err(_) => MessageSize::MAX,
    }
}

impl<R: SharedRing> Sender<R> {
    /// Offers the peer a chunk of this side's pool.
    ///
    /// # Errors
    ///
    /// Returns the [`SendError`] that kept the message from being sent.
    pub fn send_pool_add(&mut self, add: PoolAdd) -> Result<(), SendError> {
        self.send_in_turn(&Message::PoolAdd(add), POOL_ADD_SIZE)
    }

    /// Tells the peer that no packet names a chunk of this side's pool any more.
    ///
    /// # Errors
    ///
    /// Returns the [`SendError`] that kept the message from being sent.
    pub fn send_pool_drop(&mut self, chunk: ChunkIndex) -> Result<(), SendError> {
        self.send_in_turn(&Message::PoolDrop(chunk), POOL_CHUNK_SIZE)
    }

    /// Queues what the peer is to be told of a chunk of its pool, for the next
    /// [`Self::publish`].
    ///
    /// One answer for each chunk can wait for space. A give-back, which is advice, gives way to any
    /// other, and waits for none: it is not queued then, and may be tried again.
    ///
    /// [`super::Receiver::borrowed`] is told first.
    pub fn queue_answer(&mut self, chunk: ChunkIndex, answer: PoolAnswer) -> Queued {
        match self.answers.get_mut(chunk.as_usize()) {
            Some(place @ None) => {
                *place = Some(answer);
                // INVARIANT: One more.
                self.queued_answers = self.queued_answers.saturating_add(1);
                Queued::Yes
            }
            // INVARIANT: As many as before.
            Some(Some(waiting @ PoolAnswer::GiveBack)) => {
                *waiting = answer;
                Queued::Yes
            }
            _ => Queued::No,
        }
    }

    /// Queues the FINISH of a packet that the peer sent.
    ///
    /// [`super::Receiver::finished`] comes first: once the peer sees the FINISH it may use the id
    /// again. FINISHes go out in batches with [`Self::flush_finishes`] or [`Self::publish`].
    ///
    /// # Errors
    ///
    /// Returns a [`FinishError`] if this side has queued the FINISH before.
    pub fn queue_finish(&mut self, id: PacketId, status: FinishStatus) -> Result<(), FinishError> {
        self.finishes.push(Finish { id, status })
    }

    /// Returns how many FINISHes are queued and not in the ring.
    pub fn queued_finishes(&self) -> u16 {
        self.finishes.count()
    }

    /// Puts the queued FINISHes into the ring, in messages as large as the space allows.
    ///
    /// # Errors
    ///
    /// Returns a [`Violation`] if the peer's index is wrong.
    pub fn flush_finishes(&mut self) -> Result<Flush, Violation> {
        while self.finishes.count() > 0 {
            if self.producer.free() < MessageSize::MAX.bytes() {
                self.producer.refresh()?;
            }
            let batch = self.finishes.batch(self.fitting_finishes());
            match self.send_whole(&Message::Finish(batch), batch.size()) {
                Ok(()) => {
                    self.counters.finishes(&batch);
                    self.finishes.remove(&batch);
                }
                Err(SendError::Violation(violation)) => return Err(violation),
                Err(_) => return Ok(Flush::Waiting),
            }
        }
        Ok(Flush::Done)
    }

    /// Queues what is to be said about events, if the peer knows of it; [`Self::publish`] puts it
    /// into the ring as soon as there is space beside the reserve.
    pub fn set_moderation(&mut self, message: SetModeration) {
        if self.negotiated.contains(Features::MODERATION) {
            self.moderation.put(message);
        }
    }

    /// Says whether anything that the peer waits for is not in the ring. After a [`Self::publish`] it
    /// has found no space there and needs [`Self::arm_space`]: the peer may make space without
    /// raising an event that nobody has asked for.
    #[inline]
    pub fn owes(&self) -> bool {
        self.finishes.count() > 0 || self.queued_answers > 0 || self.moderation.first().is_some()
    }

    /// Puts into the ring what the peer waits for, as far as there is space.
    // Not inlined: where packets need no FINISH, few publications have any of it.
    #[inline(never)]
    pub(super) fn flush_what_is_owed(&mut self) -> Result<(), Violation> {
        // What does not fit waits for the space that the peer is about to publish.
        let _ = self.flush_finishes()?;
        if self.queued_answers > 0 {
            self.flush_answers()?;
        }
        if self.moderation.first().is_some() {
            self.flush_moderation()?;
        }
        Ok(())
    }

    fn flush_answers(&mut self) -> Result<(), Violation> {
        for chunk in ChunkIndex::all() {
            let answer = self.answers.get(chunk.as_usize()).copied().flatten();
            let Some(answer) = answer else {
                continue;
            };
            let message = Message::PoolAnswer(chunk, answer);
            // The reserve has room for one answer to each chunk, and not for advice.
            let reserve = match answer {
                PoolAnswer::GiveBack => self.reserve,
                _ => Reserve::NONE,
            };
            match self.send_head(&message, POOL_CHUNK_SIZE, reserve) {
                Ok(()) => {}
                Err(SendError::Violation(violation)) => return Err(violation),
                Err(_) => continue,
            }
            if let Some(place) = self.answers.get_mut(chunk.as_usize()) {
                *place = None;
                // INVARIANT: One fewer.
                self.queued_answers = self.queued_answers.saturating_sub(1);
            }
        }
        Ok(())
    }

    fn flush_moderation(&mut self) -> Result<(), Violation> {
        while let Some(message) = self.moderation.first() {
            let size = SetModeration::MESSAGE_SIZE;
            match self.send_in_turn(&Message::SetModeration(message), size) {
                Ok(()) => self.moderation.remove_first(),
                Err(SendError::Violation(violation)) => return Err(violation),
                Err(_) => break,
            }
        }
        Ok(())
    }

    /// Sends a message that is all head, with the reserve at its disposal.
    pub(super) fn send_whole(
        &mut self,
        message: &Message,
        size: MessageSize,
    ) -> Result<(), SendError> {
        self.send_head(message, size, Reserve::NONE)
    }

    /// Sends a message that is all head and no more important than packets.
    fn send_in_turn(&mut self, message: &Message, size: MessageSize) -> Result<(), SendError> {
        self.send_head(message, size, self.reserve)
    }

    fn send_head(
        &mut self,
        message: &Message,
        size: MessageSize,
        reserve: Reserve,
    ) -> Result<(), SendError> {
        let length = message
            .emit(&mut self.head)
            .map_err(|_| SendError::TooBig)?;
        let mut slot = self.producer.begin(size, reserve)?;
        slot.write(Bytes::ZERO, self.head.get(..length).unwrap_or_default())
            .map_err(|_| SendError::TooBig)?;
        slot.commit();
        Ok(())
    }

    /// Returns how many FINISHes go into one message without padding before it, at least 1.
    fn fitting_finishes(&self) -> u16 {
        let to_end = self.producer.to_end();
        let free = self.producer.free();
        // The last 8 bytes of a ring are too short for a FINISH and become a PAD.
        let room = if to_end.get() < 16 {
            free.saturating_sub(to_end)
        } else {
            free.min(to_end)
        };
        let entries = room.get().saturating_sub(8) / 4;
        u16::try_from(entries)
            .unwrap_or(MAX_FINISHES)
            .clamp(1, MAX_FINISHES)
    }
}
