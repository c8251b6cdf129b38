// SPDX-License-Identifier: GPL-2.0

//! The grant cache of a driver domain: which chunks of guests stay mapped, over all channels.
//!
//! `netchannel2_core::cache` decides; here is who shares the bound. A module that has called
//! [`start`] is bounded; in one that has not, every chunk may be mapped.
//!
//! The lock of the registry is a mutex, taken before the locks of any channel, and never held while
//! pages are mapped or unmapped.

use crate::debug::Show;
use kernel::{
    global_lock,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Full,
            Relaxed,
            Release, //
        },
        Arc,
        GlobalGuard, //
    },
    time::{
        Delta,
        Instant,
        Monotonic, //
    },
};
use netchannel2_core::{
    cache::{
        victim,
        CacheLimit,
        Claim,
        Places,
        Standing, //
    },
    pool::{
        ChunkIndex,
        CHUNK_PAGES, //
    },
};

/// How long a guest that was refused comes before one that has more: longer than a pool waits
/// before it offers a chunk again.
const TURN: Delta = Delta::from_secs(15);

/// How often, at most, one guest makes others give way.
const PACE: Delta = Delta::from_secs(1);

/// A channel that has chunks of its peer mapped.
pub(crate) trait Tenant: Send + Sync {
    /// Returns what it has; [`None`] without a connection.
    fn standing(&self) -> Option<Standing>;

    /// Asks the peer to give a chunk back, for another's.
    fn give_way(&self, chunk: ChunkIndex);
}

/// Tells tenants apart: where they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TenantId(usize);

impl TenantId {
    /// Returns the number of a tenant.
    pub(crate) fn of<T: Tenant>(tenant: &T) -> Self {
        Self(core::ptr::from_ref(tenant).addr())
    }
}

struct Entry {
    id: TenantId,
    tenant: Arc<dyn Tenant>,
    /// When it was refused, unless it was admitted since.
    refused: Option<Instant<Monotonic>>,
}

struct Registry {
    places: Places,
    entries: KVec<Entry>,
    /// Chunks that found no place, and chunks that were asked back for them.
    refused: u64,
    evicted: u64,
}

global_lock! {
    // SAFETY: Initialised in `start`, once; before that, `registry` does not take it.
    unsafe(uninit) static REGISTRY: Mutex<Registry> = Registry {
        places: Places::new(CacheLimit::ZERO),
        entries: KVec::new(),
        refused: 0,
        evicted: 0,
    };
}

/// Whether [`REGISTRY`] may be used.
static STATE: Atomic<u32> = Atomic::new(UNBOUNDED);

const UNBOUNDED: u32 = 0;
const STARTING: u32 = 1;
const BOUNDED: u32 = 2;

/// How many chunks are mapped, and may be, for [`pages`].
static TAKEN: Atomic<u32> = Atomic::new(0);
static LIMIT: Atomic<u32> = Atomic::new(0);

/// Counts calls of [`press`].
static PRESSURE: Atomic<u32> = Atomic::new(0);

/// Bounds what all channels of this module have mapped of their peers' pools.
///
/// # Errors
///
/// `EBUSY` if that was done already.
pub fn start(limit: CacheLimit) -> Result {
    if STATE.cmpxchg(UNBOUNDED, STARTING, Full).is_err() {
        return Err(EBUSY);
    }
    // SAFETY: `STATE` lets this happen once, and keeps others from the lock until it is done.
    unsafe { REGISTRY.init() };
    REGISTRY.lock().places = Places::new(limit);
    LIMIT.store(limit.chunks(), Relaxed);
    STATE.store(BOUNDED, Release);
    Ok(())
}

/// Has every channel ask idle chunks back, and give up its own, with its next tick: memory is short.
///
/// Neither sleeps nor allocates.
pub fn press() {
    PRESSURE.fetch_add(1, Relaxed);
}

/// Returns a number that is another one after a call of [`press`].
pub(crate) fn pressure() -> u32 {
    PRESSURE.load(Relaxed)
}

/// Returns how many pages are mapped by all channels, and how many may be.
pub(crate) fn pages() -> (u64, u64) {
    let pages = |chunks: &Atomic<u32>| u64::from(chunks.load(Relaxed)) * u64::from(CHUNK_PAGES);

    (pages(&TAKEN), pages(&LIMIT))
}

/// Enters a tenant, until the returned [`Membership`] is dropped.
///
/// # Errors
///
/// `ENOMEM`.
pub(crate) fn join(id: TenantId, tenant: Arc<dyn Tenant>) -> Result<Membership> {
    if let Some(mut registry) = registry() {
        let entry = Entry {
            id,
            tenant,
            refused: None,
        };

        registry.entries.push(entry, GFP_KERNEL)?;
    }
    Ok(Membership(id))
}

/// The cache as a file of debugfs shows it, all channels together.
pub struct Summary;

impl Show for Summary {
    fn show(&self, f: &mut kernel::fmt::Formatter<'_>) -> kernel::fmt::Result {
        let Some(registry) = registry() else {
            return Ok(());
        };
        let (mapped, limit) = pages();

        writeln!(f, "mapped_pages {mapped}")?;
        writeln!(f, "limit_pages {limit}")?;
        writeln!(f, "channels {}", registry.entries.len())?;
        writeln!(f, "refused_chunks {}", registry.refused)?;
        writeln!(f, "evicted_chunks {}", registry.evicted)
    }
}

/// Keeps a tenant in the cache's books.
pub(crate) struct Membership(TenantId);

impl Drop for Membership {
    fn drop(&mut self) {
        let left = match registry() {
            Some(mut registry) => {
                let place = registry.entries.iter().position(|entry| entry.id == self.0);

                place.and_then(|place| registry.entries.remove(place).ok())
            }
            None => None,
        };

        // Outside the lock: it may be the last reference.
        drop(left);
    }
}

/// Allows one chunk to be mapped, until it is dropped.
pub(crate) struct Permit(Counted);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Counted {
    Yes,
    No,
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.0 == Counted::No {
            return;
        }
        if let Some(mut registry) = registry() {
            registry.places.release();
            registry.count();
        }
    }
}

/// Asks for leave to map a chunk; without it, another chunk has been asked back, if one is to spare.
pub(crate) fn admit(asker: TenantId) -> Option<Permit> {
    let Some(mut registry) = registry() else {
        return Some(Permit(Counted::No));
    };

    if registry.take(asker).is_some() {
        return Some(Permit(Counted::Yes));
    }
    let shortage = match registry.places.taken() < registry.places.limit().chunks() {
        true => Shortage::OthersFirst,
        false => Shortage::Room,
    };
    let chosen = registry.refuse(asker, shortage);

    drop(registry);
    ask(chosen);
    None
}

/// Has another chunk asked back where Xen or the kernel had no room for the asker's.
pub(crate) fn make_room(asker: TenantId) {
    let chosen = match registry() {
        Some(mut registry) => registry.refuse(asker, Shortage::Room),
        None => None,
    };

    ask(chosen);
}

/// Why a chunk is not mapped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shortage {
    /// There is no room.
    Room,
    /// The places that are free are for guests that have less.
    OthersFirst,
}

fn ask(chosen: Option<(Arc<dyn Tenant>, ChunkIndex)>) {
    if let Some((tenant, chunk)) = chosen {
        tenant.give_way(chunk);
    }
}

fn registry() -> Option<GlobalGuard<REGISTRY>> {
    (STATE.load(Acquire) == BOUNDED).then(|| REGISTRY.lock())
}

impl Registry {
    fn take(&mut self, asker: TenantId) -> Option<()> {
        let share = self
            .entries
            .iter()
            .find(|entry| entry.id == asker)
            .and_then(|entry| entry.tenant.standing())
            .map_or(0, |standing| standing.share);
        let waiting = self
            .entries
            .iter()
            .filter(|entry| entry.id != asker && entry.has_waited_less_than(TURN))
            .filter_map(|entry| entry.tenant.standing())
            .map(|standing| standing.share);

        self.places.take(share, waiting)?;
        self.count();
        if let Some(entry) = self.entry(asker) {
            entry.refused = None;
        }
        Some(())
    }

    /// Notes that the asker was refused, and chooses who makes room for it.
    fn refuse(
        &mut self,
        asker: TenantId,
        shortage: Shortage,
    ) -> Option<(Arc<dyn Tenant>, ChunkIndex)> {
        self.refused = self.refused.wrapping_add(1);

        let entry = self.entry(asker)?;

        if entry.has_waited_less_than(PACE) {
            return None;
        }
        entry.refused = Some(Instant::now());
        if shortage == Shortage::OthersFirst {
            return None;
        }
        let guests = self.entries.iter().filter_map(|entry| {
            let claim = match entry.id == asker {
                true => Claim::Asks,
                false => Claim::Holds,
            };

            Some((entry, claim, entry.tenant.standing()?))
        });

        let (entry, chunk) = victim(guests)?;
        let chosen = (entry.tenant.clone(), chunk);

        self.evicted = self.evicted.wrapping_add(1);
        Some(chosen)
    }

    fn entry(&mut self, id: TenantId) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.id == id)
    }

    fn count(&self) {
        TAKEN.store(self.places.taken(), Relaxed);
    }
}

impl Entry {
    fn has_waited_less_than(&self, time: Delta) -> bool {
        self.refused.is_some_and(|since| since.elapsed() < time)
    }
}
