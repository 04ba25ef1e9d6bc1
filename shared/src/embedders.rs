//! Whose vectors the table holds: one embedder's, or, while the cache moves to another one, two embedders'.
//!
//! Each embedder that a cache has had is an [`Era`] of its own, whose number is never given out again. What a row holds is
//! always somebody's: [`RowVectors`] says whose, so that a vector left over from one embedder is never compared with another
//! one's.

use std::fmt;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;

use crate::config::{Config, EmbedderConfig};
use crate::embedding::Embedding;
use crate::entry::{Item, number};
use crate::error::{Error, ErrorKind};
use crate::table::counter::Counter;

/// The attribute that says whose vector `embedding` is, where that is not the base's (see [`Counter::base`]).
pub(crate) const OWN_ERA: &str = "embedder_era";
/// The second vector of a row, little-endian float32.
pub(crate) const NEXT: &str = "embedding_next";
/// Whose vector the second one is.
pub(crate) const NEXT_ERA: &str = "next_era";

/// One of the embedders that a cache has had, counted from 0. Starting a move gives out a new number, also for an embedder
/// that the cache has had before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Era(u64);

impl Era {
    pub(crate) const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    pub(crate) fn attribute(self) -> AttributeValue {
        AttributeValue::N(self.0.to_string())
    }

    pub(crate) fn in_item(item: &Item, name: &str) -> Option<Self> {
        number(item, name).map(Self)
    }
}

impl fmt::Display for Era {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// During a move, the embedder that is not the active one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Other {
    /// Its era.
    pub era: Era,
    /// Its fingerprint.
    pub fingerprint: String,
    /// The dimension of its vectors.
    pub dim: u32,
    /// Whether its vectors are being removed: it is not served any more.
    pub ending: bool,
}

/// The two ends of a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The embedder that the cache had before.
    Source,
    /// The one it moves to.
    Target,
}

/// Whose vectors an instance compares questions with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serving {
    /// Whose.
    pub era: Era,
    /// Whose vector a row's `embedding` is, where the row does not say.
    pub base: Era,
    /// How often the active embedder was switched: what was read before is not trusted after, since vectors of an embedder that
    /// is not active may appear under any id.
    pub switches: u64,
    /// The dimension, once it is known.
    pub dim: Option<u32>,
    /// The fingerprint, where the cache is stamped with one.
    pub fingerprint: Option<String>,
}

impl Serving {
    /// Whether what is known by `other` is right by this.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        (self.era, self.switches) == (other.era, other.switches)
    }

    /// Whether a vector of `dim` components can be compared. Errors: `EmbedderDimensionError`.
    pub fn check_dim(&self, dim: usize) -> Result<(), Error> {
        match self.dim {
            Some(expected) if expected as usize != dim => Err(Error::new(
                ErrorKind::EmbedderDimensionError,
                format!("the embedding has {dim} numbers, and the cache's have {expected}"),
                "embed with the model that the cache was built with",
            )),
            _ => Ok(()),
        }
    }

    /// The vector of the served embedder in the row `item`.
    pub(crate) fn vector(&self, item: &Item) -> Option<Embedding> {
        let attribute = if Era::in_item(item, OWN_ERA).unwrap_or(self.base) == self.era {
            "embedding"
        } else if Era::in_item(item, NEXT_ERA) == Some(self.era) {
            NEXT
        } else {
            return None;
        };
        Embedding::from_row(item.get(attribute)?.as_b().ok()?.as_ref())
    }
}

impl Counter {
    /// Whose vectors lookups compare with where nothing says otherwise.
    pub fn active(&self) -> Serving {
        Serving {
            era: self.era,
            base: self.base,
            switches: self.switches,
            dim: self.dim,
            fingerprint: self.fingerprint.clone(),
        }
    }

    /// Those of the embedder that is not active, during a move.
    pub fn inactive(&self) -> Option<Serving> {
        self.other.as_ref().map(|other| Serving {
            era: other.era,
            dim: Some(other.dim),
            fingerprint: Some(other.fingerprint.clone()),
            ..self.active()
        })
    }

    /// Those of the embedders that are served: the active one, and during a move, until it is being ended, the other one.
    pub(crate) fn served(&self) -> impl Iterator<Item = Serving> {
        let is_served = self.other.as_ref().is_some_and(|other| !other.ending);
        std::iter::once(self.active()).chain(self.inactive().filter(|_| is_served))
    }

    /// Which end of the move is active; `None` without one.
    pub fn side(&self) -> Option<Side> {
        let side = if self.era == self.base { Side::Source } else { Side::Target };
        self.other.as_ref().map(|_| side)
    }

    /// The embedder that an instance of this configuration serves: the active one, if it is one of those configured or none
    /// is; else the other one of a move, whose vectors may not all be there yet.
    ///
    /// Errors: `EmbedderMismatchError`.
    pub fn serving(&self, config: &Config) -> Result<Serving, Error> {
        let is_configured = |serving: &Serving| {
            let differ = |stamp: &EmbedderConfig| {
                let fingerprints = serving.fingerprint.as_deref().zip(stamp.fingerprint.as_deref());
                let dims = serving.dim.zip(stamp.dim);
                fingerprints.is_some_and(|(own, configured)| own != configured)
                    || dims.is_some_and(|(own, configured)| own != configured)
            };
            stamps(config).any(|stamp| !differ(stamp))
        };
        self.served().find(is_configured).ok_or_else(|| mismatch(&self.active(), config))
    }

    /// The era of the embedder that made a vector: of `fingerprint`, or, where the caller does not say, the one that an instance
    /// of this configuration serves. And its dimension.
    ///
    /// Errors: `EmbedderMismatchError`.
    pub(crate) fn maker(&self, fingerprint: Option<&str>, config: &Config) -> Result<Serving, Error> {
        let Some(fingerprint) = fingerprint else { return self.serving(config) };
        let is_it = |serving: &Serving| serving.fingerprint.as_deref().is_none_or(|own| own == fingerprint);
        self.served().find(is_it).ok_or_else(|| {
            let active = self.fingerprint.as_deref().unwrap_or_default();
            Error::new(
                ErrorKind::EmbedderMismatchError,
                format!("the cache holds embeddings of {active:?}, and this one is of {fingerprint:?}"),
                REMEDY,
            )
        })
    }
}

const REMEDY: &str =
    "configure the embedder that the cache was built with, move the cache to this one, or use another table";

/// The embedders that the configuration names: one, and during a move another one.
fn stamps(config: &Config) -> impl Iterator<Item = &EmbedderConfig> {
    std::iter::once(&config.embedder).chain(&config.next_embedder)
}

fn mismatch(active: &Serving, config: &Config) -> Error {
    let detail = match (&active.fingerprint, &config.embedder.fingerprint) {
        (Some(stamped), Some(configured)) if stamped != configured => {
            format!("the cache holds embeddings of {stamped:?}, and {configured:?} is configured")
        }
        _ => {
            let [stamped, configured] = [active.dim, config.embedder.dim].map(Option::unwrap_or_default);
            format!("the cache holds embeddings of dimension {stamped}, and {configured} is configured")
        }
    };
    Error::new(ErrorKind::EmbedderMismatchError, detail, REMEDY)
}

/// The vectors of one row, as it holds them: little-endian float32.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowVectors {
    /// The first one; absent for an entry that only the exact layer finds. Zeros are as good as none: tables shared with the
    /// Python library have them.
    pub embedding: Option<Vec<u8>>,
    /// Whose vector that is; `None`: the base's (see [`Counter::base`]).
    pub own: Option<Era>,
    /// The second one, and whose it is.
    pub next: Option<(Era, Vec<u8>)>,
}

impl RowVectors {
    /// Those in `item`.
    pub(crate) fn from_item(item: &Item) -> Self {
        let bytes = |name| {
            let bytes: Option<&Blob> = item.get(name).and_then(|value: &AttributeValue| value.as_b().ok());
            bytes.map(|bytes| bytes.as_ref().to_vec()).filter(|bytes| !bytes.is_empty())
        };
        Self {
            embedding: bytes("embedding"),
            own: Era::in_item(item, OWN_ERA),
            next: Era::in_item(item, NEXT_ERA).zip(bytes(NEXT)),
        }
    }

    /// Writes them into `item`.
    pub(crate) fn put_into(&self, item: &mut Item) {
        let blob = |bytes: &Vec<u8>| AttributeValue::B(Blob::new(bytes.clone()));
        if let Some(embedding) = &self.embedding {
            item.insert("embedding".to_owned(), blob(embedding));
        }
        if let Some(own) = self.own {
            item.insert(OWN_ERA.to_owned(), own.attribute());
        }
        if let Some((era, next)) = &self.next {
            item.insert(NEXT.to_owned(), blob(next));
            item.insert(NEXT_ERA.to_owned(), era.attribute());
        }
    }

    /// The vector of `era`, where there is one.
    pub fn of(&self, era: Era, base: Era) -> Option<&[u8]> {
        let bytes = if self.own.unwrap_or(base) == era {
            self.embedding.as_deref()
        } else {
            self.next.as_ref().filter(|(next, _)| *next == era).map(|(_, bytes)| bytes.as_slice())
        };
        bytes.filter(|bytes| bytes.iter().any(|byte| *byte != 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stamped with `a` of 3 dimensions, moving to `b` of 4.
    fn moving() -> Counter {
        let stamped = Config::with(&[("MNEME_EMBEDDER_FINGERPRINT", "a"), ("MNEME_EMBEDDER_DIM", "3")]);
        let mut counter = Counter::from_item(&Counter::first_item(&stamped)).unwrap();
        counter.other = Some(Other { era: Era(1), fingerprint: "b".to_owned(), dim: 4, ending: false });
        counter
    }

    fn switched() -> Counter {
        let mut counter = moving();
        (counter.era, counter.fingerprint, counter.dim) = (Era(1), Some("b".to_owned()), Some(4));
        counter.other = Some(Other { era: Era(0), fingerprint: "a".to_owned(), dim: 3, ending: false });
        counter
    }

    const A: (&str, &str) = ("MNEME_EMBEDDER_FINGERPRINT", "a");
    const B: (&str, &str) = ("MNEME_EMBEDDER_FINGERPRINT", "b");
    const NEXT_B: (&str, &str) = ("MNEME_EMBEDDER_NEXT_FINGERPRINT", "b");
    const DIM_3: (&str, &str) = ("MNEME_EMBEDDER_DIM", "3");

    #[test]
    fn an_instance_serves_what_it_is_configured_for_and_the_active_one_first() {
        for (variables, before, after) in [
            (&[][..], 0, 1),
            (&[A][..], 0, 0),
            (&[A, DIM_3][..], 0, 0),
            (&[DIM_3][..], 0, 0),
            (&[B][..], 1, 1),
            (&[A, NEXT_B][..], 0, 1),
        ] {
            let config = Config::with(variables);
            let era = |counter: &Counter| counter.serving(&config).unwrap().era;
            assert_eq!((era(&moving()), era(&switched())), (Era(before), Era(after)), "{variables:?}");
        }
        for variables in
            [&[("MNEME_EMBEDDER_FINGERPRINT", "c")][..], &[B, DIM_3][..], &[("MNEME_EMBEDDER_DIM", "5")][..]]
        {
            for counter in [moving(), switched()] {
                let error = counter.serving(&Config::with(variables)).unwrap_err();
                assert_eq!(error.kind, ErrorKind::EmbedderMismatchError, "{variables:?}");
            }
        }
    }

    #[test]
    fn one_whose_vectors_are_being_removed_is_not_served() {
        let mut counter = switched();
        counter.other.as_mut().unwrap().ending = true;
        assert_eq!(counter.serving(&Config::with(&[A])).unwrap_err().kind, ErrorKind::EmbedderMismatchError);
        assert_eq!(counter.serving(&Config::with(&[A, NEXT_B])).unwrap().era, Era(1));
        assert_eq!(counter.maker(Some("a"), &Config::with(&[])).unwrap_err().kind, ErrorKind::EmbedderMismatchError);
    }

    #[test]
    fn a_vector_has_the_era_of_its_maker() {
        let (any, only_a) = (Config::with(&[]), Config::with(&[A]));
        let era = |counter: &Counter, fingerprint, config| counter.maker(fingerprint, config).unwrap().era;
        assert_eq!(era(&moving(), Some("a"), &any), Era(0));
        assert_eq!(era(&moving(), Some("b"), &any), Era(1));
        assert_eq!(era(&switched(), Some("a"), &any), Era(0));
        assert_eq!(era(&switched(), None, &only_a), Era(0));
        assert_eq!(era(&switched(), None, &any), Era(1));
        assert_eq!(moving().maker(Some("c"), &any).unwrap_err().kind, ErrorKind::EmbedderMismatchError);
        assert_eq!((moving().side(), switched().side()), (Some(Side::Source), Some(Side::Target)));
    }

    #[test]
    fn a_rows_vectors_are_told_apart() {
        let (first, second) = (vec![0, 0, 128, 63], vec![0, 0, 0, 64]);
        let row = RowVectors { embedding: Some(first.clone()), own: None, next: Some((Era(4), second.clone())) };
        let mut item = Item::new();
        row.put_into(&mut item);
        assert_eq!(RowVectors::from_item(&item), row);
        assert_eq!(row.of(Era(2), Era(2)), Some(first.as_slice()));
        assert_eq!(row.of(Era(4), Era(2)), Some(second.as_slice()));
        assert_eq!(row.of(Era(3), Era(2)), None);
        let own = RowVectors { own: Some(Era(4)), next: None, ..row };
        assert_eq!((own.of(Era(4), Era(2)), own.of(Era(2), Era(2))), (Some(first.as_slice()), None));
        let serving = Serving { era: Era(4), base: Era(2), switches: 0, dim: Some(1), fingerprint: None };
        let mut item = Item::new();
        own.put_into(&mut item);
        assert_eq!(serving.vector(&item).unwrap().as_slice(), [1.0]);
        assert_eq!(Serving { era: Era(2), ..serving }.vector(&item), None);
        assert_eq!(RowVectors { embedding: Some(vec![0; 8]), ..RowVectors::default() }.of(Era(0), Era(0)), None);
    }
}
