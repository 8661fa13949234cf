//! The handle that the functions of a script are given.

use std::{
    rc::Rc,
    time::{SystemTime, UNIX_EPOCH},
};

use extproc::Direction;
use mlua::{
    AnyUserData, Error, Lua, LuaString, MetaMethod, MultiValue, Result, Table, UserData, UserDataMethods,
    Value,
};

use super::{
    body::Body,
    call::{self, Options},
    headers::{Headers, Which},
    info::{Connection, StreamInfo},
    keys,
    metadata::{Dynamic, Values},
    run::{Asked, Run},
};
use crate::{base64, upstream::NamedHost};

/// What a script works on: one message.
#[derive(Debug)]
pub(super) struct Handle(pub(super) Rc<Run>);

impl Handle {
    /// What can be done only while the script runs.
    fn run(&self) -> Result<&Rc<Run>> {
        self.0.check(self.0.generation())?;
        Ok(&self.0)
    }

    /// Whether it is known what there is of the body.
    fn begin_body(&self, always: bool) -> Result<(bool, Option<Body>)> {
        let run = self.run()?;
        if run.ended.get() {
            if run.saw_body.get() && !run.collects.get() {
                return Err(Error::runtime("cannot call body() after body has been streamed"));
            }
            if always {
                run.body.borrow_mut().get_or_insert_default();
            }
            let body = run.body.borrow().is_some().then(|| Body::new(run));
            return Ok((true, body));
        }
        if run.saw_body.get() {
            return Err(Error::runtime("cannot call body() after body streaming has started"));
        }
        run.collects.set(true);
        *run.asked.borrow_mut() = Some(Asked::Body);
        Ok((false, None))
    }

    fn begin_chunks(&self) -> Result<()> {
        let run = self.run()?;
        match run.saw_body.get() || run.collects.get() {
            true => Err(Error::runtime("cannot call bodyChunks after body processing has begun")),
            false => Ok(()),
        }
    }

    /// Whether there may be another piece.
    fn begin_chunk(&self) -> Result<bool> {
        let run = self.run()?;
        let waits = !run.ended.get();
        if waits {
            *run.asked.borrow_mut() = Some(Asked::Chunk);
        }
        Ok(waits)
    }

    fn begin_trailers(&self) -> Result<(bool, Option<Headers>)> {
        let run = self.run()?;
        if run.has_trailers()? {
            return Ok((true, Some(Headers::new(run, Which::Trailers))));
        }
        let ended = run.ended.get();
        if !ended {
            *run.asked.borrow_mut() = Some(Asked::Trailers);
        }
        Ok((ended, None))
    }

    fn metadata_of(
        &self,
        of: impl FnOnce(&crate::configuration::WorkerRoute) -> Option<Values>,
    ) -> Result<Values> {
        let run = self.run()?;
        run.renew_route()?;
        run.core(|core| {
            let values = core.info.route.as_deref().and_then(of);
            Ok(values.unwrap_or_else(|| Values(extproc::messages::Struct::default())))
        })
    }

    fn metadata_of_route(&self) -> Result<Values> {
        self.metadata_of(|route| {
            Some(Values(route.route.metadata.filter_metadata.get(&self.0.name)?.clone()))
        })
    }

    fn metadata_of_host(&self) -> Result<Values> {
        self.metadata_of(|route| {
            Some(Values(route.virtual_host.metadata.filter_metadata.get(&self.0.name)?.clone()))
        })
    }
}

/// Something that has metadata.
struct WithMetadata(Values);

impl UserData for WithMetadata {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("metadata", |_, this, ()| Ok(Values(this.0.0.clone())));
        log_methods(methods);
    }
}

/// The time, in milliseconds or microseconds.
fn time(resolution: Option<i64>, takes_microseconds: bool) -> Result<u128> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    match resolution.unwrap_or(0) {
        0 => Ok(now.as_millis()),
        1 if takes_microseconds => Ok(now.as_micros()),
        _ if takes_microseconds => {
            Err(Error::runtime("timestamp format must be MILLISECOND or MICROSECOND."))
        }
        _ => Err(Error::runtime("timestamp format must be MILLISECOND.")),
    }
}

impl UserData for Handle {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_function(MetaMethod::Index, |lua: &Lua, (_, name): (AnyUserData, Value)| {
            tollgate_lua::wait(lua, &name)
        });
        methods.add_method("headers", |_, this, ()| {
            let which = match this.0.direction {
                Direction::Request => Which::Request,
                Direction::Response => Which::Response,
            };
            Ok(Headers::new(this.run()?, which))
        });
        methods
            .add_method("requestHeaders", |_, this, ()| Ok(Headers::new(this.run()?, Which::RequestBehind)));
        methods.add_method("beginBody", |_, this, always: Option<Value>| {
            let always = match always {
                None => false,
                Some(Value::Boolean(always)) => always,
                Some(other) => {
                    let kind = other.type_name();
                    return Err(Error::runtime(format!(
                        "bad argument #1 to 'body' (boolean expected, got {kind})"
                    )));
                }
            };
            this.begin_body(always)
        });
        methods.add_method("beginChunks", |_, this, ()| this.begin_chunks());
        methods.add_method("beginChunk", |_, this, ()| this.begin_chunk());
        methods.add_method("beginTrailers", |_, this, ()| this.begin_trailers());
        methods.add_method(
            "beginCall",
            |_,
             this,
             (cluster, headers, body, options, flag): (
                LuaString,
                Table,
                Option<LuaString>,
                Value,
                Option<Value>,
            )| {
                let options = Options::read(&options, flag.as_ref())?;
                call::begin(this.run()?, &cluster.to_str()?, &headers, body, &options)
            },
        );
        methods.add_method("beginResponse", |_, this, (headers, body): (Table, Option<LuaString>)| {
            call::respond(this.run()?, &headers, body)
        });
        methods.add_method("metadata", |_, this, ()| this.metadata_of_route());
        methods.add_method("route", |_, this, ()| Ok(WithMetadata(this.metadata_of_route()?)));
        methods.add_method("virtualHost", |_, this, ()| Ok(WithMetadata(this.metadata_of_host()?)));
        methods.add_method("filterContext", |_, this, ()| Ok(Values(this.0.settings.context.clone())));
        methods.add_method("streamInfo", |_, this, ()| Ok(StreamInfo::new(this.run()?)));
        methods.add_method("connection", |_, this, ()| Ok(Connection(StreamInfo::new(this.run()?))));
        methods.add_method("connectionStreamInfo", |_, _, ()| Ok(ConnectionStreamInfo));
        methods.add_method("clearRouteCache", |_, this, ()| {
            let run = this.run()?;
            if run.direction == Direction::Request && !run.upstream {
                run.clears_route.set(true);
            }
            Ok(())
        });
        methods.add_method(
            "setUpstreamOverrideHost",
            |_, this, (host, strict): (LuaString, Option<bool>)| {
                let address =
                    host.to_str()?.parse().map_err(|_| Error::runtime("host is not a valid IP address"))?;
                this.run()?.core(|core| {
                    core.decision.named = Some(NamedHost { address, strict: strict.unwrap_or(false) });
                    Ok(())
                })
            },
        );
        methods
            .add_method("base64Escape", |_, _, text: LuaString| Ok(base64::encode(&text.as_bytes(), true)));
        methods.add_method("base64Decode", |lua, _, text: LuaString| {
            let decoded = base64::decode(&text.as_bytes()).filter(|bytes| !bytes.is_empty());
            decoded.map_or(Ok(MultiValue::new()), |bytes| {
                Ok(MultiValue::from_iter([Value::String(lua.create_string(bytes)?)]))
            })
        });
        #[expect(clippy::cast_precision_loss, reason = "it is exact for some thousand years")]
        methods.add_method("timestamp", |_, _, resolution: Option<i64>| Ok(time(resolution, false)? as f64));
        methods.add_method("timestampString", |_, _, resolution: Option<i64>| {
            Ok(time(resolution, true)?.to_string())
        });
        methods.add_method("stats", |_, _, ()| -> Result<()> {
            Err(Error::runtime("scripts have no statistics of their own here"))
        });
        keys::methods(methods);
        log_methods(methods);
    }
}

/// What is known of a connection: nothing that scripts could find.
struct ConnectionStreamInfo;

impl UserData for ConnectionStreamInfo {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("dynamicMetadata", |_, _, ()| Ok(Dynamic { run: None, born: 0 }));
        methods.add_method("dynamicTypedMetadata", |_, _, _: MultiValue| Ok(MultiValue::new()));
        log_methods(methods);
    }
}

/// What every object of scripts can do: write to the log.
pub(super) fn log_methods<T, M: UserDataMethods<T>>(methods: &mut M) {
    let text = |text: &LuaString| text.to_string_lossy();
    methods.add_method("logTrace", move |_, _, line: LuaString| {
        tracing::trace!("script log: {}", text(&line));
        Ok(())
    });
    methods.add_method("logDebug", move |_, _, line: LuaString| {
        tracing::debug!("script log: {}", text(&line));
        Ok(())
    });
    methods.add_method("logInfo", move |_, _, line: LuaString| {
        tracing::info!("script log: {}", text(&line));
        Ok(())
    });
    methods.add_method("logWarn", move |_, _, line: LuaString| {
        tracing::warn!("script log: {}", text(&line));
        Ok(())
    });
    for name in ["logErr", "logCritical"] {
        methods.add_method(name, move |_, _, line: LuaString| {
            tracing::error!("script log: {}", text(&line));
            Ok(())
        });
    }
}

/// `print` writes to the log, too: standard output may be that of access logs.
pub(super) fn register(lua: &Lua) -> Result<()> {
    let print = lua.create_function(|_, values: MultiValue| {
        let texts: Vec<String> = values.iter().map(|value| value.to_string()).collect::<Result<_>>()?;
        tracing::info!("script log: {}", texts.join("\t"));
        Ok(())
    })?;
    lua.globals().set("print", print)
}
