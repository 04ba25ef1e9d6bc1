//! The place of each vector in an entry's row.

use mneme_embed::spec::Spec;
use mneme_model::config::Config;
use mneme_model::embedder::ServedEmbedder;
use mneme_model::entry::Entry;
use mneme_model::error::{Error, ErrorKind};
use mneme_model::limits::MAX_FIRST_DIM;
use mneme_model::long_text::Unread;
use mneme_model::row_vectors::RowVectors;
use mneme_store::counter::Counter;
use mneme_store::entry_row::entry_to_item;

use super::new_vector::NewVector;

/// An entry's vectors by the role of their embedders, as little-endian float32.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EntryVectors {
    /// The active embedder's.
    pub(crate) active: Option<Vec<u8>>,
    /// The second embedder's, during a move.
    pub(crate) second: Option<Vec<u8>>,
    /// What the embedder of one of them did not read of the text.
    pub(crate) unread: Option<Unread>,
}

impl EntryVectors {
    /// The vectors in `row`.
    pub(crate) fn of_row(row: &Entry, counter: &Counter) -> Self {
        let of = |generation| row.vectors.of(generation, counter.base_generation).map(<[u8]>::to_vec);
        Self {
            active: of(counter.generation),
            second: counter.second.as_ref().and_then(|second| of(second.generation)),
            unread: row.vectors.unread,
        }
    }

    /// The vectors of an entry to be stored. If a move has ended meanwhile, the vector of the retired embedder is
    /// dropped, provided that the active embedder's vector is present.
    ///
    /// Errors, if there is no vector of the active embedder: `EmbedderMismatchError`, `EmbedderDimensionError`.
    pub(crate) fn of_new(new: &[NewVector], counter: &Counter, config: &Config) -> Result<Self, Error> {
        let mut vectors = Self::default();
        let mut misfit = None;
        for NewVector { made_by, embedding, unread } in new {
            let maker = counter.vector_maker(made_by.as_deref(), config);
            let fits = |maker: &ServedEmbedder| match (maker.dim, made_by) {
                (None, None) => check_first_dim(embedding.dim(), config),
                _ => maker.check_dim(embedding.dim()),
            };
            match maker.and_then(|maker| fits(&maker).map(|()| maker)) {
                Ok(maker) if maker.generation == counter.generation => vectors.active = Some(embedding.to_bytes()),
                Ok(_) => vectors.second = Some(embedding.to_bytes()),
                Err(error) => {
                    misfit = Some(error);
                    continue;
                }
            }
            vectors.unread = vectors.unread.or(*unread);
        }
        match misfit {
            Some(error) if vectors.active.is_none() => Err(error),
            _ => Ok(vectors),
        }
    }

    /// Whether there is no vector.
    pub(crate) fn is_empty(&self) -> bool {
        self.active.is_none() && self.second.is_none()
    }

    /// These vectors, and those of `others` that are missing here.
    pub(crate) fn or(self, others: Self) -> Self {
        let keeps_another =
            (self.active.is_none() && others.active.is_some()) || (self.second.is_none() && others.second.is_some());
        let unread = self.unread.or(others.unread.filter(|_| keeps_another));
        Self { active: self.active.or(others.active), second: self.second.or(others.second), unread }
    }

    /// These vectors without the second embedder's; `None` unless both are present.
    pub(crate) fn without_second(&self) -> Option<Self> {
        let has_both = self.active.is_some() && self.second.is_some();
        has_both.then(|| Self { active: self.active.clone(), second: None, unread: self.unread })
    }

    /// The dimension of the active embedder's vector.
    pub(crate) fn active_dim(&self) -> Option<u32> {
        u32::try_from(self.active.as_ref()?.len() / size_of::<f32>()).ok()
    }

    /// The vectors as a row holds them. The vector of the base generation comes first. After a move, and while it is
    /// ending, only the active embedder's vector is stored.
    ///
    /// `in_place`: the row that is overwritten under its id, where there is one. Its first vector keeps its generation.
    /// Errors: as [`absent_vector`].
    pub(crate) fn to_row_vectors(
        &self,
        in_place: Option<&Entry>,
        counter: &Counter,
        config: &Config,
    ) -> Result<RowVectors, Error> {
        let Self { active, second, unread } = self.clone();
        let generation = in_place.and_then(|row| row.vectors.generation);
        let row = match counter.second.as_ref().filter(|second| !second.ending) {
            None => {
                let is_base = counter.generation == counter.base_generation;
                let generation = if is_base { generation } else { Some(counter.generation) };
                RowVectors { embedding: active, generation, next: None, unread }
            }
            Some(of) if counter.generation == counter.base_generation => {
                RowVectors { embedding: active, generation, next: second.map(|bytes| (of.generation, bytes)), unread }
            }
            Some(_) => RowVectors {
                embedding: second,
                generation,
                next: active.map(|bytes| (counter.generation, bytes)),
                unread,
            },
        };
        match row.embedding {
            Some(_) => Ok(row),
            None => Ok(RowVectors { embedding: absent_vector(counter, config)?, ..row }),
        }
    }
}

/// Checks that a caller's vector of `dim` components may set the dimension of a cache that has none.
///
/// A wrong one would make the cache useless for the embedder, and a long one would make every entry expensive. Errors:
/// `EmbedderDimensionError`.
fn check_first_dim(dim: usize, config: &Config) -> Result<(), Error> {
    if config.embedder.spec != Spec::None {
        return Err(Error::new(
            ErrorKind::EmbedderDimensionError,
            "the length of the embedder's vectors is not known yet, and an embedding of a caller does not decide it",
            "put one entry without `embedding` first, or set MNEME_EMBEDDER_DIM",
        ));
    }
    if dim > MAX_FIRST_DIM {
        return Err(Error::new(
            ErrorKind::EmbedderDimensionError,
            format!("the embedding has {dim} numbers, and the first one of a cache may have {MAX_FIRST_DIM}"),
            "send a shorter embedding, or set MNEME_EMBEDDER_DIM",
        ));
    }
    Ok(())
}

/// What is stored in place of a first vector that is missing: nothing, or, in a table shared with the Python library,
/// zeros. That library cannot open a table with a row that has no vector, and zeros are similar to nothing.
///
/// Errors: `InvalidRequest`, if zeros are needed and the dimension is not known.
fn absent_vector(counter: &Counter, config: &Config) -> Result<Option<Vec<u8>>, Error> {
    if !config.is_shared_with_library() {
        return Ok(None);
    }
    let dim = match counter.second.as_ref() {
        Some(second) if second.generation == counter.base_generation && !second.ending => Some(second.dim),
        _ => counter.dim,
    };
    match dim {
        Some(dim) => Ok(Some(vec![0; dim as usize * size_of::<f32>()])),
        None => Err(Error::invalid(
            "embedding: a table shared with the Python library needs one until its dimension is known",
            "send an embedding, or set MNEME_EMBEDDER_DIM",
        )),
    }
}

/// Whether the running move skipped `row` for a reason that a put of the query `new_query` removes: no query was
/// stored, or the item was full. The entry then needs a new id, so that a later step of the move visits it.
pub(crate) fn needs_revisit(row: &Entry, new_query: Option<&str>, counter: &Counter, config: &Config) -> bool {
    let held = EntryVectors::of_row(row, counter);
    let Some(second) = counter.second.as_ref().filter(|second| !second.ending && held.second.is_none()) else {
        return false;
    };
    let both = EntryVectors { second: Some(vec![1; second.dim as usize * size_of::<f32>()]), ..held };
    let whole = both.to_row_vectors(Some(row), counter, config);
    let had_room = whole.is_ok_and(|vectors| entry_to_item(&Entry { vectors, ..row.clone() }).is_ok());
    new_query.is_some() && (new_query != row.query.as_deref() || !had_room)
}
