//! How many requests the control socket answers; conmon has none.

use std::cell::Cell;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use crate::clients::{Control, join};
use crate::place::Output;
use crate::series::{Better, Series, Target, Who};
use crate::spawn::{Log, Session, Wish};
use crate::{Bench, Result, doing};

const REQUEST: &str = "{\"op\":\"state\",\"tag\":1234567}\n";

/// Asks for the state again and again.
pub fn run(bench: &Bench) -> Result<Vec<Series>> {
    let count = if bench.args.quick { 10_000 } else { 400_000 };
    let mut series = Series::new("requests `state`, one client, pipelined", "k/s", Better::More)
        .limit("an echo loop that answers as many lines as it read, each as long, in one write")
        .target(Target::AtLeast(200.0));
    // Ours is the first, so what an answer is like is known to the limit.
    let answer = Cell::new(0);
    bench.alternately(if bench.args.quick { 2 } else { 7 }, |who| {
        let seconds = match who {
            Who::Ours => {
                let session = Session::start(bench, who, Wish::new(Log::File, Output::SILENT))?;
                let mut client = Control::connect(&session.control())?;
                answer.set(client.ask(REQUEST)?.len());
                let begin = Instant::now();
                client.pipeline(REQUEST, count)?;
                let took = begin.elapsed();
                session.end()?;
                took
            }
            Who::Limit => {
                let (near, far) = UnixStream::pair().map_err(doing("make a pair of sockets"))?;
                let length = answer.get();
                let echo = std::thread::spawn(move || echo(far, length));
                let begin = Instant::now();
                // Its end ends the other side.
                Control::new(near)?.pipeline(REQUEST, count)?;
                let took = begin.elapsed();
                join(vec![echo])?;
                took
            }
            Who::Reference => return Ok(()),
        };
        series.push(who, count as f64 / 1e3 / seconds.as_secs_f64());
        Ok(())
    })?;
    Ok(vec![series])
}

/// Answers each line with one of this length, until the other side has closed.
fn echo(mut stream: UnixStream, length: usize) -> Result<()> {
    let mut answer = vec![b'x'; length];
    answer[length - 1] = b'\n';
    let (mut buffer, mut answers) = (vec![0; 16 * 1024], Vec::new());
    loop {
        let n = stream.read(&mut buffer).map_err(doing("read lines"))?;
        if n == 0 {
            return Ok(());
        }
        answers.clear();
        for _ in memchr::memchr_iter(b'\n', &buffer[..n]) {
            answers.extend_from_slice(&answer);
        }
        stream.write_all(&answers).map_err(doing("write lines"))?;
    }
}
