//! Chance comes in from outside the conductor.

use pgrx::pg_sys;

/// 0 to 1.
#[allow(unsafe_code)]
pub fn fraction() -> f64 {
    // SAFETY: the generator is the backend's own, and is seeded when the backend starts.
    unsafe { pg_sys::pg_prng_double(&raw mut pg_sys::pg_global_prng_state) }
}
