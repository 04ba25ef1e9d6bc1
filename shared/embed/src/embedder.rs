//! What callers use: batches of texts, checks of the vectors, and a cache of vectors.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use lru::LruCache;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::error::{EmbedError, EmbedErrorKind};
use crate::provider::{Provider, TextVector};

/// How many vectors an instance caches. With 1,536 dimensions they take 6 MB.
const CACHE_CAPACITY: NonZeroUsize = NonZeroUsize::new(1000).expect("not zero");

/// After this many refused calls in a row, [`Embedder::embed_each`] stops halving and reports every text as refused.
/// Ten halvings find one text among 1,024.
const MAX_REFUSALS_IN_A_ROW: usize = 10;

/// The SHA-256 of a text. The cache keeps it in place of the text, which may be long and private.
type TextHash = [u8; 32];

fn hash_of(text: &str) -> TextHash {
    Sha256::digest(text.as_bytes()).into()
}

/// A provider with a least-recently-used cache of the vectors it made.
pub struct Embedder<P> {
    provider: P,
    vectors: Mutex<LruCache<TextHash, TextVector>>,
}

impl<P: Provider> fmt::Debug for Embedder<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedder").field("fingerprint", &self.fingerprint()).field("dim", &self.dim()).finish()
    }
}

impl<P: Provider> Embedder<P> {
    /// Sends nothing. The cache is empty.
    pub fn new(provider: P) -> Self {
        Self { provider, vectors: Mutex::new(LruCache::new(CACHE_CAPACITY)) }
    }

    /// Identifies the vectors: provider, model, dimension if it is configured, version. The table is stamped with it.
    /// It is the same for every instance and release.
    pub fn fingerprint(&self) -> &str {
        self.provider.fingerprint()
    }

    /// The length of the vectors; `None` if the configuration does not determine it.
    pub fn dim(&self) -> Option<usize> {
        self.provider.dim()
    }

    /// Removes the vector of `text` from the cache. Call it if the vector turned out to be unusable.
    pub fn forget(&self, text: &str) {
        self.cache().pop(&hash_of(text));
    }

    /// The vector of `text` as the provider made it, if it is in the cache. Sends nothing.
    pub fn remembered(&self, text: &str) -> Option<TextVector> {
        self.cached(&hash_of(text))
    }

    fn cached(&self, hash: &TextHash) -> Option<TextVector> {
        self.cache().get(hash).cloned()
    }

    fn cache(&self) -> MutexGuard<'_, LruCache<TextHash, TextVector>> {
        self.vectors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Embeds all of `texts`, or none.
    ///
    /// Returns the vectors in the order of the texts. Each is finite, not zero, and `[dim]` if that is configured.
    /// They are not normalised. A text is sent once, even if it occurs twice, and not at all if its vector is cached.
    /// The texts are sent in as many calls as the provider needs, several at the same time. The method returns at
    /// `deadline` at the latest, so pass one before the invocation's.
    ///
    /// Errors: the first error of a text or a call. The vectors of the calls that succeeded before it are cached, so a
    /// second call without the text [`EmbedError::text`] continues.
    pub async fn embed(&self, texts: &[&str], deadline: Instant) -> Result<Vec<TextVector>, EmbedError> {
        for (at, text) in texts.iter().enumerate() {
            self.provider.check(text).map_err(|error| error.for_text(at))?;
        }
        let hashes: Vec<TextHash> = texts.iter().map(|text| hash_of(text)).collect();
        let mut known: HashMap<TextHash, TextVector> = HashMap::new();
        let mut unknown: Vec<usize> = Vec::new();
        for (at, hash) in hashes.iter().enumerate() {
            if known.contains_key(hash) {
                continue;
            }
            let vector = self.cached(hash);
            if vector.is_none() {
                unknown.push(at);
            }
            // An unknown text gets an empty vector for now, so that its second occurrence is not sent.
            known.insert(*hash, vector.unwrap_or_default());
        }
        let limits = self.provider.limits();
        let calls =
            unknown.chunks(limits.texts_per_call.get()).map(|indices| self.call(texts, &hashes, indices, deadline));
        let mut replies = stream::iter(calls.collect::<Vec<_>>()).buffer_unordered(limits.concurrent_calls.get());
        while let Some(vectors) = replies.try_next().await? {
            known.extend(vectors);
        }
        Ok(hashes.iter().map(|hash| known.get(hash).cloned().unwrap_or_default()).collect())
    }

    /// Embeds each of `texts` as [`Self::embed`] does, but with one result per text, in their order.
    ///
    /// A text that cannot be embedded has its own error. It causes further calls but no error for the others. A text
    /// whose vector is cached has that vector, even if every call fails.
    pub async fn embed_each(&self, texts: &[&str], deadline: Instant) -> Vec<Result<TextVector, EmbedError>> {
        let mut results: Vec<Option<Result<TextVector, EmbedError>>> =
            texts.iter().map(|text| self.cached(&hash_of(text)).map(Ok)).collect();
        let unknown = (0..texts.len()).filter(|at| results[*at].is_none()).collect();
        // The texts of one part are embedded together. If a text of a part is refused and it is not known which, the
        // part is halved.
        let mut parts: Vec<Vec<usize>> = vec![unknown];
        let mut refused_in_a_row = 0;
        while let Some(mut part) = parts.pop() {
            let part_texts: Vec<&str> = part.iter().map(|at| texts[*at]).collect();
            match self.embed(&part_texts, deadline).await {
                Ok(vectors) => {
                    refused_in_a_row = 0;
                    part.iter().zip(vectors).for_each(|(at, vector)| results[*at] = Some(Ok(vector)));
                }
                Err(error) => match (error.kind, error.text) {
                    (EmbedErrorKind::BadRequest, Some(index)) if index < part.len() => {
                        results[part.remove(index)] = Some(Err(error));
                        parts.push(part);
                    }
                    (EmbedErrorKind::BadRequest, _) if part.len() > 1 && refused_in_a_row < MAX_REFUSALS_IN_A_ROW => {
                        refused_in_a_row += 1;
                        let second = part.split_off(part.len() / 2);
                        parts.extend([part, second]);
                    }
                    _ => part.iter().for_each(|at| results[*at] = Some(Err(error.clone()))),
                },
            }
        }
        let missing = || Err(EmbedError::malformed("a text was not embedded"));
        results.into_iter().map(|result| result.unwrap_or_else(missing)).collect()
    }

    /// Sends one call for the texts at `indices`, checks the vectors and caches them.
    async fn call(
        &self,
        texts: &[&str],
        hashes: &[TextHash],
        indices: &[usize],
        deadline: Instant,
    ) -> Result<Vec<(TextHash, TextVector)>, EmbedError> {
        let call_texts: Vec<&str> = indices.iter().map(|at| texts[*at]).collect();
        let vectors = match self.provider.call(&call_texts, deadline).await {
            Ok(vectors) => vectors,
            // If the call had one text, that text caused the error.
            Err(error) => {
                return Err(match (error.kind, indices) {
                    (EmbedErrorKind::BadRequest, [only]) => error.for_text(*only),
                    _ => error,
                });
            }
        };
        if vectors.len() != indices.len() {
            return Err(EmbedError::malformed(format!(
                "the embedder answered {} texts with {} vectors",
                indices.len(),
                vectors.len()
            )));
        }
        for vector in &vectors {
            self.check_vector(&vector.values)?;
        }
        if vectors.iter().any(|vector| vector.values.len() != vectors[0].values.len()) {
            return Err(EmbedError::malformed("the embedder answered with vectors of several lengths"));
        }
        let vectors: Vec<_> = indices.iter().map(|at| hashes[*at]).zip(vectors).collect();
        let mut cache = self.cache();
        for (hash, vector) in &vectors {
            cache.put(*hash, vector.clone());
        }
        Ok(vectors)
    }

    /// Refuses a vector that cannot be stored or compared.
    ///
    /// Errors: `Malformed` for one with a number that is not finite, and for one that is empty or zero;
    /// `WrongDimension`.
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
    use crate::provider::{Limits, refuse_blank};

    /// Embeds a text as its length. It takes three texts per call and two calls at the same time. It refuses a call
    /// with the text `bad`.
    #[derive(Default)]
    struct Lengths {
        calls: Mutex<Vec<Vec<String>>>,
        /// The calls that run now, and the highest number that ran at the same time.
        running: Mutex<(usize, usize)>,
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
            Limits { texts_per_call: of(3), concurrent_calls: of(2) }
        }

        fn check(&self, text: &str) -> Result<(), EmbedError> {
            refuse_blank(text)
        }

        async fn call(&self, texts: &[&str], _deadline: Instant) -> Result<Vec<TextVector>, EmbedError> {
            self.calls.lock().unwrap().push(texts.iter().map(ToString::to_string).collect());
            {
                let (now, highest) = &mut *self.running.lock().unwrap();
                *now += 1;
                *highest = (*highest).max(*now);
            }
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            self.running.lock().unwrap().0 -= 1;
            if texts.contains(&"bad") {
                return Err(EmbedError::new(EmbedErrorKind::BadRequest, "bad", "send a good one"));
            }
            let vector = |text: &&str| TextVector { values: vec![text.len() as f32], ..TextVector::default() };
            Ok(texts.iter().map(vector).collect())
        }
    }

    fn far_deadline() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    fn values(vectors: Vec<TextVector>) -> Vec<Vec<f32>> {
        vectors.into_iter().map(|vector| vector.values).collect()
    }

    /// The texts of each call since the last time.
    fn take_calls(embedder: &Embedder<Lengths>) -> Vec<Vec<String>> {
        std::mem::take(&mut *embedder.provider.calls.lock().unwrap())
    }

    #[tokio::test]
    async fn embed_with_repeated_text_sends_it_once() {
        let embedder = Embedder::new(Lengths::default());
        assert_eq!((embedder.fingerprint(), embedder.dim()), ("lengths", None));
        let vectors = embedder.embed(&["aa", "b", "aa", "b"], far_deadline()).await.unwrap();
        assert_eq!(values(vectors), [[2.0], [1.0], [2.0], [1.0]]);
        assert_eq!(take_calls(&embedder), [["aa", "b"]]);
        let vectors = embedder.embed(&["b", "ccc", "aa"], far_deadline()).await.unwrap();
        assert_eq!(values(vectors), [[1.0], [3.0], [2.0]]);
        assert_eq!(take_calls(&embedder), [["ccc"]]);
        assert!(embedder.embed(&[], far_deadline()).await.unwrap().is_empty());
        assert!(take_calls(&embedder).is_empty());
        embedder.forget("b");
        embedder.embed(&["b", "ccc"], far_deadline()).await.unwrap();
        assert_eq!(take_calls(&embedder), [["b"]]);
    }

    #[tokio::test]
    async fn embed_with_full_cache_evicts_least_recently_used() {
        let embedder = Embedder::new(Lengths::default());
        let texts: Vec<String> = (0..CACHE_CAPACITY.get()).map(|text| text.to_string()).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        embedder.embed(&texts, far_deadline()).await.unwrap();
        embedder.embed(&["0"], far_deadline()).await.unwrap();
        embedder.embed(&["one more"], far_deadline()).await.unwrap();
        take_calls(&embedder);
        embedder.embed(&["0", "1"], far_deadline()).await.unwrap();
        assert_eq!(take_calls(&embedder), [["1"]]);
    }

    #[tokio::test]
    async fn embed_with_many_texts_sends_concurrent_calls_within_limits() {
        let embedder = Embedder::new(Lengths::default());
        let texts: Vec<String> = (1..=20).map(|length| "x".repeat(length)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let vectors = embedder.embed(&texts, far_deadline()).await.unwrap();
        assert_eq!(values(vectors), (1..=20u8).map(|length| vec![f32::from(length)]).collect::<Vec<_>>());
        assert_eq!(take_calls(&embedder).iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 3, 3, 3, 3, 2]);
        assert_eq!(*embedder.provider.running.lock().unwrap(), (0, 2));
    }

    #[tokio::test]
    async fn embed_with_bad_text_names_it_and_caches_the_others() {
        let embedder = Embedder::new(Lengths::default());
        let error = embedder.embed(&["a", "\n ", "b"], far_deadline()).await.unwrap_err();
        assert_eq!((error.kind, error.text), (EmbedErrorKind::BadRequest, Some(1)));
        assert!(take_calls(&embedder).is_empty());

        let error = embedder.embed(&["a", "b", "c", "bad"], far_deadline()).await.unwrap_err();
        assert_eq!((error.kind, error.text), (EmbedErrorKind::BadRequest, Some(3)));
        take_calls(&embedder);
        embedder.embed(&["a", "b", "c"], far_deadline()).await.unwrap();
        assert!(take_calls(&embedder).is_empty());

        let error = embedder.embed(&["d", "bad"], far_deadline()).await.unwrap_err();
        assert_eq!((error.kind, error.text), (EmbedErrorKind::BadRequest, None), "the call had two texts");
    }

    #[tokio::test]
    async fn embed_each_with_bad_texts_returns_one_result_per_text() {
        let embedder = Embedder::new(Lengths::default());
        let texts = ["a", "", "bbb", "bad", "cc", " ", "dddd", "eeeee", "a"];
        let each = embedder.embed_each(&texts, far_deadline()).await;
        for (text, result) in texts.iter().zip(each) {
            match result {
                Ok(vector) => assert_eq!(vector.values, [text.len() as f32]),
                Err(error) => assert!(["", " ", "bad"].contains(text) && error.kind == EmbedErrorKind::BadRequest),
            }
        }
        assert!(embedder.embed_each(&[], far_deadline()).await.is_empty());
        take_calls(&embedder);
        let each = embedder.embed_each(&["a", "bad", "cc"], far_deadline()).await;
        assert!(each[0].is_ok() && each[1].is_err() && each[2].is_ok());
        assert_eq!(take_calls(&embedder), [["bad"]], "a cached text is not sent with a bad one");
    }
}
