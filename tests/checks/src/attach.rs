//! Clients of the attach socket, a container that reads and writes, and the supervisor between them: each
//! byte is something that one of them does.
//!
//! The first line may have options (see `script`): `once` (the end of a client's input is that of the
//! container's), `nowhere` (the container has no input).
//!
//! | byte | meaning |
//! |---|---|
//! | `a`, `1` to `6` | a client comes; it is about this one from here on |
//! | `i`, `I`, `j` | it sends a small packet, a large one, one that is too large |
//! | `e`, `h`, `x` | it sends an empty packet, sends no more, leaves |
//! | `r`, `R` | it reads a packet, or all there are |
//! | `o`, `O`, `s` | the container writes a little to stdout, much, a little to stderr |
//! | `c`, `C`, `k` | the container reads a little, everything, closes its input |
//! | `p`, `m`, `f` | the supervisor reads output, moves input, flushes clients |
//! | `l`, `q` | time for who is late; a manager ends the input |

mod peers;

use conward::data::Why;
use conward::plan::Stream;
use conward::sys::signals::ignore_broken_pipes;

use crate::script;
use peers::Scene;

/// Every client is told all that was written since it came, in order and in packets, and the container is
/// given whole packets, each once, in the order of their client.
pub fn check(input: &[u8]) {
    // Not done by the main of libFuzzer.
    ignore_broken_pipes();
    let (options, happenings) = script::options(input);
    let mut scene = Scene::new(options.has("once"), options.has("nowhere"));
    for &byte in happenings {
        match byte {
            b'a' => scene.come(),
            b'1'..=b'6' => scene.turn_to(usize::from(byte - b'1')),
            b'i' => scene.send(40),
            b'I' => scene.send(8000),
            b'j' => scene.send_too_much(),
            b'e' => scene.send_empty(),
            b'h' => scene.send_no_more(),
            b'x' => scene.leave(),
            b'r' => scene.read(1),
            b'R' => scene.read(usize::MAX),
            b'o' => scene.write(Stream::Stdout, 30),
            b'O' => scene.write(Stream::Stdout, 20_000),
            b's' => scene.write(Stream::Stderr, 30),
            b'c' => scene.take(100),
            b'C' => scene.take(usize::MAX),
            b'k' => scene.close_input(),
            b'p' => scene.pump(),
            b'm' => scene.move_input(),
            b'f' => scene.flush(),
            b'l' => scene.retire(),
            b'q' => scene.end_input(),
            _ => {}
        }
    }
    scene.settle();
    scene.assert_outputs();
    scene.assert_input();
    for gone in scene.gone() {
        assert!(matches!(gone.why, Why::Left), "{gone:?}");
    }
}
