//! Headers and trailers as scripts see them.

use std::rc::Rc;

use bytes::Bytes;
use extproc::{
    mutation::{Side, is_single_entry},
    remove_fields,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use mlua::{Error, LuaString, MetaMethod, MultiValue, Result, UserData, UserDataMethods, Value};

use super::{handle::log_methods, run::Run};
use crate::transaction::core::Core;

/// Which headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Request,
    Response,
    Trailers,
    /// Those of the request while its response passes: they are only looked at.
    RequestBehind,
}

/// Headers or trailers.
#[derive(Debug)]
pub(super) struct Headers {
    run: Rc<Run>,
    born: u32,
    which: Which,
}

impl Headers {
    pub(super) fn new(run: &Rc<Run>, which: Which) -> Self {
        Self { run: Rc::clone(run), born: run.generation(), which }
    }

    /// For when the script goes on.
    pub(super) fn new_next(run: &Rc<Run>, which: Which) -> Self {
        Self { run: Rc::clone(run), born: run.generation().wrapping_add(1), which }
    }

    fn core<T>(&self, look: impl FnOnce(&mut Core) -> Result<T>) -> Result<T> {
        self.run.check(self.born)?;
        self.run.core(look)
    }

    fn fields<'c>(&self, core: &'c mut Core) -> Result<&'c mut HeaderMap> {
        let fields = match self.which {
            Which::Request | Which::RequestBehind => Some(&mut core.messages.request.fields),
            Which::Response => core.messages.response.as_mut().map(|response| &mut response.fields),
            Which::Trailers => self.run.trailers(core).as_mut(),
        };
        fields.ok_or_else(|| Error::runtime("there are no such headers"))
    }

    /// What stands before the fields.
    fn pseudo(&self, core: &Core) -> Vec<(&'static str, Bytes)> {
        let bytes = |value: &HeaderValue| Bytes::copy_from_slice(value.as_bytes());
        match self.which {
            Which::Request | Which::RequestBehind => {
                let request = &core.messages.request;
                vec![
                    (":authority", bytes(&request.authority)),
                    (":path", bytes(&request.path)),
                    (":method", Bytes::copy_from_slice(request.method.as_str().as_bytes())),
                    (":scheme", bytes(&request.scheme)),
                ]
            }
            Which::Response => {
                let status = core.messages.response.as_ref().map(|response| response.status);
                let text = status.map(|status| Bytes::copy_from_slice(status.as_str().as_bytes()));
                text.map(|text| (":status", text)).into_iter().collect()
            }
            Which::Trailers => Vec::new(),
        }
    }

    /// The values of a name.
    fn values(&self, name: &[u8]) -> Result<Vec<Bytes>> {
        let name = self.name_of(name);
        self.core(|core| {
            if name.starts_with(b":") {
                let pseudo = self.pseudo(core).into_iter();
                return Ok(pseudo
                    .filter(|(own, _)| own.as_bytes() == name)
                    .map(|(_, value)| value)
                    .collect());
            }
            let Ok(name) = HeaderName::from_bytes(&name) else { return Ok(Vec::new()) };
            let values = self.fields(core)?.get_all(name).into_iter();
            Ok(values.map(|value| Bytes::copy_from_slice(value.as_bytes())).collect())
        })
    }

    /// In lower case; `host` is a request's authority.
    fn name_of(&self, name: &[u8]) -> Vec<u8> {
        let name = name.to_ascii_lowercase();
        let is_request = matches!(self.which, Which::Request | Which::RequestBehind);
        if is_request && name == b"host" { b":authority".to_vec() } else { name }
    }

    /// Whether they may be changed.
    fn begin_change(&self) -> Result<()> {
        if self.run.iterated.get() == Some(self.which) {
            return Err(Error::runtime("header map cannot be modified while iterating"));
        }
        let passed = self.which != Which::Trailers && self.run.continued.get();
        if passed || self.which == Which::RequestBehind {
            return Err(Error::runtime("header map can no longer be modified"));
        }
        let run = &self.run;
        if self.which == Which::Request && !run.upstream && run.settings.clear_route_cache {
            run.clears_route.set(true);
        }
        Ok(())
    }

    fn set(&self, name: &LuaString, value: &LuaString, appends: bool) -> Result<()> {
        self.begin_change()?;
        let name = self.name_of(&name.as_bytes());
        let value = header_value(&value.as_bytes())?;
        self.core(|core| {
            if name.starts_with(b":") {
                return self.set_pseudo(core, &name, value, appends);
            }
            let name = header_name(&name)?;
            let prefix = core.http().header_prefix.clone();
            let side = match self.which {
                Which::Request | Which::RequestBehind => Side::Request,
                Which::Response => Side::Response,
                Which::Trailers => Side::Trailers,
            };
            let fields = self.fields(core)?;
            let value = match fields.get(&name) {
                Some(old) if appends && is_single_entry(side, name.as_str(), &prefix) => join(old, &value)?,
                _ if appends => {
                    return fields.try_append(name, value).map(drop).map_err(|_| too_many());
                }
                _ => value,
            };
            fields.try_insert(name, value).map(drop).map_err(|_| too_many())
        })
    }

    fn set_pseudo(&self, core: &mut Core, name: &[u8], value: HeaderValue, appends: bool) -> Result<()> {
        let old = self.pseudo(core).into_iter().find(|(own, _)| own.as_bytes() == name);
        let Some((_, old)) = old else {
            let name = String::from_utf8_lossy(name);
            return Err(Error::runtime(format!("this message cannot have a header \"{name}\"")));
        };
        let value = match appends {
            true => join(&header_value(&old)?, &value)?,
            false => value,
        };
        let not_valid = || Error::runtime(format!("\"{}\" cannot be that", String::from_utf8_lossy(name)));
        let request = &mut core.messages.request;
        match name {
            b":method" => {
                request.method = Method::from_bytes(value.as_bytes()).map_err(|_| not_valid())?;
            }
            b":path" => {
                let path = value.as_bytes();
                if !path.starts_with(b"/") && path != b"*" || path.iter().any(u8::is_ascii_whitespace) {
                    return Err(not_valid());
                }
                request.path = value;
            }
            b":authority" => request.authority = value,
            b":scheme" => request.scheme = value,
            _ => {
                let status = StatusCode::from_bytes(value.as_bytes()).map_err(|_| not_valid())?;
                let response = core.messages.response.as_mut().ok_or_else(not_valid)?;
                response.status = status;
            }
        }
        Ok(())
    }

    fn remove(&self, name: &LuaString) -> Result<()> {
        self.begin_change()?;
        let name = self.name_of(&name.as_bytes());
        if name.starts_with(b":") {
            let name = String::from_utf8_lossy(&name);
            return Err(Error::runtime(format!("\"{name}\" cannot be removed, a message needs it")));
        }
        let Ok(name) = HeaderName::from_bytes(&name) else { return Ok(()) };
        self.core(|core| {
            remove_fields(self.fields(core)?, std::slice::from_ref(&name));
            Ok(())
        })
    }

    fn all(&self) -> Result<Vec<(Bytes, Bytes)>> {
        self.core(|core| {
            let pseudo = self.pseudo(core).into_iter();
            let mut all: Vec<_> =
                pseudo.map(|(name, value)| (Bytes::from_static(name.as_bytes()), value)).collect();
            let copy = Bytes::copy_from_slice;
            let fields = self.fields(core)?.iter();
            all.extend(fields.map(|(name, value)| (copy(name.as_str().as_bytes()), copy(value.as_bytes()))));
            Ok(all)
        })
    }
}

/// A name that a field can have.
pub(super) fn header_name(name: &[u8]) -> Result<HeaderName> {
    HeaderName::from_bytes(name)
        .map_err(|_| Error::runtime(format!("\"{}\" is no name of a header", String::from_utf8_lossy(name))))
}

/// A value that a field can have.
pub(super) fn header_value(value: &[u8]) -> Result<HeaderValue> {
    HeaderValue::from_bytes(value).map_err(|_| Error::runtime("this is no value of a header"))
}

fn join(old: &HeaderValue, new: &HeaderValue) -> Result<HeaderValue> {
    header_value(&[old.as_bytes(), b",", new.as_bytes()].concat())
}

fn too_many() -> Error {
    Error::runtime("there are too many headers")
}

impl UserData for Headers {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("get", |lua, this, name: LuaString| {
            let values = this.values(&name.as_bytes())?;
            match values.is_empty() {
                true => Ok(MultiValue::new()),
                false => {
                    Ok(MultiValue::from_iter([Value::String(lua.create_string(values.join(&b","[..]))?)]))
                }
            }
        });
        methods.add_method("getAtIndex", |lua, this, (name, index): (LuaString, f64)| {
            let values = this.values(&name.as_bytes())?;
            #[expect(
                clippy::cast_possible_truncation,
                reason = "as in Envoy what stands behind the point does not count"
            )]
            let value = usize::try_from(index as i64).ok().and_then(|index| values.get(index));
            value.map_or(Ok(MultiValue::new()), |value| {
                Ok(MultiValue::from_iter([Value::String(lua.create_string(value)?)]))
            })
        });
        methods
            .add_method("getNumValues", |_, this, name: LuaString| Ok(this.values(&name.as_bytes())?.len()));
        methods.add_method("add", |_, this, (name, value): (LuaString, LuaString)| {
            this.set(&name, &value, true)
        });
        methods.add_method("replace", |_, this, (name, value): (LuaString, LuaString)| {
            this.set(&name, &value, false)
        });
        methods.add_method("remove", |_, this, name: LuaString| this.remove(&name));
        methods.add_method("setHttp1ReasonPhrase", |_, _, ()| -> Result<()> {
            Err(Error::runtime("reason phrases cannot be set: they follow from the status"))
        });
        methods.add_meta_method(MetaMethod::Pairs, |lua, this, ()| {
            if this.run.iterated.get() == Some(this.which) {
                return Err(Error::runtime("cannot create a second iterator before completing the first"));
            }
            let mut all = this.all()?.into_iter();
            this.run.iterated.set(Some(this.which));
            let run = Rc::clone(&this.run);
            lua.create_function_mut(move |lua, ()| match all.next() {
                Some((name, value)) => Ok(MultiValue::from_iter([
                    Value::String(lua.create_string(name)?),
                    Value::String(lua.create_string(value)?),
                ])),
                None => {
                    run.iterated.set(None);
                    Ok(MultiValue::new())
                }
            })
        });
        log_methods(methods);
    }
}
