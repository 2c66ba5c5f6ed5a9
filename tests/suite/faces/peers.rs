//! What tests need of programs outside: where they are, how they start, and how they end.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// The program that a variable names. Where it names none the test is skipped, said aloud, and
/// fails where `CI` is `true`.
pub(crate) fn peer(variable: &str) -> Option<PathBuf> {
    let named = std::env::var_os(variable).map(PathBuf::from);
    if named.is_none() {
        let in_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
        assert!(!in_ci, "`{variable}` must name a program under CI; see scripts/peers");
        eprintln!("skipped: `{variable}` names no program; see scripts/peers");
    }
    named
}

/// A process that ends with the test.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The built program, without what the caller's environment would add to it.
pub(crate) fn costband() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_costband"));
    let inherited = std::env::vars_os().map(|(name, _)| name);
    for name in inherited.filter(|name| name.to_string_lossy().starts_with("COSTBAND_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// Runs a command to its end without holding up the test's servers.
pub(crate) async fn output(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap()
}

/// Runs a script of `tests/peers` and gives what it printed; panics with its words if it failed.
pub(crate) async fn script(python: &Path, name: &str, arguments: &[&str]) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/");
    let mut command = Command::new(python);
    command
        .arg(format!("{folder}{name}"))
        .args(arguments)
        .env("AWS_ACCESS_KEY_ID", "AKIASIMULATED0000000")
        .env("AWS_SECRET_ACCESS_KEY", "simulated-secret-access-key")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    let output = output(command).await;
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name}: {out}\n{err}");
    out.into_owned()
}

/// Gives a program text on its stdin and takes its exit, stdout and stderr.
pub(crate) async fn feed(program: &Path, arguments: &[&str], text: Vec<u8>) -> Output {
    use std::io::Write;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let writer = std::thread::spawn(move || {
            // A program that ends early says why itself.
            let _ = stdin.write_all(&text);
        });
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        output
    })
    .await
    .unwrap()
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Asks again until there is an answer; panics after four minutes.
pub(crate) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(240), asking)
        .await
        .unwrap_or_else(|_| panic!("four minutes passed without {what}"))
}

/// Holds a text against its golden file; `UPDATE_GOLDEN=1` rewrites the file.
pub(crate) fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var("UPDATE_GOLDEN").is_ok_and(|update| update == "1") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        return;
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = wanted.lines().zip(text.lines()).find(|(wanted, told)| wanted != told);
    assert!(
        wanted == text,
        "{} differs (UPDATE_GOLDEN=1 rewrites it); {} and {} lines, first difference:\n{differs:#?}",
        path.display(),
        wanted.lines().count(),
        text.lines().count(),
    );
}
