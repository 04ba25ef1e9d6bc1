//! Zeroed memory on cache lines, in huge pages where it is large.

#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::slice;

/// Bytes of a cache line, and what every buffer is aligned to at least.
pub(crate) const LINE_BYTES: usize = 64;

/// A transparent huge page of x86-64 and arm64 (4 KB base pages) Linux.
pub(crate) const HUGE_PAGE_BYTES: usize = 2 << 20;

/// A fixed number of bytes, zero at first, aligned to a cache line, or to a huge page where at least one fits.
#[derive(Debug)]
pub(crate) struct Buffer {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the buffer owns its allocation alone, as a `Box<[u8]>` does.
unsafe impl Send for Buffer {}
// SAFETY: through `&Buffer` the bytes can only be read.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// At least `bytes` zero bytes, rounded up to whole cache lines.
    ///
    /// # Panics
    ///
    /// Past `isize::MAX` bytes. Aborts as `Vec` does when there is no memory.
    pub(crate) fn zeroed(bytes: usize) -> Self {
        let align = if bytes >= HUGE_PAGE_BYTES { HUGE_PAGE_BYTES } else { LINE_BYTES };
        let bytes = bytes.max(1).next_multiple_of(LINE_BYTES);
        let layout = Layout::from_size_align(bytes, align).expect("less memory than isize::MAX");
        // SAFETY: the layout's size is not zero.
        let Some(start) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        let buffer = Self { start, layout };
        // Before the first touch, which is when the pages are chosen; so not `alloc_zeroed`, which may touch them.
        buffer.ask_for_huge_pages();
        // SAFETY: the allocation is `bytes` long.
        unsafe { start.write_bytes(0, bytes) };
        buffer
    }

    /// A scan from memory is 1.8 times slower through 4 KB pages; a refusal only costs speed.
    #[cfg(target_os = "linux")]
    fn ask_for_huge_pages(&self) {
        if self.layout.size() >= HUGE_PAGE_BYTES {
            let whole_pages = self.layout.size() / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES;
            // SAFETY: the range lies in the allocation, begins on a page, and the advice changes no content.
            let _ = unsafe {
                rustix::mm::madvise(self.start.as_ptr().cast(), whole_pages, rustix::mm::Advice::LinuxHugepage)
            };
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn ask_for_huge_pages(&self) {}

    /// How many bytes were allocated.
    pub(crate) fn len(&self) -> usize {
        self.layout.size()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: `start` points at `size` initialised bytes that live as long as `self`.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.layout.size()) }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, and `self` is borrowed for writing.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.layout.size()) }
    }

    pub(crate) fn floats(&self) -> &[f32] {
        // SAFETY: as in `bytes`; a cache line's alignment serves f32, of which every bit pattern is a value.
        unsafe { slice::from_raw_parts(self.start.as_ptr().cast(), self.layout.size() / 4) }
    }

    pub(crate) fn floats_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `floats`, and `self` is borrowed for writing.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr().cast(), self.layout.size() / 4) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: `start` was allocated with this very layout, and nobody uses it after.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}

/// The same bytes, read as signed.
#[inline]
pub(crate) fn signed(bytes: &[u8]) -> &[i8] {
    // SAFETY: u8 and i8 have one size and alignment, and every bit pattern is a value of both.
    unsafe { slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len()) }
}

/// Asks for cache lines that are read soon. `lines` begin on one.
#[inline]
pub(crate) fn prefetch(lines: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    for line in lines.chunks(LINE_BYTES) {
        // SAFETY: SSE is part of x86-64; a prefetch has no effect but on the caches.
        unsafe {
            std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(line.as_ptr().cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = lines;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_zero_aligned_and_writable() {
        for bytes in [0, 1, 64, 65, HUGE_PAGE_BYTES, 3 * HUGE_PAGE_BYTES + 5] {
            let mut buffer = Buffer::zeroed(bytes);
            assert!(buffer.len() >= bytes && buffer.len().is_multiple_of(LINE_BYTES));
            assert_eq!(buffer.bytes().as_ptr().addr() % LINE_BYTES, 0);
            assert!(buffer.bytes().iter().all(|byte| *byte == 0));
            *buffer.floats_mut().last_mut().unwrap() = 1.0;
            assert_eq!(buffer.bytes()[buffer.len() - 4..], 1f32.to_le_bytes());
            assert_eq!(buffer.floats().len() * 4, buffer.bytes_mut().len());
        }
    }
}
