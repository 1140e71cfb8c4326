//! Reads configuration from environment variables, and collects all errors and warnings instead of stopping
//! at the first. Each names its variable and never quotes the value. An empty variable counts as not set.

use std::{fmt, net::IpAddr};

use crate::error::{Errors, Recorded};

/// The errors of a configuration.
#[derive(Debug, PartialEq)]
pub struct ConfigError(Vec<String>);

/// The variables being read, and the errors and warnings found so far.
pub struct Variables<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    errors: Errors<String>,
    warnings: Vec<String>,
}

impl Variables<'_> {
    /// Reads a configuration from this process's environment. Variables that are not set there are read from
    /// `fallback`. Returns the configuration and the warnings.
    ///
    /// # Errors
    /// All errors of the configuration.
    pub fn read<T>(
        fallback: impl Fn(&str) -> Option<String>,
        read: impl FnOnce(&mut Variables) -> Result<T, Recorded>,
    ) -> Result<(T, Vec<String>), ConfigError> {
        let is_set = |value: &String| !value.trim().is_empty();
        Self::read_from(&|name| std::env::var(name).ok().filter(is_set).or_else(|| fallback(name)), read)
    }

    /// Reads a configuration from `lookup` alone. Returns the configuration and the warnings.
    ///
    /// # Errors
    /// All errors of the configuration.
    pub(crate) fn read_from<T>(
        lookup: &dyn Fn(&str) -> Option<String>,
        read: impl FnOnce(&mut Variables) -> Result<T, Recorded>,
    ) -> Result<(T, Vec<String>), ConfigError> {
        let mut variables = Variables { lookup, errors: Errors::default(), warnings: Vec::new() };
        let config = read(&mut variables);
        let config = variables.errors.finish(config).map_err(ConfigError)?;
        Ok((config, variables.warnings))
    }

    /// The value of a variable, without surrounding white space.
    pub fn get(&self, name: &str) -> Option<String> {
        (self.lookup)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// The first of these variables that is set, with its name.
    pub fn first(&self, names: &[&'static str]) -> Option<(&'static str, String)> {
        names.iter().find_map(|name| self.get(name).map(|value| (*name, value)))
    }

    /// Whether a variable is true. Returns false if the variable is not set.
    ///
    /// # Errors
    /// If the value is none of `true`, `1`, `false` and `0`.
    pub fn flag(&mut self, name: &str) -> Result<bool, Recorded> {
        match self.get(name).map(|value| value.to_ascii_lowercase()).as_deref() {
            Some("true" | "1") => Ok(true),
            None | Some("false" | "0") => Ok(false),
            Some(_) => self.error(format!("{name} must be true or false")),
        }
    }

    /// Records an error. The text must name the variable.
    ///
    /// # Errors
    /// Always.
    pub fn error<T>(&mut self, error: impl Into<String>) -> Result<T, Recorded> {
        Err(self.errors.record(error.into()))
    }

    /// Records a problem that does not prevent the start. The text must name the variable.
    pub fn warn(&mut self, warning: impl Into<String>) {
        self.warnings.push(warning.into());
    }
}

/// Whether a host name or address belongs to this machine. `host.docker.internal` is Docker's name for the
/// machine that a container runs on; `sam local` runs functions in containers.
pub fn is_this_machine(host: &str) -> bool {
    ["localhost", "host.docker.internal"].iter().any(|name| host.eq_ignore_ascii_case(name))
        || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl From<String> for ConfigError {
    fn from(error: String) -> Self {
        Self(vec![error])
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

impl std::error::Error for ConfigError {}

/// Reads a configuration from these variables alone.
#[cfg(test)]
pub(crate) fn read_for_test<T>(
    variables: &[(&str, &str)],
    read: impl FnOnce(&mut Variables) -> Result<T, Recorded>,
) -> Result<T, String> {
    let lookup =
        |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    Variables::read_from(&lookup, read).map(|(config, _)| config).map_err(|errors| errors.to_string())
}
