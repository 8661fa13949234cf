//! What the end-to-end tests of the gateway share: the binary while it runs, clients and an upstream of HTTP/1.1 by hand,
//! and processors that leave traces.
//!
//! It is for tests of this workspace only: what goes wrong ends the test.
//!
//! ```no_run
//! use tollgate_testing::{http::get, process::Running, tollgate};
//!
//! let mut gateway = Running::spawn(tollgate().args(["run", "gateway.yaml"]));
//! let address = gateway.wait_for("listener main at ");
//! assert_eq!(get(&address, "/", &[]).status, 200);
//! ```

pub mod gateway;
pub mod http;
pub mod http1;
pub mod process;
pub mod signature;
pub mod stamp;

use std::{
    fmt::Debug,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};

/// Nothing in these tests takes longer.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Asks until the answer is the right one, and gives it: what is asked for takes a moment, on a busy machine more than one.
pub fn wait_for<T: Debug>(what: &str, mut ask: impl FnMut() -> T, is_right: impl Fn(&T) -> bool) -> T {
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
pub fn eventually(what: &str, done: impl FnMut() -> bool) {
    wait_for(what, done, |done| *done);
}

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Where Cargo has put the binary under test.
fn binary() -> PathBuf {
    std::env::var_os("CARGO_BIN_EXE_tollgate").expect("Cargo runs the test and names the binary").into()
}

/// The binary under test.
pub fn tollgate() -> Command {
    let mut command = Command::new(binary());
    command.env_remove("TOLLGATE_LOG").env("NO_COLOR", "1");
    command
}

/// A directory of one test, empty at first.
pub fn scratch(test: &str) -> PathBuf {
    let target =
        binary().ancestors().nth(2).map(Path::to_owned).expect("the binary is in a directory of its profile");
    let directory = target.join("tmp").join(test);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("a directory for the test");
    directory
}

/// What a command wrote on standard output, and on standard error.
pub fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    (text(&output.stdout), text(&output.stderr))
}
