// SPDX-License-Identifier: GPL-2.0

//! What `ethtool -S` shows of a channel.
//!
//! `send_` is towards the peer and `receive_` from it, for either side.

use super::{
    lender::LendCounters,
    receive::{
        PollCounters,
        ReceiveSide, //
    },
    staging::StagingCounters,
    transmit::SendSide,
};
use crate::net::{
    Poll,
    Statistic, //
};
use netchannel2_core::stats::{
    EventCounters,
    ReceiveCounters,
    SendCounters, //
};

const DRIVER: [Statistic; 16] = [
    "polls",
    "spurious_polls",
    "copy_hypercalls",
    "copy_operations",
    "queue_stops",
    "send_in_place",
    "send_copied",
    "send_no_memory",
    "lent_grants",
    "pool_exhausted",
    "pool_grown",
    "pool_shrunk",
    "pool_refused",
    "pool_pages",
    "pool_pages_in_use",
    "mapped_pages",
];

const SEND: usize = SendCounters::NAMES.len();
const RECEIVE: usize = ReceiveCounters::NAMES.len();
const EVENTS: usize = EventCounters::NAMES.len();

/// How many statistics there are.
pub const STATISTICS_COUNT: usize = SEND + RECEIVE + EVENTS + DRIVER.len();

/// The names of a channel's statistics, in the order of their values.
pub static STATISTICS: [Statistic; STATISTICS_COUNT] = names();

const fn names() -> [Statistic; STATISTICS_COUNT] {
    let mut names = [""; STATISTICS_COUNT];
    let mut at = 0;

    while at < STATISTICS_COUNT {
        names[at] = if at < SEND {
            SendCounters::LABELS[at]
        } else if at < SEND + RECEIVE {
            ReceiveCounters::LABELS[at - SEND]
        } else if at < SEND + RECEIVE + EVENTS {
            EventCounters::LABELS[at - SEND - RECEIVE]
        } else {
            DRIVER[at - SEND - RECEIVE - EVENTS]
        };
        at += 1;
    }
    names
}

/// The counters of all connections of a channel.
#[derive(Clone, Copy, Default)]
pub(super) struct Totals {
    send: SendCounters,
    receive: ReceiveCounters,
    events: EventCounters,
    poll: PollCounters,
    stops: u64,
    lend: LendCounters,
    lent: u64,
    staging: StagingCounters,
    pool_pages: (u64, u64),
    mapped_pages: u64,
}

impl Totals {
    pub(super) fn add_send<P: Poll>(&mut self, side: &SendSide<P>) {
        self.send.add(side.counters());
        self.events.add(side.event_counters());
        self.stops = self.stops.wrapping_add(side.stops());
        let lend = side.lend_counters();

        self.lend.in_place = self.lend.in_place.wrapping_add(lend.in_place);
        self.lend.copied = self.lend.copied.wrapping_add(lend.copied);
        self.lend.no_memory = self.lend.no_memory.wrapping_add(lend.no_memory);
        self.lent = side.lent();
        let staging = side.staging_counters();

        self.staging.exhausted = self.staging.exhausted.wrapping_add(staging.exhausted);
        self.staging.grown = self.staging.grown.wrapping_add(staging.grown);
        self.staging.shrunk = self.staging.shrunk.wrapping_add(staging.shrunk);
        self.staging.refused = self.staging.refused.wrapping_add(staging.refused);
        self.pool_pages = side.pool_pages();
    }

    pub(super) fn add_receive<P: Poll>(&mut self, side: &ReceiveSide<P>) {
        let poll = side.poll_counters();

        self.mapped_pages = side.mapped_pages();
        self.receive.add(side.counters());
        self.poll.polls = self.poll.polls.wrapping_add(poll.polls);
        self.poll.spurious_polls = self.poll.spurious_polls.wrapping_add(poll.spurious_polls);
        self.poll.copy_hypercalls = self.poll.copy_hypercalls.wrapping_add(poll.copy_hypercalls);
        self.poll.copy_operations = self.poll.copy_operations.wrapping_add(poll.copy_operations);
    }

    pub(super) fn write(&self, values: &mut [u64]) {
        let driver = [
            self.poll.polls,
            self.poll.spurious_polls,
            self.poll.copy_hypercalls,
            self.poll.copy_operations,
            self.stops,
            self.lend.in_place,
            self.lend.copied,
            self.lend.no_memory,
            self.lent,
            self.staging.exhausted,
            self.staging.grown,
            self.staging.shrunk,
            self.staging.refused,
            self.pool_pages.0,
            self.pool_pages.1,
            self.mapped_pages,
        ];
        let all = self
            .send
            .values()
            .into_iter()
            .chain(self.receive.values())
            .chain(self.events.values())
            .chain(driver);

        for (value, counter) in values.iter_mut().zip(all) {
            *value = counter;
        }
    }
}
