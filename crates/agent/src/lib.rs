//! The first code of this room comes with its own commit.
