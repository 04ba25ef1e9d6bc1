//! Products of row-major float32 matrices, by `matrixmultiply`.

#![allow(unsafe_code)]

/// `a` times `b` transposed. `a`: `[rows, inner]`. `b`: `[columns, inner]`. The product: `[rows, columns]`.
///
/// # Panics
///
/// Panics if a length is not a multiple of `inner`, or `inner` is 0.
pub(crate) fn times_transposed(a: &[f32], b: &[f32], inner: usize) -> Vec<f32> {
    assert!(inner > 0 && a.len().is_multiple_of(inner) && b.len().is_multiple_of(inner), "whole rows");
    let (rows, columns) = (a.len() / inner, b.len() / inner);
    multiply([rows, inner, columns], a, [inner, 1], b, [1, inner])
}

/// `a` transposed times `b`. `a`: `[inner, rows]`. `b`: `[inner, columns]`. The product: `[rows, columns]`.
///
/// # Panics
///
/// Panics if a length is not a multiple of `inner`, or `inner` is 0.
pub(crate) fn transposed_times(a: &[f32], b: &[f32], inner: usize) -> Vec<f32> {
    assert!(inner > 0 && a.len().is_multiple_of(inner) && b.len().is_multiple_of(inner), "whole columns");
    let (rows, columns) = (a.len() / inner, b.len() / inner);
    multiply([rows, inner, columns], a, [1, rows], b, [columns, 1])
}

/// Multiplies matrices with strides. A stride pair is the distance in floats from row to row and from column to column.
fn multiply(
    [rows, inner, columns]: [usize; 3],
    a: &[f32],
    a_strides: [usize; 2],
    b: &[f32],
    b_strides: [usize; 2],
) -> Vec<f32> {
    let reach = |[down, across]: [usize; 2], [height, width]: [usize; 2]| {
        if height == 0 || width == 0 { 0 } else { (height - 1) * down + (width - 1) * across + 1 }
    };
    assert!(reach(a_strides, [rows, inner]) <= a.len() && reach(b_strides, [inner, columns]) <= b.len());
    let mut product = vec![0f32; rows * columns];
    // SAFETY: by the assertion, every element that the shapes and strides reach lies in `a` and `b`. `product` is
    // `[rows, columns]` with these strides, and is not borrowed elsewhere.
    unsafe {
        matrixmultiply::sgemm(
            rows,
            inner,
            columns,
            1.0,
            a.as_ptr(),
            a_strides[0] as isize,
            a_strides[1] as isize,
            b.as_ptr(),
            b_strides[0] as isize,
            b_strides[1] as isize,
            0.0,
            product.as_mut_ptr(),
            columns as isize,
            1,
        );
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_agree_with_plain_loops() {
        let mut rng = fastrand::Rng::with_seed(1);
        for [rows, inner, columns] in [[1, 1, 1], [3, 5, 2], [17, 9, 33], [0, 4, 3]] {
            let mut matrix = |height: usize, width: usize| -> Vec<f32> {
                (0..height * width).map(|_| f32::from(rng.i8(-9..9))).collect()
            };
            let (a, b) = (matrix(rows, inner), matrix(columns, inner));
            let flip = |m: &[f32], height: usize, width: usize| -> Vec<f32> {
                (0..width).flat_map(|x| (0..height).map(move |y| (x, y))).map(|(x, y)| m[y * width + x]).collect()
            };
            let mut expected = Vec::new();
            for row in a.chunks(inner) {
                for column in b.chunks(inner) {
                    expected.push(row.iter().zip(column).map(|(x, y)| x * y).sum::<f32>());
                }
            }
            assert_eq!(times_transposed(&a, &b, inner), expected);
            assert_eq!(transposed_times(&flip(&a, rows, inner), &flip(&b, columns, inner), inner), expected);
        }
    }
}
