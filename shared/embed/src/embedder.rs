//! Texts in, vectors out: batches, checks, and the memory of what was embedded before.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use lru::LruCache;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::error::{EmbedError, EmbedErrorKind};
use crate::provider::Provider;

/// How many vectors an instance remembers: 6 MB of 1536 dimensions.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(1000).expect("not zero");

/// After how many calls in a row that were refused all texts are taken to be: as many as it takes to find one among 1,024.
const MOST_REFUSED: usize = 10;

/// A text's SHA-256: texts may be long, and the memory of an instance is no place to keep them.
type TextHash = [u8; 32];

fn hash_of(text: &str) -> TextHash {
    Sha256::digest(text.as_bytes()).into()
}

/// A provider, with a bounded memory of the texts it has embedded.
pub struct Embedder<P> {
    provider: P,
    remembered: Mutex<LruCache<TextHash, Vec<f32>>>,
}

impl<P: Provider> fmt::Debug for Embedder<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedder").field("fingerprint", &self.fingerprint()).field("dim", &self.dim()).finish()
    }
}

impl<P: Provider> Embedder<P> {
    /// Embeds by `provider`; nothing is sent before the first [`Self::embed`].
    pub fn new(provider: P) -> Self {
        Self { provider, remembered: Mutex::new(LruCache::new(REMEMBERED)) }
    }

    /// What vectors it makes: provider, model, dimension where it is chosen, version. Stable; what a table is stamped with.
    pub fn fingerprint(&self) -> &str {
        self.provider.fingerprint()
    }

    /// The length of its vectors, where the configuration decides it.
    pub fn dim(&self) -> Option<usize> {
        self.provider.dim()
    }

    /// Forgets that `text` was embedded: its vector turned out to be of no use.
    pub fn forget(&self, text: &str) {
        self.memory().pop(&hash_of(text));
    }

    fn recall(&self, hash: &TextHash) -> Option<Vec<f32>> {
        self.memory().get(hash).cloned()
    }

    fn memory(&self) -> MutexGuard<'_, LruCache<TextHash, Vec<f32>>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The vectors of `texts`, in their order, each finite, not zero, and `[dim]` where that is configured; not normalised.
    ///
    /// A text that stands there twice, or was embedded by this instance not long ago, costs nothing. The others go out in
    /// as many calls as the provider needs, several at once. It ends by the deadline: give one below the invocation's.
    ///
    /// Errors: all or none. What was embedded before one is remembered: asking again without [`EmbedError::text`] goes on.
    pub async fn embed(&self, texts: &[&str], deadline: Instant) -> Result<Vec<Vec<f32>>, EmbedError> {
        for (at, text) in texts.iter().enumerate() {
            self.provider.check(text).map_err(|error| error.of_text(at))?;
        }
        let hashes: Vec<TextHash> = texts.iter().map(|text| hash_of(text)).collect();
        let mut known: HashMap<TextHash, Vec<f32>> = HashMap::new();
        let mut unknown: Vec<usize> = Vec::new();
        for (at, hash) in hashes.iter().enumerate() {
            if known.contains_key(hash) {
                continue;
            }
            let vector = self.recall(hash);
            if vector.is_none() {
                unknown.push(at);
            }
            // A text that is asked for now is marked, so that it is asked for once.
            known.insert(*hash, vector.unwrap_or_default());
        }
        let limits = self.provider.limits();
        let calls =
            unknown.chunks(limits.texts_per_call.get()).map(|places| self.call(texts, &hashes, places, deadline));
        let mut replies = stream::iter(calls.collect::<Vec<_>>()).buffer_unordered(limits.calls_at_once.get());
        while let Some(vectors) = replies.try_next().await? {
            known.extend(vectors);
        }
        Ok(hashes.iter().map(|hash| known.get(hash).cloned().unwrap_or_default()).collect())
    }

    /// What becomes of each of `texts`, in their order: as [`Self::embed`], but a text that cannot be embedded has its own
    /// error and costs the others nothing more than further calls, and one that is remembered has its vector whatever fails.
    pub async fn embed_each(&self, texts: &[&str], deadline: Instant) -> Vec<Result<Vec<f32>, EmbedError>> {
        let mut results: Vec<Option<Result<Vec<f32>, EmbedError>>> =
            texts.iter().map(|text| self.recall(&hash_of(text)).map(Ok)).collect();
        let unknown = (0..texts.len()).filter(|at| results[*at].is_none()).collect();
        // What is asked for together; a part in which some text, it is not known which, was refused is halved.
        let mut parts: Vec<Vec<usize>> = vec![unknown];
        let mut refused_in_a_row = 0;
        while let Some(mut part) = parts.pop() {
            let asked: Vec<&str> = part.iter().map(|at| texts[*at]).collect();
            match self.embed(&asked, deadline).await {
                Ok(vectors) => {
                    refused_in_a_row = 0;
                    part.iter().zip(vectors).for_each(|(at, vector)| results[*at] = Some(Ok(vector)));
                }
                Err(error) => match (error.kind, error.text) {
                    (EmbedErrorKind::BadRequest, Some(place)) if place < part.len() => {
                        results[part.remove(place)] = Some(Err(error));
                        parts.push(part);
                    }
                    (EmbedErrorKind::BadRequest, _) if part.len() > 1 && refused_in_a_row < MOST_REFUSED => {
                        refused_in_a_row += 1;
                        let second = part.split_off(part.len() / 2);
                        parts.extend([part, second]);
                    }
                    _ => part.iter().for_each(|at| results[*at] = Some(Err(error.clone()))),
                },
            }
        }
        let nothing = || Err(EmbedError::malformed("a text was not embedded"));
        results.into_iter().map(|result| result.unwrap_or_else(nothing)).collect()
    }

    /// One call for the texts at `places`; what it yields is checked and remembered.
    async fn call(
        &self,
        texts: &[&str],
        hashes: &[TextHash],
        places: &[usize],
        deadline: Instant,
    ) -> Result<Vec<(TextHash, Vec<f32>)>, EmbedError> {
        let asked: Vec<&str> = places.iter().map(|at| texts[*at]).collect();
        let vectors = match self.provider.call(&asked, deadline).await {
            Ok(vectors) => vectors,
            // Which text it is about is known where there is one.
            Err(error) => {
                return Err(match (error.kind, places) {
                    (EmbedErrorKind::BadRequest, [only]) => error.of_text(*only),
                    _ => error,
                });
            }
        };
        if vectors.len() != places.len() {
            return Err(EmbedError::malformed(format!(
                "the embedder answered {} texts with {} vectors",
                places.len(),
                vectors.len()
            )));
        }
        for vector in &vectors {
            self.check_vector(vector)?;
        }
        if vectors.iter().any(|vector| vector.len() != vectors[0].len()) {
            return Err(EmbedError::malformed("the embedder answered with vectors of several lengths"));
        }
        let vectors: Vec<_> = places.iter().map(|at| hashes[*at]).zip(vectors).collect();
        let mut remembered = self.memory();
        for (hash, vector) in &vectors {
            remembered.put(*hash, vector.clone());
        }
        Ok(vectors)
    }

    /// Whether a reply's vector can be stored and compared.
    fn check_vector(&self, vector: &[f32]) -> Result<(), EmbedError> {
        if let Some(at) = vector.iter().position(|value| !value.is_finite()) {
            return Err(EmbedError::malformed(format!("number {at} of a vector of the embedder is not finite")));
        }
        if vector.iter().all(|value| *value == 0.0) {
            return Err(EmbedError::malformed("a vector of the embedder is empty or zero"));
        }
        if let Some(dim) = self.dim().filter(|dim| *dim != vector.len()) {
            return Err(EmbedError::new(
                EmbedErrorKind::WrongDimension,
                format!("the embedder made a vector of {} dimensions, not of {dim}", vector.len()),
                "give the model's own dimension in MNEME_EMBEDDER, or none; not every model can make shorter vectors",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::provider::{Limits, not_blank};

    /// Embeds a text as its length, three a call and two calls at once; refuses calls with the text `bad`.
    #[derive(Default)]
    struct Lengths {
        calls: Mutex<Vec<Vec<String>>>,
        /// Calls under way, and the most there were.
        under_way: Mutex<(usize, usize)>,
    }

    impl Provider for Lengths {
        fn fingerprint(&self) -> &str {
            "lengths"
        }

        fn dim(&self) -> Option<usize> {
            None
        }

        fn limits(&self) -> Limits {
            let of = |n| NonZeroUsize::new(n).unwrap();
            Limits { texts_per_call: of(3), calls_at_once: of(2) }
        }

        fn check(&self, text: &str) -> Result<(), EmbedError> {
            not_blank(text)
        }

        async fn call(&self, texts: &[&str], _deadline: Instant) -> Result<Vec<Vec<f32>>, EmbedError> {
            self.calls.lock().unwrap().push(texts.iter().map(ToString::to_string).collect());
            {
                let (now, most) = &mut *self.under_way.lock().unwrap();
                *now += 1;
                *most = (*most).max(*now);
            }
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            self.under_way.lock().unwrap().0 -= 1;
            if texts.contains(&"bad") {
                return Err(EmbedError::new(EmbedErrorKind::BadRequest, "bad", "send a good one"));
            }
            Ok(texts.iter().map(|text| vec![text.len() as f32]).collect())
        }
    }

    fn ample() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    fn calls(embedder: &Embedder<Lengths>) -> Vec<Vec<String>> {
        std::mem::take(&mut *embedder.provider.calls.lock().unwrap())
    }

    #[tokio::test]
    async fn a_text_is_embedded_once() {
        let embedder = Embedder::new(Lengths::default());
        assert_eq!((embedder.fingerprint(), embedder.dim()), ("lengths", None));
        let vectors = embedder.embed(&["aa", "b", "aa", "b"], ample()).await.unwrap();
        assert_eq!(vectors, [[2.0], [1.0], [2.0], [1.0]]);
        assert_eq!(calls(&embedder), [["aa", "b"]]);
        let vectors = embedder.embed(&["b", "ccc", "aa"], ample()).await.unwrap();
        assert_eq!(vectors, [[1.0], [3.0], [2.0]]);
        assert_eq!(calls(&embedder), [["ccc"]]);
        assert!(embedder.embed(&[], ample()).await.unwrap().is_empty());
        assert!(calls(&embedder).is_empty());
        embedder.forget("b");
        embedder.embed(&["b", "ccc"], ample()).await.unwrap();
        assert_eq!(calls(&embedder), [["b"]]);
    }

    #[tokio::test]
    async fn the_least_recently_used_is_forgotten() {
        let embedder = Embedder::new(Lengths::default());
        let texts: Vec<String> = (0..REMEMBERED.get()).map(|text| text.to_string()).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        embedder.embed(&texts, ample()).await.unwrap();
        embedder.embed(&["0"], ample()).await.unwrap();
        embedder.embed(&["one more"], ample()).await.unwrap();
        calls(&embedder);
        embedder.embed(&["0", "1"], ample()).await.unwrap();
        assert_eq!(calls(&embedder), [["1"]]);
    }

    #[tokio::test]
    async fn calls_go_out_together_within_the_bound() {
        let embedder = Embedder::new(Lengths::default());
        let texts: Vec<String> = (1..=20).map(|length| "x".repeat(length)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let vectors = embedder.embed(&texts, ample()).await.unwrap();
        assert_eq!(vectors, (1..=20u8).map(|length| vec![f32::from(length)]).collect::<Vec<_>>());
        assert_eq!(calls(&embedder).iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 3, 3, 3, 3, 2]);
        assert_eq!(*embedder.provider.under_way.lock().unwrap(), (0, 2));
    }

    #[tokio::test]
    async fn one_text_at_fault_is_told_and_the_others_are_remembered() {
        let embedder = Embedder::new(Lengths::default());
        let error = embedder.embed(&["a", "\n ", "b"], ample()).await.unwrap_err();
        assert_eq!((error.kind, error.text), (EmbedErrorKind::BadRequest, Some(1)));
        assert!(calls(&embedder).is_empty());

        let error = embedder.embed(&["a", "b", "c", "bad"], ample()).await.unwrap_err();
        assert_eq!((error.kind, error.text), (EmbedErrorKind::BadRequest, Some(3)));
        calls(&embedder);
        embedder.embed(&["a", "b", "c"], ample()).await.unwrap();
        assert!(calls(&embedder).is_empty());

        let error = embedder.embed(&["d", "bad"], ample()).await.unwrap_err();
        assert_eq!((error.kind, error.text), (EmbedErrorKind::BadRequest, None), "which of the call's is not known");
    }

    #[tokio::test]
    async fn each_text_has_its_own_outcome() {
        let embedder = Embedder::new(Lengths::default());
        let texts = ["a", "", "bbb", "bad", "cc", " ", "dddd", "eeeee", "a"];
        let each = embedder.embed_each(&texts, ample()).await;
        for (text, result) in texts.iter().zip(each) {
            match result {
                Ok(vector) => assert_eq!(vector, [text.len() as f32]),
                Err(error) => assert!(["", " ", "bad"].contains(text) && error.kind == EmbedErrorKind::BadRequest),
            }
        }
        assert!(embedder.embed_each(&[], ample()).await.is_empty());
        calls(&embedder);
        let each = embedder.embed_each(&["a", "bad", "cc"], ample()).await;
        assert!(each[0].is_ok() && each[1].is_err() && each[2].is_ok());
        assert_eq!(calls(&embedder), [["bad"]], "what is remembered is not asked for with what fails");
    }
}
