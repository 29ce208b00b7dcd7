//! Memory that was needed for a moment, and would otherwise stay with the process for as long as the
//! container lives.

/// Bytes of stack below the caller that are given back. Nothing here goes deeper.
const STACK_BYTES: usize = 256 * 1024;
/// Bytes below a variable of [`trim`] that are left alone: the rest of its frame, madvise(2)'s, which has
/// no variables, and the red zone of 128 bytes.
const STACK_MARGIN: usize = 512;
const PAGE: usize = 4096;

/// Gives free pages of the heap and unused pages of the stack back to the kernel. The heap of musl does that by
/// itself, glibc's has to be told (malloc_trim(3)). To be called from a shallow frame.
#[inline(never)]
pub fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes a number and moves nothing that is allocated.
    unsafe {
        libc::malloc_trim(0)
    };
    let here = std::hint::black_box(0u8);
    let top = (&raw const here).addr().saturating_sub(STACK_MARGIN) & !(PAGE - 1);
    let bottom = top.saturating_sub(STACK_BYTES);
    // SAFETY: the pages lie below every live frame of the only thread, so nobody reads them before
    // writing them again; stacks grow down on the platforms we build for. Where the stack is
    // shorter, the call does what it can and says ENOMEM (madvise(2)).
    unsafe { libc::madvise(std::ptr::without_provenance_mut(bottom), top - bottom, libc::MADV_DONTNEED) };
}
