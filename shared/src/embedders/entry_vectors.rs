//! The vectors of entries that are about to be stored.

use mneme_model::error::Error;
use mneme_store::counter::Counter;

use super::new_vector::NewVector;
use super::providers::{EmbedderSlot, Embedders};
use super::text_embedding::TextEmbedding;

/// The vectors that the configured embedders made of one text.
#[derive(Debug)]
pub struct MadeVectors {
    /// One vector, or during a move one of each embedder that is configured here. An embedder that cannot read the text
    /// makes none.
    pub vectors: Vec<NewVector>,
    /// False if the served embedder cannot read the text.
    pub is_embeddable: bool,
    /// Why the embedder that is not served made no vector. A later step of the move adds the vector.
    pub second_error: Option<Error>,
}

impl Embedders<'_> {
    /// Whether [`Embedders::embed_entries`] needs the counter: only if an embedder to move to is configured.
    pub fn need_counter(&self) -> bool {
        EmbedderSlot::Next.configured(self.config).is_some()
    }

    /// The vectors of the `texts` of entries that are about to be stored, in their order.
    ///
    /// `counter`: required if [`Embedders::need_counter`] is true. During a move each configured embedder makes a
    /// vector, so that the entry is found before the switch and after it.
    /// Errors, of each text alone: as [`Embedders::embed`] for the served embedder. Errors of all:
    /// `EmbedderMismatchError`.
    pub async fn embed_entries(
        &self,
        counter: Option<&Counter>,
        texts: &[&str],
    ) -> Result<Vec<Result<MadeVectors, Error>>, Error> {
        let (served, second) = match counter {
            None => (EmbedderSlot::Main.configured(self.config).map(|_| EmbedderSlot::Main), None),
            Some(counter) => {
                let served = counter.served_embedder(self.config)?;
                let second = counter.served_embedders().find(|other| other.generation != served.generation);
                (self.slot_of(&served), second.and_then(|second| self.slot_of(&second)))
            }
        };
        let made = async |slot: Option<EmbedderSlot>| match slot {
            Some(slot) => self.embed(slot, texts).await.into_iter().map(|made| Some((slot, made))).collect(),
            None => texts.iter().map(|_| None).collect::<Vec<_>>(),
        };
        let (served, second) = tokio::join!(made(served), made(second));
        let named = |slot: EmbedderSlot, made| match made {
            TextEmbedding::Vector { embedding, unread } => {
                let made_by = slot.configured(self.config).and_then(|embedder| embedder.fingerprint.clone());
                Some(NewVector { made_by, embedding, unread })
            }
            TextEmbedding::NotEmbeddable => None,
        };
        let both = served.into_iter().zip(second).map(|(served, second)| {
            let mut made = MadeVectors { vectors: Vec::new(), is_embeddable: true, second_error: None };
            if let Some((slot, embedding)) = served {
                let vector = named(slot, embedding?);
                made.is_embeddable = vector.is_some();
                made.vectors.extend(vector);
            }
            match second {
                Some((slot, Ok(embedding))) => made.vectors.extend(named(slot, embedding)),
                Some((_, Err(error))) => made.second_error = Some(error),
                None => {}
            }
            Ok(made)
        });
        Ok(both.collect())
    }
}
