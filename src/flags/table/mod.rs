//! Every option once. Parsing, `--help` and the manual page are all made from these rows, so they
//! cannot differ; a row without a field of [`Words`] does not compile.

mod container;
mod end;
mod log;
mod report;
mod runtime;
mod streams;

use super::words::Words;

/// What an option takes, and where it is kept.
pub(super) enum Set {
    /// Takes no value; ends the reading.
    Help,
    /// Takes no value.
    Switch(fn(&mut Words) -> &mut bool),
    /// Takes a text; the last one wins.
    Text(fn(&mut Words) -> &mut Option<String>),
    /// Takes a text each time it is given.
    List(fn(&mut Words) -> &mut Vec<String>),
    /// Takes an integer of 32 bits; the last one wins.
    Int(fn(&mut Words) -> &mut i32),
    /// Takes an integer of 64 bits; the last one wins.
    Long(fn(&mut Words) -> &mut i64),
    /// Takes a text that means nothing here.
    Ignored,
}

/// One option.
pub(super) struct Flag {
    /// The name after `--`.
    pub(super) long: &'static str,
    /// The letter after `-`.
    pub(super) short: Option<u8>,
    /// What it takes.
    pub(super) set: Set,
    /// What help calls the value; empty for an option that takes none.
    pub(super) placeholder: &'static str,
    /// The value if it is not given, as one would type it.
    pub(super) default: Option<&'static str>,
    /// Accepted, but shown neither by help nor in the manual.
    pub(super) hidden: bool,
    /// One line for help.
    pub(super) help: &'static str,
    /// Sentences for the manual, where `back quotes` set words in bold.
    pub(super) doc: &'static str,
}

impl Flag {
    const fn new(long: &'static str, placeholder: &'static str, set: Set) -> Flag {
        Flag { long, short: None, set, placeholder, default: None, hidden: false, help: "", doc: "" }
    }

    const fn switch(long: &'static str, field: fn(&mut Words) -> &mut bool) -> Flag {
        Flag::new(long, "", Set::Switch(field))
    }

    const fn text(
        long: &'static str,
        placeholder: &'static str,
        field: fn(&mut Words) -> &mut Option<String>,
    ) -> Flag {
        Flag::new(long, placeholder, Set::Text(field))
    }

    const fn list(
        long: &'static str,
        placeholder: &'static str,
        field: fn(&mut Words) -> &mut Vec<String>,
    ) -> Flag {
        Flag::new(long, placeholder, Set::List(field))
    }

    const fn int(long: &'static str, placeholder: &'static str, field: fn(&mut Words) -> &mut i32) -> Flag {
        Flag::new(long, placeholder, Set::Int(field))
    }

    const fn long(long: &'static str, placeholder: &'static str, field: fn(&mut Words) -> &mut i64) -> Flag {
        Flag::new(long, placeholder, Set::Long(field))
    }

    const fn short(mut self, letter: u8) -> Flag {
        self.short = Some(letter);
        self
    }

    const fn default(mut self, value: &'static str) -> Flag {
        self.default = Some(value);
        self
    }

    const fn hidden(mut self) -> Flag {
        self.hidden = true;
        self
    }

    const fn says(mut self, help: &'static str, doc: &'static str) -> Flag {
        self.help = help;
        self.doc = doc;
        self
    }
}

/// Options that belong together in help and manual.
pub(super) struct Group {
    /// The heading.
    pub(super) title: &'static str,
    /// The rows.
    pub(super) flags: &'static [Flag],
}

/// The table.
pub(super) static GROUPS: [Group; 6] = [
    Group { title: "Container", flags: container::FLAGS },
    Group { title: "Runtime", flags: runtime::FLAGS },
    Group { title: "Standard streams and clients", flags: streams::FLAGS },
    Group { title: "Log", flags: log::FLAGS },
    Group { title: "End of the container", flags: end::FLAGS },
    Group { title: "The supervisor itself", flags: report::FLAGS },
];

/// All rows.
pub(super) fn flags() -> impl Iterator<Item = &'static Flag> {
    GROUPS.iter().flat_map(|group| group.flags)
}

#[cfg(test)]
mod tests {
    use super::{Flag, Set, flags};
    use std::collections::BTreeSet;

    /// The options of conmon 2.2.1: long name, short name, what it takes (F nothing, S text, M list,
    /// I and L integers of 32 and 64 bits), default.
    const REFERENCE: &str = "
        api-version - F -
        bundle b S -
        cid c S -
        conmon-pidfile P S -
        container-pidfile p S -
        pidfile - S -
        cuuid u S -
        exec e F -
        exec-attach - F -
        exec-process-spec - S -
        exit-command - S -
        exit-command-arg - M -
        exit-delay - I 0
        exit-dir - S -
        full-attach - F -
        leave-stdin-open - F -
        log-allowlist-dir - M -
        log-global-size-max - L -1
        log-label - M -
        log-level - S warning
        log-max-files - I 1
        log-path l M -
        log-rotate - F -
        log-size-max - L -1
        log-tag - S -
        name n S -
        no-container-partial-message - F -
        no-new-keyring - F -
        no-pivot - F -
        no-sync-log - F -
        persist-dir 0 S -
        replace-listen-pid - F -
        restore - S -
        restore-arg - M -
        runtime r S -
        runtime-arg - M -
        runtime-opt - M -
        sdnotify-socket - S -
        socket-dir-path - S /var/run/crio
        stdin i F -
        sync - F -
        syslog - F -
        systemd-cgroup s F -
        terminal t F -
        timeout T I 0
        version - F -
        help h F -
        help-all ? F -
        seccomp-notify-socket - S -
        seccomp-notify-plugins - S -";

    /// Options of our own.
    const OWN: [&str; 9] = [
        "control-dir - S -",
        "delete-on-exit - F -",
        "hook - M -",
        "hook-timeout - I 30",
        "keep-state - F -",
        "log-journal-priority - F -",
        "log-policy - M -",
        "log-rate - M -",
        "pin-namespaces - F -",
    ];

    fn row(flag: &Flag) -> String {
        let takes = match flag.set {
            Set::Help | Set::Switch(_) => 'F',
            Set::Text(_) | Set::Ignored => 'S',
            Set::List(_) => 'M',
            Set::Int(_) => 'I',
            Set::Long(_) => 'L',
        };
        let short = flag.short.map_or('-', char::from);
        format!("{} {short} {takes} {}", flag.long, flag.default.unwrap_or("-"))
    }

    #[test]
    fn the_table_is_the_reference_and_our_own() {
        let wanted: BTreeSet<String> = REFERENCE
            .lines()
            .map(str::trim)
            .filter(|l| !l.is_empty())
            .chain(OWN)
            .map(str::to_owned)
            .collect();
        let built: BTreeSet<String> = flags().map(row).collect();
        assert_eq!(built, wanted);
        assert_eq!(flags().count(), built.len(), "an option stands in two groups");
    }

    #[test]
    fn names_are_unique_and_rows_are_complete() {
        let (mut longs, mut shorts) = (BTreeSet::new(), BTreeSet::new());
        for flag in flags() {
            assert!(longs.insert(flag.long), "--{}", flag.long);
            assert!(flag.short.is_none_or(|letter| shorts.insert(letter)), "-{:?}", flag.short);
            let takes_value = !matches!(flag.set, Set::Help | Set::Switch(_));
            assert_eq!(takes_value, !flag.placeholder.is_empty(), "--{}: placeholder", flag.long);
            assert_eq!(flag.hidden, flag.help.is_empty(), "--{}: help", flag.long);
            assert_eq!(flag.hidden, flag.doc.is_empty(), "--{}: doc", flag.long);
            assert!(flag.doc.matches('`').count() % 2 == 0, "--{}: back quotes", flag.long);
        }
    }

    #[test]
    fn no_two_options_share_a_field_but_aliases() {
        let mut fields = BTreeSet::new();
        for flag in flags().filter(|flag| !matches!(flag.long, "pidfile" | "restore-arg")) {
            let mut words = super::Words::default();
            let field: usize = match flag.set {
                Set::Switch(field) => std::ptr::from_mut(field(&mut words)).addr(),
                Set::Text(field) => std::ptr::from_mut(field(&mut words)).addr(),
                Set::List(field) => std::ptr::from_mut(field(&mut words)).addr(),
                Set::Int(field) => std::ptr::from_mut(field(&mut words)).addr(),
                Set::Long(field) => std::ptr::from_mut(field(&mut words)).addr(),
                Set::Help | Set::Ignored => continue,
            };
            let offset = field - std::ptr::from_ref(&words).addr();
            assert!(fields.insert(offset), "--{} shares a field", flag.long);
        }
    }
}
