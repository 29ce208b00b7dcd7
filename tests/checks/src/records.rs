//! The files that a supervisor leaves behind, as `conwardctl` reads them: the bytes are `state.json` or
//! `exit.json`.

use conward_protocol::body::State;
use conward_protocol::{Exit, Record};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What could be read is the same when it is written and read again, and no status is better than what
/// stands there.
pub fn check(input: &[u8]) {
    same::<State>(input);
    same::<Record>(input);
    if let (Ok(record), Ok(value)) =
        (serde_json::from_slice::<Record>(input), serde_json::from_slice::<Value>(input))
        && record.exit == Exit::Code(0)
    {
        assert_eq!(value["exit"]["code"], 0, "{value}");
    }
}

fn same<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(input: &[u8]) {
    let Ok(read) = serde_json::from_slice::<T>(input) else { return };
    let written = serde_json::to_vec(&read).expect("JSON");
    assert_eq!(serde_json::from_slice::<T>(&written).expect("what was written"), read);
}
