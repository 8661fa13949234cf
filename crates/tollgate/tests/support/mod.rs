//! What tests of the binary share.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod gateway;
pub(crate) mod http;
pub(crate) mod http1;
pub(crate) mod process;
pub(crate) mod signature;
pub(crate) mod stamp;

use std::{
    fmt::Debug,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};

/// Nothing in these tests takes longer.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Asks until the answer is the right one, and gives it: what is asked for takes a moment, on a busy machine more than one.
pub(crate) fn wait_for<T: Debug>(what: &str, mut ask: impl FnMut() -> T, is_right: impl Fn(&T) -> bool) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let answer = ask();
        if is_right(&answer) {
            return answer;
        }
        assert!(Instant::now() < deadline, "never: {what}; {answer:?}");
        std::thread::yield_now();
    }
}

/// Waits until it is done.
pub(crate) fn eventually(what: &str, done: impl FnMut() -> bool) {
    wait_for(what, done, |done| *done);
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The binary under test.
pub(crate) fn tollgate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.env_remove("TOLLGATE_LOG").env("NO_COLOR", "1");
    command
}

/// A directory of one test, empty at first.
pub(crate) fn scratch(test: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("a directory for the test");
    directory
}

/// What a command wrote on standard output, and on standard error.
pub(crate) fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    (text(&output.stdout), text(&output.stderr))
}
