//! Passwords from people and scripts: asked for at a terminal, or read from standard input. Never
//! from the command line, which everybody on the machine can read.

use std::io::{self, BufRead, IsTerminal};

use anyhow::{Context, bail};

/// Bytes that are read in search of the end of a line: no password is longer.
const LINE_BYTES_MAX: u64 = 4 * 1024;

/// A new password for this user.
pub(crate) fn ask(name: &str) -> anyhow::Result<String> {
    if !io::stdin().is_terminal() {
        return first_line(io::stdin().lock());
    }
    let password = rpassword::prompt_password(format!("New password for {name}: "))?;
    let again = rpassword::prompt_password("The same again: ")?;
    if password != again {
        bail!("the two passwords differ");
    }
    Ok(password)
}

fn first_line(input: impl BufRead) -> anyhow::Result<String> {
    let mut line = String::new();
    input
        .take(LINE_BYTES_MAX)
        .read_line(&mut line)
        .context("cannot read a password from standard input")?;
    let password = line.trim_end_matches(['\n', '\r']);
    if password.is_empty() {
        bail!("no password on standard input: write it there, on one line");
    }
    Ok(password.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_first_line_as_it_is() {
        for (input, expected) in [
            ("correct horse\n", "correct horse"),
            ("correct horse\r\nmore\n", "correct horse"),
            (" spaces stay ", " spaces stay "),
        ] {
            assert_eq!(first_line(input.as_bytes()).unwrap(), expected);
        }
        for input in ["", "\n", "\r\n"] {
            assert!(first_line(input.as_bytes()).is_err());
        }
    }
}
