//! The command lines that callers are known to send, and what each of them means.

use std::os::fd::AsRawFd;
use std::time::Duration;

use ::log::LevelFilter;

use super::{RUNTIME, file, least_plan, path, plan, some, strings};
use crate::plan::*;

/// Podman 4.3 `podman run -d`, as captured from it.
#[test]
fn podman_creates_a_container() {
    let id = "1f3b9c5ddcc9a36ba9d4d3e1c2f7a8b0e6d5c4b3a29180706050403020100fed";
    let line = format!(
        "--api-version 1 -c {id} -u {id} -r {RUNTIME} -b /tmp -p /run/c/userdata/pidfile -n web \
         --exit-dir /run/libpod/exits --full-attach -s -l k8s-file:/var/c/ctr.log --log-level warning \
         --syslog --log-size-max 1048576 --runtime-arg --log-format=json --runtime-arg --log \
         --runtime-arg=/run/c/userdata/oci-log --sdnotify-socket=/run/systemd/notify -t --timeout=30 \
         --conmon-pidfile /run/c/userdata/conmon.pid --exit-command /usr/bin/podman \
         --exit-command-arg --root --exit-command-arg /var/lib/c --exit-command-arg container \
         --exit-command-arg cleanup --exit-command-arg {id} --runtime-opt --preserve-fds --runtime-opt 2"
    );
    let wanted = Plan {
        identity: Identity { id: id.into(), uuid: some(id), name: some("web") },
        runtime: RuntimeCall {
            systemd_cgroup: true,
            global_args: strings(&["--log-format=json", "--log", "/run/c/userdata/oci-log"]),
            options: strings(&["--preserve-fds", "2"]),
            bundle: some("/tmp"),
            pid_file: "/run/c/userdata/pidfile".into(),
            ..least_plan().runtime
        },
        stdio: Stdio::Terminal { stdin: false, leave_open: false },
        logs: LogPlan {
            file: Some(FileLog { size_max: Some(1 << 20), ..file("/var/c/ctr.log") }),
            journal: None,
            ..LogPlan::default()
        },
        endpoints: Endpoints {
            socket_dir: None,
            notify: some("/run/systemd/notify"),
            control_dir: crate::front::control::directory(None, false, id, &|_| None),
            ..least_plan().endpoints
        },
        records: Records { persist_dir: None, exit_dir: path("/run/libpod/exits") },
        report: ReportPlan { form: ReportForm::Data, ..least_plan().report },
        exit_command: Some(ExitCommand {
            program: "/usr/bin/podman".into(),
            args: strings(&["--root", "/var/lib/c", "container", "cleanup", id]),
            delay: Duration::ZERO,
        }),
        timeout: Some(Duration::from_secs(30)),
        detach: Detach::Yes { pid_file: path("/run/c/userdata/conmon.pid") },
        diagnostics: Diagnostics { level: LevelFilter::Warn, syslog: true, ident: id[..20].into() },
        ..least_plan()
    };
    assert_eq!(plan(&line.split_whitespace().collect::<Vec<_>>(), &[]), wanted);
}

/// Podman 4.3 `podman exec`: a gated exec, told so by three pipes.
#[test]
fn podman_runs_a_process() {
    let files = [(); 3].map(|()| std::fs::File::open("/dev/null").expect("/dev/null"));
    let [sync, start, attach] = files.each_ref().map(|file| file.as_raw_fd());
    let line = format!(
        "--api-version 1 -c 0123456789abc -u session -r {RUNTIME} -b /tmp -p /tmp/exec_pid -n web \
         --exit-dir /tmp/exit --full-attach -s -l none --log-level debug -i -e --exec-attach \
         --exec-process-spec /tmp/exec-process-1 --exit-command /usr/bin/podman --exit-command-arg exec \
         --exit-delay 300"
    );
    let env = [
        ("_OCI_SYNCPIPE", sync.to_string()),
        ("_OCI_STARTPIPE", start.to_string()),
        ("_OCI_ATTACHPIPE", attach.to_string()),
    ];
    let wanted = Plan {
        identity: Identity { id: "0123456789abc".into(), uuid: some("session"), name: some("web") },
        verb: Verb::Exec { process: "/tmp/exec-process-1".into(), gated: true },
        runtime: RuntimeCall {
            bundle: some("/tmp"),
            pid_file: "/tmp/exec_pid".into(),
            ..least_plan().runtime
        },
        stdio: Stdio::Pipes { stdin: true, leave_open: false },
        endpoints: Endpoints { socket_dir: None, control_dir: None, ..least_plan().endpoints },
        records: Records { persist_dir: None, exit_dir: path("/tmp/exit") },
        report: ReportPlan {
            form: ReportForm::Data,
            sync_pipe: Some(sync),
            start_pipe: Some(start),
            attach_pipe: Some(attach),
        },
        exit_command: Some(ExitCommand {
            program: "/usr/bin/podman".into(),
            args: strings(&["exec"]),
            delay: Duration::from_secs(300),
        }),
        diagnostics: Diagnostics { level: LevelFilter::Debug, ..least_plan().diagnostics },
        ..least_plan()
    };
    let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(plan(&line.split_whitespace().collect::<Vec<_>>(), &env), wanted);
}

/// CRI-O `CreateContainer`, with the journal beside the file.
#[test]
fn crio_creates_a_container() {
    let line = format!(
        "-b /tmp -c 0123456789abc -u 0123456789abc --exit-dir /run/exits -l /var/log/pods/0.log \
         --log-level info -n k8s_web -P /tmp/conmon-pidfile -p /tmp/pidfile --persist-dir /var/p -r {RUNTIME} \
         --runtime-arg --root=/run/runc --socket-dir-path /var/run/crio2 --syslog -s --log-size-max 0 \
         --no-sync-log --log-path journald: --no-pivot --leave-stdin-open -i --restore /ckpt --runtime-opt \
         --tcp-established"
    );
    let journal = JournalLog { tag: None, labels: vec![], mark_partial: true, priority_prefix: false };
    let wanted = Plan {
        identity: Identity { uuid: some("0123456789abc"), name: some("k8s_web"), ..least_plan().identity },
        verb: Verb::Restore { image: "/ckpt".into() },
        runtime: RuntimeCall {
            systemd_cgroup: true,
            no_pivot: true,
            global_args: strings(&["--root=/run/runc"]),
            options: strings(&["--tcp-established"]),
            bundle: some("/tmp"),
            pid_file: "/tmp/pidfile".into(),
            ..least_plan().runtime
        },
        stdio: Stdio::Pipes { stdin: true, leave_open: true },
        logs: LogPlan {
            file: Some(FileLog { sync: false, ..file("/var/log/pods/0.log") }),
            journal: Some(journal),
            ..LogPlan::default()
        },
        endpoints: Endpoints { socket_dir: some("/var/run/crio2"), ..least_plan().endpoints },
        records: Records { persist_dir: path("/var/p"), exit_dir: path("/run/exits") },
        detach: Detach::Yes { pid_file: path("/tmp/conmon-pidfile") },
        diagnostics: Diagnostics { level: LevelFilter::Info, syslog: true, ..least_plan().diagnostics },
        ..least_plan()
    };
    assert_eq!(plan(&line.split_whitespace().collect::<Vec<_>>(), &[]), wanted);
}

/// CRI-O `ExecSyncContainer`: neither bundle nor uuid; what the runtime's exec does not know is dropped.
#[test]
fn crio_runs_a_process() {
    let line = format!(
        "-c 0123456789abc -n web -r {RUNTIME} -p /tmp/pid -e -l /tmp/log --socket-dir-path /run/crio \
         --log-level error --sync --log-global-size-max 16777216 -t -T 10 -s --no-pivot --no-new-keyring \
         --exec-process-spec /tmp/spec --runtime-arg --root=/run/runc"
    );
    let wanted = Plan {
        identity: Identity { uuid: None, name: some("web"), ..least_plan().identity },
        verb: Verb::Exec { process: "/tmp/spec".into(), gated: false },
        runtime: RuntimeCall {
            global_args: strings(&["--root=/run/runc"]),
            bundle: None,
            pid_file: "/tmp/pid".into(),
            ..least_plan().runtime
        },
        stdio: Stdio::Terminal { stdin: false, leave_open: false },
        logs: LogPlan {
            file: Some(FileLog { global_max: Some(16 << 20), ..file("/tmp/log") }),
            journal: None,
            ..LogPlan::default()
        },
        endpoints: Endpoints { socket_dir: None, control_dir: None, ..least_plan().endpoints },
        report: ReportPlan { form: ReportForm::ExitCode, ..least_plan().report },
        timeout: Some(Duration::from_secs(10)),
        detach: Detach::No,
        diagnostics: Diagnostics { level: LevelFilter::Error, ..least_plan().diagnostics },
        ..least_plan()
    };
    assert_eq!(plan(&line.split_whitespace().collect::<Vec<_>>(), &[]), wanted);
}
