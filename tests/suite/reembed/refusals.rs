//! What a move refuses, and what it leaves as it is.
