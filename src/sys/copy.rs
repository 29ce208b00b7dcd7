//! `memcpy` and `memmove` for x86-64 with musl, whose own begin with a string instruction. That costs some 30 cycles
//! before the first byte moves: on each piece of a log record and of an answer.
//!
//! The linker takes these before it looks into the C library.

use std::arch::global_asm;

#[cfg(not(test))]
macro_rules! name {
    ($name:literal) => {
        $name
    };
}
/// Beside those of the test's own C library.
#[cfg(test)]
macro_rules! name {
    ($name:literal) => {
        concat!("conward_", $name)
    };
}

// void *memmove(void *to [rdi], const void *from [rsi], size_t count [rdx]); of the registers that it may use
// (System V ABI, AMD64, 3.2.1). Bytes that two moves have in common are moved twice, so no length needs a loop
// for its rest.
//
// Up to 128 bytes, all is read before anything is written, so overlapping does not matter. Beyond that it goes
// upwards, unless `to` is inside of what is still to be read.
global_asm!(
    concat!(".pushsection .text.", name!("memmove"), ",\"ax\",@progbits"),
    concat!(".globl ", name!("memmove")),
    concat!(".type ", name!("memmove"), ", @function"),
    concat!(".globl ", name!("memcpy")),
    concat!(".type ", name!("memcpy"), ", @function"),
    ".p2align 5",
    concat!(name!("memcpy"), ":"),
    concat!(name!("memmove"), ":"),
    "    mov rax, rdi",
    "    cmp rdx, 16",
    "    jb 20f",
    "    movups xmm0, [rsi]",
    "    movups xmm1, [rsi + rdx - 16]",
    "    cmp rdx, 32",
    "    ja 10f",
    // 16 to 32
    "    movups [rdi], xmm0",
    "    movups [rdi + rdx - 16], xmm1",
    "    ret",
    "10: movups xmm2, [rsi + 16]",
    "    movups xmm3, [rsi + rdx - 32]",
    "    cmp rdx, 64",
    "    ja 11f",
    // 33 to 64
    "    movups [rdi], xmm0",
    "    movups [rdi + 16], xmm2",
    "    movups [rdi + rdx - 32], xmm3",
    "    movups [rdi + rdx - 16], xmm1",
    "    ret",
    "11: movups xmm4, [rsi + 32]",
    "    movups xmm5, [rsi + 48]",
    "    movups xmm6, [rsi + rdx - 64]",
    "    movups xmm7, [rsi + rdx - 48]",
    "    cmp rdx, 128",
    "    ja 30f",
    // 65 to 128
    "    movups [rdi + rdx - 64], xmm6",
    "    movups [rdi + rdx - 48], xmm7",
    "    movups [rdi + rdx - 32], xmm3",
    "    movups [rdi + rdx - 16], xmm1",
    "    movups [rdi], xmm0",
    "    movups [rdi + 16], xmm2",
    "    movups [rdi + 32], xmm4",
    "    movups [rdi + 48], xmm5",
    "    ret",
    // 0 to 15
    "20: cmp edx, 8",
    "    jb 21f",
    "    mov rcx, [rsi]",
    "    mov r8, [rsi + rdx - 8]",
    "    mov [rdi], rcx",
    "    mov [rdi + rdx - 8], r8",
    "    ret",
    "21: cmp edx, 4",
    "    jb 22f",
    "    mov ecx, [rsi]",
    "    mov r8d, [rsi + rdx - 4]",
    "    mov [rdi], ecx",
    "    mov [rdi + rdx - 4], r8d",
    "    ret",
    "22: test edx, edx",
    "    jz 23f",
    // 1 to 3: the first, the middle and the last
    "    mov r9d, edx",
    "    shr r9d, 1",
    "    movzx ecx, byte ptr [rsi]",
    "    movzx r8d, byte ptr [rsi + r9]",
    "    movzx r10d, byte ptr [rsi + rdx - 1]",
    "    mov [rdi], cl",
    "    mov [rdi + r9], r8b",
    "    mov [rdi + rdx - 1], r10b",
    "23: ret",
    // Beyond 128. Here xmm0, 2, 4, 5 have the first 64 bytes, and xmm6, 7, 3, 1 the last.
    "30: mov rcx, rdi",
    "    sub rcx, rsi",
    "    cmp rcx, rdx",
    "    jb 40f",
    "    lea r8, [rdi + rdx - 64]",
    "    cmp rdx, 2048",
    "    jae 32f",
    // Upwards. The last 64 bytes were read before anything was written over them.
    "31: movups xmm0, [rsi]",
    "    movups xmm2, [rsi + 16]",
    "    movups xmm4, [rsi + 32]",
    "    movups xmm5, [rsi + 48]",
    "    movups [rdi], xmm0",
    "    movups [rdi + 16], xmm2",
    "    movups [rdi + 32], xmm4",
    "    movups [rdi + 48], xmm5",
    "    add rsi, 64",
    "    add rdi, 64",
    "    cmp rdi, r8",
    "    jb 31b",
    "    movups [r8], xmm6",
    "    movups [r8 + 16], xmm7",
    "    movups [r8 + 32], xmm3",
    "    movups [r8 + 48], xmm1",
    "    ret",
    // Much: what the processor does at once, with less than eight bytes left over.
    "32: mov rcx, rdx",
    "    shr rcx, 3",
    "    rep movsq",
    "    movups [r8 + 48], xmm1",
    "    ret",
    // Downwards, until the first 64 bytes, or some of them, are left.
    "40: movups xmm1, [rsi + rdx - 16]",
    "    movups xmm3, [rsi + rdx - 32]",
    "    movups xmm7, [rsi + rdx - 48]",
    "    movups xmm6, [rsi + rdx - 64]",
    "    movups [rdi + rdx - 16], xmm1",
    "    movups [rdi + rdx - 32], xmm3",
    "    movups [rdi + rdx - 48], xmm7",
    "    movups [rdi + rdx - 64], xmm6",
    "    sub rdx, 64",
    "    cmp rdx, 64",
    "    ja 40b",
    "    movups [rdi], xmm0",
    "    movups [rdi + 16], xmm2",
    "    movups [rdi + 32], xmm4",
    "    movups [rdi + 48], xmm5",
    "    ret",
    concat!(".size ", name!("memcpy"), ", . - ", name!("memcpy")),
    concat!(".size ", name!("memmove"), ", . - ", name!("memmove")),
    ".popsection",
);

#[cfg(test)]
mod tests {
    use std::ffi::c_void;

    use proptest::prelude::*;

    // SAFETY: it has C's signature and, as far as the caller can tell, does what C's does.
    unsafe extern "C" {
        fn conward_memmove(to: *mut c_void, from: *const c_void, count: usize) -> *mut c_void;
    }

    /// Moves within a buffer, and compares all of it with what the standard library makes.
    fn check(size: usize, to: usize, from: usize, count: usize) {
        let mut buffer: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        let mut expected = buffer.clone();
        expected.copy_within(from..from + count, to);
        assert!(to.max(from) + count <= size, "within the buffer");
        let start = buffer.as_mut_ptr();
        // SAFETY: both places are within the buffer.
        let returned = unsafe {
            let to = start.add(to);
            (conward_memmove(to.cast(), start.add(from).cast(), count), to)
        };
        assert_eq!(returned.0.cast(), returned.1);
        assert!(buffer == expected, "{count} bytes from {from} to {to}");
    }

    #[test]
    fn each_length_apart_and_overlapping() {
        for count in (0..=300).chain(2000..2100).chain([4095, 4096, 4097, 65536]) {
            let size = 3 * count + 200;
            for shift in [0, 1, 7, 8, 16, 63, 64, 65, 127] {
                check(size, 3 + shift, 3, count);
                check(size, 3, 3 + shift, count);
                check(size, 5 + count + shift, 5, count);
                check(size, 5, 5 + count + shift, count);
            }
        }
    }

    proptest! {
        #[test]
        fn any_move_within_a_buffer(to in 0usize..6000, from in 0usize..6000, count in 0usize..6000) {
            check(12_000, to, from, count);
        }
    }
}
