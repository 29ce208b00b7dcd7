//! Tables of events and effects. What holds in any order of events is a check of `tests/checks`.

use std::time::{Duration, Instant};

use conward_protocol::Exit;
use conward_protocol::record::HookStage;

use super::{Answer, Core, DRAIN_LIMIT, Effect, Event, Failure, KILL_LIMIT, Settled, Shape};
use crate::pid::Pid;

const CREATE: Shape =
    Shape { exec: false, terminal: false, timeout: None, exit_command: None, keep: false, delete: false };

fn pid(raw: i32) -> Pid {
    Pid::new(raw).expect("a test's pid")
}

fn settled(init: i32) -> Event {
    Event::Answered(Answer::Settled(Settled { pid: Ok(pid(init)), console: Ok(()) }))
}

/// A lifecycle with a clock that the test moves.
struct Run {
    core: Core,
    now: Instant,
}

impl Run {
    fn new(shape: Shape) -> Run {
        Run { core: Core::new(shape), now: Instant::now() }
    }

    fn feed(&mut self, event: Event) -> Vec<Effect> {
        let mut out = Vec::new();
        self.core.handle(self.now, event, &mut out);
        out
    }

    /// Up to the end of the last hook of its end; what is then done.
    fn ended(&mut self) -> Vec<Effect> {
        self.feed(Event::Reaped(pid(20), Exit::Code(7)));
        self.feed(Event::Answered(Answer::Drained));
        self.feed(Event::Answered(Answer::Recorded));
        self.feed(Event::Answered(Answer::HooksEnded))
    }

    /// Up to a running container 20 whose runtime was 10.
    fn alive(shape: Shape) -> Run {
        let mut run = Run::new(shape);
        assert_eq!(run.feed(Event::Go), [Effect::Spawn]);
        assert_eq!(run.feed(Event::Answered(Answer::Spawned(Ok(pid(10))))), []);
        assert_eq!(run.feed(Event::Reaped(pid(10), Exit::Code(0))), [Effect::Settle]);
        assert_eq!(run.feed(settled(20)), [Effect::Adopt(pid(20))]);
        assert_eq!(run.feed(Event::Answered(Answer::Adopted(Ok(())))), [Effect::Launched(pid(20))]);
        run
    }
}

#[test]
fn a_life() {
    let mut run = Run::alive(Shape { exit_command: Some(Duration::ZERO), ..CREATE });
    assert_eq!(run.core.deadline(), None, "an idle supervisor has no timer");
    assert_eq!(run.feed(Event::Reaped(pid(99), Exit::Code(1))), [], "an orphan");
    assert_eq!(run.feed(Event::Reaped(pid(20), Exit::Code(7))), [Effect::Drain(Exit::Code(7))]);
    assert_eq!(run.feed(Event::Answered(Answer::Drained)), [Effect::Record(Exit::Code(7))]);
    assert_eq!(
        run.feed(Event::Answered(Answer::Recorded)),
        [Effect::LetGo, Effect::RunHooks(HookStage::Exited)]
    );
    assert_eq!(run.feed(Event::Answered(Answer::HooksEnded)), [Effect::RunExitCommand]);
    assert_eq!(run.feed(Event::Answered(Answer::CommandSpawned(Some(pid(30))))), []);
    assert_eq!(run.feed(Event::Reaped(pid(31), Exit::Code(0))), [], "waits for the exit command only");
    assert_eq!(run.feed(Event::Reaped(pid(30), Exit::Code(1))), [Effect::Finish(7)]);
}

#[test]
fn an_exit_before_its_pid_is_known_is_kept() {
    let mut run = Run::new(Shape { exec: true, ..CREATE });
    run.feed(Event::Go);
    run.feed(Event::Answered(Answer::Spawned(Ok(pid(10)))));
    run.feed(Event::Reaped(pid(20), Exit::Code(3)));
    run.feed(Event::Reaped(pid(10), Exit::Code(3)));
    assert_eq!(run.feed(settled(20)), [Effect::Launched(pid(20)), Effect::Drain(Exit::Code(3))]);
    assert_eq!(run.feed(Event::Answered(Answer::Drained)), [Effect::Record(Exit::Code(3))]);
    assert_eq!(run.feed(Event::Answered(Answer::Recorded)), [Effect::LetGo, Effect::Finish(3)]);
}

#[test]
fn failures_are_told_apart() {
    let no_pid = || Err("no file".to_owned());
    let console = || Err("nobody came".to_owned());
    let terminal = Shape { terminal: true, ..CREATE };
    let exec = Shape { exec: true, ..CREATE };
    let table = [
        (CREATE, Exit::Code(1), Ok(pid(20)), Ok(()), Failure::Runtime(Exit::Code(1))),
        (CREATE, Exit::Signal(9), no_pid(), Ok(()), Failure::Runtime(Exit::Signal(9))),
        (CREATE, Exit::Code(0), no_pid(), Ok(()), Failure::PidFile("no file".into())),
        (exec, Exit::Code(1), no_pid(), Ok(()), Failure::Runtime(Exit::Code(1))),
        (terminal, Exit::Code(0), Ok(pid(20)), console(), Failure::Console("nobody came".into())),
        (terminal, Exit::Code(0), no_pid(), console(), Failure::Console("nobody came".into())),
        (terminal, Exit::Code(1), no_pid(), console(), Failure::Runtime(Exit::Code(1))),
    ];
    for (shape, status, pid_file, console, failure) in table {
        let mut run = Run::new(shape);
        run.feed(Event::Go);
        run.feed(Event::Answered(Answer::Spawned(Ok(pid(10)))));
        run.feed(Event::Reaped(pid(10), status));
        let effects = run.feed(Event::Answered(Answer::Settled(Settled { pid: pid_file, console })));
        assert_eq!(effects, [Effect::Failed(failure), Effect::LetGo, Effect::Finish(1)]);
    }
}

#[test]
fn an_exec_is_judged_by_its_pid_file() {
    let mut run = Run::new(Shape { exec: true, ..CREATE });
    run.feed(Event::Go);
    run.feed(Event::Answered(Answer::Spawned(Ok(pid(10)))));
    run.feed(Event::Reaped(pid(10), Exit::Code(1)));
    assert_eq!(run.feed(settled(20)), [Effect::Adopt(pid(20))]);
}

#[test]
fn a_failed_launch_runs_the_exit_command_too() {
    let mut run = Run::new(Shape { exit_command: Some(Duration::from_secs(5)), ..CREATE });
    run.feed(Event::Go);
    let effects = run.feed(Event::Answered(Answer::Spawned(Err("ENOENT".into()))));
    assert_eq!(effects, [Effect::Failed(Failure::Spawn("ENOENT".into())), Effect::LetGo]);
    run.now += Duration::from_secs(4);
    assert_eq!(run.feed(Event::Tick), []);
    run.now += Duration::from_secs(1);
    assert_eq!(run.feed(Event::Tick), [Effect::RunExitCommand]);
    assert_eq!(run.feed(Event::Answered(Answer::CommandSpawned(None))), [Effect::Finish(1)]);
}

#[test]
fn signals_go_to_whoever_is_there() {
    let mut run = Run::new(CREATE);
    let effects = run.feed(Event::Signalled(15));
    assert_eq!(effects, [Effect::Failed(Failure::Interrupted(15)), Effect::LetGo, Effect::Finish(1)]);

    let mut run = Run::new(CREATE);
    run.feed(Event::Go);
    run.feed(Event::Answered(Answer::Spawned(Ok(pid(10)))));
    assert_eq!(run.feed(Event::Signalled(2)), [Effect::SignalRuntime(pid(10), 2)]);
    run.feed(Event::Reaped(pid(10), Exit::Code(0)));
    run.feed(settled(20));
    assert_eq!(run.feed(Event::Signalled(15)), [], "kept until the process is in hand");
    let effects = run.feed(Event::Answered(Answer::Adopted(Ok(()))));
    assert_eq!(effects, [Effect::Launched(pid(20)), Effect::SignalContainer(15)]);
    assert_eq!(run.feed(Event::Signalled(3)), [Effect::SignalContainer(3)]);
    run.feed(Event::Reaped(pid(20), Exit::Signal(3)));
    assert_eq!(run.feed(Event::Signalled(15)), [], "nobody is left to be told");
}

#[test]
fn the_time_limit() {
    let mut run = Run::alive(Shape { timeout: Some(Duration::from_secs(10)), ..CREATE });
    let until = run.core.deadline().expect("the limit");
    assert_eq!(until, run.now + Duration::from_secs(10));
    run.now = until;
    assert_eq!(run.feed(Event::Tick), [Effect::KillContainer]);
    assert_eq!(run.feed(Event::Reaped(pid(20), Exit::Signal(9))), [Effect::Drain(Exit::TimedOut)]);
    assert_eq!(run.feed(Event::Answered(Answer::Drained)), [Effect::Record(Exit::TimedOut)]);

    let mut run = Run::alive(Shape { timeout: Some(Duration::ZERO), ..CREATE });
    run.feed(Event::Tick);
    run.now += KILL_LIMIT;
    assert_eq!(
        run.feed(Event::Tick),
        [Effect::Drain(Exit::TimedOut)],
        "a process that does not die is not waited for"
    );
}

#[test]
fn a_signal_cuts_the_delay_short() {
    let mut run = Run::alive(Shape { exit_command: Some(Duration::from_secs(3600)), ..CREATE });
    run.feed(Event::Reaped(pid(20), Exit::Code(7)));
    run.feed(Event::Answered(Answer::Drained));
    run.feed(Event::Answered(Answer::Recorded));
    assert_eq!(run.feed(Event::Signalled(15)), [Effect::SignalHook(15)]);
    assert_eq!(run.feed(Event::Answered(Answer::HooksEnded)), []);
    assert_eq!(run.feed(Event::Tick), []);
    assert_eq!(run.feed(Event::Signalled(15)), [Effect::RunExitCommand]);
    assert_eq!(run.feed(Event::Signalled(15)), [], "once");
    assert_eq!(run.feed(Event::Answered(Answer::CommandSpawned(Some(pid(30))))), []);
    assert_eq!(run.feed(Event::Reaped(pid(30), Exit::Code(0))), [Effect::Finish(7)]);
}

#[test]
fn draining_is_bounded_and_a_signal_meanwhile_not_lost() {
    let mut run = Run::alive(Shape { exit_command: Some(Duration::from_secs(3600)), ..CREATE });
    run.feed(Event::Departed(Exit::Unknown));
    run.feed(Event::Signalled(15));
    run.now += DRAIN_LIMIT;
    assert_eq!(run.feed(Event::Tick), [Effect::Record(Exit::Unknown)]);
    run.feed(Event::Answered(Answer::Recorded));
    assert_eq!(run.feed(Event::Answered(Answer::HooksEnded)), [Effect::RunExitCommand], "without its delay");
    assert_eq!(run.feed(Event::Answered(Answer::CommandSpawned(None))), [Effect::Finish(255)]);
}

#[test]
fn a_planned_delete_comes_after_the_exit_command() {
    let shape = Shape { delete: true, exit_command: Some(Duration::ZERO), ..CREATE };
    for (deleted, after) in
        [(true, vec![Effect::RunHooks(HookStage::Deleted)]), (false, vec![Effect::Finish(7)])]
    {
        let mut run = Run::alive(shape);
        assert_eq!(run.ended(), [Effect::RunExitCommand]);
        assert_eq!(run.feed(Event::Answered(Answer::CommandSpawned(None))), [Effect::Delete]);
        assert_eq!(run.feed(Event::Signalled(15)), [Effect::SignalDelete(15)]);
        assert_eq!(run.feed(Event::Answered(Answer::Deleted(deleted))), after);
        if deleted {
            assert_eq!(run.feed(Event::Signalled(15)), [Effect::SignalHook(15)]);
            assert_eq!(run.feed(Event::Answered(Answer::HooksEnded)), [Effect::Finish(7)]);
        }
    }
}

#[test]
fn what_is_kept_rests_until_it_is_deleted_or_nobody_can_ask() {
    let keep = Shape { keep: true, ..CREATE };
    for end in [Event::Abandoned, Event::Signalled(15)] {
        let mut run = Run::alive(keep);
        assert_eq!(run.ended(), []);
        assert!(run.core.rests());
        assert_eq!(run.feed(Event::Tick), []);
        assert_eq!(run.feed(end), [Effect::Finish(7)]);
    }
    let mut run = Run::alive(keep);
    run.ended();
    assert_eq!(run.feed(Event::DeleteAsked), [Effect::Delete]);
    assert_eq!(run.feed(Event::Abandoned), []);
    assert_eq!(run.feed(Event::Answered(Answer::Deleted(false))), []);
    assert!(run.core.rests(), "to be asked again");
    assert_eq!(run.feed(Event::DeleteAsked), [Effect::Delete]);
    run.feed(Event::Answered(Answer::Deleted(true)));
    assert_eq!(run.feed(Event::Answered(Answer::HooksEnded)), [Effect::Finish(7)]);
}

#[test]
fn a_delete_that_is_asked_for_early_is_done_at_the_end() {
    let delayed = Shape { exit_command: Some(Duration::from_secs(3600)), ..CREATE };
    let mut run = Run::alive(delayed);
    assert_eq!(run.feed(Event::DeleteAsked), [], "it is stopped by other means");
    assert_eq!(run.ended(), [Effect::RunExitCommand], "without a delay");
    assert_eq!(run.feed(Event::Answered(Answer::CommandSpawned(None))), [Effect::Delete]);
    assert_eq!(run.feed(Event::Answered(Answer::Deleted(false))), []);
    assert!(run.core.rests(), "although nothing is kept");
    assert_eq!(run.feed(Event::Abandoned), [Effect::Finish(7)]);

    let mut run = Run::alive(delayed);
    assert_eq!(run.ended(), []);
    assert_eq!(run.feed(Event::DeleteAsked), [Effect::RunExitCommand]);
}

#[test]
fn nothing_is_kept_or_deleted_of_what_was_not_made() {
    let mut run = Run::new(Shape { keep: true, delete: true, ..CREATE });
    run.feed(Event::Go);
    let effects = run.feed(Event::Answered(Answer::Spawned(Err("ENOENT".into()))));
    let failure = Failure::Spawn("ENOENT".into());
    assert_eq!(effects, [Effect::Failed(failure), Effect::LetGo, Effect::Finish(1)]);
}

/// The signal reaches the runtime, and the process that it may have started before.
#[test]
fn an_exec_that_is_launched_outlives_no_signal() {
    for (exec, late) in [(true, vec![Effect::SignalContainer(9)]), (false, vec![])] {
        let mut run = Run::new(Shape { exec, ..CREATE });
        run.feed(Event::Go);
        run.feed(Event::Answered(Answer::Spawned(Ok(pid(10)))));
        assert_eq!(run.feed(Event::Signalled(9)), [Effect::SignalRuntime(pid(10), 9)]);
        run.feed(Event::Reaped(pid(10), Exit::Code(0)));
        run.feed(settled(20));
        let effects = run.feed(Event::Answered(Answer::Adopted(Ok(()))));
        assert_eq!(effects, [vec![Effect::Launched(pid(20))], late].concat());
    }
}
