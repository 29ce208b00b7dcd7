//! The lifecycle: each byte is something that happens.
//!
//! The first line may have options (see `script`): `exec`, `terminal`, `keep`, `delete`,
//! `timeout=SECONDS`, `exit-command=SECONDS`. Small letters happen when they can: an answer when
//! it is owed, an end when there is somebody to end. Capitals happen although they cannot.
//!
//! | byte | meaning |
//! |---|---|
//! | `g` | the caller's word |
//! | `s`, `x` | the runtime is started, or cannot be |
//! | `r`, `n`, `u` | it ends with 0, with 1, in a way that nobody knows |
//! | `p`, `q`, `w` | it left a pid, no pid, no terminal |
//! | `a`, `f`, `o` | the container is watched, cannot be, has departed (later, too) |
//! | `z`, `c`, `k`, `v` | it ends with 0, with 7, by a signal, in a way that nobody knows |
//! | `d`, `e`, `h` | its output is drained, its end recorded, the hooks have ended |
//! | `m`, `l`, `y` | the exit command is started, cannot be, has ended |
//! | `b`, `j` | the runtime has deleted the container, or has not |
//! | `i`, `-`, `_` | a signal; a manager asks for the delete; nobody is there any more |
//! | `t`, `.` | a second passes; an orphan ends |

mod world;

use std::time::Duration;

use conward::core::{Answer, Event, Settled, Shape};
use conward::pid::Pid;
use conward_protocol::Exit;

use crate::script::{self, Options};
use world::World;

const RUNTIME: i32 = 10;
const CONTAINER: i32 = 20;
const COMMAND: i32 = 30;
const ORPHAN: i32 = 40;

fn pid(number: i32) -> Pid {
    Pid::new(number).expect("a pid")
}

/// Whatever happens in whatever order, what is done is done in its order; and then it comes to its end,
/// once, with the true status.
pub fn check(input: &[u8]) {
    let (options, happenings) = script::options(input);
    let mut world = World::new(shape(&options));
    for &byte in happenings {
        if let Some(event) = event(byte.to_ascii_lowercase()) {
            world.happen(event, byte.is_ascii_uppercase());
        }
        if byte == b't' {
            world.pass(Duration::from_secs(1));
        }
    }
    world.end();
}

fn shape(options: &Options<'_>) -> Shape {
    let seconds = |name: &str| options.number(name).map(|seconds| Duration::from_secs(seconds.min(1 << 20)));
    Shape {
        exec: options.has("exec"),
        terminal: options.has("terminal"),
        timeout: seconds("timeout"),
        exit_command: seconds("exit-command"),
        keep: options.has("keep"),
        delete: options.has("delete"),
    }
}

fn event(letter: u8) -> Option<Event> {
    let no = || "no".to_owned();
    let left = |pid, console| Answer::Settled(Settled { pid, console });
    let answer = match letter {
        b'g' => return Some(Event::Go),
        b'r' => return Some(Event::Reaped(pid(RUNTIME), Exit::Code(0))),
        b'n' => return Some(Event::Reaped(pid(RUNTIME), Exit::Code(1))),
        b'u' => return Some(Event::Reaped(pid(RUNTIME), Exit::Unknown)),
        b'o' => return Some(Event::Departed(Exit::Unknown)),
        b'z' => return Some(Event::Reaped(pid(CONTAINER), Exit::Code(0))),
        b'c' => return Some(Event::Reaped(pid(CONTAINER), Exit::Code(7))),
        b'k' => return Some(Event::Reaped(pid(CONTAINER), Exit::Signal(9))),
        b'v' => return Some(Event::Reaped(pid(CONTAINER), Exit::Unknown)),
        b'y' => return Some(Event::Reaped(pid(COMMAND), Exit::Code(0))),
        b'.' => return Some(Event::Reaped(pid(ORPHAN), Exit::Code(0))),
        b'i' => return Some(Event::Signalled(15)),
        b'-' => return Some(Event::DeleteAsked),
        b'_' => return Some(Event::Abandoned),
        b's' => Answer::Spawned(Ok(pid(RUNTIME))),
        b'x' => Answer::Spawned(Err(no())),
        b'p' => left(Ok(pid(CONTAINER)), Ok(())),
        b'q' => left(Err(no()), Ok(())),
        b'w' => left(Ok(pid(CONTAINER)), Err(no())),
        b'a' => Answer::Adopted(Ok(())),
        b'f' => Answer::Adopted(Err(no())),
        b'd' => Answer::Drained,
        b'e' => Answer::Recorded,
        b'h' => Answer::HooksEnded,
        b'm' => Answer::CommandSpawned(Some(pid(COMMAND))),
        b'l' => Answer::CommandSpawned(None),
        b'b' => Answer::Deleted(true),
        b'j' => Answer::Deleted(false),
        _ => return None,
    };
    Some(Event::Answered(answer))
}
