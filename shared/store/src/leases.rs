//! Leases: who is to make the answer to a question that has none, so that others wait for it.
//!
//! A lease is a derived item of its own for each entry key. It is taken by one conditional write outside the counter's
//! transaction. A lease board is a derived item that names the questions of one namespace and context key that were
//! leased lately, with a coarse form of their vectors. It has [`LEASE_SLOTS`] slots, and a newer question takes the slot
//! of an older one, so a read of it is bounded. A board only suggests: the lease that a slot names decides.

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem};
use mneme_model::embedding::Embedding;
use mneme_model::error::Error;
use uuid::Uuid;

use crate::attribute as name;
use crate::attribute::LEASE_SLOTS;
use crate::backend_error::from_sdk;
use crate::expression::{Apply as _, Condition, Expression};
use crate::item::{Item, b, bytes, n, number, s, text};
use crate::key::RowKey;
use crate::table::Table;

/// A lease: the right to make an answer, until it ends or is released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// What its holder proves itself with.
    pub token: String,
    /// When it ends, in epoch milliseconds.
    pub until_ms: i64,
}

impl Lease {
    /// A lease with a new token, until `until_ms`.
    pub fn new(until_ms: i64) -> Self {
        Self { token: Uuid::new_v4().simple().to_string(), until_ms }
    }

    /// Reads a lease. `None` if it is released, or if an attribute is missing.
    pub fn from_item(item: &Item) -> Option<Self> {
        Some(Self { token: text(item, name::LEASE_TOKEN)?, until_ms: number(item, name::LEASED_UNTIL)? })
    }

    /// Whether it is over at `now_ms`.
    pub fn has_ended(&self, now_ms: i64) -> bool {
        self.until_ms <= now_ms
    }

    /// The epoch second from which on DynamoDB may delete the item.
    fn ttl(&self) -> i64 {
        self.until_ms.div_euclid(1000) + 1
    }
}

/// A leased question, as a slot of a lease board names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeasedQuestion {
    /// The key of its lease.
    pub key: RowKey,
    /// The lease as it was taken.
    pub lease: Lease,
    /// The question's vector in a coarse form: one signed byte for each component.
    coarse_vector: Vec<u8>,
    /// The question's signature, encoded by `mneme_guard::ConversationSignature`.
    pub signature: Vec<u8>,
}

impl LeasedQuestion {
    /// The question with the lease `lease` at `key`.
    pub fn new(key: RowKey, lease: Lease, vector: &Embedding, signature: Vec<u8>) -> Self {
        let largest = vector.as_slice().iter().fold(0.0f32, |largest, component| largest.max(component.abs()));
        let byte = |component: &f32| ((component / largest * 127.0).round() as i8).cast_unsigned();
        Self { key, lease, coarse_vector: vector.as_slice().iter().map(byte).collect(), signature }
    }

    /// The question's vector, as far as its coarse form tells. `None` if that is not a vector.
    pub fn vector(&self) -> Option<Embedding> {
        Embedding::normalized(self.coarse_vector.iter().map(|byte| f32::from(byte.cast_signed())).collect()).ok()
    }

    fn from_slot(slot: &AttributeValue) -> Option<Self> {
        let slot = slot.as_m().ok()?;
        Some(Self {
            key: RowKey::from_attribute(slot.get(name::LEASE)?)?,
            lease: Lease::from_item(slot)?,
            coarse_vector: bytes(slot, name::COARSE_VECTOR)?.to_vec(),
            signature: bytes(slot, name::SIGNATURE)?.to_vec(),
        })
    }

    fn to_slot(&self) -> AttributeValue {
        AttributeValue::M(Item::from([
            (name::LEASE.to_owned(), self.key.attribute()),
            (name::LEASE_TOKEN.to_owned(), s(&self.lease.token)),
            (name::LEASED_UNTIL.to_owned(), n(self.lease.until_ms)),
            (name::COARSE_VECTOR.to_owned(), b(self.coarse_vector.clone())),
            (name::SIGNATURE.to_owned(), b(self.signature.clone())),
        ]))
    }
}

/// A lease board as it was read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LeaseBoard(Item);

impl LeaseBoard {
    /// The board in `item`. Without an item, the board is empty.
    pub fn from_item(item: Option<&Item>) -> Self {
        Self(item.cloned().unwrap_or_default())
    }

    /// The questions that the board names.
    pub fn questions(&self) -> impl Iterator<Item = LeasedQuestion> {
        LEASE_SLOTS.iter().filter_map(|slot| self.in_slot(slot))
    }

    fn in_slot(&self, slot: &str) -> Option<LeasedQuestion> {
        LeasedQuestion::from_slot(self.0.get(slot)?)
    }

    /// The slot for the question of the lease `key`: its own, else a free one, else the one whose lease ends first.
    /// Different questions begin their search at different slots, so that they seldom choose the same one.
    fn slot_for(&self, key: RowKey) -> &'static str {
        let begin = key.low_remainder(LEASE_SLOTS.len());
        let slots = LEASE_SLOTS[begin..].iter().chain(&LEASE_SLOTS[..begin]);
        let end = |slot: &str| match self.in_slot(slot) {
            None => 0,
            Some(named) if named.key == key => -1,
            Some(named) => named.lease.until_ms,
        };
        slots.min_by_key(|slot| end(slot)).unwrap_or(&LEASE_SLOTS[0])
    }
}

impl Table {
    /// Takes the lease at `key` for `lease`, if nobody holds it at `now_ms`. Returns the lease that is held after that:
    /// `lease`, or another caller's.
    ///
    /// Writes: one UpdateItem. Errors: `StoreBackendError`.
    pub async fn take_lease(&self, key: RowKey, lease: &Lease, now_ms: i64) -> Result<Lease, Error> {
        let is_free = [Condition::Absent(name::LEASE_TOKEN), Condition::at_most(name::LEASED_UNTIL, n(now_ms))];
        let expression = Expression::when(Condition::Any(is_free.into()))
            .set(name::LEASE_TOKEN, s(&lease.token))
            .set(name::LEASED_UNTIL, n(lease.until_ms))
            .set(name::TTL, n(lease.ttl()));
        let update = self.client.update_item().table_name(&self.name).key(name::ID, key.attribute()).apply(expression);
        let update = update.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let error = match self.patiently(|| update.clone().send()).await {
            Ok(_) => return Ok(lease.clone()),
            Err(error) => error,
        };
        let held = match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                refused.item().and_then(Lease::from_item)
            }
            _ => None,
        };
        // The item may be this caller's own lease: a call whose reply was lost is sent again.
        held.ok_or_else(|| from_sdk("UpdateItem", error))
    }

    /// Releases the lease at `key`, if `token` holds it. Returns whether it did. Writes: one UpdateItem. Errors:
    /// `StoreBackendError`.
    pub async fn release_lease(&self, key: RowKey, token: &str) -> Result<bool, Error> {
        let expression = Expression::when(Condition::equals(name::LEASE_TOKEN, s(token)));
        self.update_if(key, expression.remove(name::LEASE_TOKEN)).await
    }

    /// The action that makes the lease at `key` end at `until_ms`, if `token` holds it.
    pub fn end_lease(&self, key: RowKey, token: &str, until_ms: i64) -> Result<TransactWriteItem, Error> {
        let expression = Expression::when(Condition::equals(name::LEASE_TOKEN, s(token)));
        self.update_action(self.update_builder(key, expression.set(name::LEASED_UNTIL, n(until_ms))))
    }

    /// Names `question` on the board at `key`, if the slot for it is still as it was `seen`. Returns the board before that,
    /// and whether the question was named.
    ///
    /// Writes: one UpdateItem. Errors: `StoreBackendError`.
    pub async fn name_on_board(
        &self,
        key: RowKey,
        seen: &LeaseBoard,
        question: &LeasedQuestion,
    ) -> Result<(LeaseBoard, bool), Error> {
        let slot = seen.slot_for(question.key);
        let expression = Expression::when(Condition::is(slot, seen.0.get(slot).cloned()))
            .set(slot, question.to_slot())
            .set(name::TTL, n(question.lease.ttl()));
        let update = self.client.update_item().table_name(&self.name).key(name::ID, key.attribute()).apply(expression);
        let update = update
            .return_values(ReturnValue::AllOld)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match self.patiently(|| update.clone().send()).await {
            Ok(named) => Ok((LeaseBoard(named.attributes.unwrap_or_default()), true)),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                    Ok((LeaseBoard::from_item(refused.item()), false))
                }
                _ => Err(from_sdk("UpdateItem", error)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use mneme_model::namespace::Namespace;
    use mneme_model::normalize::QueryHash;

    use super::*;

    fn question(text: &str, vector: Vec<f32>, until_ms: i64) -> LeasedQuestion {
        let key = RowKey::lease(&Namespace::default(), &QueryHash::of(text, true));
        let lease = Lease { token: "t".to_owned(), until_ms };
        LeasedQuestion::new(key, lease, &Embedding::normalized(vector).unwrap(), vec![1, 2])
    }

    #[test]
    fn leased_question_in_a_slot_is_read_as_it_was_written() {
        let question = question("q", vec![0.6, -0.8], 12_345);
        let board = LeaseBoard(Item::from([("slot_3".to_owned(), question.to_slot()), ("id".to_owned(), n(-7))]));
        assert_eq!(board.questions().collect::<Vec<_>>(), [question]);
        assert_eq!(LeaseBoard(Item::from([("slot_0".to_owned(), s("x"))])).questions().count(), 0);
    }

    #[test]
    fn slot_for_a_question_is_its_own_or_a_free_one_or_the_one_that_ends_first() {
        let mut board = LeaseBoard::default();
        let named = |at: usize| question(&at.to_string(), vec![1.0], 1_000 + (at as i64 * 7) % 16);
        for at in 0..LEASE_SLOTS.len() {
            let slot = board.slot_for(named(at).key);
            assert!(board.in_slot(slot).is_none(), "{at} takes {slot}, which is not free");
            board.0.insert(slot.to_owned(), named(at).to_slot());
            assert_eq!(board.slot_for(named(at).key), slot);
        }
        let evicted = board.in_slot(board.slot_for(question("new", vec![1.0], 1).key)).unwrap();
        assert_eq!(evicted, named(0), "its lease ends first");
    }

    #[test]
    fn coarse_vector_is_nearly_the_vector() {
        let components: Vec<f32> = (0..384).map(|at| ((at * 37 % 101) as f32 - 50.0) / 100.0).collect();
        let exact = Embedding::normalized(components.clone()).unwrap();
        let coarse = question("q", components, 1).vector().unwrap();
        let cosine: f32 = exact.as_slice().iter().zip(coarse.as_slice()).map(|(a, b)| a * b).sum();
        assert!(cosine > 0.999, "{cosine}");
    }

    #[test]
    fn ttl_of_a_lease_is_after_its_end() {
        for (until_ms, ttl) in [(1_000, 2), (1_999, 2)] {
            let lease = Lease { token: String::new(), until_ms };
            assert_eq!((lease.ttl(), lease.has_ended(until_ms - 1), lease.has_ended(until_ms)), (ttl, false, true));
        }
    }
}
