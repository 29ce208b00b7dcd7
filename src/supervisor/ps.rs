//! The processes of the container: which, the runtime knows; what they are, the kernel.

use std::fs::File;
use std::io::Read;

use conward_protocol::body::{Process, Processes};
use conward_protocol::limits::COMMAND_MAX;

use super::requests::BODY_MAX;

/// The processes whose pids the runtime has listed as JSON, as many as fit in a line. A process that has
/// ended since is listed without a command.
pub(super) fn processes(pids: &[u8]) -> serde_json::Result<Processes> {
    // runc prints `null` for a container without processes.
    let pids: Option<Vec<i32>> = serde_json::from_slice(pids)?;
    fitting(&pids.unwrap_or_default(), command)
}

fn fitting(pids: &[i32], command: impl Fn(i32) -> Option<String>) -> serde_json::Result<Processes> {
    let mut room = BODY_MAX;
    let mut processes = Vec::new();
    for &pid in pids {
        let process = Process { pid, command: command(pid) };
        // With its comma.
        let length = serde_json::to_vec(&process)?.len() + 1;
        if length > room {
            break;
        }
        room -= length;
        processes.push(process);
    }
    let omitted = (pids.len() - processes.len()) as u64;
    Ok(Processes { processes, omitted })
}

/// The command line as words, or the name where there is none, as for a zombie. The kernel reads no
/// memory for it that a file system of the container's could hold up (Linux 4.17, CVE-2018-1120).
fn command(pid: i32) -> Option<String> {
    let line = read(&format!("/proc/{pid}/cmdline"))?;
    let text = words(&line);
    if !text.is_empty() {
        return Some(text);
    }
    read(&format!("/proc/{pid}/comm")).map(|name| words(&name)).filter(|name| !name.is_empty())
}

fn read(path: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(COMMAND_MAX as u64).read_to_end(&mut bytes)).ok()?;
    Some(bytes)
}

/// Arguments end with a NUL, the name with a newline.
fn words(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.trim_end_matches(['\0', '\n']).replace('\0', " ")
}

#[cfg(test)]
mod tests {
    use conward_protocol::limits::LINE_MAX;
    use conward_protocol::{Body, Reply, Tag, codec};

    use super::{fitting, processes, words};

    #[test]
    fn command_lines_are_words() {
        let table: [(&[u8], &str); 5] = [
            (b"sleep\x001000\0", "sleep 1000"),
            (b"sh\n", "sh"),
            (b"", ""),
            (b"\0\0", ""),
            (b"a\0\xff\0", "a \u{fffd}"),
        ];
        for (bytes, text) in table {
            assert_eq!(words(bytes), text, "{bytes:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let pids: Vec<i32> = (1..=20).collect();
        let command = |_| Some("\u{1}".repeat(1000));
        let fitted = fitting(&pids, command).expect("JSON");
        assert_eq!(fitted.processes.len() as u64 + fitted.omitted, 20);
        assert_eq!(fitted.processes.len(), 10, "six bytes for each of a thousand");
        let tag = Some(Tag::from("x".repeat(126).as_str()));
        let line = codec::reply_line(&Reply::ok(tag, Body::Processes(fitted)));
        assert!(line.starts_with(b"{\"tag\":\"xxx") && line.len() <= LINE_MAX + 1);
        let line = String::from_utf8(line).expect("UTF-8");
        assert!(line.contains("\"omitted\":10"), "{line:.200}");
    }

    #[test]
    fn the_list_of_a_runtime_is_read() {
        assert_eq!(processes(b"null\n").expect("JSON").processes, []);
        let own = i32::try_from(std::process::id()).expect("a pid");
        let found = processes(format!("[{own}]").as_bytes()).expect("JSON");
        assert_eq!((found.processes[0].pid, found.omitted), (own, 0));
        assert!(found.processes[0].command.is_some());
        assert!(processes(b"PID TTY").is_err());
    }
}
