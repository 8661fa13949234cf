use std::sync::Arc;

use mlua::FromLua;

use super::*;

fn load(code: &str) -> Result<Machine, LoadError> {
    Machine::load(code, &[], |_| Ok(()))
}

fn value<T: FromLua>(code: &str) -> T {
    load(&format!("result = (function() {code} end)()")).unwrap().lua().globals().get("result").unwrap()
}

#[test]
fn functions_are_found() {
    let machine = load("function envoy_on_request(handle) end").unwrap();
    assert!(machine.on_request().is_some());
    assert!(machine.on_response().is_none());
}

#[test]
fn a_script_that_cannot_be_loaded_says_why_and_where() {
    for (code, message) in [
        ("function x(", "script load error: [string \"function x(\"]:1: <name> or '...' expected near <eof>"),
        (
            "local a = nothing.b",
            "script load error: [string \"local a = nothing.b\"]:1: attempt to index global 'nothing' (a nil value)",
        ),
        (
            "\n\nio.open('x')",
            "script load error: [string \"...\"]:3: io.open is not there: scripts cannot reach files and programs",
        ),
        ("coroutine.yield()", "script load error: script performed an unexpected yield"),
    ] {
        assert_eq!(load(code).unwrap_err().to_string(), message);
    }
}

#[test]
fn a_script_does_not_run_without_end() {
    let error = load("while true do end").unwrap_err().to_string();
    assert!(error.contains("the script runs too long"), "{error}");
    let error = load("while true do pcall(function() while true do end end) end").unwrap_err().to_string();
    assert!(error.contains("the script runs too long"), "{error}");
}

#[test]
fn a_script_does_not_grow_without_end() {
    let error =
        load("local t = {} while true do t[#t + 1] = string.rep('x', 1000000) .. #t end").unwrap_err();
    assert!(error.to_string().contains("not enough memory"), "{error}");
}

#[test]
fn what_luajit_has_is_there() {
    assert_eq!(
        value::<String>("return string.format('%d|%5.1f|%s|%%d|%x', 3.7, 2.25, 'd', 255.9)"),
        "3|  2.2|d|%d|ff"
    );
    assert_eq!(value::<String>("return string.format('%d', -3.7) .. string.format('plain')"), "-3plain");
    assert_eq!(
        value::<String>("return bit.tohex(bit.bswap(0x12345678)) .. bit.rol(1, 31) .. bit.bnot(0)"),
        "78563412-2147483648-1"
    );
    assert_eq!(
        value::<i64>(
            "return table.getn({1, 2}) + table.maxn({[7] = 1}) + select('#', unpack({1, nil, 3}, 1, 3))"
        ),
        12
    );
    assert_eq!(value::<String>("return tostring(10 / 2) .. tostring(2 ^ 31)"), "52147483648");
    assert!(value::<bool>("return require('bit') == bit and bit32 == nil and loadstring('return 7')() == 7"));
}

#[test]
fn compiled_code_is_not_taken() {
    assert_eq!(
        value::<String>("local f, e = load(string.dump(function() end)) return e"),
        "attempt to load a binary chunk (mode is 't')"
    );
}

#[test]
fn machines_live_as_long_as_their_script() {
    let machines = Machines::default();
    let script = Arc::new("x = 1".to_owned());
    let get = |script: &Arc<String>| machines.get(script, || load(script)).unwrap();
    let first = get(&script);
    assert!(Rc::ptr_eq(&first, &get(&script)));
    let other = Arc::new("x = 2".to_owned());
    assert!(!Rc::ptr_eq(&first, &get(&other)));
    drop((script, other));
    let last = Arc::new("x = 3".to_owned());
    get(&last);
    assert_eq!(Rc::strong_count(&first), 1);
    assert!(machines.get(&Arc::new("x".to_owned()), || load("x")).is_err());
}
