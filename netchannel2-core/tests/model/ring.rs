// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Producer and consumer against a queue of messages.

use std::collections::VecDeque;

use netchannel2_core::{
    error::Violation,
    ring::{
        BeginError,
        Consumer,
        IndexWord,
        InlineError,
        Notify,
        Producer,
        Rearm,
        Reserve,
        SharedRing,
        SlotOverrun,
        Space, //
    },
    units::{
        Bytes,
        InlineLength,
        PacketLength,
        RingIndex,
        RingOrder, //
    },
    wire::{
        Features,
        Fragments,
        Message,
        MessageSize,
        Packet,
        PacketMeta,
        Way, //
    },
};
use proptest::prelude::*;

use crate::memory::Memory;

/// Makes an inline packet whose bytes are its number.
fn packet(length: u32) -> Packet {
    let length = PacketLength::new(length).unwrap();
    Packet {
        id: None,
        length,
        way: Way::Inline,
        inline_length: InlineLength::try_from(length).unwrap(),
        fragments: Fragments::NONE,
        staged: Fragments::NONE,
        meta: PacketMeta::default(),
    }
}

fn send(
    producer: &mut Producer<&Memory>,
    packet: &Packet,
    bytes: &[u8],
    reserve: Reserve,
) -> Result<(), BeginError> {
    let mut head = [0; 32];
    let length = Message::Packet(*packet).emit(&mut head).unwrap();
    assert_eq!(length, 32);
    let mut slot = producer.begin(packet.size().unwrap(), reserve)?;
    slot.write(Bytes::ZERO, &head).unwrap();
    slot.write(Bytes::new(32), bytes).unwrap();
    slot.commit();
    Ok(())
}

#[derive(Clone, Debug)]
enum Step {
    Send(u32, u32),
    PublishSent,
    Receive,
    PublishReceived,
    ArmData,
    ArmSpace,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (14..=2048_u32, 0..6000_u32).prop_map(|(length, reserve)| Step::Send(length, reserve)),
        3 => Just(Step::PublishSent),
        7 => Just(Step::Receive),
        3 => Just(Step::PublishReceived),
        1 => Just(Step::ArmData),
        1 => Just(Step::ArmSpace),
    ]
}

proptest! {
    #![proptest_config(crate::cases(400))]

    #[test]
    fn is_a_queue_of_messages(
        order in (2..=4_u8).prop_filter_map("in bounds", RingOrder::new),
        steps in prop::collection::vec(step(), 0..400),
    ) {
        let memory = Memory::new(order);
        let mut producer = Producer::new(&memory);
        let mut consumer = Consumer::new(&memory, Features::empty());
        // The messages in the ring, and how many of them the consumer may see.
        let mut model: VecDeque<(Packet, u8)> = VecDeque::new();
        let mut visible = 0;
        let mut number = 0_u8;
        let (mut data_armed, mut space_armed) = (false, false);
        let largest = MessageSize::MAX;
        for step in steps {
            match step {
                Step::Send(length, reserve) => {
                    let packet = packet(length);
                    let bytes = vec![number; length as usize];
                    let reserve = Reserve(Bytes::new(reserve));
                    match send(&mut producer, &packet, &bytes, reserve) {
                        Ok(()) => {
                            model.push_back((packet, number));
                            number = number.wrapping_add(1);
                            prop_assert!(producer.free() >= reserve.0);
                        }
                        Err(error) => {
                            prop_assert_eq!(error, BeginError::Full);
                            let needed = 2 * 2224 + reserve.0.get();
                            prop_assert!(producer.free().get() < needed);
                        }
                    }
                }
                Step::PublishSent => {
                    let news = model.len() > visible;
                    visible = model.len();
                    let notify = producer.publish();
                    if data_armed && news {
                        prop_assert_eq!(notify, Notify::Needed);
                        data_armed = false;
                    }
                }
                Step::Receive => match consumer.next().unwrap() {
                    Some(mut received) => {
                        prop_assert!(visible > 0);
                        visible -= 1;
                        let (packet, number) = model.pop_front().unwrap();
                        prop_assert_eq!(received.message, Message::Packet(packet));
                        let mut bytes = vec![0; packet.length.get() as usize];
                        let (first, rest) = bytes.split_at_mut(14);
                        let inline = &mut received.inline;
                        prop_assert_eq!(consumer.copy_inline(inline, first), Ok(()));
                        prop_assert_eq!(consumer.copy_inline(inline, rest), Ok(()));
                        prop_assert!(inline.is_empty());
                        prop_assert_eq!(
                            consumer.copy_inline(inline, &mut [0]),
                            Err(InlineError::PastEnd)
                        );
                        prop_assert!(bytes.iter().all(|byte| *byte == number));
                    }
                    None => prop_assert_eq!(visible, 0),
                },
                Step::PublishReceived => {
                    let notify = consumer.publish();
                    let all = producer.is_drained().unwrap();
                    if space_armed && all {
                        prop_assert_eq!(notify, Notify::Needed);
                    }
                    space_armed &= !notify.is_needed();
                }
                Step::ArmData => {
                    space_armed &= !consumer.publish().is_needed();
                    let rearm = consumer.arm().unwrap();
                    prop_assert_eq!(rearm == Rearm::Idle, visible == 0);
                    data_armed = visible == 0;
                }
                Step::ArmSpace => {
                    // Messages that are not visible would never make space.
                    let _ = producer.publish();
                    (visible, data_armed) = (model.len(), false);
                    match producer.arm_space_event(largest, Reserve::NONE).unwrap() {
                        Space::Available => {
                            prop_assert!(producer.begin(largest, Reserve::NONE).is_ok());
                            space_armed = false;
                        }
                        Space::Awaited => {
                            prop_assert!(producer.begin(largest, Reserve::NONE).is_err());
                            space_armed = true;
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn only_possible_indices_are_taken(
        word in any::<u32>(),
        near in prop::option::of(-40..40_i32),
        sent in 0..6_u32,
    ) {
        let memory = Memory::new(RingOrder::MIN);
        let mut producer = Producer::new(&memory);
        let packet = packet(480);
        for _ in 0..sent {
            send(&mut producer, &packet, &[0; 480], Reserve::NONE).unwrap();
        }
        let _ = producer.publish();
        let word = near.map_or(word, |near| 0_u32.wrapping_add_signed(near));
        memory.store(IndexWord::Cons, word);
        let good = word % 8 == 0 && word <= sent * 512;
        prop_assert_eq!(producer.is_drained(), if good {
            Ok(word == sent * 512)
        } else {
            Err(Violation::ConsumerIndex {
                found: RingIndex::new(word),
                before: RingIndex::START,
                limit: RingIndex::new(sent * 512),
            })
        });

        let memory = Memory::new(RingOrder::MIN);
        let mut consumer = Consumer::new(&memory, Features::empty());
        memory.store(IndexWord::Prod, word);
        let good = word % 8 == 0 && word <= 16_384;
        prop_assert_eq!(consumer.arm(), match (good, word) {
            (true, 0) => Ok(Rearm::Idle),
            (true, _) => Ok(Rearm::MoreWork),
            (false, _) => Err(Violation::ProducerIndex {
                found: RingIndex::new(word),
                before: RingIndex::START,
                limit: RingIndex::new(16_384),
            }),
        });
    }
}

/// Returns what a consumer says of a ring that starts with `bytes` and has `produced` of them.
fn verdict(bytes: &[u8], produced: u32) -> Result<bool, Violation> {
    let memory = Memory::new(RingOrder::MIN);
    memory.put(0, bytes);
    memory.store(IndexWord::Prod, produced);
    let mut consumer = Consumer::new(&memory, Features::empty());
    consumer.next().map(|received| received.is_some())
}

#[test]
fn messages_stay_within_what_is_produced() {
    assert_eq!(
        verdict(&[2, 0, 40, 0, 0, 0, 0, 0], 32),
        Err(Violation::MessageTruncated {
            size: 40,
            available: Bytes::new(32)
        })
    );
    for size in [0, 4, 12, 2232, 0xfff8] {
        let [low, high] = u16::to_le_bytes(size);
        assert_eq!(
            verdict(&[2, 0, low, high, 0, 0, 0, 0], 16_384),
            Err(Violation::MessageSize { size })
        );
    }
    assert_eq!(
        verdict(&[200, 0, 8, 0, 0, 0, 0, 0], 8),
        Err(Violation::UnknownMessage(200))
    );
    // A head that is longer than its message.
    assert_eq!(
        verdict(&[2, 0, 32, 0, 0, 0, 2, 1], 32),
        Err(Violation::MessageSizeMismatch {
            size: 32,
            expected: 40
        })
    );
}

#[test]
fn a_pad_ends_with_the_ring() {
    // Not at the start of the ring, whatever its size.
    for size in [8, 0x4000] {
        let [low, high] = u16::to_le_bytes(size);
        assert!(matches!(
            verdict(&[255, 0, low, high, 0, 0, 0, 0], 16_384),
            Err(Violation::PadSize { .. })
        ));
    }
    for (size, good) in [(16_384 - 512, true), (16_384 - 520, false), (8, false)] {
        let memory = Memory::new(RingOrder::MIN);
        let mut producer = Producer::new(&memory);
        send(&mut producer, &packet(480), &[0; 480], Reserve::NONE).unwrap();
        let [low, high] = u16::to_le_bytes(size);
        memory.put(512, &[255, 0, low, high, 0, 0, 0, 0]);
        memory.store(IndexWord::Prod, 16_384);
        let mut consumer = Consumer::new(&memory, Features::empty());
        assert!(consumer.next().is_ok_and(|it| it.is_some()));
        assert_eq!(consumer.next().is_ok(), good);
    }
}

#[test]
fn a_message_does_not_cross_the_end() {
    let memory = Memory::new(RingOrder::MIN);
    let mut producer = Producer::new(&memory);
    let mut consumer = Consumer::new(&memory, Features::empty());
    for _ in 0..31 {
        send(&mut producer, &packet(480), &[0; 480], Reserve::NONE).unwrap();
        let _ = producer.publish();
        assert!(consumer.next().is_ok_and(|it| it.is_some()));
    }
    let _ = consumer.publish();
    memory.put(31 * 512, &[2, 0, 8, 2, 0, 0, 0, 0]);
    memory.store(IndexWord::Prod, 33 * 512);
    assert_eq!(
        consumer.next().err(),
        Some(Violation::MessageWraps {
            size: 520,
            to_end: Bytes::new(512)
        })
    );
}

#[test]
fn inline_bytes_are_gone_once_released() {
    let memory = Memory::new(RingOrder::MIN);
    let mut producer = Producer::new(&memory);
    let mut consumer = Consumer::new(&memory, Features::empty());
    send(&mut producer, &packet(480), &[7; 480], Reserve::NONE).unwrap();
    let _ = producer.publish();
    let mut received = consumer.next().unwrap().unwrap();
    let mut byte = [0];
    assert_eq!(
        consumer.copy_inline(&mut received.inline, &mut byte),
        Ok(())
    );
    assert_eq!(received.inline.len(), Bytes::new(479));
    let _ = consumer.publish();
    assert_eq!(
        consumer.copy_inline(&mut received.inline, &mut byte),
        Err(InlineError::Released)
    );
    assert_eq!(received.inline.len(), Bytes::new(479));
}

#[test]
fn a_slot_is_not_left_and_a_dropped_one_leaves_no_trace() {
    let memory = Memory::new(RingOrder::MIN);
    let mut producer = Producer::new(&memory);
    let size = MessageSize::new(16).unwrap();
    let mut slot = producer.begin(size, Reserve::NONE).unwrap();
    assert_eq!(slot.write(Bytes::new(9), &[1; 8]), Err(SlotOverrun));
    assert_eq!(slot.write(Bytes::new(u32::MAX), &[1; 8]), Err(SlotOverrun));
    drop(slot);
    let mut byte = [0];
    memory.read(RingIndex::new(9).offset(RingOrder::MIN), &mut byte);
    assert_eq!(byte, [0xa5]);
    assert!(!producer.has_unpublished());
    assert_eq!(producer.free(), RingOrder::MIN.bytes());
}
