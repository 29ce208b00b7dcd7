//! The same input to the reference and to conward, and the same observable output from both.
//!
//! Where the two differ on purpose, `differences.rs` says so and why: a difference that is not
//! listed fails the test, and so does a listed one that no longer exists.

mod attach;
mod command_line;
mod compare;
mod control;
mod create;
mod differences;
mod ends;
mod exec;
mod failing;
mod life;
mod logs;
mod notify;

/// A test for each scenario, and the list of their names.
macro_rules! scenarios {
    ($($module:ident: $($name:ident)*;)*) => {
        const NAMES: &[&str] = &[$($(stringify!($name)),*),*];
        $($(
            #[test]
            fn $name() {
                compare::compare(stringify!($name), $module::$name);
            }
        )*)*
    };
}

scenarios! {
    command_line: parse_errors validation log_options accepted_words;
    create: podman_create crio_create terminal restore passthrough start_pipe_end terminated_early
        listen_pid socket_directory long_bundle stale_files
        file_in_the_way runtime_view exit_command_view;
    failing: text_and_status silent killed no_pid_file empty_pid_file garbage_pid_file long_text
        escaped_text silent_terminal no_terminal two_terminals not_executable setup_failure;
    exec: api_exec api_exec_terminal api_exec_failing api_exec_runtime_status old_exec old_exec_failing
        old_exec_empty_pid_file old_exec_timeout exec_view;
    logs: lines long_lines read_boundaries pieces binary size_max global_size_max reopen colon_in_path;
    attach: packets half_close empty_packet unread_input two_clients stdin_left_open;
    control: good_lines bad_lines;
    ends: signals stranger time_limit missing_persist missing_exit_dir forwarded exit_delay noise;
    notify: filter;
}
