//! The allocator.

/// Gives free pages of the heap back to the kernel (malloc_trim(3)). What a launch needed for a
/// moment would otherwise stay with the process for as long as the container lives.
pub fn trim() {
    // SAFETY: malloc_trim takes a number and moves nothing that is allocated.
    unsafe { libc::malloc_trim(0) };
}
