//! The pipes of the caller, which the environment names by number.

use std::os::fd::RawFd;

use super::{Env, fatal};
use crate::error::Error;
use crate::plan::{ReportForm, ReportPlan};

const START: &str = "_OCI_STARTPIPE";
const SYNC: &str = "_OCI_SYNCPIPE";
const ATTACH: &str = "_OCI_ATTACHPIPE";

/// The pipes, with the form still to be chosen. The attach pipe is asked for by an exec with
/// `--exec-attach` only, and must then be there. Whether they are open finds out who adopts them.
pub(super) fn from_env(env: Env<'_>, attach: bool) -> Result<ReportPlan, Error> {
    // 0 is what a caller without a start pipe passes.
    let start_pipe = number(env, START)?.filter(|&fd| fd != 0);
    let sync_pipe = number(env, SYNC)?;
    let attach_pipe = match attach {
        true => Some(
            number(env, ATTACH)?.ok_or_else(|| fatal(format!("--attach specified but {ATTACH} was not")))?,
        ),
        false => None,
    };
    let named = [(START, start_pipe), (SYNC, sync_pipe), (ATTACH, attach_pipe)];
    for (nth, &(name, fd)) in named.iter().enumerate() {
        let Some(fd) = fd else { continue };
        // The supervisor lets go of its standard streams, and what is said there with them.
        if fd < 3 {
            return Err(fatal(format!("unable to use {name}: descriptor {fd} is a standard stream")));
        }
        // Each is closed at a time of its own, so no two of them may be the same.
        if let Some((other, _)) = named[..nth].iter().find(|(_, earlier)| *earlier == Some(fd)) {
            return Err(fatal(format!("unable to use {name}: {other} names descriptor {fd} too")));
        }
    }
    Ok(ReportPlan { form: ReportForm::Pid, sync_pipe, start_pipe, attach_pipe })
}

/// The number in the variable. Empty is as good as unset; anything but decimal digits is an error.
fn number(env: Env<'_>, name: &str) -> Result<Option<RawFd>, Error> {
    let Some(value) = env(name).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let shown = value.to_string_lossy();
    match shown.parse() {
        Ok(fd) if shown.bytes().all(|b| b.is_ascii_digit()) => Ok(Some(fd)),
        _ => Err(fatal(format!("unable to parse {name}: {shown:?} is not the number of a descriptor"))),
    }
}

#[cfg(test)]
mod tests {
    use super::{ReportPlan, from_env};
    use crate::plan::ReportForm;
    use std::ffi::OsString;
    use std::os::fd::RawFd;

    fn pipes(pairs: &[(&str, &str)], attach: bool) -> Result<[Option<RawFd>; 3], String> {
        let env = |name: &str| {
            let (_, value) = pairs.iter().find(|(key, _)| name == format!("_OCI_{key}PIPE"))?;
            Some(OsString::from(value))
        };
        let ReportPlan { form, start_pipe, sync_pipe, attach_pipe } =
            from_env(&env, attach).map_err(|error| error.text().to_owned())?;
        assert_eq!(form, ReportForm::Pid);
        Ok([start_pipe, sync_pipe, attach_pipe])
    }

    #[test]
    fn absent_empty_and_zero() {
        assert_eq!(pipes(&[], false), Ok([None; 3]));
        assert_eq!(pipes(&[("START", ""), ("SYNC", ""), ("ATTACH", "x")], false), Ok([None; 3]));
        assert_eq!(pipes(&[("START", "0")], false), Ok([None; 3]));
        let missing = Err("--attach specified but _OCI_ATTACHPIPE was not".to_owned());
        assert_eq!(pipes(&[], true), missing);
        assert_eq!(pipes(&[("ATTACH", "")], true), missing);
    }

    #[test]
    fn standard_streams_are_refused() {
        for (name, fd) in [("START", "1"), ("SYNC", "0"), ("SYNC", "2")] {
            let wanted = format!("unable to use _OCI_{name}PIPE: descriptor {fd} is a standard stream");
            assert_eq!(pipes(&[(name, fd)], false), Err(wanted));
        }
    }

    #[test]
    fn numbers() {
        let all = [("START", "3"), ("SYNC", "4"), ("ATTACH", "5")];
        assert_eq!(pipes(&all, true), Ok([Some(3), Some(4), Some(5)]));
        assert_eq!(pipes(&all, false), Ok([Some(3), Some(4), None]));
        let shared = "unable to use _OCI_SYNCPIPE: _OCI_STARTPIPE names descriptor 3 too".to_owned();
        assert_eq!(pipes(&[("START", "3"), ("SYNC", "3")], false), Err(shared));
    }

    #[test]
    fn numbers_that_are_none() {
        for value in ["x", "5x", " 5", "+5", "-5", "0x5", "99999999999", "٣"] {
            for name in ["START", "SYNC", "ATTACH"] {
                let pairs = [("ATTACH", "0"), (name, value)];
                let wanted =
                    format!("unable to parse _OCI_{name}PIPE: {value:?} is not the number of a descriptor");
                let pairs = if name == "ATTACH" { &pairs[1..] } else { &pairs };
                assert_eq!(pipes(pairs, true), Err(wanted), "{name} {value}");
            }
        }
    }
}
