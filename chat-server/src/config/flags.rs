//! The flags of the settings, made from the table, so that help and parser know all of them.

use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, error::Error};

use super::{
    keys::{self, Form, GROUPS, Key},
    values::CONFIG_ENV,
};

/// The flags that were given.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flags {
    file: Option<PathBuf>,
    given: Vec<(&'static Key, String)>,
}

impl Flags {
    /// The configuration file, if one was named.
    pub(super) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The settings that were given as flags.
    pub(super) fn given(&self) -> impl Iterator<Item = (&'static Key, String)> {
        self.given.iter().map(|(key, text)| (*key, text.clone()))
    }

    /// As if a flag had been given, unless it was.
    pub(crate) fn or(mut self, name: &str, text: impl Into<String>) -> Self {
        let key = keys::find(name).expect("only settings of the table are asked for");
        if !self.given.iter().any(|(given, _)| given.name == key.name) {
            self.given.push((key, text.into()));
        }
        self
    }
}

/// The long help tells the variable and the default as well.
fn long_help(key: &Key) -> String {
    let default = match key.default {
        "" => String::new(),
        default => format!("\nDefault: {default}"),
    };
    format!("{}\n\nEnvironment: {}{default}\nFile: {}", key.help, key.env(), key.name)
}

fn argument(heading: &'static str, key: &'static Key) -> Option<Arg> {
    let argument = Arg::new(key.name)
        .long(key.flag()?)
        .value_name(key.value)
        .help(key.help)
        .long_help(long_help(key))
        .help_heading(heading)
        // Limits are for a file; the short help keeps to what people look for.
        .hide_short_help(key.name.starts_with("limits."))
        .global(true);
    Some(match key.form {
        Form::Switch => argument.num_args(0..=1).require_equals(true).default_missing_value("true"),
        Form::List => argument.value_delimiter(None),
        Form::Plain | Form::Secret | Form::Url => argument,
    })
}

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new("config")
            .long("config")
            .short('c')
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .env(CONFIG_ENV)
            .hide_env_values(true)
            .help("Configuration file (TOML). None is read unless it is named here")
            .help_heading("Server")
            .global(true);
        let settings = GROUPS
            .iter()
            .flat_map(|group| group.keys.iter().filter_map(|key| argument(group.title, key)));
        command.arg(file).args(settings)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        let file = matches.get_one::<PathBuf>("config");
        self.file = file.filter(|path| !path.as_os_str().is_empty()).cloned();
        self.given = keys::all()
            .filter(|key| key.flag().is_some())
            .filter_map(|key| Some((key, matches.get_one::<String>(key.name)?.clone())))
            .collect();
        Ok(())
    }
}
