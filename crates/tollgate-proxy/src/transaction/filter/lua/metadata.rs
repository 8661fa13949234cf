//! Metadata as scripts see it: values by name, and the dynamic metadata of the request by namespace.

use std::{collections::BTreeMap, rc::Rc};

use extproc::messages::{ListValue, Struct, Value as Field, value::Kind};
use mlua::{Error, Lua, LuaString, MetaMethod, MultiValue, Result, Table, UserData, UserDataMethods, Value};

use super::{handle::log_methods, run::Run};

/// How deep tables may be nested.
const DEEPEST: usize = 64;

/// Values that do not change.
#[derive(Debug)]
pub(super) struct Values(pub(super) Struct);

impl UserData for Values {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("get", |lua, this, name: LuaString| {
            let value = this.0.fields.get(&*name.to_str()?);
            value.map_or(Ok(MultiValue::new()), |value| Ok(MultiValue::from_iter([to_lua(lua, value)?])))
        });
        methods.add_meta_method(MetaMethod::Pairs, |lua, this, ()| {
            let mut all = this.0.fields.clone().into_iter();
            lua.create_function_mut(move |lua, ()| match all.next() {
                Some((name, value)) => {
                    Ok(MultiValue::from_iter([Value::String(lua.create_string(name)?), to_lua(lua, &value)?]))
                }
                None => Ok(MultiValue::new()),
            })
        });
        log_methods(methods);
    }
}

/// The dynamic metadata of the request; with `None`, of a connection, which has none here.
#[derive(Debug)]
pub(super) struct Dynamic {
    pub(super) run: Option<Rc<Run>>,
    pub(super) born: u32,
}

impl Dynamic {
    fn namespaces(&self) -> Result<Vec<(String, Struct)>> {
        let Some(run) = &self.run else { return Ok(Vec::new()) };
        run.check(self.born)?;
        run.core(|core| {
            let all = core.info.metadata.namespaces();
            Ok(all.map(|(name, values)| (name.to_owned(), values.clone())).collect())
        })
    }

    fn namespace(&self, name: &str) -> Result<Option<Struct>> {
        let Some(run) = &self.run else { return Ok(None) };
        run.check(self.born)?;
        run.core(|core| Ok(core.info.metadata.namespace(name).cloned()))
    }

    fn set(&self, namespace: &str, key: String, value: Field) -> Result<()> {
        let run = self.run.as_ref().ok_or_else(|| Error::runtime("metadata of connections cannot be set"))?;
        run.check(self.born)?;
        if run.iterates_metadata.get() {
            return Err(Error::runtime("dynamic metadata map cannot be modified while iterating"));
        }
        run.core(|core| {
            let values = Struct { fields: BTreeMap::from([(key, value)]) };
            match core.info.metadata.set(namespace, values) {
                true => Ok(()),
                false => Err(Error::runtime("there is too much dynamic metadata")),
            }
        })
    }
}

impl UserData for Dynamic {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("get", |lua, this, name: LuaString| {
            let values = this.namespace(&name.to_str()?)?;
            values.map_or(Ok(MultiValue::new()), |values| {
                Ok(MultiValue::from_iter([Value::Table(table(lua, &values)?)]))
            })
        });
        methods.add_method("set", |_, this, (namespace, key, value): (LuaString, LuaString, Value)| {
            let value = from_lua(&value, 0)?;
            this.set(&namespace.to_str()?, key.to_str()?.to_owned(), value)
        });
        methods.add_meta_method(MetaMethod::Pairs, |lua, this, ()| {
            if this.run.as_ref().is_some_and(|run| run.iterates_metadata.get()) {
                return Err(Error::runtime("cannot create a second iterator before completing the first"));
            }
            let mut all = this.namespaces()?.into_iter();
            let run = this.run.clone();
            if let Some(run) = &run {
                run.iterates_metadata.set(true);
            }
            lua.create_function_mut(move |lua, ()| match all.next() {
                Some((name, values)) => Ok(MultiValue::from_iter([
                    Value::String(lua.create_string(name)?),
                    Value::Table(table(lua, &values)?),
                ])),
                None => {
                    if let Some(run) = &run {
                        run.iterates_metadata.set(false);
                    }
                    Ok(MultiValue::new())
                }
            })
        });
        log_methods(methods);
    }
}

/// Values by name as a table.
pub(super) fn table(lua: &Lua, values: &Struct) -> Result<Table> {
    let table = lua.create_table()?;
    for (name, value) in &values.fields {
        table.raw_set(name.as_str(), to_lua(lua, value)?)?;
    }
    Ok(table)
}

fn to_lua(lua: &Lua, value: &Field) -> Result<Value> {
    Ok(match &value.kind {
        None | Some(Kind::NullValue(_)) => Value::Nil,
        Some(Kind::BoolValue(value)) => Value::Boolean(*value),
        Some(Kind::NumberValue(value)) => Value::Number(*value),
        Some(Kind::StringValue(value)) => Value::String(lua.create_string(value)?),
        Some(Kind::StructValue(values)) => Value::Table(table(lua, values)?),
        Some(Kind::ListValue(list)) => {
            let table = lua.create_table()?;
            for (index, value) in list.values.iter().enumerate() {
                table.raw_set(index + 1, to_lua(lua, value)?)?;
            }
            Value::Table(table)
        }
    })
}

fn from_lua(value: &Value, depth: usize) -> Result<Field> {
    if depth > DEEPEST {
        return Err(Error::runtime("the table is nested too deep"));
    }
    #[expect(clippy::cast_precision_loss, reason = "numbers of scripts are of one kind")]
    let kind = match value {
        Value::Nil => Kind::NullValue(0),
        Value::Boolean(value) => Kind::BoolValue(*value),
        Value::Number(number) => Kind::NumberValue(*number),
        Value::Integer(number) => Kind::NumberValue(*number as f64),
        Value::String(text) => Kind::StringValue(text.to_string_lossy()),
        Value::Table(table) => match list_length(table)? {
            Some(length) => {
                let values = (1..=length).map(|index| from_lua(&table.raw_get(index)?, depth + 1));
                Kind::ListValue(ListValue { values: values.collect::<Result<_>>()? })
            }
            None => Kind::StructValue(fields(table, depth)?),
        },
        other => {
            let kind = other.type_name();
            return Err(Error::runtime(format!("unexpected type '{kind}' in dynamicMetadata")));
        }
    };
    Ok(Field { kind: Some(kind) })
}

/// The length of a table that is a list.
fn list_length(table: &Table) -> Result<Option<usize>> {
    let mut longest = 0;
    for pair in table.pairs::<Value, Value>() {
        let index = match pair?.0 {
            Value::Integer(index) => usize::try_from(index).ok(),
            #[expect(clippy::cast_possible_truncation, reason = "it is a whole number")]
            Value::Number(index) if index.fract() == 0.0 => usize::try_from(index as i64).ok(),
            _ => None,
        };
        match index.filter(|index| *index > 0) {
            Some(index) => longest = longest.max(index),
            None => return Ok(None),
        }
    }
    // One that has nearly nothing in it is no list that anybody means.
    if longest > table.raw_len() {
        return Err(Error::runtime("a list has holes"));
    }
    Ok((longest > 0).then_some(longest))
}

fn fields(table: &Table, depth: usize) -> Result<Struct> {
    let mut fields = BTreeMap::new();
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair?;
        let Value::String(key) = key else {
            let kind = key.type_name();
            return Err(Error::runtime(format!(
                "unexpected type {kind} in table key (only string keys are supported)"
            )));
        };
        fields.insert(key.to_str()?.to_owned(), from_lua(&value, depth + 1)?);
    }
    Ok(Struct { fields })
}
