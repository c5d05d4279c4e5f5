//! What a hook wrote to `LIFECYCLE_OUTPUT_FILE`.
//!
//! The same rule for the kubelet's termination message and for a laptop's file. It must never know which it was.

use crate::{
    codes,
    problems::{problem, shown},
};
use serde_json::Value;
use std::collections::BTreeMap;
use tenantry_model::Problem;

/// The limit of the kubelet for one container's termination message.
pub const OUTPUTS_LIMIT: usize = 4096;

/// Reads the output file: a JSON object of strings, at most 4 KiB. Empty (or only white space) is no outputs.
pub fn parse_outputs(bytes: &[u8]) -> Result<BTreeMap<String, String>, Problem> {
    let wrong = |message: String| {
        problem(
            codes::OUTPUT_INVALID,
            "",
            message,
            "write one JSON object of strings, at most 4096 bytes: {\"url\": \"https://…\"}",
        )
    };
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(BTreeMap::new());
    }
    // The kubelet cuts at the limit: what is exactly as long and no JSON has most likely lost its end.
    if bytes.len() > OUTPUTS_LIMIT {
        return Err(wrong(format!(
            "the output file has {} bytes; at most {OUTPUTS_LIMIT} are read",
            bytes.len()
        )));
    }
    let Value::Object(members) = serde_json::from_slice(bytes)
        .map_err(|error| wrong(format!("the output file is no JSON: {error}")))?
    else {
        return Err(wrong("the output file holds JSON, but no object".to_owned()));
    };
    members
        .into_iter()
        .map(|(name, value)| match value {
            Value::String(text) => Ok((name, text)),
            other => Err(wrong(format!("the output {} is {other}, but outputs are strings", shown(&name)))),
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // in tests a panic is the message
mod tests {
    use super::*;

    #[test]
    fn outputs_are_an_object_of_strings_or_nothing() {
        assert!(parse_outputs(b"").unwrap().is_empty());
        assert!(parse_outputs(b" \n").unwrap().is_empty());
        assert_eq!(
            parse_outputs(br#"{"a":"1"}"#).unwrap(),
            BTreeMap::from([("a".to_owned(), "1".to_owned())])
        );
        for bad in ["hello", "[]", "\"x\"", r#"{"a":1}"#, r#"{"a":{"b":"c"}}"#, "{\"a\":"] {
            assert_eq!(parse_outputs(bad.as_bytes()).unwrap_err().code, codes::OUTPUT_INVALID, "{bad}");
        }
        assert!(parse_outputs(b"{\"a\":\"\xff\"}").is_err());
        let fits = format!("{{\"a\":\"{}\"}}", "x".repeat(OUTPUTS_LIMIT - 8));
        assert_eq!(fits.len(), OUTPUTS_LIMIT);
        assert!(parse_outputs(fits.as_bytes()).is_ok());
        assert!(parse_outputs(format!("{fits} ").as_bytes()).is_err());
    }
}
