// SPDX-License-Identifier: GPL-2.0

//! Changes to xenstore that others see together.

use crate::bindings;
use kernel::{
    error::to_result,
    prelude::*, //
};

/// How often a transaction that others disturb is tried again.
const ATTEMPTS: usize = 100;

/// A running xenstore transaction.
///
/// # Invariants
///
/// `raw` was started and not ended yet.
pub struct Transaction {
    raw: bindings::xenbus_transaction,
}

impl Transaction {
    fn start() -> Result<Self> {
        let mut raw = bindings::xenbus_transaction { id: 0 };

        // SAFETY: `raw` is valid for a write.
        to_result(unsafe { bindings::xenbus_transaction_start(&mut raw) })?;
        // INVARIANT: The transaction was just started.
        Ok(Self { raw })
    }

    pub(super) fn raw(&self) -> bindings::xenbus_transaction {
        self.raw
    }

    fn commit(self) -> Result {
        let raw = self.raw;

        core::mem::forget(self);
        // SAFETY: By the type invariant the transaction runs; forgetting `self` ends it once.
        to_result(unsafe { bindings::xenbus_transaction_end(raw, false) })
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the transaction runs.
        unsafe { bindings::xenbus_transaction_end(self.raw, true) };
    }
}

/// Runs `change` in a transaction, again when another's change came between.
///
/// # Errors
///
/// That of `change`, after which nothing is changed; those of xenstore; `EAGAIN` if others came
/// between every time.
pub fn in_transaction(mut change: impl FnMut(&Transaction) -> Result) -> Result {
    for _ in 0..ATTEMPTS {
        let transaction = Transaction::start()?;

        change(&transaction)?;
        match transaction.commit() {
            Err(error) if error == EAGAIN => {}
            other => return other,
        }
    }
    Err(EAGAIN)
}
