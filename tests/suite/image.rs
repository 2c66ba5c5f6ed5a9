//! The container image, as far as it can be held without a container engine: what its Dockerfile
//! says, and that the program starts in the root that the last build stage lays out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The instructions of a Dockerfile, each with its arguments on one line.
fn instructions() -> Vec<(String, String)> {
    let lines: Vec<String> = read("Dockerfile")
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .map(str::to_owned)
        .collect();
    let whole = lines.join("\n").replace("\\\n", " ");
    let lines = whole.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| {
            let (name, rest) = line.split_once(' ').unwrap();
            (name.to_owned(), rest.split_whitespace().collect::<Vec<_>>().join(" "))
        })
        .collect()
}

/// The arguments of one kind of instruction.
fn all(instructions: &[(String, String)], name: &str) -> Vec<String> {
    let of = instructions.iter().filter(|(found, _)| found == name);
    of.map(|(_, rest)| rest.clone()).collect()
}

/// The instructions of the last stage, which is the image.
fn image() -> Vec<(String, String)> {
    let all = instructions();
    let last = all.iter().rposition(|(name, _)| name == "FROM").unwrap();
    all[last..].to_vec()
}

fn only(instructions: &[(String, String)], name: &str) -> String {
    let found = all(instructions, name);
    assert_eq!(found.len(), 1, "{name}: {found:?}");
    found[0].clone()
}

#[test]
fn the_image_has_nothing_but_the_program_and_runs_it_as_nobody_s_root() {
    let image = image();
    assert_eq!(only(&image, "FROM"), "scratch");
    assert!(all(&image, "RUN").is_empty(), "a scratch image has no shell");
    let words = |text: &str| serde_json::from_str::<Vec<String>>(text).unwrap();
    let program = words(&only(&image, "ENTRYPOINT"));
    assert_eq!(program, ["/usr/local/bin/costband"]);
    assert_eq!(words(&only(&image, "CMD")), ["run", "-c", "/etc/costband/costband.yaml"]);
    assert_eq!(only(&image, "ENV"), "PATH=/usr/local/bin MALLOC_ARENA_MAX=1");
    assert_eq!(only(&image, "EXPOSE"), "9750");
    // A number, so that `runAsNonRoot` can be judged without the image's table of users.
    assert_eq!(only(&image, "USER"), "65532:65532");
    let values = read("helm/costband/values.yaml");
    for key in ["runAsUser", "runAsGroup", "fsGroup"] {
        assert!(values.contains(&format!("\n{key}: 65532\n")), "the chart's {key}");
    }
    assert!(read("scripts/image-root").contains("costband:x:65532:65532:"));
}

#[test]
fn the_image_is_labelled_as_the_specification_wants() {
    let image = image();
    let label = only(&image, "LABEL");
    let mut labels = BTreeMap::new();
    for pair in label.split(" org.opencontainers.image.").collect::<Vec<_>>() {
        let (key, value) = pair.split_once('=').unwrap();
        let key = key.trim_start_matches("org.opencontainers.image.");
        labels.insert(key.to_owned(), value.trim_matches('"').to_owned());
    }
    let description = env!("CARGO_PKG_DESCRIPTION").split(':').next().unwrap();
    let wanted = [
        ("created", "${CREATED}"),
        ("description", description),
        ("licenses", "Apache-2.0"),
        ("revision", "${REVISION}"),
        ("source", "${SOURCE}"),
        ("title", "costband"),
        ("version", "${VERSION}"),
    ];
    let wanted = wanted.map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(labels, BTreeMap::from(wanted));
    let arguments = all(&image, "ARG");
    assert!(arguments.contains(&format!("VERSION={}", env!("CARGO_PKG_VERSION"))), "{arguments:?}");
    for name in ["REVISION=", "SOURCE=", "CREATED="] {
        assert!(arguments.contains(&name.to_owned()), "{arguments:?}");
    }
}

#[test]
fn dependencies_are_built_before_the_program_is_copied_and_for_the_platform_asked_for() {
    let all_ = instructions();
    let place = |wanted: &str| {
        let found = all_.iter().position(|(_, rest)| rest.contains(wanted));
        found.unwrap_or_else(|| panic!("`{wanted}` is not in the Dockerfile"))
    };
    assert!(place("Cargo.toml Cargo.lock ./") < place("echo 'fn main() {}' >src/main.rs"));
    assert!(place("echo 'fn main() {}' >src/main.rs") < place("src ./src"));
    assert!(place("src ./src") < place("touch src/main.rs"));
    let stages = all(&all_, "FROM");
    assert!(stages[0].starts_with("--platform=$BUILDPLATFORM rust:"), "{stages:?}");
    assert!(all(&all_, "ARG").contains(&"TARGETARCH".to_owned()));
    for (name, rest) in &all_ {
        if rest.contains("cargo build") {
            assert!(name == "RUN" && rest.contains("--release --locked"), "{rest}");
        }
        if rest.contains("apt-get install") {
            assert!(rest.contains("--no-install-recommends"), "{rest}");
            assert!(rest.contains("rm -rf /var/lib/apt/lists/*"), "{rest}");
        }
    }
    // The program shows that it starts on that platform, in what becomes the image.
    let (name, laid) = &all_[place("/image-root /costband /image")];
    assert!(name == "RUN" && laid.ends_with("/image /usr/local/bin/costband --version"), "{laid}");
    // Only the stage that compiles for another platform names any.
    let machine = ["x86", "amd64", "aarch64", "arm64"];
    let after = &all_[all_.iter().position(|(_, rest)| rest.contains("AS root")).unwrap()..];
    let after = after.iter().map(|(_, rest)| rest.clone()).chain([read("scripts/image-root")]);
    for text in after {
        assert!(machine.iter().all(|word| !text.contains(word)), "{text}");
    }
}

#[test]
fn both_builds_are_of_the_features_asked_for_and_else_of_the_default_ones() {
    let all_ = instructions();
    let builds: Vec<&str> = all_
        .iter()
        .filter(|(name, rest)| name == "RUN" && rest.contains("cargo build"))
        .map(|(_, rest)| rest.as_str())
        .collect();
    assert_eq!(builds.len(), 2, "{builds:?}");
    let argument = all_.iter().position(|(name, rest)| name == "ARG" && rest == "FEATURES=");
    let first = all_.iter().position(|(_, rest)| rest == builds[0]);
    assert!(argument.is_some() && argument < first, "known before the first build");
    let default = "build --release --locked --bin costband";
    for (features, asked) in [
        ("", vec![]),
        ("nvml", vec!["--no-default-features", "--features", "nvml"]),
        ("aws kubernetes", vec!["--no-default-features", "--features", "aws kubernetes"]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        for build in &builds {
            std::fs::create_dir_all(folder.path().join("src")).unwrap();
            // The instruction itself, with a cargo that tells its arguments.
            let build = build.replacen("mkdir src", "mkdir -p src", 1);
            let script = format!("cargo() {{ printf '%s\\n' \"$@\"; }}\n{build}");
            let output = Command::new("sh")
                .args(["-euc", &script])
                .current_dir(folder.path())
                .env("FEATURES", features)
                .output()
                .unwrap();
            assert!(output.status.success(), "{build}: {output:?}");
            let said = String::from_utf8(output.stdout).unwrap();
            let wanted: Vec<&str> = default.split(' ').chain(asked.iter().copied()).collect();
            assert_eq!(said.lines().collect::<Vec<_>>(), wanted, "{features}");
        }
    }
    // What the chart's page builds for node agents.
    assert!(read("helm/costband/README.md").contains("--build-arg FEATURES=nvml "));
    assert!(read("Cargo.toml").contains("\nnvml = ["));
}

#[test]
fn the_build_context_is_what_the_dockerfile_copies() {
    let mut copied: Vec<String> = Vec::new();
    for arguments in all(&instructions(), "COPY") {
        if !arguments.starts_with("--from=") {
            let mut words: Vec<String> = arguments.split(' ').map(str::to_owned).collect();
            words.pop();
            copied.extend(words);
        }
    }
    copied.sort();
    for path in &copied {
        assert!(root().join(path).exists(), "the Dockerfile copies `{path}`, which is not there");
    }
    let ignored = read(".dockerignore");
    let mut lines = ignored.lines().filter(|line| !line.starts_with('#'));
    assert_eq!(lines.next(), Some("*"), "what nobody copies stays out");
    let mut admitted: Vec<&str> = lines.map(|line| line.strip_prefix('!').unwrap()).collect();
    admitted.sort_unstable();
    assert_eq!(admitted, copied);
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| output.stdout == b"0\n")
}

#[test]
fn the_program_starts_in_the_image_s_root() {
    let debian = Path::new("/etc/debian_version").exists()
        && Path::new("/etc/ssl/certs/ca-certificates.crt").exists();
    if !debian || !is_root() {
        eprintln!("skipped: the image's root is laid out on Debian, and entered by root");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    let laid = Command::new("bash")
        .arg(root().join("scripts/image-root"))
        .args([Path::new(env!("CARGO_BIN_EXE_costband")), &image])
        .output()
        .unwrap();
    assert!(laid.status.success(), "{laid:?}");
    std::fs::write(image.join("etc/costband.yaml"), read("examples/node.yaml")).unwrap();
    let run = |arguments: &[&str]| {
        let output = Command::new("chroot")
            .arg("--userspec=65532:65532")
            .arg(&image)
            .arg("/usr/local/bin/costband")
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .envs([("HOST_IP", "127.0.0.1"), ("NODE_NAME", "gpu-1")])
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(run(&["--version"]), format!("costband {}\n", env!("CARGO_PKG_VERSION")));
    let schema: Value = serde_json::from_str(&run(&["schema"])).unwrap();
    assert!(schema.is_object());
    let said = run(&["check", "-c", "/etc/costband.yaml"]);
    assert!(said.contains("The configuration is valid."), "{said}");
    assert!(!image.join("bin").exists() && !image.join("usr/bin").exists(), "a shell");
}
