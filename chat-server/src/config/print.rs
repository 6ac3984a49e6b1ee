//! The configuration as a file: what holds now and why, or the defaults with their meaning.

use std::io::{self, Write};

use super::{
    Values,
    keys::{Form, GROUPS, Key},
    parse::without_password,
    values::Source,
};

/// What holds, as TOML that could be used as the file. Secrets are not shown.
pub(crate) fn print_effective(
    out: &mut impl Write,
    values: &Values,
    with_sources: bool,
) -> io::Result<()> {
    each_section(out, |out, key, name| {
        let value = values.get(key.name);
        let source = value.map_or(&Source::Default, |value| &value.source);
        let (lead, shown) = match value {
            Some(_) if key.form == Form::Secret => ("# ", quoted("[redacted]")),
            Some(value) if key.form == Form::Url => match without_password(&value.text) {
                Some(shown) => ("# ", quoted(&shown)),
                None => ("", quoted(&value.text)),
            },
            Some(value) => ("", literal(key, &value.text)),
            None => ("# ", quoted("")),
        };
        if with_sources {
            writeln!(out, "{:<48} # {source}", format!("{lead}{name} = {shown}"))
        } else {
            writeln!(out, "{lead}{name} = {shown}")
        }
    })
}

/// A file that says what holds anyway, with the meaning of everything.
pub(crate) fn print_default(out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "# Settings of chat-server with their defaults. Flags win over the environment,"
    )?;
    writeln!(out, "# the environment over this file.\n")?;
    each_section(out, |out, key, name| {
        writeln!(out, "# {}", key.help)?;
        let lead = if key.default.is_empty() { "# " } else { "" };
        writeln!(out, "{lead}{name} = {}\n", literal(key, key.default))
    })
}

/// Goes through the table, sections under their headings, with the name inside of the section.
fn each_section<W: Write>(
    out: &mut W,
    mut each: impl FnMut(&mut W, &'static Key, &'static str) -> io::Result<()>,
) -> io::Result<()> {
    let mut section = "";
    // Keys without a section have to stand before the first one.
    let mut keys: Vec<&'static Key> = GROUPS.iter().flat_map(|group| group.keys).collect();
    keys.sort_by_key(|key| key.name.contains('.'));
    for key in keys {
        let (in_section, name) = key.name.split_once('.').unwrap_or(("", key.name));
        if in_section != section {
            section = in_section;
            writeln!(out, "\n[{section}]")?;
        }
        each(out, key, name)?;
    }
    Ok(())
}

/// A value as TOML spells it.
fn literal(key: &Key, text: &str) -> String {
    match key.form {
        Form::List => {
            let members = text.split(',').map(str::trim).filter(|member| !member.is_empty());
            format!("[{}]", members.map(quoted).collect::<Vec<_>>().join(", "))
        }
        Form::Switch if matches!(text, "true" | "false") => text.to_owned(),
        Form::Plain if text.parse::<u64>().is_ok() => text.to_owned(),
        Form::Plain | Form::Switch | Form::Secret | Form::Url => quoted(text),
    }
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsString, path::Path};

    use super::*;
    use crate::config::{Config, Flags};

    fn printed(print: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        print(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn reread(toml: &str) -> Values {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), toml).unwrap();
        let none: [(OsString, OsString); 0] = [];
        Config::from_sources(Some(file.path()), none, &Flags::default())
            .unwrap_or_else(|invalid| panic!("{invalid}\n{toml}"))
            .1
    }

    #[test]
    fn the_default_file_changes_nothing() {
        let none: [(OsString, OsString); 0] = [];
        let defaults = Values::gather(None, none, [], &mut Vec::new());
        let reread = reread(&printed(print_default));
        for key in GROUPS.iter().flat_map(|group| group.keys) {
            let texts = [&defaults, &reread].map(|values| values.get(key.name).map(|v| &v.text));
            assert_eq!(texts[0], texts[1], "{}", key.name);
        }
    }

    #[test]
    fn what_is_printed_can_be_read_again_and_shows_no_secret() {
        let secret = "correct horse battery staple and more";
        let env = [
            ("CHAT_SERVER__AUTH__SECRET", secret),
            ("CHAT_SERVER__HTTP__TRUSTED_PROXIES", "10.0.0.0/8,::1"),
            ("CHAT_SERVER__STORE", "postgres://chat@db/chat"),
            ("CHAT_SERVER__BUS", "redis://:hunter2@cache"),
            ("CHAT_SERVER__DATA_DIR", "a \"b\" \\c"),
        ];
        let env = env.map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let values = Values::gather(None::<&Path>, env, [], &mut Vec::new());
        let text = printed(|out| print_effective(out, &values, true));
        assert!(!text.contains(secret) && !text.contains("hunter2"), "{text}");
        assert!(text.contains("# bus = \"redis://:***@cache\""), "{text}");
        assert!(text.contains("# environment CHAT_SERVER__AUTH__SECRET"), "{text}");
        assert!(text.contains("# default"), "{text}");
        let reread = reread(&text);
        for name in ["http.trusted_proxies", "data_dir", "store"] {
            assert_eq!(reread.get(name).unwrap().text, values.get(name).unwrap().text);
        }
    }
}
