//! Named places at which a test ends the process as kill -9 would: after each transaction that the manager commits, and
//! around each step of the agent that a crash could tear apart.
//!
//! Names and their code exist only with the feature `armed`, which nothing but this crate's dev-dependency sets: `cargo
//! test --workspace` builds programs that have them, every other build a [`Point::reached`] that is empty. A transaction
//! of the manager cannot be committed without a [`Point`]; the tests of this crate see to it that each has its own.

mod points;

#[cfg(feature = "armed")]
mod armed;
#[cfg(feature = "armed")]
mod page;

#[cfg(feature = "armed")]
pub use armed::VARIABLE;
#[cfg(feature = "armed")]
pub use page::page;
pub use points::Point;

impl Point {
    /// This has just happened. Ends the process here if a test wants it so.
    #[cfg(feature = "armed")]
    pub fn reached(self) {
        armed::reached(self.name());
    }

    /// This has just happened. Nothing but a test wants to know.
    #[cfg(not(feature = "armed"))]
    #[inline]
    pub const fn reached(self) {}
}
