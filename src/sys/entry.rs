//! The way in from C, past the start of Rust's own runtime: it reads /proc/self/maps, and sets up a
//! second stack and handlers for faults, which each container would pay for in time and memory.
//! What of it a supervisor needs is done here.

use std::ffi::{CStr, OsStr, OsString, c_char, c_int};
use std::os::unix::ffi::OsStrExt;

use super::signals;

/// Makes a function of the binary, from the words of the command line to the exit status, the program.
#[macro_export]
macro_rules! program {
    ($run:path) => {
        /// # Safety
        /// The arguments are those that C gives to main.
        // SAFETY: what has this name is what C's start calls, once; the compiler makes no other with
        // `no_main`.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn main(
            count: std::ffi::c_int,
            words: *const *const std::ffi::c_char,
        ) -> std::ffi::c_int {
            // SAFETY: the arguments are C's own.
            std::ffi::c_int::from($run(unsafe { $crate::sys::entry::begin(count, words) }))
        }
    };
}
pub use program;

/// Makes the process what the program relies on: descriptors 0 to 2 are open, so that nothing that is
/// opened later is taken for a standard stream, and a broken pipe is an error of write(2). Returns the
/// words of the command line.
///
/// # Safety
/// `words` must point to `count` strings that last as long as the process.
pub unsafe fn begin(count: c_int, words: *const *const c_char) -> Vec<OsString> {
    #[cfg(all(target_env = "musl", target_feature = "crt-static", target_pointer_width = "64"))]
    seal();
    signals::ignore_broken_pipes();
    open_standard_streams();
    (0..usize::try_from(count).unwrap_or(0))
        // SAFETY: the caller's promise.
        .map(|at| unsafe { CStr::from_ptr(*words.add(at)) })
        .map(|word| OsStr::from_bytes(word.to_bytes()).to_owned())
        .collect()
}

/// Makes read-only what only relocation had to write to (PT_GNU_RELRO, elf(5)). A dynamic loader does that, and the
/// start of a static program of glibc's, but not that of musl's. If it fails, the program works all the same.
#[cfg(all(target_env = "musl", target_feature = "crt-static", target_pointer_width = "64"))]
fn seal() {
    // SAFETY: every linker for ELF defines it, at the header.
    unsafe extern "C" {
        /// The linker's name for the beginning of the program, which is what addresses in it count from.
        static __ehdr_start: libc::Elf64_Ehdr;
    }
    // SAFETY: the header is mapped and says where the table is, in the same page as itself, and how long; nothing
    // writes to the range after relocation, which is done. Of its last page other data may have a part.
    unsafe {
        let page = libc::getauxval(libc::AT_PAGESZ) as usize;
        let first = &raw const __ehdr_start;
        let table = first.byte_add(__ehdr_start.e_phoff as usize).cast::<libc::Elf64_Phdr>();
        let headers = std::slice::from_raw_parts(table, usize::from(__ehdr_start.e_phnum));
        // Where the header was meant to be: 0 unless the program has a fixed place.
        let meant = headers.iter().find(|header| header.p_type == libc::PT_LOAD && header.p_offset == 0);
        let Some(meant) = meant.map(|header| header.p_vaddr as usize) else { return };
        for relro in headers.iter().filter(|header| header.p_type == libc::PT_GNU_RELRO) {
            let start = first.addr() - meant + relro.p_vaddr as usize;
            let end = (start + relro.p_memsz as usize) / page * page;
            let start = start / page * page;
            libc::mprotect(first.with_addr(start).cast_mut().cast(), end - start, libc::PROT_READ);
        }
    }
}

/// Puts /dev/null where a standard stream is closed. If even that fails, nothing can be done or told.
fn open_standard_streams() {
    let mut streams = [0, 1, 2].map(|fd| libc::pollfd { fd, events: 0, revents: 0 });
    // SAFETY: poll(2) writes to three structures that are ours; open(2) gets a literal, and takes the
    // lowest number that is free.
    unsafe {
        if libc::poll(streams.as_mut_ptr(), 3, 0) <= 0 {
            return;
        }
        for _ in streams.iter().filter(|stream| stream.revents & libc::POLLNVAL != 0) {
            libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
        }
    }
}
