//! Functions.

use std::borrow::Cow;

use crate::{
    Options, number, print, regular, strings,
    strings::StringFunction,
    time::{self, Part},
    value::Value,
};

/// A function. The target of a call, if it has one, is its first argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    Size,
    Contains,
    StartsWith,
    EndsWith,
    Matches,
    Int,
    Uint,
    Double,
    Bool,
    Bytes,
    String,
    Timestamp,
    Duration,
    Dyn,
    Type,
    Part(Part),
    /// `re.extract(text, pattern, rewrite)`
    Extract,
    /// `re.capture(text, pattern)`
    Capture,
    /// `re.captureN(text, pattern)`
    CaptureAll,
    Of(StringFunction),
}

/// How a function may be called: with a target or without, and with how many arguments beside it.
struct Form {
    name: &'static str,
    function: Function,
    /// Numbers of arguments of calls without a target.
    plain: &'static [usize],
    /// Numbers of arguments, the target not counted, of calls with one.
    on_target: &'static [usize],
}

const fn plain(name: &'static str, function: Function) -> Form {
    Form { name, function, plain: &[1], on_target: &[] }
}

const fn part(name: &'static str, part: Part) -> Form {
    Form { name, function: Function::Part(part), plain: &[], on_target: &[0, 1] }
}

const fn of_string(name: &'static str, function: Function) -> Form {
    Form { name, function, plain: &[], on_target: &[1] }
}

const FORMS: [Form; 25] = [
    Form { name: "size", function: Function::Size, plain: &[1], on_target: &[0] },
    of_string("contains", Function::Contains),
    of_string("startsWith", Function::StartsWith),
    of_string("endsWith", Function::EndsWith),
    Form { name: "matches", function: Function::Matches, plain: &[2], on_target: &[1] },
    plain("int", Function::Int),
    plain("uint", Function::Uint),
    plain("double", Function::Double),
    plain("bool", Function::Bool),
    plain("bytes", Function::Bytes),
    plain("string", Function::String),
    plain("timestamp", Function::Timestamp),
    plain("duration", Function::Duration),
    plain("dyn", Function::Dyn),
    plain("type", Function::Type),
    part("getFullYear", Part::FullYear),
    part("getMonth", Part::Month),
    part("getDayOfYear", Part::DayOfYear),
    part("getDayOfMonth", Part::DayOfMonth),
    part("getDate", Part::Date),
    part("getDayOfWeek", Part::DayOfWeek),
    part("getHours", Part::Hours),
    part("getMinutes", Part::Minutes),
    part("getSeconds", Part::Seconds),
    part("getMilliseconds", Part::Milliseconds),
];

/// Names of comprehensions, which are macros.
const COMPREHENSIONS: [&str; 7] =
    ["all", "exists", "exists_one", "existsOne", "map", "filter", "transformList"];

/// Finds the function that a call means.
pub(crate) fn find(
    name: &str,
    has_target: bool,
    arguments: usize,
    options: Options,
) -> Result<Function, String> {
    if name == "string" && !options.string_conversion {
        return Err("`string` is there only with enable_string_conversion".to_owned());
    }
    if let Some(form) = FORMS.iter().find(|form| form.name == name) {
        let numbers = if has_target { form.on_target } else { form.plain };
        if numbers.contains(&arguments) {
            return Ok(form.function);
        }
        return Err(format!("`{name}` is not called like this"));
    }
    if let Some(function) = StringFunction::named(name, has_target, arguments) {
        if !options.string_functions {
            return Err(format!("`{name}` is there only with enable_string_functions"));
        }
        return Ok(Function::Of(function));
    }
    if has_target && COMPREHENSIONS.contains(&name) {
        return Err(format!("`{name}` is a comprehension, which Envoy has not either"));
    }
    Err(format!("there is no function `{name}`"))
}

/// A function of the library `re`.
pub(crate) fn find_regular(name: &str, arguments: usize) -> Result<Function, String> {
    match (name, arguments) {
        ("extract", 3) => Ok(Function::Extract),
        ("capture", 2) => Ok(Function::Capture),
        ("captureN", 2) => Ok(Function::CaptureAll),
        _ => Err(format!("there is no function `re.{name}` with {arguments} arguments")),
    }
}

/// Calls a function; `None` if it has no value for these arguments.
pub(crate) fn call<'a>(function: Function, arguments: Vec<Value<'a>>) -> Option<Value<'a>> {
    let text = |index: usize| arguments.get(index)?.as_str();
    Some(match function {
        Function::Size => Value::Int(i64::try_from(size(arguments.first()?)?).ok()?),
        Function::Contains => Value::Bool(text(0)?.contains(text(1)?)),
        Function::StartsWith => Value::Bool(text(0)?.starts_with(text(1)?)),
        Function::EndsWith => Value::Bool(text(0)?.ends_with(text(1)?)),
        Function::Matches => Value::Bool(regular::compile_computed(text(1)?)?.is_match(text(0)?)),
        Function::Int => Value::Int(number::int(arguments.first()?)?),
        Function::Uint => Value::Uint(number::uint(arguments.first()?)?),
        Function::Double => Value::Double(number::double(arguments.first()?)?),
        Function::Bool => Value::Bool(number::boolean(arguments.first()?)?),
        Function::Bytes => match arguments.into_iter().next()? {
            Value::String(Cow::Borrowed(text)) => Value::Bytes(Cow::Borrowed(text.as_bytes())),
            Value::String(Cow::Owned(text)) => Value::Bytes(Cow::Owned(text.into_bytes())),
            bytes @ Value::Bytes(_) => bytes,
            _ => return None,
        },
        Function::String => match arguments.into_iter().next()? {
            Value::Bytes(bytes) => Value::text(String::from_utf8(bytes.into_owned()).ok()?),
            Value::Timestamp(moment) => Value::text(time::timestamp_json(moment)),
            Value::Duration(duration) => Value::text(time::duration_json(duration)),
            value @ (Value::Bool(_)
            | Value::Int(_)
            | Value::Uint(_)
            | Value::Double(_)
            | Value::String(_)) => Value::text(print::text(&value)),
            _ => return None,
        },
        Function::Timestamp => Value::Timestamp(match arguments.first()? {
            Value::Timestamp(moment) => *moment,
            Value::Int(seconds) => jiff::Timestamp::from_second(*seconds).ok()?,
            Value::String(text) => time::parse_timestamp(text)?,
            _ => return None,
        }),
        Function::Duration => Value::Duration(match arguments.first()? {
            Value::Duration(duration) => *duration,
            Value::String(text) => time::parse_duration(text)?,
            _ => return None,
        }),
        Function::Dyn => arguments.into_iter().next()?,
        Function::Type => Value::Type(arguments.first()?.type_name()),
        Function::Part(part) => Value::Int(match (arguments.first()?, arguments.get(1)) {
            (Value::Timestamp(moment), None) => time::part_of_timestamp(part, *moment, None)?,
            (Value::Timestamp(moment), Some(Value::String(zone))) => {
                time::part_of_timestamp(part, *moment, Some(zone))?
            }
            (Value::Duration(duration), None) => time::part_of_duration(part, *duration)?,
            _ => return None,
        }),
        Function::Extract => {
            let pattern = regular::compile_computed(text(1)?)?;
            Value::text(extract(&pattern, text(0)?, text(2)?)?)
        }
        Function::Capture => {
            let pattern = regular::compile_computed(text(1)?)?;
            let found = pattern.captures(text(0)?)?.get(1)?;
            Value::text(found.as_str())
        }
        Function::CaptureAll => {
            let pattern = regular::compile_computed(text(1)?)?;
            let found = pattern.captures(text(0)?)?;
            let names = pattern.capture_names().enumerate().skip(1);
            let entry = |(index, name): (usize, Option<&str>)| {
                let name = name.map_or_else(|| index.to_string(), str::to_owned);
                Some((Value::text(name), Value::text(found.get(index)?.as_str())))
            };
            Value::Map(names.filter_map(entry).collect())
        }
        Function::Of(function) => strings::call(function, &arguments)?,
    })
}

fn size(value: &Value<'_>) -> Option<usize> {
    match value {
        Value::String(text) => Some(text.chars().count()),
        Value::Bytes(bytes) => Some(bytes.len()),
        Value::List(elements) => Some(elements.len()),
        Value::Map(entries) => Some(entries.len()),
        _ => None,
    }
}

/// Puts groups into `\1` and the like of a rewrite.
fn extract(pattern: &regex::Regex, text: &str, rewrite: &str) -> Option<String> {
    let found = pattern.captures(text)?;
    let mut out = String::new();
    let mut letters = rewrite.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            out.push(letter);
            continue;
        }
        match letters.next()? {
            '\\' => out.push('\\'),
            digit => {
                let group = usize::try_from(digit.to_digit(10)?).ok()?;
                if group >= found.len() {
                    return None;
                }
                out.push_str(found.get(group).map_or("", |found| found.as_str()));
            }
        }
    }
    Some(out)
}
