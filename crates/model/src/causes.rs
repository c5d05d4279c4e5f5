//! Errors as logs and findings say them.

use std::error::Error;

/// An error with its causes on one line: our errors' own text leaves them out. A cause whose text was said already (other
/// people's errors repeat theirs) is not said again.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |&error| error.source()) {
        let said = cause.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::{Display, Formatter, Result};

    #[derive(Debug)]
    struct Told(&'static str, Option<Box<Self>>);

    impl Display for Told {
        fn fmt(&self, f: &mut Formatter<'_>) -> Result {
            f.write_str(self.0)
        }
    }

    impl Error for Told {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|cause| cause as _)
        }
    }

    #[test]
    fn each_cause_is_said_once() {
        let refused = Told("connection refused", None);
        let connect = Told("cannot connect: connection refused", Some(Box::new(refused)));
        let error = Told("cannot reach the manager", Some(Box::new(connect)));
        assert_eq!(with_causes(&error), "cannot reach the manager: cannot connect: connection refused");
    }
}
