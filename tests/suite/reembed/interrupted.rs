//! A move that is interrupted at any of its calls.
