//! `mneme ask`: looks a question up as a caller does.

use std::fmt;

use mneme_api::operations::LOOKUP;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Done;
use crate::arguments::Question;
use crate::cache::{Cache, Fields};
use crate::exit::Outcome;
use crate::output::{printable, shortened, show};

/// Ask a question as a caller does, and print the answer or the reason of the miss.
///
/// A hit counts as a hit. The exit code of a miss is 3.
#[derive(Debug, clap::Args)]
pub(crate) struct Ask {
    #[command(flatten)]
    question: Question,
    /// Raise the similarity threshold for this question.
    #[arg(long, value_name = "-1..1", allow_negative_numbers = true)]
    threshold: Option<f64>,
    /// Let only entries with this tag answer; may be given several times.
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
}

/// How much of the stored question is shown.
const STORED_CHARS: usize = 200;

/// The fields of a reply to a lookup that are shown.
#[derive(Debug, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(super) enum Answer {
    Hit {
        layer: String,
        id: u64,
        query: Option<String>,
        similarity: f64,
        confidence: f64,
        age_seconds: i64,
        response: String,
    },
    Miss {
        reason: String,
        best_similarity: Option<f64>,
        veto: Option<String>,
    },
}

/// Asks the question and prints the reply.
///
/// # Errors
/// See [`Cache::call`].
pub(crate) async fn ask(cache: &Cache, arguments: Ask, as_json: bool) -> Done {
    let reply: Box<RawValue> = cache.call(&LOOKUP, arguments.into_fields()).await?;
    show::<Answer>(&reply, as_json)?;
    Ok(serde_json::from_str::<Answer>(reply.get())?.outcome())
}

impl Ask {
    /// The fields of the lookup.
    pub(super) fn into_fields(self) -> Fields {
        self.question
            .into_fields()
            .with("threshold", self.threshold)
            .with("tags", Some(self.tags).filter(|tags| !tags.is_empty()))
    }
}

impl Answer {
    /// How the command ended.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Hit { .. } => Outcome::Done,
            Self::Miss { .. } => Outcome::NothingFound,
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hit { layer, id, query, similarity, confidence, age_seconds, response } => {
                let layer = printable(layer);
                write!(f, "hit   {layer}, entry {id}, similarity {similarity:.4}, confidence {confidence:.4}, ")?;
                write!(f, "{age_seconds} s old")?;
                if let Some(query) = query {
                    write!(f, "\nto    {}", shortened(query, STORED_CHARS))?;
                }
                write!(f, "\n\n{}", printable(response))
            }
            Self::Miss { reason, best_similarity, veto } => {
                write!(f, "miss  {}", printable(reason))?;
                if let Some(veto) = veto {
                    write!(f, ": {}", printable(veto))?;
                }
                match best_similarity {
                    Some(similarity) => write!(f, ", best similarity {similarity:.4}"),
                    None => Ok(()),
                }
            }
        }
    }
}
