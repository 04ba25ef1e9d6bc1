//! Builds update and condition expressions with their placeholders.
//!
//! Every name and value goes through a placeholder, because `ttl`, `query`, `response` and others are reserved words
//! (DynamoDB Developer Guide, "Reserved words in DynamoDB").

use std::collections::HashMap;

use aws_sdk_dynamodb::operation::delete_item::builders::DeleteItemFluentBuilder;
use aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodb::types::builders::{DeleteBuilder, PutBuilder, UpdateBuilder};

use crate::item::n;

/// A condition on one item.
#[derive(Debug, Clone)]
pub enum Condition {
    /// The attribute exists.
    Exists(&'static str),
    /// The attribute does not exist.
    Absent(&'static str),
    /// The attribute does not exist, or it is an empty binary value.
    Empty(&'static str),
    /// The attribute is in this relation to the value.
    Compare(&'static str, Operator, AttributeValue),
    /// The attribute equals one of these values. The list must not be empty.
    OneOf(&'static str, Vec<AttributeValue>),
    /// At least one of these conditions holds. The list must not be empty.
    Any(Vec<Condition>),
    /// The map has an entry with this key.
    HasKey(&'static str, String),
    /// The list or the set contains this value.
    Contains(&'static str, AttributeValue),
}

/// The relation in a [`Condition::Compare`].
#[derive(Debug, Clone, Copy)]
pub enum Operator {
    /// `=`
    Equal,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>=`
    AtLeast,
}

impl Operator {
    fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::AtLeast => ">=",
        }
    }
}

impl Condition {
    /// The attribute equals `value`.
    pub fn equals(attribute: &'static str, value: AttributeValue) -> Self {
        Self::Compare(attribute, Operator::Equal, value)
    }

    /// The attribute equals `value`, or does not exist if `value` is `None`.
    pub fn is(attribute: &'static str, value: Option<AttributeValue>) -> Self {
        value.map_or(Self::Absent(attribute), |value| Self::equals(attribute, value))
    }

    /// The attribute is at most `value`.
    pub fn at_most(attribute: &'static str, value: AttributeValue) -> Self {
        Self::Compare(attribute, Operator::AtMost, value)
    }

    /// The attribute is below `value`.
    pub fn below(attribute: &'static str, value: AttributeValue) -> Self {
        Self::Compare(attribute, Operator::Less, value)
    }

    /// The attribute is at least `value`.
    pub fn at_least(attribute: &'static str, value: AttributeValue) -> Self {
        Self::Compare(attribute, Operator::AtLeast, value)
    }
}

/// An update expression, a condition expression, and the names and values of their placeholders.
///
/// The clauses are in the order SET, REMOVE, ADD, DELETE. Conditions are joined by AND.
#[derive(Debug, Clone, Default)]
pub struct Expression {
    sets: Vec<String>,
    removes: Vec<String>,
    adds: Vec<String>,
    deletes: Vec<String>,
    conditions: Vec<String>,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Expression {
    /// An expression without changes and without a condition.
    pub fn new() -> Self {
        Self::default()
    }

    /// An expression with a condition and without changes.
    pub fn when(condition: Condition) -> Self {
        Self::default().and(condition)
    }

    /// Adds a condition.
    pub fn and(mut self, condition: Condition) -> Self {
        let text = self.render(condition);
        self.conditions.push(text);
        self
    }

    /// Sets the attribute to `value`.
    pub fn set(mut self, attribute: &str, value: AttributeValue) -> Self {
        let (name, value) = (self.name(attribute), self.value(attribute, value));
        self.sets.push(format!("{name} = {value}"));
        self
    }

    /// Sets the attribute to `value`, unless it exists.
    pub fn set_if_absent(mut self, attribute: &str, value: AttributeValue) -> Self {
        let (name, value) = (self.name(attribute), self.value(attribute, value));
        self.sets.push(format!("{name} = if_not_exists({name}, {value})"));
        self
    }

    /// Sets the attribute to `value`, or removes it if `value` is `None`.
    pub fn set_or_remove(self, attribute: &str, value: Option<AttributeValue>) -> Self {
        match value {
            Some(value) => self.set(attribute, value),
            None => self.remove(attribute),
        }
    }

    /// Removes the attribute.
    pub fn remove(mut self, attribute: &str) -> Self {
        let name = self.name(attribute);
        self.removes.push(name);
        self
    }

    /// Sets the entry `key` of a map.
    pub fn set_in(mut self, map: &str, key: &str, value: AttributeValue) -> Self {
        let (path, value) = (self.path(map, key), self.value("value", value));
        self.sets.push(format!("{path} = {value}"));
        self
    }

    /// Removes the entry `key` of a map.
    pub fn remove_from(mut self, map: &str, key: &str) -> Self {
        let path = self.path(map, key);
        self.removes.push(path);
        self
    }

    /// Adds `amount` to a number, or elements to a set. `ADD` works on top-level attributes only.
    pub fn add(mut self, attribute: &str, amount: AttributeValue) -> Self {
        let (name, value) = (self.name(attribute), self.value(attribute, amount));
        self.adds.push(format!("{name} {value}"));
        self
    }

    /// Deletes elements from a set. DynamoDB removes an attribute whose set becomes empty.
    pub fn delete(mut self, attribute: &str, elements: AttributeValue) -> Self {
        let (name, value) = (self.name(attribute), self.value(attribute, elements));
        self.deletes.push(format!("{name} {value}"));
        self
    }

    /// Whether there is nothing to set, remove, add or delete.
    pub fn changes_nothing(&self) -> bool {
        self.sets.is_empty() && self.removes.is_empty() && self.adds.is_empty() && self.deletes.is_empty()
    }

    fn name(&mut self, attribute: &str) -> String {
        let placeholder = format!("#{attribute}");
        self.names.insert(placeholder.clone(), attribute.to_owned());
        placeholder
    }

    /// The path of the entry `key` in a map. The key is a caller's text and may contain any character.
    fn path(&mut self, map: &str, key: &str) -> String {
        let fits = |placeholder: &String| self.names.get(placeholder).is_none_or(|taken| taken == key);
        let placeholder = std::iter::once("#key".to_owned())
            .chain((2..).map(|count| format!("#key_{count}")))
            .find(fits)
            .unwrap_or_default();
        self.names.insert(placeholder.clone(), key.to_owned());
        format!("{}.{placeholder}", self.name(map))
    }

    fn value(&mut self, attribute: &str, value: AttributeValue) -> String {
        let taken = |placeholder: &String| self.values.contains_key(placeholder);
        let first = format!(":{attribute}");
        let placeholder = std::iter::once(first)
            .chain((2..).map(|count| format!(":{attribute}_{count}")))
            .find(|placeholder| !taken(placeholder))
            .unwrap_or_default();
        self.values.insert(placeholder.clone(), value);
        placeholder
    }

    fn render(&mut self, condition: Condition) -> String {
        match condition {
            Condition::Exists(attribute) => format!("attribute_exists({})", self.name(attribute)),
            Condition::Absent(attribute) => format!("attribute_not_exists({})", self.name(attribute)),
            Condition::Empty(attribute) => {
                let (name, zero) = (self.name(attribute), self.value("zero", n(0)));
                format!("(attribute_not_exists({name}) OR size({name}) = {zero})")
            }
            Condition::Compare(attribute, operator, value) => {
                let (name, value) = (self.name(attribute), self.value(attribute, value));
                format!("{name} {} {value}", operator.symbol())
            }
            Condition::OneOf(attribute, values) => {
                let name = self.name(attribute);
                let values: Vec<String> = values.into_iter().map(|value| self.value(attribute, value)).collect();
                format!("{name} IN ({})", values.join(", "))
            }
            Condition::Any(conditions) => {
                let alternatives: Vec<String> = conditions.into_iter().map(|one| self.render(one)).collect();
                format!("({})", alternatives.join(" OR "))
            }
            Condition::Contains(attribute, value) => {
                let (name, value) = (self.name(attribute), self.value(attribute, value));
                format!("contains({name}, {value})")
            }
            Condition::HasKey(map, key) => format!("attribute_exists({})", self.path(map, &key)),
        }
    }

    fn update_text(&self) -> Option<String> {
        let clauses = [("SET", &self.sets), ("REMOVE", &self.removes), ("ADD", &self.adds), ("DELETE", &self.deletes)];
        let clauses = clauses.into_iter().filter(|(_, parts)| !parts.is_empty());
        let clauses: Vec<String> = clauses.map(|(word, parts)| format!("{word} {}", parts.join(", "))).collect();
        (!clauses.is_empty()).then(|| clauses.join(" "))
    }

    fn condition_text(&self) -> Option<String> {
        (!self.conditions.is_empty()).then(|| self.conditions.join(" AND "))
    }
}

/// A request that takes an [`Expression`].
pub trait Apply {
    /// The request with the expression in it. The request's own expressions are replaced.
    fn apply(self, expression: Expression) -> Self;
}

/// `None` in place of an empty map, which DynamoDB refuses.
fn some<T>(map: HashMap<String, T>) -> Option<HashMap<String, T>> {
    (!map.is_empty()).then_some(map)
}

macro_rules! takes_conditions {
    ($($builder:ty),* $(,)?) => {
        $(impl Apply for $builder {
            fn apply(self, expression: Expression) -> Self {
                debug_assert!(expression.changes_nothing(), "a put or a delete has no update expression");
                self.set_condition_expression(expression.condition_text())
                    .set_expression_attribute_names(some(expression.names))
                    .set_expression_attribute_values(some(expression.values))
            }
        })*
    };
}

macro_rules! takes_updates {
    ($($builder:ty),* $(,)?) => {
        $(impl Apply for $builder {
            fn apply(self, expression: Expression) -> Self {
                self.set_update_expression(expression.update_text())
                    .set_condition_expression(expression.condition_text())
                    .set_expression_attribute_names(some(expression.names))
                    .set_expression_attribute_values(some(expression.values))
            }
        })*
    };
}

takes_conditions![PutItemFluentBuilder, DeleteItemFluentBuilder, PutBuilder, DeleteBuilder];
takes_updates![UpdateItemFluentBuilder, UpdateBuilder];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::s;

    #[test]
    fn expression_with_several_parts_orders_clauses_and_joins_conditions() {
        let expression = Expression::when(Condition::equals("name", s("a")))
            .and(Condition::Any(vec![Condition::Absent("ttl"), Condition::at_most("ttl", n(9))]))
            .add("entries", n(1))
            .set("name", s("b"))
            .remove("query");
        assert_eq!(
            expression.update_text().as_deref(),
            Some("SET #name = :name_2 REMOVE #query ADD #entries :entries")
        );
        let condition = "#name = :name AND (attribute_not_exists(#ttl) OR #ttl <= :ttl)";
        assert_eq!(expression.condition_text().as_deref(), Some(condition));
        assert_eq!(expression.names.len(), 4);
        assert_eq!((&expression.values[":name"], &expression.values[":name_2"]), (&s("a"), &s("b")));
    }

    #[test]
    fn values_of_one_attribute_have_different_placeholders() {
        let expression = Expression::when(Condition::OneOf("id", vec![n(1), n(2), n(3)]));
        assert_eq!(expression.condition_text().as_deref(), Some("#id IN (:id, :id_2, :id_3)"));
        assert_eq!(expression.values.len(), 3);
    }

    #[test]
    fn map_key_with_special_characters_is_a_placeholder() {
        let expression = Expression::new().set_in("quotas", "a.b #c", n(1));
        assert_eq!(expression.update_text().as_deref(), Some("SET #quotas.#key = :value"));
        assert_eq!(expression.names["#key"], "a.b #c");
        let two = expression.remove_from("meta", "other").and(Condition::HasKey("meta", "other".to_owned()));
        assert_eq!(two.update_text().as_deref(), Some("SET #quotas.#key = :value REMOVE #meta.#key_2"));
        assert_eq!(two.condition_text().as_deref(), Some("attribute_exists(#meta.#key_2)"));
    }

    #[test]
    fn expression_without_parts_has_no_texts() {
        let expression = Expression::new();
        assert_eq!((expression.update_text(), expression.condition_text()), (None, None));
        assert!(expression.changes_nothing());
    }
}
