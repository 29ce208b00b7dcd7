//! Conditions of `ls --filter`.

use conward_protocol::State;

/// A condition of `ls --filter`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// The container is in this state.
    State(State),
    /// Its supervisor was killed before it had seen the end of the container.
    Dead,
    /// It has this annotation, with this value if one is given.
    Annotation(String, Option<String>),
}

/// Reads one.
///
/// # Errors
/// What it should have been.
pub fn read(text: &str) -> Result<Filter, String> {
    match text.split_once('=') {
        Some(("state" | "status", "dead")) => Ok(Filter::Dead),
        Some(("state" | "status", name)) => State::from_name(name).map(Filter::State).ok_or_else(|| {
            format!("there is no state '{name}'; there are: {}, dead", State::NAMES.join(", "))
        }),
        Some(("annotation", wanted)) => Ok(match wanted.split_once('=') {
            Some((name, value)) => Filter::Annotation(name.to_owned(), Some(value.to_owned())),
            None => Filter::Annotation(wanted.to_owned(), None),
        }),
        _ => Err("expected state=STATE or annotation=NAME[=VALUE]".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Filter, read};
    use conward_protocol::State;

    #[test]
    fn filters() {
        let annotation = |value: Option<&str>| Ok(Filter::Annotation("a".into(), value.map(str::to_owned)));
        assert_eq!(read("state=running"), Ok(Filter::State(State::Running)));
        assert_eq!(read("status=dead"), Ok(Filter::Dead));
        assert_eq!(read("annotation=a"), annotation(None));
        assert_eq!(read("annotation=a=b=c"), annotation(Some("b=c")));
        for wrong in ["state=up", "running", "label=a", ""] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
