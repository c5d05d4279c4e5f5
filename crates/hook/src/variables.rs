//! The variables that every container and every local process gets.
//!
//! One list for both, so that a laptop and a cluster cannot disagree. It must never know how they get there.

use crate::AttemptRequest;
use std::fmt::Write;

/// Where the files of the contract are for one container or process.
pub(crate) struct Places<'a> {
    pub(crate) environment_file: &'a str,
    pub(crate) changeset_file: &'a str,
    pub(crate) output_file: &'a str,
    /// The folder of the object store's prefix.
    pub(crate) object_store: Option<&'a str>,
}

/// Names and values, in the order of the contract's page.
pub(crate) fn injected(request: &AttemptRequest, places: &Places<'_>) -> Vec<(&'static str, String)> {
    let operation = request.attempt.operation.to_string();
    let mut found = vec![
        ("LIFECYCLE_TENANT_ENV_ID", request.environment.to_string()),
        (
            "LIFECYCLE_BATCH_OPERATION_ID",
            request.batch.map_or_else(|| operation.clone(), |batch| batch.to_string()),
        ),
        ("LIFECYCLE_OPERATION_NAME", request.operation_name.to_string()),
        ("LIFECYCLE_OPERATION_ID", operation),
        ("LIFECYCLE_STEP", request.attempt.step.to_string()),
        ("LIFECYCLE_ATTEMPT", request.attempt.number.to_string()),
        ("LIFECYCLE_TENANT_ENV_FILE", places.environment_file.to_owned()),
        ("LIFECYCLE_CHANGESET_FILE", places.changeset_file.to_owned()),
        ("LIFECYCLE_OUTPUT_FILE", places.output_file.to_owned()),
    ];
    if let Some(time) = request.scheduled_time {
        found.push(("LIFECYCLE_SCHEDULED_TIME", time.to_string()));
    }
    if let Some(folder) = places.object_store {
        found.push(("LIFECYCLE_OBJECT_STORE_URL", file_url(folder)));
    }
    if let Some(traceparent) = &request.traceparent {
        found.push(("TRACEPARENT", traceparent.clone()));
    }
    found
}

/// A folder as `file://` URL; what a URL's path cannot hold is percent-encoded.
fn file_url(folder: &str) -> String {
    let mut url = "file://".to_owned();
    for byte in folder.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            let _ = write!(url, "%{byte:02X}");
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_spaces_is_still_a_url() {
        assert_eq!(file_url("/home/a b/ü"), "file:///home/a%20b/%C3%BC");
    }
}
