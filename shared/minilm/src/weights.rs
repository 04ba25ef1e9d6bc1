//! The weights file, in the format safetensors. Each tensor is taken out once.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crc32fast::Hasher;
use rten_simd::f16;
use safetensors::Dtype;
use safetensors::tensor::Metadata;

use crate::error::LoadError;

/// Longer headers are refused. The header of the model has 10 KB.
const MAX_HEADER_BYTES: usize = 1 << 20;

/// The tensors of a file.
#[derive(Debug)]
pub(crate) struct Weights {
    tensors: HashMap<String, Tensor>,
}

/// A tensor as it is in the file: little-endian and row-major.
#[derive(Debug)]
struct Tensor {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

/// Why a weights file does not fit: a sentence for the operator.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unfit(pub(crate) String);

impl Weights {
    /// Reads a file. Returns its tensors and its CRC-32 (ISO 3309).
    ///
    /// Errors: `Missing`, `Unreadable`, `Malformed`.
    pub(crate) fn open(path: &Path) -> Result<(Self, u32), LoadError> {
        let named = |error| LoadError::reading(path, error);
        let file = File::open(path).map_err(named)?;
        match Self::read(Checked { file, hasher: Hasher::new() }).map_err(named)? {
            Ok(read) => Ok(read),
            Err(Unfit(fact)) => Err(LoadError::Malformed { file: path.to_owned(), fact }),
        }
    }

    fn read(mut file: Checked<impl Read>) -> io::Result<Result<(Self, u32), Unfit>> {
        let mut length = [0; 8];
        let begun = file.take_exactly(&mut length)?;
        let length = usize::try_from(u64::from_le_bytes(length)).unwrap_or(usize::MAX);
        if !begun || length > MAX_HEADER_BYTES {
            return Ok(Err(Unfit("it does not begin as safetensors do".to_owned())));
        }
        let mut header = vec![0; length];
        let complete = file.take_exactly(&mut header)?;
        let metadata: Metadata = match serde_json::from_slice(&header) {
            Ok(metadata) if complete => metadata,
            _ => return Ok(Err(Unfit("its header is not that of safetensors".to_owned()))),
        };
        let mut tensors = HashMap::new();
        // The tensors are read in the order of the file. `Metadata` has checked that there are no gaps between them.
        for name in metadata.offset_keys() {
            let Some(info) = metadata.info(&name) else { continue };
            let mut bytes = vec![0; info.data_offsets.1 - info.data_offsets.0];
            if !file.take_exactly(&mut bytes)? {
                return Ok(Err(Unfit(format!("it ends within {name}"))));
            }
            tensors.insert(name, Tensor { dtype: info.dtype, shape: info.shape.clone(), bytes });
        }
        Ok(Ok((Self { tensors }, file.hasher.finalize())))
    }

    /// Weights from name, shape and values. Matrices get half precision, and vectors single precision.
    #[cfg(test)]
    pub(crate) fn of(tensors: impl IntoIterator<Item = (String, Vec<usize>, Vec<f32>)>) -> Self {
        let tensors = tensors.into_iter().map(|(name, shape, values)| {
            let (dtype, bytes) = match shape.len() {
                2 => (
                    Dtype::F16,
                    values.iter().flat_map(|value| f16::from_f32(*value).to_bits().to_le_bytes()).collect(),
                ),
                _ => (Dtype::F32, values.iter().flat_map(|value| value.to_le_bytes()).collect()),
            };
            (name, Tensor { dtype, shape, bytes })
        });
        Self { tensors: tensors.collect() }
    }

    /// Takes out a matrix in half precision, row-major.
    pub(crate) fn matrix(&mut self, name: &str, shape: [usize; 2]) -> Result<Vec<f16>, Unfit> {
        let bytes = self.take(name, Dtype::F16, &shape)?;
        Ok(bytes.as_chunks().0.iter().map(|bytes| f16::from_bits(u16::from_le_bytes(*bytes))).collect())
    }

    /// Takes out a vector in single precision.
    pub(crate) fn vector(&mut self, name: &str, length: usize) -> Result<Vec<f32>, Unfit> {
        let bytes = self.take(name, Dtype::F32, &[length])?;
        Ok(bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }

    fn take(&mut self, name: &str, dtype: Dtype, shape: &[usize]) -> Result<Vec<u8>, Unfit> {
        match self.tensors.remove(name) {
            Some(tensor) if tensor.dtype == dtype && tensor.shape == shape => Ok(tensor.bytes),
            Some(Tensor { dtype: found, shape: of, .. }) => {
                Err(Unfit(format!("{name} is {found} {of:?}, not {dtype} {shape:?}")))
            }
            None => Err(Unfit(format!("it has no {name}"))),
        }
    }
}

/// A file whose checksum is computed while it is read.
struct Checked<R> {
    file: R,
    hasher: Hasher,
}

impl<R: Read> Checked<R> {
    /// Fills `bytes`. Returns false if the file ends before that.
    fn take_exactly(&mut self, bytes: &mut [u8]) -> io::Result<bool> {
        match self.file.read_exact(bytes) {
            Ok(()) => {
                self.hasher.update(bytes);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A file with a matrix `m`, `[2, 2]`, in half precision, and a vector `v`, `[3]`.
    fn file() -> Vec<u8> {
        let header = r#"{"m":{"dtype":"F16","shape":[2,2],"data_offsets":[0,8]},"v":{"dtype":"F32","shape":[3],"data_offsets":[8,20]}}"#;
        let halves = [0.5, -2.0, 0.0, 3.0].map(|value| f16::from_f32(value).to_bits().to_le_bytes());
        let floats = [1.0f32, 0.25, -7.5].map(f32::to_le_bytes);
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), halves.as_flattened(), floats.as_flattened()]
            .concat()
    }

    fn open(bytes: &[u8]) -> Result<(Weights, u32), LoadError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("w.safetensors");
        fs::write(&path, bytes).unwrap();
        Weights::open(&path)
    }

    fn fact(bytes: &[u8]) -> String {
        match open(bytes).unwrap_err() {
            LoadError::Malformed { fact, .. } => fact,
            error => panic!("{error}"),
        }
    }

    #[test]
    fn open_with_valid_file_returns_its_tensors_and_checksum() {
        let (mut weights, checksum) = open(&file()).unwrap();
        assert_eq!(checksum, crc32fast::hash(&file()));
        let matrix = weights.matrix("m", [2, 2]).unwrap();
        assert_eq!(matrix.iter().map(|half| half.to_f32()).collect::<Vec<_>>(), [0.5, -2.0, 0.0, 3.0]);
        assert_eq!(weights.vector("v", 3), Ok(vec![1.0, 0.25, -7.5]));
        assert_eq!(weights.vector("v", 3), Err(Unfit("it has no v".to_owned())));
    }

    #[test]
    fn tensor_of_another_shape_or_type_returns_an_error_that_names_both() {
        let (mut weights, _) = open(&file()).unwrap();
        assert_eq!(weights.matrix("m", [4, 1]), Err(Unfit("m is F16 [2, 2], not F16 [4, 1]".to_owned())));
        let (mut weights, _) = open(&file()).unwrap();
        assert_eq!(weights.vector("m", 4), Err(Unfit("m is F16 [2, 2], not F32 [4]".to_owned())));
    }

    #[test]
    fn open_with_another_format_returns_malformed_without_large_allocation() {
        let file = file();
        assert_eq!(fact(b""), "it does not begin as safetensors do");
        assert_eq!(fact(&[0xff; 100]), "it does not begin as safetensors do");
        assert_eq!(fact(&file[..50]), "its header is not that of safetensors");
        assert_eq!(fact(&[&5u64.to_le_bytes()[..], b"{nono"].concat()), "its header is not that of safetensors");
        // There is a gap between the tensors, or a length that is wrong, or one that is enormous.
        for offsets in ["[9,21]", "[8,21]", "[8,18446744073709551615]"] {
            let text = String::from_utf8_lossy(&file[8..]).replace("[8,20]", offsets);
            let header = text.split_inclusive("}}").next().unwrap();
            let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat();
            assert_eq!(fact(&bytes), "its header is not that of safetensors", "{offsets}");
        }
    }

    #[test]
    fn open_with_file_truncated_at_any_byte_returns_malformed() {
        let file = file();
        for length in 0..file.len() {
            assert!(fact(&file[..length]).starts_with("it"), "{length}");
        }
        assert_eq!(fact(&file[..file.len() - 1]), "it ends within v");
    }
}
