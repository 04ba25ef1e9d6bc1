//! Unit vectors with the spectrum of embeddings.
//!
//! Coordinate j has the variance 1/(j + 1), with the coordinates permuted. A row is the sum of 0.6 times one of 1,000
//! topics and 0.8 times a random vector.

/// The distribution of the vectors.
#[derive(Debug, Clone, Copy)]
#[allow(dead_code)] // Not every benchmark uses every shape.
pub(crate) enum Shape {
    /// The distribution that the module describes.
    Topics,
    /// The same with a common component. The mean cosine is 0.68.
    Cone,
    /// One of 100 centres plus 0.05 times a random vector.
    Dense,
    /// Only 100 different vectors.
    Duplicates,
}

/// Rows of one shape in sequence.
pub(crate) struct Data {
    dim: usize,
    floats: Vec<f32>,
}

impl Data {
    pub(crate) fn new(shape: Shape, dim: usize, rows: usize) -> Self {
        let mut rng = fastrand::Rng::with_seed(dim as u64);
        let topics: Vec<Vec<f32>> = (0..1000).map(|_| drawn(&mut rng, dim)).collect();
        let mut floats = Vec::with_capacity(dim * rows);
        for _ in 0..rows {
            let own = drawn(&mut rng, dim);
            let topic = match shape {
                Shape::Topics | Shape::Cone => &topics[rng.usize(..1000)],
                Shape::Dense | Shape::Duplicates => &topics[rng.usize(..100)],
            };
            let (of_topic, of_own) = match shape {
                Shape::Topics | Shape::Cone => (0.6, 0.8),
                Shape::Dense => (1.0, 0.05),
                Shape::Duplicates => (1.0, 0.0),
            };
            let mut row = unit(topic.iter().zip(own).map(|(x, y)| of_topic * x + of_own * y).collect());
            if matches!(shape, Shape::Cone) {
                row.iter_mut().for_each(|x| *x *= 0.32f32.sqrt());
                row[dim / 2] += 0.68f32.sqrt();
                row = unit(row);
            }
            floats.extend(row);
        }
        Self { dim, floats }
    }

    pub(crate) fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> + '_ {
        self.floats.chunks_exact(self.dim)
    }

    pub(crate) fn row(&self, id: u64) -> &[f32] {
        &self.floats[id as usize * self.dim..][..self.dim]
    }

    /// Queries that are alternately close to one row, like a paraphrase, and a mixture of two rows, like a new
    /// question.
    pub(crate) fn queries(&self, count: usize) -> Vec<Vec<f32>> {
        let mut rng = fastrand::Rng::with_seed(9);
        let rows = self.rows().len() as u64;
        let mixed = |a: &[f32], b: &[f32], share: f32| unit(a.iter().zip(b).map(|(x, y)| x + share * y).collect());
        (0..count)
            .map(|at| {
                let row = self.row(rng.u64(..rows));
                let other = if at % 2 == 0 { drawn(&mut rng, self.dim) } else { self.row(rng.u64(..rows)).to_vec() };
                mixed(row, &other, if at % 2 == 0 { 0.4 } else { 1.0 })
            })
            .collect()
    }
}

fn drawn(rng: &mut fastrand::Rng, dim: usize) -> Vec<f32> {
    let mut row = vec![0f32; dim];
    for j in 0..dim {
        // The sum of four uniform numbers has the variance 1/3; it is scaled to 1/(j + 1).
        let normal = ((0..4).map(|_| rng.f32()).sum::<f32>() - 2.0) * 3f32.sqrt();
        row[j * 7919 % dim] += normal / ((j + 1) as f32).sqrt();
    }
    unit(row)
}

fn unit(mut row: Vec<f32>) -> Vec<f32> {
    let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
    row.iter_mut().for_each(|x| *x /= norm);
    row
}
