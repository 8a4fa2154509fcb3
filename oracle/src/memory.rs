//! Memory that keeps no secrets: no core dumps, no swap where limits allow, heap zeroed when it is freed, stacks scrubbed
//! behind cryptography, connection buffers that forget. It must not know which secrets there are.
//!
//! Four parts work together:
//! - [`Allocator`], the global allocator of every binary, overwrites each block when it is freed. So a secret on the heap
//!   ends with its owner, whatever library owned it.
//! - [`pool::CryptoPool`] runs what handles secrets on threads of its own and scrubs their stacks before it answers.
//! - [`scrubbed`] does the same for the part of a request that runs on the runtime's threads.
//! - [`connection::Wiping`] keeps what HTTP and TLS leave in their read buffers from outliving the answer.
//!
//! Out of reach: registers (the kernel holds them while a thread waits) and the kernel's socket buffers.

pub mod connection;
pub mod pool;

use pin_project_lite::pin_project;
use rustix::mm::MlockAllFlags;
use rustix::process::{DumpableBehavior, Resource, Rlimit};
use rustix::thread::CapabilitySet;
use std::alloc::System;
use std::hint::black_box;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The system's allocator, overwriting what is freed. `#[global_allocator]` of every binary that handles secrets.
pub type Allocator = zeroizing_alloc::ZeroAlloc<System>;

/// A new [`Allocator`], for the static.
pub const ALLOCATOR: Allocator = zeroizing_alloc::ZeroAlloc(System);

/// What [`harden`] could do for the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hardening {
    /// Core dumps are off, and other processes of the same user cannot read this one's memory.
    pub undumpable: bool,
    /// Memory is never swapped out.
    pub locked: bool,
}

/// Disables core dumps, marks the process undumpable, and locks its memory where that cannot make an allocation fail.
pub fn harden() -> Hardening {
    let no_core = rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let undumpable = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    Hardening { undumpable: no_core.is_ok() && undumpable.is_ok(), locked: lock() }
}

/// With a finite limit, a locked process cannot allocate beyond it; so only without one. Pages are locked as they are
/// touched: a reserved but unused stack costs nothing.
fn lock() -> bool {
    let unlimited = rustix::process::getrlimit(Resource::Memlock).current.is_none();
    let privileged =
        rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::IPC_LOCK));
    let flags = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    (unlimited || privileged) && rustix::mm::mlockall(flags).is_ok()
}

/// Overwrites `N` bytes of the stack below the caller.
#[inline(never)]
pub fn scrub_stack<const N: usize>() {
    let area = [0_u8; N];
    // The array's address escapes, so the zeros are written.
    black_box(&area);
}

/// Stack below a request's future that is scrubbed: parsing and handing over, no cryptography but hashes. The deepest that
/// requests of every kind were seen to go is 65 kB in a release and 165 kB in a development build, whose frames are larger.
const REQUEST_STACK: usize = if cfg!(debug_assertions) { 256 * 1024 } else { 96 * 1024 };

pin_project! {
    /// See [`scrubbed`].
    #[must_use = "futures do nothing unless polled"]
    pub struct Scrubbed<F> {
        #[pin]
        inner: F,
    }
}

/// `future`, with the stack that it used overwritten each time it yields or ends.
pub fn scrubbed<F: Future>(future: F) -> Scrubbed<F> {
    Scrubbed { inner: future }
}

impl<F: Future> Future for Scrubbed<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let answer = poll_below(self.project().inner, context);
        scrub_stack::<REQUEST_STACK>();
        answer
    }
}

/// A frame of its own, so that what `future` leaves lies below the caller's frame and not within it.
#[inline(never)]
fn poll_below<F: Future>(future: Pin<&mut F>, context: &mut Context<'_>) -> Poll<F::Output> {
    future.poll(context)
}
