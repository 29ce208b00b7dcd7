//! What a container sends to its service manager: the bytes are a datagram.

use conward::serve::notify::filter;

/// Only lines that tell of the service's state pass, in their order and as they were.
pub fn check(input: &[u8]) {
    let passed = filter(input);
    assert!(passed.len() <= input.len());
    assert_eq!(filter(&passed), passed);
    if passed.is_empty() {
        return;
    }
    assert!(!passed.contains(&0) && !passed.contains(&b'\r'), "{}", passed.escape_ascii());
    let mut sent = input.split(|byte| b"\n\r\0".contains(byte));
    for line in passed.split(|&byte| byte == b'\n') {
        assert!(may_pass(line), "{}", line.escape_ascii());
        assert!(sent.any(|one| one == line), "never sent: {}", line.escape_ascii());
    }
}

fn may_pass(line: &[u8]) -> bool {
    let mut parts = line.splitn(2, |&byte| byte == b'=');
    let (name, value) = (parts.next().unwrap_or_default(), parts.next());
    match name {
        b"READY" | b"RELOADING" | b"STOPPING" => value == Some(b"1"),
        b"WATCHDOG" => value == Some(b"1") || value == Some(b"trigger"),
        b"STATUS" | b"ERRNO" | b"BUSERROR" | b"MONOTONIC_USEC" => value.is_some(),
        _ => false,
    }
}
