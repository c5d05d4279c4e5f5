//! JSON Schemas that platforms give: settings of environments, parameters of operations.

use crate::error::{FieldError, ManagerError, Result};
use jsonschema::Validator;
use serde_json::Value;

/// At most this many breaches are named.
const NAMED: usize = 20;

/// A schema that can be used. It must not refer to other documents: nothing is ever fetched.
pub(crate) fn compile(what: &str, schema: &Value) -> Result<Validator> {
    jsonschema::options().build(schema).map_err(|error| ManagerError::Schema {
        what: what.to_owned(),
        message: error.to_string().chars().take(500).collect(),
    })
}

/// Checks `value`; breaches are named with their JSON pointer below `root`. Values themselves are not repeated:
/// settings may hold what does not belong into error texts.
pub(crate) fn check(validator: &Validator, value: &Value, root: &str) -> Result<()> {
    let breaches: Vec<FieldError> = validator
        .iter_errors(value)
        .take(NAMED)
        .map(|error| FieldError {
            pointer: format!("{root}{}", error.instance_path()),
            message: error.masked().to_string().chars().take(300).collect(),
        })
        .collect();
    if breaches.is_empty() { Ok(()) } else { Err(ManagerError::Invalid(breaches)) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // in tests a panic is the message
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_breach_is_named_by_its_pointer_and_does_not_repeat_the_value() {
        let schema = json!({"properties": {"settings": {"properties": {"size": {"type": "integer"}}}}});
        let validator = compile("x", &schema).unwrap();
        let error = check(&validator, &json!({"settings": {"size": "hunter2"}}), "/spec").unwrap_err();
        assert_eq!(error.fields()[0].pointer, "/spec/settings/size");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn a_schema_that_is_none_is_refused_with_its_name() {
        let error = compile("the platform's schema", &json!({"type": "nonsense"})).unwrap_err();
        assert_eq!(error.code(), "invalid-schema");
    }
}
