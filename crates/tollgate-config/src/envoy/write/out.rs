//! Messages that are being written.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::schema::{Enumeration, Schema, Support};

/// A message that is being written, in the JSON form of protobuf.
pub(super) struct Out {
    schema: &'static Schema,
    fields: Map<String, Value>,
}

impl Out {
    pub(super) fn new(schema: &'static Schema) -> Self {
        Self { schema, fields: Map::new() }
    }

    /// Sets a field.
    pub(super) fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        // Reader, writer and documentation have one table.
        debug_assert!(
            self.schema.field(name).is_some_and(|field| field.support != Support::Refused),
            "{name} of {} cannot be read",
            self.schema.name
        );
        self.fields.insert(name.to_owned(), value.into());
    }

    /// Sets a field that has a value.
    pub(super) fn some<T: Into<Value>>(&mut self, name: &'static str, value: Option<T>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    /// Sets a field that is not what it is without being set.
    #[expect(clippy::needless_pass_by_value, reason = "value and default are written alike")]
    pub(super) fn unless<T: Into<Value> + PartialEq>(&mut self, name: &'static str, value: T, default: T) {
        if value != default {
            self.set(name, value);
        }
    }

    /// Sets a text that is not empty.
    pub(super) fn text(&mut self, name: &'static str, text: &str) {
        self.unless(name, text, "");
    }

    /// Sets a list that is not empty.
    pub(super) fn list(&mut self, name: &'static str, values: Vec<Value>) {
        if !values.is_empty() {
            self.set(name, values);
        }
    }

    /// Sets a message that has fields.
    pub(super) fn unless_empty(&mut self, name: &'static str, message: Self) {
        if !message.fields.is_empty() {
            self.set(name, message.done());
        }
    }

    /// Sets a limit of time; 0 is none.
    pub(super) fn timeout(&mut self, name: &'static str, limit: Option<Duration>, default: Option<Duration>) {
        if limit != default {
            self.set(name, duration(limit.unwrap_or_default()));
        }
    }

    /// Sets an enumeration that does not have its default.
    pub(super) fn name<T: PartialEq + 'static>(
        &mut self,
        name: &'static str,
        values: &'static Enumeration<T>,
        value: &T,
        default: &T,
    ) {
        if value != default {
            self.some(name, values.name_of(value));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    pub(super) fn done(self) -> Value {
        Value::Object(self.fields)
    }

    /// The message with its type.
    pub(super) fn any(mut self) -> Value {
        let name = format!("type.googleapis.com/{}", self.schema.name);
        self.fields.insert("@type".to_owned(), Value::from(name));
        self.done()
    }
}

/// `1.5s`
pub(super) fn duration(time: Duration) -> Value {
    let nanoseconds = time.subsec_nanos();
    if nanoseconds == 0 {
        return Value::from(format!("{}s", time.as_secs()));
    }
    let fraction = format!("{nanoseconds:09}");
    Value::from(format!("{}.{}s", time.as_secs(), fraction.trim_end_matches('0')))
}

/// A number that may be larger than JSON's can be.
pub(super) fn wide(number: u64) -> Value {
    u32::try_from(number).map_or_else(|_| Value::from(number.to_string()), Value::from)
}

/// `{name, typed_config}`
pub(super) fn extension(schema: &'static Schema, name: &str, typed_config: Value) -> Value {
    let mut extension = Out::new(schema);
    extension.set("name", name);
    extension.set("typed_config", typed_config);
    extension.done()
}

/// A message of a type that is not read.
pub(super) fn foreign(type_name: &str, fields: &Value) -> Value {
    let mut message = json!({ "@type": format!("type.googleapis.com/{type_name}") });
    if let (Value::Object(message), Value::Object(fields)) = (&mut message, fields) {
        message.extend(fields.clone());
    }
    message
}
