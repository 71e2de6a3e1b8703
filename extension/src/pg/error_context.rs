//! The context of our errors: where the caller's own code was, without the functions that ours call internally.

#![allow(unsafe_code)]

use pgrx::pg_sys;
use std::ffi::CStr;

/// Maximum number of frames examined.
const MAX_FRAMES: usize = 50;

/// Removes our own functions, and the statements that they execute, from the context of the error that is about to be
/// raised. Whoever catches the error, or continues, restores the previous context.
pub fn hide_own_functions() {
    // SAFETY: the frames are on the stacks of running functions, each with its callback's argument. A callback only
    // adds its text, which is what the server itself calls it for, and the stack is restored before anything else
    // happens.
    unsafe {
        let mut frame = pg_sys::error_context_stack;
        // First frame to show, and number of foreign frames seen since the last one of ours.
        let (mut shown, mut others) = (frame, 0);
        for _ in 0..MAX_FRAMES {
            if frame.is_null() || others > 1 {
                break;
            }
            let is_own = is_own_function(&text(frame));
            frame = (*frame).previous;
            match is_own {
                true => (shown, others) = (frame, 0),
                false => others += 1,
            }
        }
        pg_sys::error_context_stack = shown;
    }
}

/// Returns the text that one frame adds to the context.
unsafe fn text(frame: *mut pg_sys::ErrorContextCallback) -> String {
    unsafe {
        let whole = pg_sys::error_context_stack;
        let mut alone = pg_sys::ErrorContextCallback { previous: std::ptr::null_mut(), ..*frame };
        pg_sys::error_context_stack = &mut alone;
        let text = pg_sys::GetErrorContextStack();
        pg_sys::error_context_stack = whole;
        if text.is_null() {
            return String::new();
        }
        let copy = CStr::from_ptr(text).to_string_lossy().into_owned();
        pg_sys::pfree(text.cast());
        copy
    }
}

/// Whether a line is about one of our functions. Statements are quoted.
fn is_own_function(line: &str) -> bool {
    let names_function = !line.contains('"') && (line.contains(" workflow.") || line.contains(" workflow_"));
    names_function || line.contains("\"workflow_")
}
