//! Random numbers, which the conductor never draws itself.
#![allow(unsafe_code)]

use crate::error::Error;
use crate::settings;
use conductor::code::Code;
use pgrx::pg_sys;
use std::cell::Cell;

/// Lowest lease token. A token is this number plus 52 random bits, so it always has 16 digits and is exact as a double.
const LOWEST_TOKEN: i64 = 1 << 52;

thread_local! {
    /// Seed set by tests, and state of the generator started with it.
    static SEEDED: Cell<Option<(i32, u64)>> = const { Cell::new(None) };
}

/// Returns a number from 0 up to but not including 1. Not fit for secrets.
pub fn fraction() -> f64 {
    // SAFETY: the generator is the backend's own, and is seeded when the backend starts.
    unsafe { pg_sys::pg_prng_double(&raw mut pg_sys::pg_global_prng_state) }
}

/// Draws a lease token that cannot be guessed; a predictable one if `pg_workflow.test_seed` is set.
pub fn token() -> Result<i64, Error> {
    let bits = match settings::test_seed() {
        None => {
            SEEDED.set(None);
            strong_bits()?
        }
        Some(seed) => seeded_bits(seed),
    };
    Ok(LOWEST_TOKEN | (bits >> 12) as i64)
}

fn strong_bits() -> Result<u64, Error> {
    let mut bits = 0_u64;
    // SAFETY: the buffer has the given length.
    if unsafe { pg_sys::pg_strong_random((&raw mut bits).cast(), size_of::<u64>()) } {
        Ok(bits)
    } else {
        Err(Error::refused(
            Code::UNUSABLE,
            "the server has no random numbers",
            "Check the server's source of randomness.",
        ))
    }
}

/// Returns bits from SplitMix64, which is short, and good enough to tell tokens in tests apart.
fn seeded_bits(seed: i32) -> u64 {
    let state = match SEEDED.get() {
        Some((known, state)) if known == seed => state,
        _ => seed as u64,
    };
    let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    SEEDED.set(Some((seed, state)));
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
