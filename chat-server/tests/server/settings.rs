//! Where settings come from, and what happens to mistakes.

use std::{fs, path::Path, process::Output};

use crate::support::{Start, program, run, text};

fn with(folder: &Path, env: &[(&str, &str)], args: &[&str]) -> Output {
    program(folder).envs(env.iter().copied()).args(args).output().unwrap()
}

fn check_printed(env: &[(&str, &str)], args: &[&str], line: &str) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("chat.toml"), "[log]\nlevel = 'warn'\n").unwrap();
    let printed = with(folder.path(), env, args);
    assert_eq!(printed.status.code(), Some(0), "{printed:?}");
    let printed = text(&printed.stdout);
    let level = printed.lines().find(|line| line.starts_with("level")).unwrap();
    let level = level.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(level.starts_with(line), "{level}");
}

#[test]
fn flags_win_over_the_environment_over_the_file_over_the_default() {
    let env = &[("CHAT_SERVER__LOG__LEVEL", "debug")];
    let print = ["config", "print", "--sources"];
    let file = ["config", "print", "--sources", "-c", "chat.toml"];
    let flag = ["config", "print", "--sources", "--log-level", "trace"];
    let all = ["config", "print", "--sources", "-c", "chat.toml", "--log-level", "trace"];
    check_printed(&[], &print, "level = \"info\" # default");
    check_printed(&[], &file, "level = \"warn\" # chat.toml:2");
    check_printed(
        &[("CHAT_SERVER__CONFIG", "chat.toml")],
        &print,
        "level = \"warn\" # chat.toml:2",
    );
    check_printed(env, &print, "level = \"debug\" # environment CHAT_SERVER__LOG__LEVEL");
    check_printed(env, &file, "level = \"debug\" # environment CHAT_SERVER__LOG__LEVEL");
    check_printed(env, &flag, "level = \"trace\" # flag --log-level");
    check_printed(env, &all, "level = \"trace\" # flag --log-level");
    check_printed(&[("CHAT_SERVER__LOG__LEVEL", "")], &file, "level = \"warn\" # chat.toml:2");
}

fn check_refused(env: &[(&str, &str)], args: &[&str], expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("chat.toml"), "listen = '127.0.0.1:0'\n\n[log]\nlevl = 'warn'\n")
        .unwrap();
    // The server itself and the command that only checks say the same.
    for command in [&["config", "check"][..], &[]] {
        let refused = with(folder.path(), env, &[command, args].concat());
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        assert!(text(&refused.stderr).contains(expected), "{refused:?}");
        assert!(!folder.path().join("data").exists());
    }
}

#[test]
fn a_mistake_is_named_with_its_place_and_what_was_meant() {
    check_refused(
        &[],
        &["-c", "chat.toml"],
        "chat.toml:4: unknown key `log.levl`; did you mean `log.level`?",
    );
    check_refused(
        &[("CHAT_SERVER__LISTN", "x")],
        &[],
        "CHAT_SERVER__LISTN: unknown variable; did you mean CHAT_SERVER__LISTEN?",
    );
    check_refused(
        &[("CHAT_LISTEN", "x")],
        &[],
        "CHAT_LISTEN: is not read; did you mean CHAT_SERVER__LISTEN?",
    );
    check_refused(&[], &["--listen", "here"], "flag --listen: listen = \"here\"");
    check_refused(&[], &["-c", "absent.toml"], "absent.toml");
    check_refused(&[], &["--lissten", "x"], "--listen");
    check_refused(
        &[("CHAT_SERVER__LISTEN", "0.0.0.0:0")],
        &["--auth-dev-user-ids"],
        "works on a loopback address only",
    );
}

#[test]
fn a_configuration_that_holds_is_said_to() {
    let folder = tempfile::tempdir().unwrap();
    let checked = run(folder.path(), ["config", "check"]);
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");

    let default = run(folder.path(), ["config", "default"]);
    fs::write(folder.path().join("default.toml"), default.stdout).unwrap();
    let checked = run(folder.path(), ["config", "check", "-c", "default.toml"]);
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
}

#[test]
fn a_secret_comes_from_a_file_and_is_shown_to_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let secret = "0123456789abcdef0123456789abcdef-from-a-file";
    let file = folder.path().join("secret");
    fs::write(&file, format!("{secret}\n")).unwrap();
    let file = file.to_str().unwrap();

    let server = Start::new(folder.path()).env("CHAT_SERVER__AUTH__SECRET_FILE", file).up();
    let (_, token) = server.register("alice", "correct horse");
    assert!(!folder.path().join("data/secret.key").exists(), "nothing is generated");
    assert!(!server.log().contains(secret));
    server.stop();

    // The same secret by its value is the same server to its tokens.
    let server = Start::new(folder.path()).env("CHAT_SERVER__AUTH__SECRET", secret).up();
    server.get_with("/user", &[("Authorization", &format!("Bearer {token}"))]).expect(200);
    server.stop();

    let env = &[("CHAT_SERVER__AUTH__SECRET", secret)];
    let printed = text(&with(folder.path(), env, &["config", "print", "--sources"]).stdout);
    assert!(!printed.contains(secret), "{printed}");
    assert!(printed.contains("[redacted]"), "{printed}");

    let env = &[("CHAT_SERVER__AUTH__SECRET", "short-and-secret")];
    let refused = with(folder.path(), env, &["config", "check"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(!text(&refused.stderr).contains("short-and-secret"), "{refused:?}");
}

#[test]
fn every_shell_gets_its_completion() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = run(folder.path(), ["completion", shell]);
        assert_eq!(script.status.code(), Some(0), "{script:?}");
        let script = text(&script.stdout);
        for word in ["data-dir", "healthcheck", "passwd"] {
            assert!(script.contains(word), "{word} for {shell}");
        }
    }
    // What bash makes of it, where there is one.
    let script = run(folder.path(), ["completion", "bash"]);
    fs::write(folder.path().join("completion"), script.stdout).unwrap();
    if let Ok(status) =
        std::process::Command::new("bash").arg("-n").arg(folder.path().join("completion")).status()
    {
        assert!(status.success());
    }
}

#[test]
fn help_tells_of_the_variable_the_default_and_examples() {
    let folder = tempfile::tempdir().unwrap();
    let help = text(&run(folder.path(), ["--help"]).stdout);
    for part in ["CHAT_SERVER__LOG__LEVEL", "Default: 127.0.0.1:8080", "Examples:", "--data-dir"] {
        assert!(help.contains(part), "{part} in\n{help}");
    }
}
