// SPDX-License-Identifier: GPL-2.0

//! What `ethtool -S` shows of a channel.
//!
//! `send_` is towards the peer and `receive_` from it, for either side.

use super::{
    borrowing::CacheCounters,
    lender::LendCounters,
    receive::{
        PollCounters,
        ReceiveSide, //
    },
    staging::StagingCounters,
    transmit::SendSide,
};
use crate::{
    cache,
    net::{
        Poll,
        Statistic, //
    },
};
use netchannel2_core::stats::{
    EventCounters,
    ReceiveCounters,
    SendCounters, //
};

const DRIVER: [Statistic; 27] = [
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
    "cache_hits",
    "cache_misses",
    "cache_refused",
    "cache_evicted",
    "cache_reclaimed",
    "cache_late",
    "cache_lost",
    "cache_all_pages",
    "cache_limit_pages",
    "quarantined_pages",
    "quarantined_total",
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
    cache: CacheCounters,
    /// Pages that there are, and that there were ever.
    pub(super) quarantined: (u64, u64),
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
        let cache = side.borrowed().counted();

        self.cache.refused = self.cache.refused.wrapping_add(cache.refused);
        self.cache.evicted = self.cache.evicted.wrapping_add(cache.evicted);
        self.cache.reclaimed = self.cache.reclaimed.wrapping_add(cache.reclaimed);
        self.cache.late = self.cache.late.wrapping_add(cache.late);
        self.cache.lost = self.cache.lost.wrapping_add(cache.lost);
        self.receive.add(side.counters());
        self.poll.polls = self.poll.polls.wrapping_add(poll.polls);
        self.poll.spurious_polls = self.poll.spurious_polls.wrapping_add(poll.spurious_polls);
        self.poll.copy_hypercalls = self.poll.copy_hypercalls.wrapping_add(poll.copy_hypercalls);
        self.poll.copy_operations = self.poll.copy_operations.wrapping_add(poll.copy_operations);
    }

    /// The connection is over: what it had is no more.
    pub(super) fn end(&mut self) {
        self.lent = 0;
        self.pool_pages = (0, 0);
        self.mapped_pages = 0;
    }

    pub(super) fn write(&self, values: &mut [u64]) {
        let (all, limit) = cache::pages();
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
            self.receive.staged_packets,
            self.receive.granted_packets,
            self.cache.refused,
            self.cache.evicted,
            self.cache.reclaimed,
            self.cache.late,
            self.cache.lost,
            all,
            limit,
            self.quarantined.0,
            self.quarantined.1,
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
