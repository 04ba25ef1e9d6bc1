//! What callers said of the answers to a question, in the item of its pointer. A lookup reads that item in any case.
//!
//! Verdicts are data: no other item has what they hold. A pointer with verdicts outlives the question's own entry. It then
//! names the entry of the newest verdict, so that it always names an entry. It also holds the name of the namespace, by
//! which a purge finds it.

use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem};
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_model::pair_verdicts::{Alias, PairVerdicts};

use crate::attribute as name;
use crate::expression::{Condition, Expression};
use crate::item::{Item, b, bytes, n, s, text};
use crate::key::RowKey;
use crate::pointers::still_names;
use crate::read::pointed_entry;
use crate::table::Table;

/// The item of a pointer as it was read. The default is that of a question without one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pointer {
    /// The entry that it names: the question's own, or that of a verdict.
    pub named: Option<EntryId>,
    /// What callers said.
    pub verdicts: PairVerdicts,
    /// The stored bars and the stored alias.
    stored: [Option<AttributeValue>; 2],
}

impl Pointer {
    /// Reads an item. Verdicts that are not readable count as none.
    pub fn from_item(item: &Item) -> Self {
        let bars = text(item, name::BARS).and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default();
        let verdict = text(item, name::ALIAS).and_then(|json| serde_json::from_str(&json).ok());
        let signature = bytes(item, name::ALIAS_SIGNATURE).map(<[u8]>::to_vec);
        let alias = verdict.zip(signature).map(|(verdict, signature)| Alias { verdict, signature });
        let stored = [name::BARS, name::ALIAS].map(|attribute| item.get(attribute).cloned());
        Self { named: pointed_entry(item), verdicts: PairVerdicts { alias, bars }, stored }
    }

    /// The question's own entry, as far as the pointer knows.
    pub fn own(&self) -> Option<EntryId> {
        self.named.filter(|id| self.verdicts.iter().all(|verdict| verdict.id != *id))
    }

    /// The entry that may answer in the exact layer: the question's own, or the confirmed one.
    pub fn answering(&self) -> Option<EntryId> {
        self.own().or_else(|| self.verdicts.alias.as_ref().map(|alias| alias.verdict.id))
    }

    /// The write of `verdicts` and of the entry `named` to the pointer of a question in `namespace`, if the item still is
    /// as it was read.
    fn change(&self, namespace: &Namespace, named: EntryId, verdicts: &PairVerdicts) -> Result<Expression, Error> {
        let json = |value: Result<String, serde_json::Error>| value.map(s).map_err(Error::internal);
        let PairVerdicts { alias, bars } = verdicts;
        let bars = (!bars.is_empty()).then(|| json(serde_json::to_string(bars))).transpose()?;
        let verdict = alias.as_ref().map(|alias| json(serde_json::to_string(&alias.verdict))).transpose()?;
        Ok(self
            .is_as_read()
            .set(name::ENTRY_ID, n(named))
            .set_or_remove(name::NAME, (!verdicts.is_empty()).then(|| s(namespace.to_string())))
            .set_or_remove(name::BARS, bars)
            .set_or_remove(name::ALIAS, verdict)
            .set_or_remove(name::ALIAS_SIGNATURE, alias.as_ref().map(|alias| b(alias.signature.clone()))))
    }

    fn is_as_read(&self) -> Expression {
        let [bars, alias] = self.stored.clone();
        Expression::when(still_names(self.named))
            .and(Condition::is(name::BARS, bars))
            .and(Condition::is(name::ALIAS, alias))
    }
}

impl Table {
    /// The action that stores `verdicts` in `pointer`, and makes it name the entry `named`, if its item still is as in
    /// `seen`.
    pub fn record_verdicts(
        &self,
        pointer: RowKey,
        namespace: &Namespace,
        seen: &Pointer,
        named: EntryId,
        verdicts: &PairVerdicts,
    ) -> Result<TransactWriteItem, Error> {
        self.update_action(self.update_builder(pointer, seen.change(namespace, named, verdicts)?))
    }

    /// The action that takes the question's own entry out of `pointer`, which then names the entry of its newest verdict, if
    /// its item still is as in `seen`. `None` if there is no verdict.
    pub fn unpoint_to_verdict(&self, pointer: RowKey, seen: &Pointer) -> Result<Option<TransactWriteItem>, Error> {
        let Some(newest) = seen.verdicts.iter().next_back() else { return Ok(None) };
        let expression = seen.is_as_read().set(name::ENTRY_ID, n(newest.id));
        self.update_action(self.update_builder(pointer, expression)).map(Some)
    }

    /// Stores as [`Table::record_verdicts`], or deletes the item if `named` is `None`. No answer may change by it. Returns
    /// whether the item still was as in `seen`. Writes: one UpdateItem or DeleteItem. Errors: `StoreBackendError`.
    pub async fn clean_verdicts(
        &self,
        pointer: RowKey,
        namespace: &Namespace,
        seen: &Pointer,
        named: Option<EntryId>,
        verdicts: &PairVerdicts,
    ) -> Result<bool, Error> {
        match named {
            Some(named) => self.update_if(pointer, seen.change(namespace, named, verdicts)?).await,
            None => self.delete_if(pointer, seen.is_as_read()).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::Update;
    use mneme_model::normalize::QueryHash;
    use mneme_model::pair_verdicts::{MAX_BARS, PairVerdict};

    use super::*;
    use crate::expression::Apply as _;
    use crate::item::item_bytes;

    fn id(id: u64) -> EntryId {
        EntryId::new(id).unwrap()
    }

    fn verdict(number: u64) -> PairVerdict {
        PairVerdict::new(QueryHash::of(&number.to_string(), true), id(number), 1_800_000_000, Some(&"n".repeat(999)))
    }

    fn all() -> PairVerdicts {
        let mut verdicts = PairVerdicts::default();
        (1..=MAX_BARS as u64).for_each(|number| verdicts.bar(verdict(number)));
        verdicts.confirm(Alias { verdict: verdict(20), signature: vec![3; 400] });
        verdicts
    }

    /// The item that `expression` makes of an item that does not exist.
    fn made(expression: Expression) -> Item {
        let update = Update::builder().table_name("t").key(name::ID, n(-1)).apply(expression).build().unwrap();
        let (names, values) = (update.expression_attribute_names.unwrap(), update.expression_attribute_values.unwrap());
        let sets = update.update_expression.strip_prefix("SET ").unwrap();
        let sets = sets.split(" REMOVE ").next().unwrap().split(", ").map(|set| set.split_once(" = ").unwrap());
        sets.map(|(name, value)| (names[name].clone(), values[value].clone())).collect()
    }

    #[test]
    fn pointer_with_all_verdicts_reads_back_and_costs_one_read_unit() {
        let item = made(Pointer::default().change(&Namespace::default(), id(20), &all()).unwrap());
        let read = Pointer::from_item(&item);
        assert_eq!((read.named, &read.verdicts), (Some(id(20)), &all()));
        assert!(item_bytes(&item) <= 4096, "{}", item_bytes(&item));
        assert_eq!(text(&item, name::NAME).as_deref(), Some("default"));
    }

    #[test]
    fn pointer_that_names_the_entry_of_a_verdict_has_no_own_entry() {
        let with =
            |named: u64, verdicts: PairVerdicts| Pointer { named: Some(id(named)), verdicts, ..Pointer::default() };
        let mut barred = PairVerdicts::default();
        barred.bar(verdict(7));
        for (pointer, own, answering) in [
            (with(5, PairVerdicts::default()), Some(5), Some(5)),
            (with(5, barred.clone()), Some(5), Some(5)),
            (with(7, barred), None, None),
            (with(20, all()), None, Some(20)),
            (Pointer::default(), None, None),
        ] {
            assert_eq!((pointer.own(), pointer.answering()), (own.map(id), answering.map(id)), "{pointer:?}");
        }
    }

    #[test]
    fn write_requires_the_verdicts_that_were_read() {
        let item = Item::from([(name::ENTRY_ID.to_owned(), n(7)), (name::BARS.to_owned(), s("[]"))]);
        let change = Pointer::from_item(&item).change(&Namespace::default(), id(7), &PairVerdicts::default()).unwrap();
        let update = Update::builder().table_name("t").key(name::ID, n(-1)).apply(change).build().unwrap();
        let condition = "#entry_id = :entry_id AND #bars = :bars AND attribute_not_exists(#alias)";
        assert_eq!(update.condition_expression.as_deref(), Some(condition));
        assert!(update.update_expression.ends_with("REMOVE #name, #bars, #alias, #alias_signature"));
    }
}
