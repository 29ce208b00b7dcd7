//! Much data, in every direction, to the last byte.

use conward_testkit::podman::{IMAGE, Podman};

/// 8 MB without a pattern that a lost or repeated block could hide in.
fn bytes() -> Vec<u8> {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut next = || {
        // xorshift64 (Marsaglia 2003): fast, and no two blocks are alike.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..1 << 20).flat_map(|_| next()).collect()
}

/// Fails unless `output` is `input`; says where they part.
fn assert_same(output: &[u8], input: &[u8]) {
    let parted = output.iter().zip(input).position(|(a, b)| a != b);
    assert!(output == input, "{} of {} bytes, first difference at {parted:?}", output.len(), input.len());
}

#[test]
fn eight_megabytes_pass_through_attach_both_ways() {
    let podman = Podman::root();
    let input = bytes();
    // No log: a log of binary data is another test's business.
    let output = podman.feed(&["run", "--rm", "-i", "--log-driver", "none", IMAGE, "cat"], &input);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_same(&output.stdout, &input);
}

#[test]
fn eight_megabytes_pass_through_exec_both_ways() {
    let podman = Podman::root();
    let input = bytes();
    podman.ok(&["run", "-d", "--name", "c", IMAGE, "sleep", "1000"]);
    let output = podman.feed(&["exec", "-i", "c", "cat"], &input);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_same(&output.stdout, &input);
}

#[test]
fn the_container_sees_the_bytes_that_were_sent() {
    let podman = Podman::root();
    let input = bytes();
    std::fs::write(podman.path("input"), &input).expect("writing the input");
    let expected = podman.sandbox.script(&format!("md5sum <{}", podman.path("input").display()));
    let attached = podman.feed(&["run", "--rm", "-i", IMAGE, "md5sum"], &input);
    assert_eq!(String::from_utf8_lossy(&attached.stdout), expected);
    podman.ok(&["run", "-d", "--name", "c", IMAGE, "sleep", "1000"]);
    let executed = podman.feed(&["exec", "-i", "c", "md5sum"], &input);
    assert_eq!(String::from_utf8_lossy(&executed.stdout), expected);
}

#[test]
fn eight_megabytes_of_lines_are_attached_and_logged() {
    let podman = Podman::root();
    // 1 000 000 lines of 6 to 7 digits.
    let expected: String = (100_000..1_100_000).map(|number| format!("{number}\n")).collect();
    let output = podman.output(&["run", "--name", "c", IMAGE, "seq", "100000", "1099999"]);
    assert_eq!(output.status.code(), Some(0));
    assert_same(&output.stdout, expected.as_bytes());
    assert_same(podman.ok(&["logs", "c"]).as_bytes(), expected.as_bytes());
}
