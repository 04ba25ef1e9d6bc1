//! Zeroed memory that is aligned to cache lines, or to huge pages if it is large; and how storage grows.

#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::slice;

/// Bytes of a cache line. Every buffer is aligned to at least this.
pub(crate) const LINE_BYTES: usize = 64;

/// Bytes of a transparent huge page on Linux, on x86-64 and on arm64 with base pages of 4 KB.
pub(crate) const HUGE_PAGE_BYTES: usize = 2 << 20;

/// The capacity after `len` rows are full. Few rows get twice as much, from 1 on, because a replica may have many small
/// indexes. Many get only a quarter more, because memory is what limits a replica.
pub(crate) fn grown_capacity(len: usize) -> usize {
    if len < 16 { (2 * len).max(1) } else { len + len / 4 }
}

/// A fixed number of bytes, initially zero, aligned to a cache line, or to a huge page if at least one fits.
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
    /// Panics for more than `isize::MAX` bytes. Aborts if there is no memory, as `Vec` does.
    pub(crate) fn zeroed(bytes: usize) -> Self {
        let align = if bytes >= HUGE_PAGE_BYTES { HUGE_PAGE_BYTES } else { LINE_BYTES };
        let bytes = bytes.max(1).next_multiple_of(LINE_BYTES);
        let layout = Layout::from_size_align(bytes, align).expect("less memory than isize::MAX");
        // SAFETY: the layout's size is not zero.
        let Some(start) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        let buffer = Self { start, layout };
        // The kernel chooses the page size at the first access. The advice must precede it, so `alloc_zeroed`, which
        // may access the memory, is not used.
        buffer.ask_for_huge_pages();
        // SAFETY: the allocation is `bytes` long.
        unsafe { start.write_bytes(0, bytes) };
        buffer
    }

    /// Asks the kernel for huge pages: a scan from memory is 1.8 times slower through pages of 4 KB. A refusal is
    /// ignored, because it only costs speed.
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

    /// The number of bytes that were allocated.
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
        // SAFETY: as in `bytes`; the alignment of a cache line suffices for f32, and every bit pattern is an f32.
        unsafe { slice::from_raw_parts(self.start.as_ptr().cast(), self.layout.size() / 4) }
    }

    pub(crate) fn floats_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `floats`, and `self` is borrowed for writing.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr().cast(), self.layout.size() / 4) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: `start` was allocated with this layout, and nothing uses it afterwards.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}

/// Reinterprets bytes as signed.
#[inline]
pub(crate) fn signed(bytes: &[u8]) -> &[i8] {
    // SAFETY: u8 and i8 have one size and alignment, and every bit pattern is a value of both.
    unsafe { slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len()) }
}

/// Prefetches cache lines that will be read soon. `lines` begins on a cache line.
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
    fn zeroed_buffer_is_zero_aligned_and_writable() {
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
