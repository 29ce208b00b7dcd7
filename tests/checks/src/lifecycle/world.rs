//! What the lifecycle acts on, and what is always true of what it asks for.

use std::mem::discriminant;
use std::time::{Duration, Instant};

use conward::core::{Answer, Core, Effect, Event, Shape};
use conward_protocol::Exit;
use conward_protocol::record::HookStage;

use super::{COMMAND, CONTAINER, RUNTIME, event, pid};

/// More steps than any life has from anywhere to its end.
const STEPS: usize = 60;

/// Ends of children that are remembered before anybody knows who they were.
const REMEMBERED: usize = 256;

/// A process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    NotBegun,
    Runs,
    Ended(Exit),
}

/// A lifecycle, and those that it deals with.
pub struct World {
    core: Core,
    exec: bool,
    now: Instant,
    /// All that was asked for, in its order.
    done: Vec<Effect>,
    /// Of that, what is still to be answered.
    owed: Vec<Effect>,
    gone: bool,
    runtime: Life,
    container: Life,
    command: Life,
    /// How many others have ended.
    orphans: usize,
    /// Something happened that cannot: then what is true of processes may not hold.
    forged: bool,
}

impl World {
    pub fn new(shape: Shape) -> World {
        World {
            core: Core::new(shape),
            exec: shape.exec,
            now: Instant::now(),
            done: Vec::new(),
            owed: Vec::new(),
            gone: false,
            runtime: Life::NotBegun,
            container: Life::NotBegun,
            command: Life::NotBegun,
            orphans: 0,
            forged: false,
        }
    }

    /// Lets something happen, if it can or is `forged`.
    pub fn happen(&mut self, event: Event, forged: bool) {
        let can = self.take_in(&event);
        self.forged |= forged && !can;
        if can || forged {
            self.feed(event);
        }
    }

    /// Time passes, and the lifecycle is told when it wants to be, or for no reason.
    pub fn pass(&mut self, time: Duration) {
        self.now += time;
        self.feed(Event::Tick);
    }

    /// Whether it can happen now. Then it has.
    fn take_in(&mut self, event: &Event) -> bool {
        match event {
            Event::Go => !std::mem::replace(&mut self.gone, true),
            Event::Reaped(child, exit) => {
                let life = match child.raw() {
                    RUNTIME => &mut self.runtime,
                    CONTAINER => &mut self.container,
                    COMMAND => &mut self.command,
                    _ => {
                        self.orphans += 1;
                        return true;
                    }
                };
                let can = *life == Life::Runs;
                if can {
                    *life = Life::Ended(*exit);
                }
                can
            }
            Event::Departed(exit) => {
                // Nobody can take hold of one that was reaped: it has departed, nobody knows how.
                let can = self.pays(|owed| matches!(owed, Effect::Adopt(_)))
                    || (self.container == Life::Runs && self.is_launched());
                if can {
                    self.container = Life::Ended(*exit);
                }
                can
            }
            Event::Abandoned => self.core.rests(),
            Event::Signalled(_) | Event::DeleteAsked | Event::Tick => true,
            Event::Answered(Answer::Adopted(Ok(()))) if self.container != Life::Runs => false,
            Event::Answered(answer) => {
                let can = self.pays(|owed| is_to(answer, owed));
                match answer {
                    Answer::Spawned(Ok(_)) if can => {
                        (self.runtime, self.container) = (Life::Runs, Life::Runs);
                    }
                    Answer::CommandSpawned(Some(_)) if can => self.command = Life::Runs,
                    _ => {}
                }
                can
            }
        }
    }

    /// Takes an effect out of those that are owed an answer, if it is there.
    fn pays(&mut self, is_it: impl Fn(&Effect) -> bool) -> bool {
        let at = self.owed.iter().position(is_it);
        at.map(|at| self.owed.remove(at)).is_some()
    }

    fn was(&self, is_it: impl Fn(&Effect) -> bool) -> bool {
        self.done.iter().any(is_it)
    }

    fn is_launched(&self) -> bool {
        self.was(|e| matches!(e, Effect::Launched(_)))
    }

    fn is_finished(&self) -> bool {
        self.was(|e| matches!(e, Effect::Finish(_)))
    }

    fn feed(&mut self, event: Event) {
        let mut effects = Vec::new();
        self.core.handle(self.now, event, &mut effects);
        for effect in effects {
            self.assert_order(&effect);
            if !self.forged {
                self.assert_truth(&effect);
            }
            if is_answered(&effect) {
                self.owed.push(effect.clone());
            }
            self.done.push(effect);
        }
    }

    /// What comes only after what, and what comes only once: the invariants of `ARCHITECTURE.md`.
    fn assert_order(&self, effect: &Effect) {
        assert!(!self.is_finished(), "after the end: {effect:?}");
        let recorded = self.was(|e| matches!(e, Effect::Record(_)));
        let failed = self.was(|e| matches!(e, Effect::Failed(_)));
        let let_go = self.was(|e| *e == Effect::LetGo);
        let hooks = |stage| self.was(|e| *e == Effect::RunHooks(stage));
        let in_order = match effect {
            Effect::Spawn => self.done.is_empty(),
            Effect::Settle | Effect::SignalRuntime(..) => self.was(|e| *e == Effect::Spawn) && !recorded,
            Effect::Adopt(_) => self.was(|e| *e == Effect::Settle) && !failed,
            Effect::Launched(_) => self.was(|e| *e == Effect::Settle) && !failed,
            Effect::Failed(_) => !self.is_launched(),
            Effect::SignalContainer(_) | Effect::KillContainer | Effect::Drain(_) => {
                self.is_launched() && !self.was(|e| matches!(e, Effect::Drain(_)))
            }
            Effect::Record(_) => self.was(|e| matches!(e, Effect::Drain(_))),
            Effect::LetGo => recorded || failed,
            Effect::RunHooks(HookStage::Exited) => recorded && !self.exec,
            Effect::RunHooks(stage) => *stage == HookStage::Deleted && self.was(|e| *e == Effect::Delete),
            Effect::SignalHook(_) => hooks(HookStage::Exited),
            Effect::RunExitCommand => failed || (let_go && (self.exec || hooks(HookStage::Exited))),
            Effect::Delete => hooks(HookStage::Exited) && !self.exec,
            Effect::SignalDelete(_) => self.was(|e| *e == Effect::Delete),
            Effect::Finish(_) => let_go,
        };
        assert!(in_order, "not now: {effect:?} after {:?}", self.done);
        let is_repeated = matches!(
            effect,
            Effect::SignalRuntime(..)
                | Effect::SignalContainer(_)
                | Effect::SignalHook(_)
                | Effect::SignalDelete(_)
                | Effect::Delete
        );
        let is_same = |e: &Effect| match (e, effect) {
            (Effect::RunHooks(one), Effect::RunHooks(other)) => one == other,
            (one, other) => discriminant(one) == discriminant(other),
        };
        assert!(is_repeated || !self.was(is_same), "twice: {effect:?} after {:?}", self.done);
    }

    /// Nothing is sent to a process that is reaped, and the status is the true one.
    fn assert_truth(&self, effect: &Effect) {
        let owes = |is_it: fn(&Effect) -> bool| self.owed.iter().any(is_it);
        let true_exit = match self.container {
            _ if self.was(|e| *e == Effect::KillContainer) => Some(Exit::TimedOut),
            Life::Ended(exit) => Some(exit),
            Life::Runs | Life::NotBegun => None,
        };
        let is_true = match effect {
            Effect::SignalRuntime(to, _) => *to == pid(RUNTIME) && self.runtime == Life::Runs,
            Effect::SignalContainer(_) | Effect::KillContainer => self.container == Life::Runs,
            Effect::Adopt(of) => {
                *of == pid(CONTAINER) && (self.container == Life::Runs || self.orphans >= REMEMBERED)
            }
            Effect::Launched(of) => *of == pid(CONTAINER),
            Effect::Drain(exit) | Effect::Record(exit) => Some(*exit) == true_exit,
            Effect::SignalHook(_) => owes(|owed| matches!(owed, Effect::RunHooks(_))),
            Effect::SignalDelete(_) => owes(|owed| *owed == Effect::Delete),
            Effect::Delete => !owes(|owed| *owed == Effect::Delete),
            Effect::Finish(status) if self.was(|e| matches!(e, Effect::Failed(_))) => *status == 1,
            Effect::Finish(status) => Some(*status) == true_exit.map(status_of),
            Effect::Spawn | Effect::Settle | Effect::Failed(_) | Effect::LetGo => true,
            Effect::RunHooks(_) | Effect::RunExitCommand => true,
        };
        assert!(is_true, "not true: {effect:?} after {:?}", self.done);
    }

    /// Everybody does what is owed, but for logs and clients that never have all output, and processes that no
    /// signal ends; and time passes where the lifecycle waits for it. Then it ends.
    pub fn end(mut self) {
        for _ in 0..STEPS {
            if self.is_finished() {
                return self.rest_in_peace();
            }
            if self.forged {
                self.try_everything();
            } else {
                self.go_on();
            }
        }
        assert!(self.is_finished(), "it hangs after {:?}", self.done);
    }

    /// The one thing that is to happen next.
    fn go_on(&mut self) {
        let next = |letter| event(letter).expect("an event");
        let answered = |owed: &&Effect| !matches!(owed, Effect::Drain(_));
        if let Some(owed) = self.owed.iter().find(answered) {
            let departed = matches!(owed, Effect::Adopt(_)) && self.container != Life::Runs;
            let event = next(if departed { b'o' } else { answer_to(owed) });
            self.happen(event, false);
        } else if !self.gone {
            self.happen(next(b'g'), false);
        } else if self.runtime == Life::Runs {
            self.happen(next(b'r'), false);
        } else if self.command == Life::Runs {
            self.happen(next(b'y'), false);
        } else if self.core.rests() {
            self.happen(next(b'_'), false);
        } else if let Some(deadline) = self.core.deadline() {
            self.now = self.now.max(deadline);
            self.feed(Event::Tick);
        } else {
            let may_end = self.container == Life::Runs && !self.was(|e| *e == Effect::KillContainer);
            assert!(may_end, "nothing will happen after {:?}", self.done);
            self.happen(next(b'c'), false);
        }
    }

    fn try_everything(&mut self) {
        for letter in b"gsrpazdehlybj_" {
            self.feed(event(*letter).expect("an event"));
        }
        if let Some(deadline) = self.core.deadline() {
            self.now = self.now.max(deadline);
            self.feed(Event::Tick);
        }
    }

    /// Nothing is done after the end, whatever happens, and nothing is waited for.
    fn rest_in_peace(mut self) {
        assert_eq!(self.core.deadline(), None);
        assert!(!self.core.rests());
        self.try_everything();
        self.feed(Event::Signalled(15));
        self.feed(Event::DeleteAsked);
    }
}

/// The status of the supervisor. What is unknown is never 0.
fn status_of(exit: Exit) -> u8 {
    match exit {
        Exit::Code(code) => code,
        Exit::Signal(signal) => 128 + signal,
        Exit::TimedOut | Exit::Unknown => 255,
    }
}

fn is_answered(effect: &Effect) -> bool {
    answer_to(effect) != b' '
}

/// The letter of the answer that lets it go on; a blank if there is none.
fn answer_to(effect: &Effect) -> u8 {
    match effect {
        Effect::Spawn => b's',
        Effect::Settle => b'p',
        Effect::Adopt(_) => b'a',
        Effect::Drain(_) => b'd',
        Effect::Record(_) => b'e',
        Effect::RunHooks(_) => b'h',
        Effect::RunExitCommand => b'm',
        Effect::Delete => b'b',
        Effect::Launched(_) | Effect::Failed(_) | Effect::KillContainer | Effect::LetGo => b' ',
        Effect::SignalRuntime(..) | Effect::SignalContainer(_) => b' ',
        Effect::SignalHook(_) | Effect::SignalDelete(_) | Effect::Finish(_) => b' ',
    }
}

fn is_to(answer: &Answer, owed: &Effect) -> bool {
    match answer {
        Answer::Spawned(_) => *owed == Effect::Spawn,
        Answer::Settled(_) => *owed == Effect::Settle,
        Answer::Adopted(_) => matches!(owed, Effect::Adopt(_)),
        Answer::Drained => matches!(owed, Effect::Drain(_)),
        Answer::Recorded => matches!(owed, Effect::Record(_)),
        Answer::HooksEnded => matches!(owed, Effect::RunHooks(_)),
        Answer::CommandSpawned(_) => *owed == Effect::RunExitCommand,
        Answer::Deleted(_) => *owed == Effect::Delete,
    }
}
