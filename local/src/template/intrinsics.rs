//! CloudFormation's intrinsic functions, limited to those in the parts of the template that this crate reads.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde_yaml_ng::Value;

/// Evaluates `!Ref` of a parameter or of `AWS::NoValue`, `!If`, `!Equals`, `!Select` and `!Split`.
pub(super) struct Intrinsics<'a> {
    declarations: &'a Value,
    conditions: &'a Value,
    overrides: &'a BTreeMap<String, String>,
}

impl<'a> Intrinsics<'a> {
    pub(super) fn new(template: &'a Value, overrides: &'a BTreeMap<String, String>) -> Self {
        Self { declarations: &template["Parameters"], conditions: &template["Conditions"], overrides }
    }

    /// Returns the value that CloudFormation would use at `place`.
    pub(super) fn resolve(&self, value: &Value, place: &str) -> Result<Value> {
        let Value::Tagged(tagged) = value else {
            return Ok(value.clone());
        };
        let tag = tagged.tag.to_string();
        let argument = &tagged.value;
        match (tag.as_str(), argument.as_str(), argument.as_sequence().map(Vec::as_slice)) {
            ("!Ref", Some("AWS::NoValue"), _) => Ok(Value::Null),
            ("!Ref", Some(name), _) => self.parameter(name, place),
            ("!If", _, Some([Value::String(name), yes, no])) => {
                let condition = self.resolve(&self.conditions[name], &format!("Conditions.{name}"))?;
                match condition.as_bool() {
                    Some(true) => self.resolve(yes, place),
                    Some(false) => self.resolve(no, place),
                    None => bail!("{place}: {name} is not a condition in the template"),
                }
            }
            ("!Equals", _, Some([left, right])) => {
                Ok(Value::Bool(self.resolve(left, place)? == self.resolve(right, place)?))
            }
            ("!Select", _, Some([Value::Number(index), list])) => {
                let list = self.resolve(list, place)?;
                let index = index.as_u64().and_then(|index| usize::try_from(index).ok());
                let item = index.and_then(|index| list.get(index));
                self.resolve(
                    item.with_context(|| format!("{place}: {tag} has an index out of range"))?,
                    place,
                )
            }
            ("!Split", _, Some([Value::String(delimiter), text])) => {
                let text = self.resolve(text, place)?;
                let text = text
                    .as_str()
                    .with_context(|| format!("{place}: the argument of {tag} is not a string"))?;
                Ok(text.split(delimiter.as_str()).map(Value::from).collect())
            }
            _ => bail!("{place}: {tag} is not supported by the local gateway"),
        }
    }

    fn parameter(&self, name: &str, place: &str) -> Result<Value> {
        let declaration = &self.declarations[name];
        let value = match self.overrides.get(name) {
            Some(value) => Value::String(value.clone()),
            None => declaration["Default"].clone(),
        };
        match (declaration["Type"].as_str(), &value) {
            (None, _) => bail!("{place}: {name} is not a parameter in the template"),
            (_, Value::Null) => bail!("{place}: parameter {name} has no default"),
            (Some("CommaDelimitedList"), Value::String(list)) => {
                Ok(list.split(',').map(|item| Value::from(item.trim())).collect())
            }
            _ => Ok(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(value: &str) -> Result<Value> {
        let template = serde_yaml_ng::from_str(
            "
            Parameters:
              Stage: { Type: String, Default: dev }
              Origins: { Type: CommaDelimitedList, Default: 'a, b' }
              Secret: { Type: String }
            Conditions:
              IsDev: !Equals [!Ref Stage, dev]",
        )?;
        let overrides = BTreeMap::new();
        Intrinsics::new(&template, &overrides).resolve(&serde_yaml_ng::from_str(value)?, "here")
    }

    #[test]
    fn supported_functions_are_evaluated() {
        for (given, expected) in [
            ("plain", "plain"),
            ("!Ref Stage", "dev"),
            ("!Ref Origins", "[a, b]"),
            ("!Select [1, !Ref Origins]", "b"),
            ("!If [IsDev, 1, 2]", "1"),
            ("!If [IsDev, !Ref AWS::NoValue, 2]", "null"),
            ("!Split [',', 'a,b']", "[a, b]"),
            ("!Split [e, !Ref Stage]", "[d, v]"),
        ] {
            let expected: Value = serde_yaml_ng::from_str(expected).expect("the value is YAML");
            assert_eq!(resolve(given).expect(given), expected, "{given}");
        }
    }

    #[test]
    fn errors_name_the_place() {
        for given in [
            "!Ref Nothing",
            "!Ref Secret",
            "!Ref [Stage]",
            "!If [IsDev, 1]",
            "!If [Unknown, 1, 2]",
            "!Select [7, !Ref Origins]",
            "!Split [',', !Ref Origins]",
            "!Sub text",
        ] {
            let error = resolve(given).expect_err(given);
            assert!(error.to_string().starts_with("here"), "{given}: {error}");
        }
    }
}
