//! Which region this is, and which one was asked.
//!
//! Pure. The Sensor has looked at both before; whatever comes past it (a Workflow made by hand, a Sensor on another
//! region's bus) must not run one region's operation with another one's hooks.

use crate::{BridgeError, EnvironmentFile, cli::Managed};

/// Refuses what is for another region. Without a word of who was asked, it is the environment's region; but a manager's
/// operation may take in other regions than that.
pub(crate) fn check(flags: &Managed, environment: Option<&EnvironmentFile>) -> Result<(), BridgeError> {
    let Some(here) = &flags.region_name else { return Ok(()) };
    let said = flags.for_region.as_deref().filter(|asked| !asked.is_empty());
    let lives =
        environment.filter(|_| flags.manager.is_none()).map(|environment| environment.region().as_str());
    match said.or(lives) {
        Some(asked) if asked != here.as_str() => {
            Err(BridgeError::Elsewhere { asked: asked.to_owned(), here: here.clone() })
        }
        _ => Ok(()),
    }
}
