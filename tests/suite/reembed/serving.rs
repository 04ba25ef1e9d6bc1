//! Serving goes on while the cache is moved.
